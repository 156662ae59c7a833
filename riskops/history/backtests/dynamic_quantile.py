"""Can breaches be foretold from earlier breaches or from VaR itself? Engle and Manganelli's dynamic quantile test."""

from __future__ import annotations

import math
from functools import lru_cache

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
def _moments(offsets, positions, n, tail, lags, matrices, vectors):  # type: ignore[no-untyped-def]
    """X'X and X'hit of each row of breaches, without what VaR has in them.

    The columns of X: one, VaR, whether each of the days before was a breach; lagged hits less their mean span the same
    space together with the constant. Days from ``lags`` on count. Everything is a sum over breaches alone.
    """
    matrices[:] = 0.0
    vectors[:] = 0.0
    rows = n - lags
    for s in range(len(vectors)):
        matrix, vector = matrices[s], vectors[s]
        matrix[0, 0] = rows
        hits, last = 0, offsets[s + 1]
        for i in range(offsets[s], last):
            at = positions[i]
            hits += at >= lags
            low, high = max(lags - at, 1), min(n - 1 - at, lags)
            for k in range(low, high + 1):
                matrix[0, 1 + k] += 1.0
            following = i
            while following < last and positions[following] - at <= lags:
                apart = positions[following] - at
                for k in range(max(low, apart), high + 1):  # on day at + k: breaches k and k - apart days before
                    if k == apart:
                        vector[1 + k] += 1.0
                    else:
                        matrix[1 + k - apart, 1 + k] += 1.0
                following += 1
        vector[0] = hits - tail * rows
        for k in range(2, lags + 2):
            vector[k] -= tail * matrix[0, k]


@njit(cache=True, nogil=True, error_model="numpy")
def _explained(matrix, vector):  # type: ignore[no-untyped-def]
    """``vector' matrix^- vector`` and the rank: elimination that leaves out a column the others before it span."""
    size = len(vector)
    total, rank = 0.0, 0
    scale = np.diag(matrix).copy()
    for i in range(size):
        pivot = matrix[i, i]
        if pivot <= _FLAT * scale[i] or scale[i] == 0.0:
            continue
        rank += 1
        total += vector[i] * vector[i] / pivot
        for j in range(i + 1, size):
            factor = matrix[i, j] / pivot
            vector[j] -= factor * vector[i]
            for k in range(j, size):
                matrix[j, k] -= factor * matrix[i, k]
    return total, rank


@njit(cache=True, nogil=True, error_model="numpy")
def _statistics(offsets, positions, tail, risk, varies, matrices, vectors, out, ranks):  # type: ignore[no-untyped-def]
    """The statistic of each row: the moments with VaR's put in. ``risk`` is 0 on the days that do not count, those
    after the last one among them, so that no sum need look where it ends."""
    lags = vectors.shape[1] - 2
    sums = np.empty(lags + 1)
    for s in range(len(out)):
        sums[:] = 0.0
        for i in range(offsets[s], offsets[s + 1]):
            at = positions[i]
            for k in range(lags + 1):
                sums[k] += risk[at + k]
        matrix, vector = matrices[s].copy(), vectors[s].copy()
        matrix[1, 1] = matrix[0, 0] if varies else 0.0
        matrix[1, 2:] = sums[1:]
        vector[1] = sums[0]
        explained, ranks[s] = _explained(matrix, vector)
        out[s] = explained / (tail * (1.0 - tail))


def _row_moments(rows: BreachDraws, level: float, lags: int) -> tuple[Floats, Floats]:
    number = len(rows.offsets) - 1
    matrices, vectors = np.empty((number, lags + 2, lags + 2)), np.empty((number, lags + 2))
    _moments(rows.offsets, rows.positions, rows.n, tail_probability(level), lags, matrices, vectors)
    return matrices, vectors


@lru_cache(maxsize=8)
def _null_moments(n: int, level: float, simulations: int, seed: int) -> tuple[Floats, Floats]:
    """The moments of simulated breaches: for all series of so many days."""
    return _row_moments(breach_draws(n, level, simulations, seed), level, LAGS)


def _judge(
    rows: BreachDraws, moments: tuple[Floats, Floats], value_at_risk: Floats, level: float
) -> tuple[Floats, Floats]:
    """The statistics and their degrees of freedom; VaR is centred and scaled over the days that count."""
    out, ranks = np.empty(len(rows.offsets) - 1), np.empty(len(rows.offsets) - 1)
    lags = moments[1].shape[1] - 2
    counted = value_at_risk[lags:]
    deviation = float(np.std(counted))
    varies = deviation > 1e-9 * float(np.max(np.abs(counted)))
    risk = np.zeros(rows.n + lags)
    if varies:
        risk[lags : rows.n] = (counted - counted.mean()) / deviation
    _statistics(rows.offsets, rows.positions, tail_probability(level), risk, varies, *moments, out, ranks)
    return out, ranks


def dynamic_quantile(breaches: Bools, value_at_risk: Floats, *, level: float, lags: int = LAGS) -> BacktestResult:
    """The dynamic quantile test: nothing known the day before foretells a hit, ``breach - (1 - level)``.

    With the hits of the days after the first ``lags`` in h, and a constant, that day's VaR and the ``lags`` hits before
    in X: ``DQ = h' X (X'X)^- X' h / (p (1 - p))``, chi-squared with rank(X) degrees of freedom: ``lags + 2``, less
    where VaR is constant or no breach is among the lagged days, for such columns say nothing beyond the constant. This
    is the out-of-sample version, for forecasts whose parameters were not fitted to the days that are judged; the
    in-sample one would need the derivatives of the fitted quantile. In short samples the tail of the statistic is far
    heavier than its asymptotic law: read the p-value by simulation, which holds the path of VaR fixed.

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
    found, rank = _judge(rows, _row_moments(rows, level, lags), value_at_risk, level)
    return BacktestResult(float(found[0]), float(chdtrc(rank[0], found[0])))


def _simulate(outcomes: Outcomes, observed: float, simulations: int, seed: int) -> float:
    of_null = (len(outcomes.losses), outcomes.level, simulations, seed)
    draws, moments = shared(breach_draws, *of_null), shared(_null_moments, *of_null)
    null = np.sort(_judge(draws, moments, outcomes.value_at_risk, outcomes.level)[0])
    return monte_carlo_p_value(null, observed, tie_break=tie_break(outcomes, "dynamic_quantile", seed))


BACKTESTS = (
    Backtest(
        "dynamic_quantile",
        "Neither the breaches of the four days before nor VaR itself foretell a breach.",
        lambda o: dynamic_quantile(o.breaches, o.value_at_risk, level=o.level),
        _simulate,
    ),
)
