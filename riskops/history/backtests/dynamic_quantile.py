"""Can breaches be foretold from earlier breaches or from VaR itself? Engle and Manganelli's dynamic quantile test."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.special import chdtrc

from riskops.history.backtests.base import Backtest, BacktestResult, Bools, Outcomes, tail_probability
from riskops.history.backtests.simulated import (
    BreachDraws,
    breach_draws,
    breach_rows,
    monte_carlo_p_value,
    shared,
    tie_break,
)
from riskops.history.forecasts.base import Floats

__all__ = ["dynamic_quantile"]

#: Engle and Manganelli's number of lagged hits.
LAGS = 4

_FLAT = 1e-10


@njit(cache=True, nogil=True, error_model="numpy")
def _moments(positions, first, last, n, tail, lags, matrix, vector):  # type: ignore[no-untyped-def]
    """X'X and X'hit of one row of breaches, without VaR.

    The columns of X: one, and whether each of the days before was a breach; lagged hits less their mean span the same
    space together with the constant. Days from ``lags`` on count. Everything is a sum over breaches alone.
    """
    matrix[:] = 0.0
    vector[:] = 0.0
    rows = n - lags
    matrix[0, 0] = rows
    hits = 0
    for i in range(first, last):
        at = positions[i]
        hits += at >= lags
        low, high = max(lags - at, 1), min(n - 1 - at, lags)
        for k in range(low, high + 1):
            matrix[k, 0] += 1.0
        following = i
        while following < last and positions[following] - at <= lags:
            apart = positions[following] - at
            for k in range(max(low, apart), high + 1):  # on day at + k: breaches k and k - apart days before
                if k == apart:
                    vector[k] += 1.0
                else:
                    matrix[k, k - apart] += 1.0
            following += 1
    vector[0] = hits - tail * rows
    for k in range(1, lags + 1):
        vector[k] -= tail * matrix[k, 0]


@njit(cache=True, nogil=True, error_model="numpy")
def _factor(matrix, vector):  # type: ignore[no-untyped-def]
    """Eliminate in place: multipliers below the diagonal, one over each pivot on it, 0 for a column that the ones
    before it span; ``vector`` as elimination leaves it. Return ``vector' matrix^- vector`` and the rank."""
    size = len(vector)
    explained, rank = 0.0, 0
    for i in range(size):
        own = matrix[i, i]
        pivot = own
        for j in range(i):
            pivot -= matrix[i, j] * matrix[i, j] * matrix[j, j]
        inverse = 1.0 / pivot if pivot > _FLAT * own else 0.0
        matrix[i, i] = inverse
        for k in range(i + 1, size):
            for j in range(i):
                matrix[k, i] -= matrix[i, j] * matrix[k, j] * matrix[j, j]
        for j in range(i):
            vector[i] -= matrix[i, j] * matrix[j, j] * vector[j]
        explained += vector[i] * vector[i] * inverse
        rank += inverse > 0.0
    for i in range(size):
        for j in range(i):
            matrix[i, j] *= matrix[j, j]
    return explained, rank


@njit(cache=True, nogil=True, error_model="numpy")
def _factors(offsets, positions, n, tail, matrices, vectors, explained, ranks):  # type: ignore[no-untyped-def]
    lags = vectors.shape[1] - 1
    for s in range(len(vectors)):
        _moments(positions, offsets[s], offsets[s + 1], n, tail, lags, matrices[s], vectors[s])
        explained[s], ranks[s] = _factor(matrices[s], vectors[s])


@njit(cache=True, nogil=True, error_model="numpy")
def _statistics(offsets, positions, tail, risk, square, matrices, vectors, explained, ranks, out, degrees):  # type: ignore[no-untyped-def]
    """The statistic of each row and its degrees of freedom: VaR put in as the last column.

    ``risk`` is VaR less its mean over the days that count, 0 on the others, those after the last one among them, so
    that no sum need look where it ends; ``square`` is the sum of its squares, 0 where VaR does not vary.
    """
    size = vectors.shape[1]
    sums = np.empty(size)
    for s in range(len(out)):
        sums[:] = 0.0
        for i in range(offsets[s], offsets[s + 1]):
            at = positions[i]
            for k in range(size):
                sums[k] += risk[at + k]
        cross, left = sums[0], square
        sums[0] = 0.0  # the constant: VaR is centred
        for i in range(size):
            for j in range(i):
                sums[i] -= matrices[s, i, j] * sums[j]
            scaled = sums[i] * matrices[s, i, i]
            cross -= scaled * vectors[s, i]
            left -= scaled * sums[i]
        more = left > _FLAT * square
        degrees[s] = ranks[s] + more
        out[s] = (explained[s] + (cross * cross / left if more else 0.0)) / (tail * (1.0 - tail))


