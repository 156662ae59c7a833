"""Is the whole forecast distribution right, or its tail? Berkowitz' likelihood ratios on forecast probabilities.

The probability that was forecast of a loss no larger than the one that came is uniform under the null; its normal
quantile z is standard normal and independent from day to day.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.special import chdtrc, ndtri

from riskops.history.backtests.base import Backtest, BacktestResult, Outcomes, tail_probability
from riskops.history.backtests.null_tails import with_probability
from riskops.history.backtests.simulated import monte_carlo_p_value, shared, tie_break
from riskops.history.forecasts.base import Floats
from riskops.rng import fill_normals, tile_counters

__all__ = ["berkowitz", "berkowitz_tail"]

_STREAM = 5_005
_ROWS = 64
#: The autoregression's coefficient lies inside (-this, this).
_LARGEST = 0.999999


@njit(cache=True, nogil=True, error_model="numpy")
def _profile(rho, n, total, squares, products, first, last):  # type: ignore[no-untyped-def]
    """The exact log-likelihood of a stationary AR(1) with that coefficient, mean and variance at their best."""
    inner = total - first - last
    mean = (first + last + (1.0 - rho) * inner) / (2.0 + (n - 2) * (1.0 - rho))
    about = squares - 2.0 * mean * total + n * mean * mean
    ends = (first - mean) ** 2 + (last - mean) ** 2
    lagged = products - mean * (2.0 * total - first - last) + (n - 1) * mean * mean
    residual = about - 2.0 * rho * lagged + rho * rho * (about - ends)
    return -0.5 * n * (math.log(2.0 * math.pi) + math.log(residual / n) + 1.0) + 0.5 * math.log1p(-rho * rho)


@njit(cache=True, nogil=True, error_model="numpy")
def _full_ratio(n, total, squares, products, first, last):  # type: ignore[no-untyped-def]
    """Twice the log-likelihood ratio of the best AR(1) over independent standard normals."""
    steps = 40
    best, at = -math.inf, 0.0
    for i in range(steps + 1):  # a grid, then golden sections about its best point
        rho = _LARGEST * (2.0 * i / steps - 1.0)
        value = _profile(rho, n, total, squares, products, first, last)
        if value > best:
            best, at = value, rho
    low, high = max(at - 2.0 / steps, -_LARGEST), min(at + 2.0 / steps, _LARGEST)
    golden = 0.5 * (math.sqrt(5.0) - 1.0)
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left = _profile(left, n, total, squares, products, first, last)
    at_right = _profile(right, n, total, squares, products, first, last)
    for _ in range(40):
        if at_left > at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = _profile(left, n, total, squares, products, first, last)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = _profile(right, n, total, squares, products, first, last)
    held = -0.5 * (n * math.log(2.0 * math.pi) + squares)
    return max(2.0 * (max(best, at_left, at_right) - held), 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _full_ratios(n, sums, out):  # type: ignore[no-untyped-def]
    for s in range(len(out)):
        out[s] = _full_ratio(n, sums[0, s], sums[1, s], sums[2, s], sums[3, s], sums[4, s])


@njit(cache=True, nogil=True, error_model="numpy")
def _full_sums(z, started, sums):  # type: ignore[no-untyped-def]
    """Add days of z, a column a sample: the sums of z, of squares, of products of neighbours, the first and the last
    z."""
    for r in range(z.shape[0]):
        for s in range(z.shape[1]):
            x = np.float64(z[r, s])
            sums[0, s] += x
            sums[1, s] += x * x
            if started or r > 0:
                sums[2, s] += x * sums[4, s]
            else:
                sums[3, s] = x
            sums[4, s] = x


@njit(cache=True, nogil=True, error_model="numpy")
def _log_normal_cdf(a):  # type: ignore[no-untyped-def]
    """The logarithm of the normal distribution function, and its slope; ``a`` far below 0 by its asymptotic series."""
    if a > -12.0:
        cdf = 0.5 * math.erfc(-a / math.sqrt(2.0))
        return math.log(cdf), math.exp(-0.5 * a * a) / (math.sqrt(2.0 * math.pi) * cdf)
    square = a * a
    series = 1.0 - 1.0 / square + 3.0 / (square * square) - 15.0 / (square * square * square)
    log = -0.5 * square - math.log(-a * math.sqrt(2.0 * math.pi)) + math.log(series)
    return log, math.exp(-0.5 * square - 0.5 * math.log(2.0 * math.pi) - log)


@njit(cache=True, nogil=True, error_model="numpy")
def _censored(a, s, calm, m, total, squares):  # type: ignore[no-untyped-def]
    """The log-likelihood of a normal censored below a cut, by ``a = (cut - mean) / deviation`` and
    ``s = 1 / deviation``, of ``calm`` days below and ``m`` above by excesses of those sums. It is concave in both."""
    log_cdf, _ = _log_normal_cdf(a)
    return calm * log_cdf + m * math.log(s) - 0.5 * (m * a * a + 2.0 * a * s * total + s * s * squares)


@njit(cache=True, nogil=True, error_model="numpy")
def _tail_ratio(n, m, total, squares, cut):  # type: ignore[no-untyped-def]
    """Twice the log-likelihood ratio of the best censored normal over the standard one."""
    calm = n - m
    held = _censored(cut, 1.0, calm, m, total, squares)
    if m == 0:
        return max(-2.0 * held, 0.0)
    if squares == 0.0 or (calm == 0 and (m * squares - total * total) <= 1e-14 * m * squares):
        return math.nan  # excesses without a spread: the likelihood has no bound
    a, s, value = cut, 1.0, held
    for _ in range(200):
        _, slope = _log_normal_cdf(a)
        gradient_a = calm * slope - m * a - s * total
        gradient_s = m / s - a * total - s * squares
        aa = -calm * slope * (a + slope) - m
        ss, across = -m / (s * s) - squares, -total
        determinant = aa * ss - across * across
        step_a = -(ss * gradient_a - across * gradient_s) / determinant
        step_s = -(aa * gradient_s - across * gradient_a) / determinant
        gain = gradient_a * step_a + gradient_s * step_s
        size = 1.0
        while size > 1e-12:
            if s + size * step_s > 0.0:
                reached = _censored(a + size * step_a, s + size * step_s, calm, m, total, squares)
                if reached >= value + 1e-4 * size * gain:
                    break
            size *= 0.5
        if size <= 1e-12:
            break
        a, s, value = a + size * step_a, s + size * step_s, reached
        if gain < 1e-12:
            break
    return max(2.0 * (value - held), 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _tail_ratios(n, sums, cut, out):  # type: ignore[no-untyped-def]
    for s in range(len(out)):
        out[s] = _tail_ratio(n, sums[0, s], sums[1, s], sums[2, s], cut)


@njit(cache=True, nogil=True, error_model="numpy")
def _tail_sums(z, cut, sums):  # type: ignore[no-untyped-def]
    """Add days of z, a column a sample: how many are above the cut, the sums of their excesses and squares."""
    for r in range(z.shape[0]):
        for s in range(z.shape[1]):
            excess = np.float64(z[r, s]) - cut
            if excess > 0.0:
                sums[0, s] += 1.0
                sums[1, s] += excess
                sums[2, s] += excess * excess


def berkowitz(probability: Floats) -> BacktestResult:
    """Berkowitz' test of the whole distribution: the z are standard normal and do not depend on the day before.

    The likelihood ratio of a stationary Gaussian AR(1) with free mean, variance and coefficient, by its exact
    likelihood (the first day's z has the stationary distribution), over independent standard normals; chi-squared with
    three degrees of freedom.

    Statistic and p-value are NaN where a probability is NaN (the method forecasts no distribution), below three days,
    and where all z are equal. A loss that was given probability 0 or 1, or one that float64 rounds to it, makes the
    statistic infinite and the p-value 0: what came was forecast not to.

    Parameters
    ----------
    probability
        The forecast probability of a loss no larger than the one that came, ``(n,)``.

    References
    ----------
    Berkowitz (2001), Testing density forecasts, with applications to risk management, Journal of Business and Economic
    Statistics 19, 465-474.

    Examples
    --------
    >>> import numpy as np
    >>> right = berkowitz(np.random.default_rng(1).random(500))
    >>> round(right.statistic, 3), round(right.p_value, 3)
    (0.899, 0.826)
    """
    z = ndtri(probability)
    if len(z) < 3 or np.isnan(z).any():
        return BacktestResult(math.nan, math.nan)
    if np.isinf(z).any():
        return BacktestResult(math.inf, 0.0)
    if np.all(z == z[0]):
        return BacktestResult(math.nan, math.nan)
    sums, out = np.zeros((5, 1)), np.empty(1)
    _full_sums(np.ascontiguousarray(z)[:, None], False, sums)
    _full_ratios(len(z), sums, out)
    return BacktestResult(float(out[0]), float(chdtrc(3.0, out[0])))


def berkowitz_tail(probability: Floats, *, level: float) -> BacktestResult:
    """Berkowitz' test of the tail beyond the level: the z above it are those of a standard normal.

    The likelihood ratio of a normal with free mean and variance over the standard one, when of a z below the level's
    quantile nothing is known but that: both how often losses fall in the tail and how large they are there is judged,
    and nothing else. Chi-squared with two degrees of freedom. Without a loss in the tail it is ``-2 n log(level)``.

    Statistic and p-value are NaN where a probability is NaN, and where every day's z is the same and in the tail. A
    loss that was given probability 1, or one that float64 rounds to it (a normal law nine deviations out), makes the
    statistic infinite and the p-value 0.

    Parameters
    ----------
    probability
        The forecast probability of a loss no larger than the one that came, ``(n,)``.
    level
        Where the tail begins.

    References
    ----------
    Berkowitz (2001), Testing density forecasts, with applications to risk management, Journal of Business and Economic
    Statistics 19, 465-474; Christoffersen (2012), Elements of Financial Risk Management, 2nd edition, 13.5.

    Examples
    --------
    >>> import numpy as np
    >>> right = berkowitz_tail(np.random.default_rng(1).random(500), level=0.95)
    >>> round(right.statistic, 3), round(right.p_value, 3)
    (2.299, 0.317)
    """
    z = ndtri(probability)
    if not len(z) or np.isnan(z).any():
        return BacktestResult(math.nan, math.nan)
    if np.isposinf(z).any():
        return BacktestResult(math.inf, 0.0)
    sums, out = np.zeros((3, 1)), np.empty(1)
    cut = -float(ndtri(tail_probability(level)))
    _tail_sums(np.ascontiguousarray(z)[:, None], cut, sums)
    _tail_ratios(len(z), sums, cut, out)
    return BacktestResult(float(out[0]), float(chdtrc(2.0, out[0])))


def _over_normals(n: int, simulations: int, seed: int, add: Callable[[npt.NDArray[np.float32], bool], None]) -> None:
    """Hand over ``n`` days of standard normals, a column a simulation, block by block."""
    counters = tile_counters(0, simulations)
    for start in range(0, n, _ROWS):
        block = np.empty((min(_ROWS, n - start), simulations), np.float32)
        fill_normals(block, counters, seed=seed, step=0, stream=_STREAM, first_factor=start)
        add(block, start > 0)


@lru_cache(maxsize=128)
def _full_null(n: int, simulations: int, seed: int) -> Floats:
    sums, out = np.zeros((5, simulations)), np.empty(simulations)
    _over_normals(n, simulations, seed, lambda z, started: _full_sums(z, started, sums))
    _full_ratios(n, sums, out)
    return np.sort(out)


@lru_cache(maxsize=512)
def _tail_null(n: int, level: float, simulations: int, seed: int) -> Floats:
    sums, out = np.zeros((3, simulations)), np.empty(simulations)
    cut = -float(ndtri(tail_probability(level)))
    _over_normals(n, simulations, seed, lambda z, _: _tail_sums(z, cut, sums))
    _tail_ratios(n, sums, cut, out)
    return np.sort(out[~np.isnan(out)])


def _simulate(outcomes: Outcomes, observed: float, simulations: int, seed: int) -> float:
    o = with_probability(outcomes)
    null = shared(_full_null, len(o.losses), simulations, seed)
    return monte_carlo_p_value(null, observed, tie_break=tie_break(o, "berkowitz", seed))


def _simulate_tail(outcomes: Outcomes, observed: float, simulations: int, seed: int) -> float:
    o = with_probability(outcomes)
    null = shared(_tail_null, len(o.losses), o.level, simulations, seed)
    return monte_carlo_p_value(null, observed, tie_break=tie_break(o, "berkowitz_tail", seed))


BACKTESTS = (
    Backtest(
        "berkowitz",
        "The whole forecast distribution is right, whatever came the day before (the same at every level).",
        lambda o: berkowitz(with_probability(o).probability),
        _simulate,
        needs=("forecast_value_at_risk", "forecast_probability"),
    ),
    Backtest(
        "berkowitz_tail",
        "The forecast distribution is right beyond the level.",
        lambda o: berkowitz_tail(with_probability(o).probability, level=o.level),
        _simulate_tail,
        needs=("forecast_value_at_risk", "forecast_probability"),
    ),
)
