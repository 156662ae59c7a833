"""Coverage tests against published values and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from riskops.errors import InputError
from riskops.history.backtests.coverage import binomial, kupiec, nonrejection_region, time_until_first_failure

# Kupiec (1995), Journal of Derivatives 3(2), Table 3 (Jorion, Value at Risk, Table 6-2): size 5 %; accepted are the
# numbers strictly between. At 255 days and 1 % the table prints "N < 7"; zero breaches have a ratio of 5.13.
KUPIEC_TABLE = {
    0.99: {255: (0, 7), 510: (1, 11), 1000: (4, 17)},
    0.975: {255: (2, 12), 510: (6, 21), 1000: (15, 36)},
    0.95: {255: (6, 21), 510: (16, 36), 1000: (37, 65)},
    0.925: {255: (11, 28), 510: (27, 51), 1000: (59, 92)},
    0.9: {255: (16, 36), 510: (38, 65), 1000: (81, 120)},
}


def first(m: int, n: int) -> np.ndarray:
    return np.arange(n) < m


@pytest.mark.parametrize(("m", "level", "ratio", "p"), [(57, 0.95, 0.46147, 0.49694), (17, 0.99, 3.5118, 0.060933)])
def test_kupiec_gives_the_documented_output_of_matlab(m: int, level: float, ratio: float, p: float) -> None:
    """MathWorks Risk Management Toolbox, varbacktest.pof, 1043 days; five digits are printed."""
    result = kupiec(first(m, 1043), level=level)
    assert result.statistic == pytest.approx(ratio, rel=2e-5)
    assert result.p_value == pytest.approx(p, rel=2e-5)


def test_zero_breaches_and_only_breaches_are_judged_not_excused() -> None:
    assert kupiec(first(0, 250), level=0.95).statistic == pytest.approx(-2 * 250 * math.log(0.95))
    assert kupiec(first(0, 250), level=0.99).statistic == pytest.approx(5.025, abs=5e-4)
    assert kupiec(first(0, 250), level=0.99).p_value < 0.05
    assert kupiec(first(250, 250), level=0.99).statistic == pytest.approx(-2 * 250 * math.log(0.01))


@pytest.mark.parametrize("level", KUPIEC_TABLE)
@pytest.mark.parametrize("n", [255, 510, 1000])
def test_the_nonrejection_region_is_kupiecs_table(level: float, n: int) -> None:
    low, high = KUPIEC_TABLE[level][n]
    assert nonrejection_region(n, level=level) == (low + 1, high - 1)


def test_a_region_that_holds_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match=r"size: at 0\.999 the test rejects every number of breaches in 10 days"):
        nonrejection_region(10, level=0.99, size=0.999)


def test_binomial_gives_the_documented_output_of_matlab_and_scipys_exact_p_values() -> None:
    """MathWorks, varbacktest.bin: z = 0.68905 and, by the normal approximation, p = 0.49079."""
    result = binomial(first(57, 1043), level=0.95)
    assert result.statistic == pytest.approx(0.68905, abs=5e-6)
    assert 2 * stats.norm.sf(result.statistic) == pytest.approx(0.49079, abs=5e-6)
    for ours, theirs in (("two_sided", "two-sided"), ("greater", "greater"), ("less", "less")):
        for m, n, level in ((0, 250, 0.99), (1, 250, 0.99), (7, 250, 0.99), (250, 250, 0.99), (57, 1043, 0.95)):
            exact = stats.binomtest(m, n, {0.99: 0.01, 0.95: 0.05}[level], alternative=theirs).pvalue
            assert binomial(first(m, n), level=level, alternative=ours).p_value == pytest.approx(exact, rel=1e-9)


def test_time_until_first_failure_gives_the_documented_output_of_matlab() -> None:
    """MathWorks, varbacktest.tuff: first failure on day 58 at 95 %: 1.7354 and 0.18773."""
    result = time_until_first_failure(np.arange(1, 1044) >= 58, level=0.95)
    assert result.statistic == pytest.approx(1.7354, abs=5e-5)
    assert result.p_value == pytest.approx(0.18773, abs=5e-6)


@pytest.mark.parametrize("v", [1, 2, 7, 100, 438, 439])
def test_time_until_first_failure_is_its_closed_form(v: int) -> None:
    """Kupiec's own table: at 1 % and size 5 % a first failure from day 7 to 438 is not rejected."""
    result = time_until_first_failure(np.arange(1, 1001) == v, level=0.99)
    free = -math.log(v) + ((v - 1) * math.log(1 - 1 / v) if v > 1 else 0.0)
    assert result.statistic == pytest.approx(2 * (free - math.log(0.01) - (v - 1) * math.log(0.99)))
    assert (result.p_value >= 0.05) == (7 <= v <= 438)


def test_without_a_failure_the_wait_is_censored() -> None:
    assert time_until_first_failure(first(0, 250), level=0.99).statistic == pytest.approx(-500 * math.log(0.99))
