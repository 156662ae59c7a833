"""RiskMetrics: a published step, pandas' weights, nominal coverage, and windows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from riskops.errors import InputError
from riskops.history.forecasts.ewma import Ewma, ewma_variance
from riskops.history.forecasts.registry import forecaster

LEVELS = (0.95, 0.975, 0.99, 0.997)


def test_published_step_of_the_variance() -> None:
    # Hull, Options, Futures and Other Derivatives (8th ed.), Example 22.1: decay 0.90, a volatility of 1 % yesterday
    # and a return of 2 %: the variance becomes 0.9 * 0.0001 + 0.1 * 0.0004 = 0.00013, the volatility 1.14 %.
    returns = np.append(np.full(2000, 0.01), -0.02)
    variance = ewma_variance(returns, np.array([2000, 2001]), decay=0.9, window=None)
    assert variance == pytest.approx([0.0001, 0.00013], rel=1e-12)
    assert round(100.0 * math.sqrt(variance[1]), 2) == 1.14


@pytest.mark.parametrize("window", [20, 250, None])
@pytest.mark.parametrize("decay", [0.94, 0.99, 0.3])
def test_the_weights_are_those_of_pandas_over_the_window(window: int | None, decay: float) -> None:
    returns = 0.01 * np.random.default_rng(1).standard_normal(400)
    ends = np.arange(1, 401)
    variance = ewma_variance(returns, ends, decay=decay, window=window)
    for end in (1, 7, 19, 20, 21, 250, 251, 400):
        seen = pd.Series(returns[0 if window is None else max(end - window, 0) : end] ** 2)
        oracle = seen.ewm(alpha=1.0 - decay, adjust=True).mean().iloc[-1]
        assert variance[end - 1] == pytest.approx(oracle, rel=1e-12)


def test_a_crash_that_left_the_window_leaves_no_trace() -> None:
    returns = 1e-4 * np.random.default_rng(2).standard_normal(200)
    crash = returns.copy()
    crash[20] = -1e8
    ends = np.array([30, 71, 150])
    quiet, after = (ewma_variance(x, ends, decay=0.97, window=50) for x in (returns, crash))
    assert after[0] > 1e10
    assert np.array_equal(quiet[1:], after[1:])


def test_forecasts_are_normal_and_grow_with_the_root_of_the_days() -> None:
    returns = 0.01 * np.random.default_rng(3).standard_normal(300)
    ends = np.array([100, 200, 300])
    one = Ewma().fit(returns, levels=LEVELS, days=1).predict(returns, ends, window=250)
    ten = Ewma().fit(returns, levels=LEVELS, days=10).predict(returns, ends, window=250)
    deviation = np.sqrt(ewma_variance(returns, ends, decay=0.94, window=250))
    assert one.value_at_risk == pytest.approx(np.outer(stats.norm.ppf(LEVELS), deviation), rel=1e-12)
    shortfall = stats.norm.pdf(stats.norm.ppf(LEVELS)) / (1.0 - np.array(LEVELS))
    assert one.expected_shortfall == pytest.approx(np.outer(shortfall, deviation), rel=1e-12)
    assert ten.value_at_risk == pytest.approx(math.sqrt(10.0) * one.value_at_risk, rel=1e-12)
    assert one.probability is not None
    assert one.probability(one.value_at_risk[2]) == pytest.approx(np.full(3, 0.99))
    assert Ewma().horizon_rule(10) == "RiskMetrics: the variance times the days"


def test_nominal_coverage_on_data_of_its_own_recursion() -> None:
    # v(t+1) = 0.94 v(t) + 0.06 r(t)^2 dies out in the long run (Nelson 1990), so many short series instead of one
    rng = np.random.default_rng(4)
    breaches, n = np.zeros(len(LEVELS), np.int64), 0
    fit = Ewma().fit(np.array([0.01, -0.01]), levels=LEVELS, days=1)
    for _ in range(40):
        returns = np.empty(700)
        variance = 1e-4
        for t in range(700):
            returns[t] = math.sqrt(variance) * rng.standard_normal()
            variance = 0.94 * variance + 0.06 * returns[t] ** 2
        ends = np.arange(300, 700)
        told = fit.predict(returns, ends, window=None)
        breaches += (-returns[ends] > told.value_at_risk).sum(axis=1)
        n += len(ends)
    for count, level in zip(breaches, LEVELS, strict=True):
        assert stats.binom.ppf(0.005, n, 1.0 - level) <= count <= stats.binom.ppf(0.995, n, 1.0 - level)


def test_nothing_after_a_day_changes_its_forecast() -> None:
    returns = 0.01 * np.random.default_rng(5).standard_normal(200)
    other = returns.copy()
    other[150:] *= -7.0
    ends = np.arange(100, 151)
    for window in (50, None):
        first, second = (ewma_variance(x, ends, decay=0.94, window=window) for x in (returns, other))
        assert np.array_equal(first, second)


def test_returns_of_zero_are_forecast_as_no_risk() -> None:
    returns = np.append(0.01, np.zeros(50))
    told = Ewma().fit(returns, levels=LEVELS, days=1).predict(returns, np.array([51]), window=20)
    assert told.value_at_risk.tolist() == told.expected_shortfall.tolist() == [[0.0]] * 4
    assert told.probability is not None
    assert told.probability(np.array([-0.01])).tolist() == [0.0]


def test_names_settings_and_refusals() -> None:
    assert (Ewma().name, Ewma(0.97).name) == ("ewma", "ewma_0.97")
    assert forecaster(Ewma(0.97).record()) == Ewma(0.97)
    with pytest.raises(InputError, match=r"decay: 1\.0 is not between 0 and 1; RiskMetrics takes 0\.94"):
        Ewma(decay=1.0)
    with pytest.raises(InputError, match="ewma: 1 returns are too few; at least 2 are needed"):
        Ewma().fit(np.array([0.01]), levels=LEVELS, days=1)
    with pytest.raises(InputError, match="returns: a variance needs at least one"):
        ewma_variance(np.array([0.01]), np.array([0]), decay=0.94, window=None)
