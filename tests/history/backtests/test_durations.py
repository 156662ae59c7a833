"""Duration tests against SciPy's censored maximum likelihood and published values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from riskops.history.backtests.coverage import kupiec, time_until_first_failure
from riskops.history.backtests.durations import mixed_kupiec, time_between_failures, weibull_durations, weibull_shape


@pytest.mark.parametrize("at_ends", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(("n", "rate"), [(250, 0.05), (1000, 0.01), (1000, 0.05)])
def test_the_weibull_ratio_is_that_of_scipys_censored_fit(n: int, rate: float, at_ends: tuple[bool, bool]) -> None:
    breaches = np.random.default_rng(3).random(n) < rate
    breaches[[0, -1]] = at_ends
    days = np.flatnonzero(breaches)
    between = np.diff(days).astype(float)
    censored = ([] if at_ends[0] else [days[0] + 1.0]) + ([] if at_ends[1] else [n - 1.0 - days[-1]])
    data = stats.CensoredData(uncensored=between, right=censored)
    shape, _, scale = stats.weibull_min.fit(data, floc=0)
    _, mean = stats.expon.fit(data, floc=0)

    def log_likelihood(law) -> float:
        return float(law.logpdf(between).sum() + law.logsf(censored).sum())

    ratio = 2 * (log_likelihood(stats.weibull_min(shape, scale=scale)) - log_likelihood(stats.expon(scale=mean)))
    result = weibull_durations(breaches)
    assert result.statistic == pytest.approx(ratio, abs=1e-6)
    assert result.p_value == pytest.approx(stats.chi2.sf(ratio, 1), abs=1e-6)
    assert weibull_shape(breaches) == pytest.approx(shape, rel=1e-4)


def test_clustered_breaches_have_a_shape_below_one_and_regular_ones_above() -> None:
    assert weibull_shape(np.isin(np.arange(500), [10, 11, 13, 200, 201, 203, 480])) < 1
    assert weibull_shape(np.arange(500) % 50 > 48) > 1


def test_equal_durations_stop_at_the_largest_shape_and_stay_finite() -> None:
    breaches = np.arange(250) % 2 == 0
    assert weibull_shape(breaches) == pytest.approx(10.0, rel=1e-3)
    assert math.isfinite(weibull_durations(breaches).statistic)


@pytest.mark.parametrize("m", [0, 1])
def test_below_two_breaches_the_durations_say_nothing(m: int) -> None:
    assert np.isnan(weibull_durations(np.arange(250) < m)).all()


def test_haas_degrees_of_freedom_are_those_of_matlab() -> None:
    """MathWorks, varbacktest.tbf for 57 failures: 88.491 has p = 0.0047475 and, with Kupiec's 0.46147, 88.952 has
    0.0055565."""
    breaches = np.random.default_rng(2).permutation(np.arange(1043) < 57)
    alone, mixed = time_between_failures(breaches, level=0.95), mixed_kupiec(breaches, level=0.95)
    assert mixed.statistic - alone.statistic == pytest.approx(0.46147, abs=5e-6)
    assert alone.p_value == pytest.approx(stats.chi2.sf(alone.statistic, 57))
    assert mixed.p_value == pytest.approx(stats.chi2.sf(mixed.statistic, 58))
    assert stats.chi2.sf(88.491, 57) == pytest.approx(0.0047475, rel=2e-4)
    assert stats.chi2.sf(88.952, 58) == pytest.approx(0.0055565, rel=2e-4)


def test_haas_statistic_is_the_sum_of_first_failures() -> None:
    breaches = np.isin(np.arange(300), [4, 5, 90, 200])
    waits = [5, 1, 85, 110]
    sum_of = sum(time_until_first_failure(np.arange(1, v + 1) == v, level=0.99).statistic for v in waits)
    assert time_between_failures(breaches, level=0.99).statistic == pytest.approx(sum_of)


def test_without_a_breach_the_mixed_test_is_kupiecs_and_the_waits_have_no_p_value() -> None:
    calm = np.zeros(250, bool)
    assert mixed_kupiec(calm, level=0.99) == pytest.approx(kupiec(calm, level=0.99))
    alone = time_between_failures(calm, level=0.99)
    assert alone.statistic == 0.0
    assert math.isnan(alone.p_value)