class _Factors(NamedTuple):
    """What each row of breaches has without VaR: the eliminated moments, what they explain, and their rank."""

    matrices: Floats
    vectors: Floats
    explained: Floats
    ranks: Floats


def _factors_of(rows: BreachDraws, level: float, lags: int) -> _Factors:
    number = len(rows.offsets) - 1
    shapes = (number, lags + 1, lags + 1), (number, lags + 1), number, number
    found = _Factors(*(np.empty(shape) for shape in shapes))
    _factors(rows.offsets, rows.positions, rows.n, tail_probability(level), *found)
    return found


@lru_cache(maxsize=8)
def _null_factors(n: int, level: float, simulations: int, seed: int) -> _Factors:
    """Those of simulated breaches: for all series of so many days."""
    return _factors_of(shared(breach_draws, n, level, simulations, seed), level, LAGS)


def _judge(rows: BreachDraws, factors: _Factors, value_at_risk: Floats, level: float) -> tuple[Floats, Floats]:
    """The statistics and their degrees of freedom; VaR is centred and scaled over the days that count."""
    out, degrees = np.empty(len(rows.offsets) - 1), np.empty(len(rows.offsets) - 1)
    lags = factors.vectors.shape[1] - 1
    counted = value_at_risk[lags:]
    deviation = float(np.std(counted))
    varies = deviation > 1e-9 * float(np.max(np.abs(counted)))
    risk = np.zeros(rows.n + lags)
    if varies:
        risk[lags : rows.n] = (counted - counted.mean()) / deviation
    square = float(rows.n - lags) if varies else 0.0
    _statistics(rows.offsets, rows.positions, tail_probability(level), risk, square, *factors, out, degrees)
    return out, degrees


def dynamic_quantile(breaches: Bools, value_at_risk: Floats, *, level: float, lags: int = LAGS) -> BacktestResult:
    """The dynamic quantile test: nothing known the day before foretells a hit, ``breach - (1 - level)``.

    With the hits of the days after the first ``lags`` in h, and a constant, that day's VaR and the ``lags`` hits before
    in X: ``DQ = h' X (X'X)^- X' h / (p (1 - p))``, chi-squared with rank(X) degrees of freedom: ``lags + 2``, less
    where VaR is constant or no breach is among the lagged days, for such columns say nothing beyond the constant. This
    is the out-of-sample version, for forecasts whose parameters were not fitted to the days that are judged; the
    in-sample one would need the derivatives of the fitted quantile. In short samples the tail of the statistic is far
    heavier than its asymptotic law: read the p-value by simulation. It holds the path of VaR fixed, so it is exact
    where losses do not move VaR; where they do, as in a GARCH model, the size was measured to be right as well.

    Statistic and p-value are NaN where no day is left after the first ``lags``.

    References
    ----------
    Engle and Manganelli (2004), CAViaR: conditional autoregressive value at risk by regression quantiles, Journal of
    Business and Economic Statistics 22, 367-381.

    Examples
    --------
    >>> import numpy as np
    >>> result = dynamic_quantile(np.arange(500) % 100 < 2, np.linspace(1.0, 2.0, 500), level=0.99)
    >>> round(result.statistic, 2), result.p_value < 1e-9
    (310.1, True)
    """
    if len(breaches) <= lags:
        return BacktestResult(math.nan, math.nan)
    rows = breach_rows(breaches)
    found, rank = _judge(rows, _factors_of(rows, level, lags), value_at_risk, level)
    return BacktestResult(float(found[0]), float(chdtrc(rank[0], found[0])))


def _simulate(outcomes: Outcomes, observed: float, simulations: int, seed: int) -> float:
    of_null = (len(outcomes.losses), outcomes.level, simulations, seed)
    draws, factors = shared(breach_draws, *of_null), shared(_null_factors, *of_null)
    null = np.sort(_judge(draws, factors, outcomes.value_at_risk, outcomes.level)[0])
    return monte_carlo_p_value(null, observed, tie_break=tie_break(outcomes, "dynamic_quantile", seed))


BACKTESTS = (
    Backtest(
        "dynamic_quantile",
        "Neither the breaches of the four days before nor VaR itself foretell a breach.",
        lambda o: dynamic_quantile(o.breaches, o.value_at_risk, level=o.level),
        _simulate,
    ),
)
