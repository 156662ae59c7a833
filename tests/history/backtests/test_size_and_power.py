"""Every test of VaR rejects a true null as often as it says, and rejects the alternative that it is made for.

P-values by simulation are exact: their rejections of regulators' samples, 250 days at 99 %, lie within binomial bounds
of the size for every test. Asymptotic ones are held to the size at a large number of days, where there is an asymptotic
law. Draws here come from NumPy, not from the generator that simulates the nulls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy import stats

from riskops.history.backtests import berkowitz, coverage, durations, dynamic_quantile, independence, traffic_light
from riskops.history.backtests.base import Outcomes, tail_probability
from riskops.history.backtests.registry import backtests

SIZE = 0.05
SIMULATED = (
    "kupiec", "binomial", "time_until_first_failure", "independence", "conditional_coverage", "weibull_durations",
    "time_between_failures", "mixed_kupiec", "dynamic_quantile", "berkowitz", "berkowitz_tail",
)  # fmt: skip
#: Tests whose statistic nears its asymptotic law as days grow; of the others one wait, or a sum of single waits, is
#: judged. The Weibull law of durations is held to at a level that has few breaches: see what it says of itself.
ASYMPTOTIC = (
    "kupiec", "binomial", "independence", "conditional_coverage", "dynamic_quantile", "berkowitz", "berkowitz_tail",
)  # fmt: skip
ASYMPTOTIC_AT_99 = ("weibull_durations", "kupiec", "berkowitz")

Draw = Callable[[np.random.Generator, int], np.ndarray]


def volatility(numbers: np.random.Generator, n: int) -> np.ndarray:
    """A persistent path of deviations: VaR moves with it."""
    shocks = 0.1 * numbers.standard_normal(n)
    log = np.zeros(n)
    for t in range(1, n):
        log[t] = 0.95 * log[t - 1] + shocks[t]
    return np.exp(log)


def of_normals(z: np.ndarray, deviation: np.ndarray, level: float) -> Outcomes:
    """Normal forecasts of losses ``deviation * z``."""
    risk = deviation * stats.norm.ppf(level)
    return Outcomes(deviation * z, risk, 1.2 * risk, stats.norm.cdf(z), level)


def right(n: int, level: float, samples: int) -> Iterator[Outcomes]:
    """Samples in which the forecasts are right."""
    numbers = np.random.default_rng(20_240_131)
    for _ in range(samples):
        yield of_normals(numbers.standard_normal(n), volatility(numbers, n), level)


def share(flags: list[bool]) -> tuple[int, int]:
    return sum(flags), len(flags)


def within(rejections: int, samples: int, size: float = SIZE) -> bool:
    """Whether so many rejections are no surprise: the two-sided binomial test at one in a thousand."""
    return bool(stats.binomtest(rejections, samples, size).pvalue > 1e-3)


def simulated_rejections(names: tuple[str, ...], n: int, level: float, samples: int) -> dict[str, tuple[int, int]]:
    found: dict[str, list[bool]] = {name: [] for name in names}
    for outcomes in right(n, level, samples):
        for test in backtests(names):
            statistic = test.run(outcomes).statistic
            if not np.isnan(statistic):
                assert test.simulate is not None
                found[test.name].append(test.simulate(outcomes, statistic, 1_999, 1) <= SIZE)
    return {name: share(flags) for name, flags in found.items()}


def asymptotic_rejections(names: tuple[str, ...], n: int, level: float, samples: int) -> dict[str, tuple[int, int]]:
    found: dict[str, list[bool]] = {name: [] for name in names}
    for outcomes in right(n, level, samples):
        for test in backtests(names):
            found[test.name].append(test.run(outcomes).p_value <= SIZE)
    return {name: share(flags) for name, flags in found.items()}


@pytest.mark.parametrize(("n", "level"), [(250, 0.99), (100, 0.95)])
def test_by_simulation_the_size_is_right_in_short_samples(n: int, level: float) -> None:
    found = simulated_rejections(SIMULATED, n, level, 400)
    wrong = {name: pair for name, pair in found.items() if not within(*pair)}
    assert not wrong, wrong


@pytest.mark.long
@pytest.mark.parametrize("n", [250, 1000])
@pytest.mark.parametrize("level", [0.95, 0.975, 0.99, 0.997])
def test_by_simulation_the_size_is_right_everywhere(n: int, level: float) -> None:
    found = simulated_rejections(SIMULATED, n, level, 4_000)
    # the simulated null itself errs: 1,999 draws leave a standard error of half a percent
    wrong = {name: (k, m) for name, (k, m) in found.items() if abs(k / m - SIZE) > 4 * np.sqrt(0.05 * 0.95 / 1_500)}
    assert not wrong, wrong


@pytest.mark.parametrize(("names", "level"), [(ASYMPTOTIC, 0.95), (ASYMPTOTIC_AT_99, 0.99)])
def test_asymptotically_the_size_is_right_in_long_samples(names: tuple[str, ...], level: float) -> None:
    found = asymptotic_rejections(names, 4_000, level, 300)
    wrong = {name: pair for name, pair in found.items() if not within(*pair)}
    assert not wrong, wrong


@pytest.mark.long
def test_asymptotically_the_size_is_right_in_longer_samples() -> None:
    found = asymptotic_rejections(ASYMPTOTIC, 20_000, 0.95, 2_000)
    wrong = {name: pair for name, pair in found.items() if not within(*pair)}
    assert not wrong, wrong


def test_durations_reject_too_often_by_their_asymptotic_law() -> None:
    """What their documentation warns of, and why the p-value by simulation is the one to read."""
    found = asymptotic_rejections(("time_between_failures", "mixed_kupiec", "weibull_durations"), 4_000, 0.95, 100)
    assert min(rejected for rejected, _ in found.values()) > 12


def test_exact_p_values_never_reject_too_often() -> None:
    """The traffic light and the binomial test: their size is summed over all numbers of breaches."""
    n, level = 250, 0.99
    weight = stats.binom.pmf(np.arange(n + 1), n, tail_probability(level))
    for test in backtests(["traffic_light", "binomial"]):
        days = np.arange(n)
        z = [np.where(days < m, 3.0, 0.0) for m in range(20)]
        p = np.array([test.run(of_normals(one, np.ones(n), level)).p_value for one in z])
        size = weight[:20][p <= SIZE].sum()
        assert 0.01 < size <= SIZE


def clustered(numbers: np.random.Generator, n: int, *, rate: float, again: float) -> np.ndarray:
    """z whose breaches follow a Markov chain with that rate, and that probability of another one the next day."""
    into = rate * (1 - again) / (1 - rate)
    uniform = numbers.random(n)
    breach = np.zeros(n, bool)
    for t in range(1, n):
        breach[t] = uniform[t] < (again if breach[t - 1] else into)
    p = np.where(breach, 1 - rate * numbers.random(n), (1 - rate) * numbers.random(n))
    return stats.norm.ppf(p)


def too_often(numbers: np.random.Generator, n: int) -> np.ndarray:
    """Three times as many breaches at 95 %."""
    return numbers.standard_normal(n) + stats.norm.ppf(0.95) - stats.norm.ppf(0.85)


def too_rarely(numbers: np.random.Generator, n: int) -> np.ndarray:
    """A fifth of the breaches at 95 %."""
    return numbers.standard_normal(n) + stats.norm.ppf(0.95) - stats.norm.ppf(0.99)


def in_clusters(numbers: np.random.Generator, n: int) -> np.ndarray:
    """The right number of breaches, every third day after one another one."""
    return clustered(numbers, n, rate=0.05, again=0.35)


def every_other_day(numbers: np.random.Generator, n: int) -> np.ndarray:
    """A breach is likely two days after one, so not on the next day: a memory that a Markov chain does not see."""
    pairs = np.zeros(n, bool)
    starts = np.flatnonzero(numbers.random(n) < 0.025)
    pairs[starts] = True
    pairs[np.minimum(starts + 2, n - 1)] = True
    p = np.where(pairs, 1 - 0.05 * numbers.random(n), 0.95 * numbers.random(n))
    return stats.norm.ppf(p)


def autocorrelated(numbers: np.random.Generator, n: int) -> np.ndarray:
    """Standard normal z, each correlated with the one before."""
    z = numbers.standard_normal(n)
    for t in range(1, n):
        z[t] = 0.3 * z[t - 1] + np.sqrt(1 - 0.09) * z[t]
    return z


def too_wide(numbers: np.random.Generator, n: int) -> np.ndarray:
    """Losses a quarter larger than forecast."""
    return 1.25 * numbers.standard_normal(n)


def fat_tailed(numbers: np.random.Generator, n: int) -> np.ndarray:
    """The right number of breaches at 95 %, and beyond them the losses of a t with three degrees of freedom."""
    t = numbers.standard_t(3, n)
    return t * stats.norm.ppf(0.95) / stats.t.ppf(0.95, 3)


ALTERNATIVES: list[tuple[str, Draw, float]] = [
    ("kupiec", too_often, 0.95),
    ("kupiec", too_rarely, 0.9),
    ("binomial", too_often, 0.95),
    ("binomial", too_rarely, 0.9),
    ("traffic_light", too_often, 0.95),
    ("time_until_first_failure", too_rarely, 0.25),
    ("independence", in_clusters, 0.8),
    ("conditional_coverage", in_clusters, 0.8),
    ("conditional_coverage", too_often, 0.95),
    ("weibull_durations", in_clusters, 0.5),
    ("weibull_durations", every_other_day, 0.5),
    ("time_between_failures", in_clusters, 0.7),
    ("mixed_kupiec", in_clusters, 0.7),
    ("mixed_kupiec", too_often, 0.8),
    ("dynamic_quantile", in_clusters, 0.8),
    ("dynamic_quantile", every_other_day, 0.8),
    ("dynamic_quantile", too_often, 0.95),
    ("berkowitz", autocorrelated, 0.95),
    ("berkowitz", too_wide, 0.95),
    ("berkowitz_tail", fat_tailed, 0.8),
    ("berkowitz_tail", too_wide, 0.8),
]


@pytest.mark.parametrize(
    ("name", "alternative", "power"), ALTERNATIVES, ids=[f"{name}-{draw.__name__}" for name, draw, _ in ALTERNATIVES]
)
def test_every_test_rejects_what_it_is_made_for(name: str, alternative: Draw, power: float) -> None:
    numbers = np.random.default_rng(5)
    (test,) = backtests(name)
    n, rejected = 500, []
    for _ in range(60):
        outcomes = of_normals(alternative(numbers, n), volatility(numbers, n), 0.95)
        result = test.run(outcomes)
        p = result.p_value if test.simulate is None else test.simulate(outcomes, result.statistic, 1_999, 1)
        rejected.append(p <= SIZE)
    assert np.mean(rejected) >= power


def test_dynamic_quantile_rejects_breaches_that_var_itself_foretells() -> None:
    """VaR that knows half of what there is to know: the breaches come when it is low, independently otherwise."""
    numbers = np.random.default_rng(6)
    (test,) = backtests("dynamic_quantile")
    rejected = []
    for _ in range(60):
        deviation = volatility(numbers, 500)
        low = deviation < np.median(deviation)
        rate = np.where(low, 0.09, 0.01)
        breach = numbers.random(500) < rate
        outcomes = of_normals(np.where(breach, 3.0, 0.0), deviation, 0.95)
        rejected.append(test.simulate(outcomes, test.run(outcomes).statistic, 1_999, 1) <= SIZE)
    assert np.mean(rejected) >= 0.5


def test_every_registered_test_of_var_is_here() -> None:
    tested = {*SIMULATED, "traffic_light"}
    assert {name for name, _, _ in ALTERNATIVES} == tested
    files = (coverage, traffic_light, independence, durations, dynamic_quantile, berkowitz)
    assert {test.name for file in files for test in file.BACKTESTS} == tested
