"""Is the tail of the forecast distribution right? Tests of cumulative violations: how deep in the tail each loss lies.

With ``p = 1 - level`` and u the forecast probability of a loss at least as large as the one that came, the cumulative
violation of a day is ``H = max(1 - u / p, 0)``: the average over all levels beyond ``level`` of their breaches. Under
the null u is uniform, whatever the forecasts were, so null distributions are simulated once and shared.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numba import njit
from scipy.special import chdtrc, ndtr

from riskops.checks import check_integer
from riskops.history.backtests.base import Backtest, BacktestResult, Outcomes, tail_probability
from riskops.history.backtests.null_tails import severities, with_probability
from riskops.history.backtests.simulated import monte_carlo_p_value, shared, tie_break
from riskops.history.forecasts.base import Floats

__all__ = ["costanzino_curran", "cumulative_violations", "du_escanciano"]

#: The lags whose autocorrelations count.
LAGS = 5


def cumulative_violations(probability: Floats, *, level: float) -> Floats:
    """How deep in the tail each day's loss lies, ``(n,)``: 0 without a breach, 1 at the worst.

    Examples
    --------
    >>> import numpy as np
    >>> cumulative_violations(np.array([0.5, 0.75, 0.875, 1.0]), level=0.75).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    return np.maximum(1.0 - (1.0 - probability) / tail_probability(level), 0.0)


def costanzino_curran(probability: Floats, *, level: float) -> BacktestResult:
    """Costanzino and Curran's coverage test of expected shortfall, which is Du and Escanciano's unconditional one.

    ``Z = sqrt(n) (mean(H) - p / 2) / sqrt(p / 3 - p^2 / 4)`` of the cumulative violations H; standard normal under the
    null, positive where the tail was too thin, two-sided. It counts every breach with its depth, so its power is above
    that of Kupiec's test. NaN without a day.

    References
    ----------
    Costanzino and Curran (2015), Backtesting general spectral risk measures with application to expected shortfall,
    Journal of Risk Model Validation 9(1); Du and Escanciano (2017), Backtesting expected shortfall: accounting for tail
    risk, Management Science 63, 940-958.

    Examples
    --------
    >>> import numpy as np
    >>> even = (np.arange(1000) + 0.5) / 1000
    >>> abs(costanzino_curran(even, level=0.95).statistic) < 1e-9
    True
    >>> round(costanzino_curran(even**0.5, level=0.95).statistic, 2)
    6.03
    """
    if not len(probability):
        return BacktestResult(math.nan, math.nan)
    found = _standardised(float(cumulative_violations(probability, level=level).sum()), len(probability), level)
    return BacktestResult(float(found), float(2.0 * ndtr(-abs(found))))


def du_escanciano(probability: Floats, *, level: float, lags: int = LAGS) -> BacktestResult:
    """Du and Escanciano's conditional test: cumulative violations are not autocorrelated.

    ``C = n sum_j r(j)^2`` over the first ``lags`` lags, with ``r(j) = g(j) / g(0)`` and
    ``g(j) = sum_t (H_t - p / 2) (H_(t-j) - p / 2) / (n - j)``; chi-squared with ``lags`` degrees of freedom. Violations
    are rare and skewed: read the p-value by simulation. NaN without a breach, and where there are no more days than
    lags.

    References
    ----------
    Du and Escanciano (2017), Backtesting expected shortfall: accounting for tail risk, Management Science 63, 940-958.

    Examples
    --------
    >>> import numpy as np
    >>> deep = np.where(np.arange(500) % 100 < 3, 0.99, 0.5)
    >>> result = du_escanciano(deep, level=0.95)
    >>> round(result.statistic, 1), result.p_value < 1e-9
    (269.2, True)
    """
    check_integer("lags", lags, at_least=1)
    n = len(probability)
    if n <= lags:
        return BacktestResult(math.nan, math.nan)
    depth = cumulative_violations(probability, level=level)
    days = np.flatnonzero(depth > 0.0)
    out = np.empty(1)
    _autocorrelations(np.array([0, len(days)]), days, depth[days], n, 0.5 * tail_probability(level), lags, out)
    return BacktestResult(float(out[0]), float(chdtrc(lags, out[0])))


def _standardised(total: float | Floats, n: int, level: float) -> Floats:
    tail = tail_probability(level)
    return np.asarray((total / n - 0.5 * tail) / math.sqrt((tail / 3.0 - tail * tail / 4.0) / n))


@njit(cache=True, nogil=True, error_model="numpy")
def _autocorrelations(offsets, days, depth, n, mean, lags, out):  # type: ignore[no-untyped-def]
    """Sums over breaches alone: on all other days the violation is zero."""
    for i in range(len(out)):
        first, last = offsets[i], offsets[i + 1]
        total, squares = 0.0, 0.0
        for k in range(first, last):
            total += depth[k]
            squares += depth[k] * depth[k]
        variance = (squares - 2.0 * mean * total) / n + mean * mean
        found = 0.0
        for lag in range(1, lags + 1):
            product, ends = 0.0, 0.0
            other = first
            for k in range(first, last):
                while days[other] < days[k] - lag:
                    other += 1
                if days[other] == days[k] - lag:
                    product += depth[k] * depth[other]
                ends += depth[k] * ((days[k] >= lag) + (days[k] < n - lag))
            covariance = (product - mean * ends) / (n - lag) + mean * mean
            found += (covariance / variance) ** 2
        out[i] = n * found if last > first else math.nan


@lru_cache(maxsize=64)
def _null_coverage(n: int, level: float, simulations: int, seed: int) -> Floats:
    drawn = severities(n, level, simulations, seed)
    total = np.bincount(drawn.row, weights=1.0 - drawn.severity, minlength=simulations).astype(np.float64)
    return np.sort(np.abs(_standardised(total, n, level)))


@lru_cache(maxsize=64)
def _null_autocorrelation(n: int, level: float, simulations: int, seed: int) -> Floats:
    drawn = severities(n, level, simulations, seed)
    offsets = np.searchsorted(drawn.row, np.arange(simulations + 1))
    out = np.empty(simulations)
    _autocorrelations(offsets, drawn.day, 1.0 - drawn.severity, n, 0.5 * tail_probability(level), LAGS, out)
    return np.sort(out[~np.isnan(out)])


def _simulate_coverage(outcomes: Outcomes, observed: float, simulations: int, seed: int) -> float:
    o = with_probability(outcomes)
    null = shared(_null_coverage, len(o.losses), o.level, simulations, seed)
    return monte_carlo_p_value(null, abs(observed), tie_break=tie_break(o, "costanzino_curran", seed))


def _simulate_autocorrelation(outcomes: Outcomes, observed: float, simulations: int, seed: int) -> float:
    o = with_probability(outcomes)
    null = shared(_null_autocorrelation, len(o.losses), o.level, simulations, seed)
    return monte_carlo_p_value(null, observed, tie_break=tie_break(o, "du_escanciano", seed))


_NEEDS = ("forecast_value_at_risk", "forecast_probability")

BACKTESTS = (
    Backtest(
        "costanzino_curran",
        "Losses lie as often and as deep in the forecast tail as they should (two-sided).",
        lambda o: costanzino_curran(with_probability(o).probability, level=o.level),
        _simulate_coverage,
        _NEEDS,
    ),
    Backtest(
        "du_escanciano",
        "How deep a loss lies in the forecast tail says nothing about the following days.",
        lambda o: du_escanciano(with_probability(o).probability, level=o.level),
        _simulate_autocorrelation,
        _NEEDS,
    ),
)
