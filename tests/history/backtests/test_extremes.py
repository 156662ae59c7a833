"""Every registered test of VaR survives any breaches: its figures are numbers, or NaN exactly where it says so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from riskops.history.backtests.base import Backtest, Outcomes
from riskops.history.backtests.registry import backtests

NAMES = (
    "kupiec", "binomial", "traffic_light", "time_until_first_failure", "independence", "conditional_coverage",
    "weibull_durations", "time_between_failures", "mixed_kupiec", "dynamic_quantile", "berkowitz", "berkowitz_tail",
)  # fmt: skip

#: What has no statistic, or no asymptotic p-value, by the tests' documentation, of n days and m breaches.
NO_STATISTIC = {
    "weibull_durations": lambda n, m: m < 2,
    "dynamic_quantile": lambda n, m: n <= 4,
    "berkowitz": lambda n, m: n < 3,
    "berkowitz_tail": lambda n, m: n == m == 1,  # one loss, in the tail: nothing has a spread
}
NO_P_VALUE = NO_STATISTIC | {"time_between_failures": lambda n, m: m == 0}


def outcomes(breaches: np.ndarray, level: float) -> Outcomes:
    """Outcomes with those breaches: z is above or below the level's quantile as they say."""
    n = len(breaches)
    numbers = np.random.default_rng(n + int(breaches.sum()))
    probability = np.where(breaches, level + (1 - level) * numbers.random(n), level * numbers.random(n))
    probability = np.clip(probability, 1e-9, 1 - 1e-9)
    risk = 1.0 + 0.3 * numbers.random(n)
    losses = np.where(breaches, risk + 0.1 + numbers.random(n), risk - 0.1 - numbers.random(n))
    return Outcomes(losses, risk, 1.2 * risk, probability, level)


def check(test: Backtest, given_outcomes: Outcomes) -> None:
    n, m = len(given_outcomes.losses), int(given_outcomes.breaches.sum())
    statistic, p = test.run(given_outcomes)
    assert math.isnan(statistic) == NO_STATISTIC.get(test.name, lambda n, m: False)(n, m)
    assert math.isnan(p) == NO_P_VALUE.get(test.name, lambda n, m: False)(n, m)
    assert not math.isinf(statistic)
    assert math.isnan(p) or 0.0 <= p <= 1.0
    if test.simulate is not None and not math.isnan(statistic):
        assert 0.0 < test.simulate(given_outcomes, statistic, 39, 1) <= 1.0


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99, 0.997])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 250])
def test_none_one_and_all(n: int, level: float) -> None:
    days = np.arange(n)
    for breaches in (days < 0, days == 0, days == n - 1, days >= 0, days < n - 1, days >= n - 2, days % 2 == 0):
        for test in backtests(NAMES):
            check(test, outcomes(breaches, level))


@settings(max_examples=60)
@given(breaches=st.lists(st.booleans(), min_size=1, max_size=60), level=st.sampled_from([0.3, 0.9, 0.99]))
def test_any_breaches(breaches: list[bool], level: float) -> None:
    given_outcomes = outcomes(np.array(breaches), level)
    for test in backtests(NAMES):
        check(test, given_outcomes)


@settings(max_examples=40)
@given(
    probability=st.lists(st.floats(1e-12, 1 - 1e-12), min_size=3, max_size=40),
    level=st.sampled_from([0.5, 0.9, 0.99]),
)
def test_any_probabilities(probability: list[float], level: float) -> None:
    n = len(probability)
    given_outcomes = Outcomes(np.zeros(n), np.ones(n), np.ones(n), np.array(probability), level)
    for test in backtests(["berkowitz", "berkowitz_tail"]):
        statistic, p = test.run(given_outcomes)
        if math.isnan(statistic):
            assert len(set(stats.norm.ppf(probability))) == 1
        else:
            assert statistic >= 0.0
            assert 0.0 <= p <= 1.0
