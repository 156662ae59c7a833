"""P-values by simulation: the null's law, exact ranks, ties, and that nothing but the data and the seed enters."""

from __future__ import annotations

import gc
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pytest
from scipy import stats

from riskops.history.backtests import simulated
from riskops.history.backtests.base import Outcomes
from riskops.history.backtests.registry import backtests
from riskops.history.backtests.simulated import breach_draws, breach_rows, monte_carlo_p_value


def outcomes(breaches: np.ndarray, level: float, *, seed: int = 0) -> Outcomes:
    losses = np.where(breaches, 2.0, 0.0) + 0.5 * np.random.default_rng(seed).random(len(breaches))
    nan = np.full(len(breaches), np.nan)
    return Outcomes(losses, np.ones(len(breaches)), nan, nan, level)


@pytest.mark.parametrize(("n", "level"), [(1, 0.9), (100, 0.5), (250, 0.99), (2000, 0.95)])
def test_simulated_breaches_are_independent_with_the_right_probability(n: int, level: float) -> None:
    draws = breach_draws(n, level, 20_000, 7)
    count = np.diff(draws.offsets)
    assert draws.positions.min() >= 0
    assert draws.positions.max() < n
    row = np.repeat(np.arange(20_000), count)
    same = row[1:] == row[:-1]
    gap = np.diff(draws.positions)
    assert (gap[same] > 0).all()
    numbers = np.arange(n + 1)
    expected = 20_000 * stats.binom.pmf(numbers, n, 1 - level)
    keep = expected >= 5
    seen = np.bincount(count, minlength=n + 1)
    statistic = ((seen[keep] - expected[keep]) ** 2 / expected[keep]).sum()
    assert stats.chi2.sf(statistic, keep.sum()) > 1e-3
    by_day = np.bincount(draws.positions, minlength=n)
    spread = ((by_day - 20_000 * (1 - level)) ** 2 / (20_000 * level * (1 - level))).sum()
    assert 1e-3 < stats.chi2.sf(spread, n) < 1 - 1e-3
    neighbours = (gap[same] == 1).sum()
    mean = 20_000 * (n - 1) * (1 - level) ** 2
    assert abs(neighbours - mean) <= 5 * np.sqrt(2 * mean) + 1e-9


def test_the_p_value_counts_what_is_at_least_as_large() -> None:
    null = np.array([0.0, 1.0, 1.0, 2.0])
    assert monte_carlo_p_value(null, 3.0, tie_break=0.9) == 1 / 5
    assert monte_carlo_p_value(null, 1.5, tie_break=0.9) == 2 / 5
    assert monte_carlo_p_value(null, -1.0, tie_break=0.0) == 1.0
    assert [monte_carlo_p_value(null, 1.0, tie_break=u) for u in (0.0, 0.34, 0.67, 0.999)] == [0.4, 0.6, 0.8, 0.8]


def test_ties_are_broken_evenly_so_that_the_size_is_exact() -> None:
    """Over all statistics of the null and all tie breaks the p-value is uniform on 1/(N+1), ..., 1."""
    null = np.sort(np.random.default_rng(1).integers(0, 4, 19)).astype(float)
    one_more = np.append(null, 2.0)
    p = []
    for i in range(20):
        rest = np.sort(np.delete(one_more, i))
        tied = np.count_nonzero(rest == one_more[i]) + 1
        p += [
            (monte_carlo_p_value(rest, one_more[i], tie_break=(k + 0.5) / tied), 1 / (20 * tied)) for k in range(tied)
        ]
    for size in np.arange(1, 20) / 20:
        assert sum(weight for value, weight in p if value <= size + 1e-12) == pytest.approx(size)


def test_a_p_value_hangs_on_data_and_seed_only() -> None:
    (test,) = backtests("kupiec")
    breaches = np.arange(250) % 100 == 5
    one = [test.simulate(outcomes(breaches, 0.99), 0.0, 999, 1) for _ in range(2)]
    assert one[0] == one[1]
    others = {test.simulate(outcomes(breaches, 0.99, seed=seed), 0.0, 999, 1) for seed in range(5)}
    assert len(others) > 1  # ties: three breaches are common


def test_the_simulated_p_value_of_a_continuous_statistic_nears_the_exact_one() -> None:
    """Kupiec's statistic at 2000 days: the exact p-value lies between those of the tied numbers of breaches."""
    (test,) = backtests("kupiec")
    numbers = np.arange(2001)
    probability = stats.binom.pmf(numbers, 2000, 0.05)
    ratio = np.array([test.run(outcomes(numbers[:-1] < m, 0.95)).statistic for m in numbers])
    for m in (80, 90, 120, 130):
        breaches = np.random.default_rng(m).permutation(numbers[:-1] < m)
        low, high = probability[ratio > ratio[m] + 1e-9].sum(), probability[ratio >= ratio[m] - 1e-9].sum()
        found = test.simulate(outcomes(breaches, 0.95), ratio[m], 9_999, 1)
        error = 4 * np.sqrt(high * (1 - high) / 9_999) + 1e-4
        assert low - error <= found <= high + error


def test_rows_of_breaches_are_their_days() -> None:
    rows = breach_rows(np.array([True, False, True]))
    assert rows.offsets.tolist() == [0, 2]
    assert rows.positions.tolist() == [0, 2]
    assert rows.n == 3


def test_threads_that_ask_at_once_compute_once_and_leave_no_lock_behind() -> None:
    calls: list[int] = []

    @lru_cache
    def slow(number: int) -> int:
        calls.append(number)
        time.sleep(0.05)
        return 2 * number

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: simulated.shared(slow, 21), range(4))) == [42] * 4
    assert calls == [21]
    gc.collect()
    assert not [key for key in simulated._LOCKS if key == (slow, 21)]
