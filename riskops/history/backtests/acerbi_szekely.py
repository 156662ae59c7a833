"""Is expected shortfall as large as the losses beyond it? The three tests of Acerbi and Szekely.

All three are 0 in expectation under the null and negative where expected shortfall is too low; their p-values are one
sided. Their null distributions are skewed, so p-values by simulation are the ones to read; the asymptotic ones take a
normal law with the variance of the same null tail (:mod:`riskops.history.backtests.null_tails`).
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.special import bdtr, ndtr

from riskops.checks import check_integer, check_level, exact_level
from riskops.errors import InputError
from riskops.history.backtests.base import Backtest, BacktestResult, Outcomes, tail_probability
from riskops.history.backtests.null_tails import (
    drawn_excesses,
    implied_degrees,
    law_quantile,
    relative_moment,
    shortfall_ratio,
    with_probability,
    with_shortfall,
)
from riskops.history.backtests.simulated import monte_carlo_p_value, shared, tie_break
from riskops.history.forecasts.base import Floats
from riskops.rng import fill_uniforms, tile_counters

__all__ = ["critical_value", "z1", "z2", "z3"]

_STREAM = 5_003


def z1(losses: Floats, value_at_risk: Floats, expected_shortfall: Floats, *, level: float) -> BacktestResult:
    """Acerbi and Szekely's first test: the mean of loss over expected shortfall on the days of a breach.

    ``Z1 = 1 - sum(L I / ES) / N`` over the N breaches I. It judges expected shortfall alone, given that VaR is right.
    Without a breach, or where some ES is not above zero, statistic and p-value are NaN; the p-value is also where no
    Student t law has a ratio of ES to VaR like the forecasts'.

    References
    ----------
    Acerbi and Szekely (2014), Backtesting expected shortfall, Risk, December.

    Examples
    --------
    >>> import numpy as np
    >>> losses, ones = np.array([3.0, 0.5, 1.0, 1.5]), np.ones(4)
    >>> round(z1(losses, ones, 1.25 * ones, level=0.75).statistic, 4)
    -0.8
    """
    relative, count = _relative(losses, value_at_risk, expected_shortfall)
    if not count or math.isnan(relative):
        return BacktestResult(math.nan, math.nan)
    found = 1.0 - relative / count
    degrees = implied_degrees(value_at_risk, expected_shortfall, level)
    if math.isnan(degrees):
        return BacktestResult(found, math.nan)
    deviation = math.sqrt((relative_moment(level, degrees) - 1.0) / count)
    return BacktestResult(found, float(ndtr(found / deviation)))


def z2(losses: Floats, value_at_risk: Floats, expected_shortfall: Floats, *, level: float) -> BacktestResult:
    """Acerbi and Szekely's second test: the sum of loss over expected shortfall on the days of a breach.

    ``Z2 = 1 - sum(L I / ES) / (n (1 - level))``. It judges the number of breaches and their size together; no breach
    gives 1, its largest value. NaN as :func:`z1`, but for that.

    References
    ----------
    Acerbi and Szekely (2014), Backtesting expected shortfall, Risk, December.

    Examples
    --------
    >>> import numpy as np
    >>> losses, ones = np.array([3.0, 0.5, 1.0, 1.5]), np.ones(4)
    >>> round(z2(losses, ones, 1.25 * ones, level=0.75).statistic, 4)
    -2.6
    """
    n, tail = len(losses), tail_probability(level)
    relative, _ = _relative(losses, value_at_risk, expected_shortfall)
    if not n or math.isnan(relative):
        return BacktestResult(math.nan, math.nan)
    found = 1.0 - relative / (n * tail)
    degrees = implied_degrees(value_at_risk, expected_shortfall, level)
    if math.isnan(degrees):
        return BacktestResult(found, math.nan)
    deviation = math.sqrt((relative_moment(level, degrees) / tail - 1.0) / n)
    return BacktestResult(found, float(ndtr(found / deviation)))


def z3(probability: Floats, *, level: float, degrees: float = math.inf) -> BacktestResult:
    """Acerbi and Szekely's third test: expected shortfall of the realised ranks, turned back into losses by a law.

    With ``k = floor(n (1 - level))`` and F the law: ``Z3 = 1 - S / E[S]``, S the mean of F's quantiles at the k largest
    of the n forecast probabilities of what came, and E[S] its exact expectation when those are uniform. Under the null
    they are, whatever the forecasts were, so the p-value by simulation holds for any F; F only says how much more an
    extreme rank counts than one near VaR. With forecasts of one law without location, times a scale of each day, it is
    the published statistic: the scale drops out. It has no asymptotic p-value.
    NaN where k is zero. A loss that was given probability 1 makes the statistic minus infinity and the p-value 0: what
    came was impossible, as beyond the end of a law that has one.

    Parameters
    ----------
    probability
        The forecast probability of a loss no larger than the one that came, ``(n,)``.
    level
        The confidence level.
    degrees
        Of the Student t law F; infinity: the normal law.

    References
    ----------
    Acerbi and Szekely (2014), Backtesting expected shortfall, Risk, December.

    Examples
    --------
    >>> import numpy as np
    >>> even = (np.arange(1000) + 0.5) / 1000
    >>> round(z3(even, level=0.975).statistic, 4), round(z3(even**0.5, level=0.975).statistic, 4)
    (-0.0021, -0.1093)
    """
    k = _worst(len(probability), level)
    if k == 0:
        return BacktestResult(math.nan, math.nan)
    tails = np.sort(1.0 - probability)[:k]
    mean = float(law_quantile(tails, degrees).mean())
    if not math.isfinite(mean):
        return BacktestResult(-math.inf, 0.0)
    return BacktestResult(1.0 - mean / _expected(len(probability), k, degrees), math.nan)


def critical_value(
    test: str,
    n: int,
    *,
    level: float,
    size: float = 0.05,
    degrees: float = math.inf,
    simulations: int = 100_000,
    seed: int = 1,
) -> float:
    """The value that ``z1``, ``z2`` or ``z3`` falls below with probability ``size`` under the null, by simulation.

    Parameters
    ----------
    test
        ``"z1"``, ``"z2"`` or ``"z3"``.
    n
        The number of days.
    level
        The confidence level of the forecasts.
    size
        The probability of a false alarm.
    degrees
        Of the Student t law of the losses; infinity: the normal law.
    simulations, seed
        How many samples of the null, and their seed.

    Examples
    --------
    >>> round(critical_value("z2", 250, level=0.975), 1)
    -0.7
    """
    check_level("size", size)
    check_integer("n", n, at_least=1)
    if test not in _NULLS:
        raise InputError(f"test: {test!r} is not one of {', '.join(_NULLS)}")
    if not degrees > 2.0:
        raise InputError(f"degrees: {degrees!r} is not above 2")
    null = shared(_NULLS[test], n, check_level("level", level), degrees, simulations, seed)
    if not len(null):
        raise InputError(f"n: {n} days at {level} never carry the test")
    return -float(null[min(math.ceil((1.0 - size) * len(null)), len(null)) - 1])


def _relative(losses: Floats, value_at_risk: Floats, expected_shortfall: Floats) -> tuple[float, int]:
    """The sum of loss over expected shortfall on the days of a breach, and their number."""
    breaches = losses > value_at_risk
    if np.any(expected_shortfall <= 0.0):
        return math.nan, int(breaches.sum())
    return float(np.sum(losses[breaches] / expected_shortfall[breaches])), int(breaches.sum())


def _worst(n: int, level: float) -> int:
    """How many of ``n`` days are in the tail, ``floor(n (1 - level))`` in exact arithmetic."""
    return math.floor(n * (1 - exact_level(level)))


def _drawn(n: int, level: float, degrees: float, simulations: int, seed: int) -> tuple[Floats, Floats]:
    """Of each simulated sample the sum of loss over expected shortfall, and the number of breaches."""
    drawn = drawn_excesses(n, level, degrees, simulations, seed)
    count = np.diff(drawn.offsets).astype(np.float64)
    row = np.repeat(np.arange(simulations), np.diff(drawn.offsets))
    excess = np.bincount(row, weights=drawn.excess, minlength=simulations)
    quantile = 1.0 / shortfall_ratio(level, degrees)
    return quantile * count + (1.0 - quantile) * excess, count


@lru_cache(maxsize=512)
def _null_z1(n: int, level: float, degrees: float, simulations: int, seed: int) -> Floats:
    total, count = _drawn(n, level, degrees, simulations, seed)
    return np.sort(total[count > 0.0] / count[count > 0.0] - 1.0)


@lru_cache(maxsize=512)
def _null_z2(n: int, level: float, degrees: float, simulations: int, seed: int) -> Floats:
    total, _ = _drawn(n, level, degrees, simulations, seed)
    return np.sort(total / (n * tail_probability(level)) - 1.0)


@lru_cache(maxsize=512)
def _null_z3(n: int, level: float, degrees: float, simulations: int, seed: int) -> Floats:
    """By the k smallest tail probabilities of n alone: the logs of their complements are sums of exponentials."""
    k = _worst(n, level)
    if k == 0:
        return np.empty(0)
    uniform = np.empty((1, simulations))
    counters = tile_counters(0, simulations)
    log_kept, total = np.zeros(simulations), np.zeros(simulations)
    for i in range(k):
        fill_uniforms(uniform, counters, seed=seed, step=i, stream=_STREAM)
        log_kept += np.where(uniform[0] < 0.0, np.log1p(uniform[0]), np.log(np.abs(uniform[0]))) / (n - i)
        total += law_quantile(-np.expm1(log_kept), degrees)
    return np.sort(total / (k * _expected(n, k, degrees)) - 1.0)


@lru_cache(maxsize=256)
def _expected(n: int, k: int, degrees: float) -> float:
    """The expected mean of the k largest of n draws: ``n / k`` times the integral of the quantile function, weighted by
    the probability that fewer than k of the others exceed it."""
    from scipy.integrate import quad

    def integrand(y: float) -> float:
        tail = math.exp(-y)
        return float(law_quantile(np.asarray(tail), degrees) * bdtr(k - 1, n - 1, tail)) * tail

    middle = math.log(n / k)
    points = (0.0, 0.5 * middle, middle, middle + 3.0, middle + 20.0, middle + 200.0)
    return n / k * float(sum(quad(integrand, low, high, limit=200)[0] for low, high in pairwise(points)))


_NULLS = {"z1": _null_z1, "z2": _null_z2, "z3": _null_z3}


def _p_value(test: str, outcomes: Outcomes, observed: float, degrees: float, simulations: int, seed: int) -> float:
    if math.isnan(degrees) or math.isnan(observed):
        return math.nan
    null = shared(_NULLS[test], len(outcomes.losses), outcomes.level, degrees, simulations, seed)
    return monte_carlo_p_value(null, -observed, tie_break=tie_break(outcomes, test, seed)) if len(null) else math.nan


def _degrees(outcomes: Outcomes) -> float:
    return implied_degrees(outcomes.value_at_risk, outcomes.expected_shortfall, outcomes.level)


def _simulate_z1(outcomes: Outcomes, observed: float, simulations: int, seed: int) -> float:
    kept = with_shortfall(outcomes)
    return _p_value("z1", kept, observed, _degrees(kept), simulations, seed)


def _simulate_z2(outcomes: Outcomes, observed: float, simulations: int, seed: int) -> float:
    kept = with_shortfall(outcomes)
    return _p_value("z2", kept, observed, _degrees(kept), simulations, seed)


def _simulate_z3(outcomes: Outcomes, observed: float, simulations: int, seed: int) -> float:
    return _p_value("z3", with_probability(outcomes), observed, math.inf, simulations, seed)


def _run(test: str, outcomes: Outcomes) -> BacktestResult:
    o = with_shortfall(outcomes)
    return (z1 if test == "z1" else z2)(o.losses, o.value_at_risk, o.expected_shortfall, level=o.level)


_NEEDS = ("forecast_value_at_risk", "forecast_expected_shortfall")

BACKTESTS = (
    Backtest(
        "z1",
        "Losses beyond value at risk average to expected shortfall (Acerbi-Szekely; Student t tail, one-sided).",
        lambda o: _run("z1", o),
        _simulate_z1,
        _NEEDS,
    ),
    Backtest(
        "z2",
        "Breaches are as many, and on average as large, as expected shortfall says (Acerbi-Szekely, one-sided).",
        lambda o: _run("z2", o),
        _simulate_z2,
        _NEEDS,
    ),
    Backtest(
        "z3",
        "The worst ranks among the forecast distributions are those of uniform ones (Acerbi-Szekely, one-sided).",
        lambda o: z3(with_probability(o).probability, level=o.level),
        _simulate_z3,
        ("forecast_value_at_risk", "forecast_probability"),
    ),
)
