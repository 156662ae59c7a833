"""Are losses beyond value at risk on average as large as expected shortfall? McNeil and Frey's exceedance residuals."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from riskops.errors import InputError
from riskops.history.backtests.base import Backtest, BacktestResult, Outcomes
from riskops.history.backtests.null_tails import with_shortfall
from riskops.history.backtests.simulated import monte_carlo_p_value, tie_break
from riskops.history.forecasts.base import Floats
from riskops.rng import fill_uniforms, tile_counters

__all__ = ["bootstrapped_exceedance_residuals", "exceedance_residuals", "residuals"]

_STREAM = 5_004
_ROWS = 64


def residuals(
    losses: Floats, value_at_risk: Floats, expected_shortfall: Floats, *, scale: Floats | None = None
) -> Floats:
    """``(L - ES) / scale`` on the days of a breach, in time order; the scale is expected shortfall by default.

    Raises
    ------
    InputError
        A scale that is not above zero on a day of a breach.
    """
    breaches = losses > value_at_risk
    divisor = (expected_shortfall if scale is None else scale)[breaches]
    if np.any(divisor <= 0.0):
        bad = float(divisor[divisor <= 0.0][0])
        raise InputError(f"scale: {bad!r} on the day of a breach is not above zero; give another scale")
    return np.asarray((losses - expected_shortfall)[breaches] / divisor)


def exceedance_residuals(
    losses: Floats, value_at_risk: Floats, expected_shortfall: Floats, *, scale: Floats | None = None
) -> BacktestResult:
    """McNeil and Frey's test that exceedance residuals have mean zero, against a mean above zero: ES too low.

    The statistic is ``t = mean / (s / sqrt(N))`` of the N residuals :func:`residuals`, s with ddof 1; its p-value that
    of Student's t with N - 1 degrees. Residuals are skewed to the right, so the bootstrap
    (:func:`bootstrapped_exceedance_residuals`) is the one to read. Fewer than two breaches, residuals that do not vary,
    or a scale of zero or below: NaN and NaN.

    Parameters
    ----------
    losses, value_at_risk, expected_shortfall
        ``(n,)``, loss positive.
    scale
        What residuals are divided by, so that they are of one law: the forecast volatility where there is one, as in
        the paper; expected shortfall by default.

    References
    ----------
    McNeil and Frey (2000), Estimation of tail-related risk measures for heteroscedastic financial time series, Journal
    of Empirical Finance 7, 271-300.

    Examples
    --------
    >>> import numpy as np
    >>> result = exceedance_residuals(np.array([3.0, 2.0, 0.0, 4.0]), np.ones(4), 2.0 * np.ones(4))
    >>> round(result.statistic, 4), round(result.p_value, 4)
    (1.7321, 0.1127)
    """
    try:
        found = residuals(losses, value_at_risk, expected_shortfall, scale=scale)
    except InputError:
        return BacktestResult(math.nan, math.nan)
    if len(found) < 2 or np.all(found == found[0]):
        return BacktestResult(math.nan, math.nan)
    from scipy.special import stdtr

    statistic = float(found.mean() / (found.std(ddof=1) / math.sqrt(len(found))))
    return BacktestResult(statistic, float(stdtr(len(found) - 1, -statistic)))


@njit(cache=True, nogil=True, error_model="numpy")
def _resampled(centred, uniforms, totals, squares):  # type: ignore[no-untyped-def]
    """Add a row of draws after another to the sums and sums of squares of each sample."""
    n = len(centred)
    for j in range(uniforms.shape[0]):
        for i in range(uniforms.shape[1]):
            u = uniforms[j, i]
            value = centred[min(int((u if u > 0.0 else 1.0 + u) * n), n - 1)]
            totals[i] += value
            squares[i] += value * value


@njit(cache=True, nogil=True, error_model="numpy")
def _t_statistics(totals, squares, n, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        mean = totals[i] / n
        variance = max(squares[i] / n - mean * mean, 0.0) * n / (n - 1.0)
        if variance > 1e-12 * squares[i] / n:
            out[i] = mean / math.sqrt(variance / n)
        else:  # one value only, so no spread: the infinity of its sign
            out[i] = math.inf if mean > 0.0 else -math.inf if mean < 0.0 else 0.0


def bootstrapped_exceedance_residuals(found: Floats, *, simulations: int, seed: int, tie: float = 0.0) -> float:
    """The one-sided p-value of the mean of residuals by the bootstrap of Efron and Tibshirani, as McNeil and Frey do.

    Residuals less their mean are drawn with replacement, ``simulations`` times; the p-value is the share of samples
    whose t is at least that of the data, itself counted. It is deterministic in its arguments. NaN for fewer than two
    residuals, or equal ones.
    """
    n = len(found)
    if n < 2 or np.all(found == found[0]):
        return math.nan
    observed = float(found.mean() / (found.std(ddof=1) / math.sqrt(n)))
    counters, centred = tile_counters(0, simulations), found - found.mean()
    totals, squares, out = np.zeros(simulations), np.zeros(simulations), np.empty(simulations)
    uniforms = np.empty((_ROWS, simulations))
    for start in range(0, n, _ROWS):
        block = uniforms[: min(_ROWS, n - start)]
        fill_uniforms(block, counters, seed=seed, step=0, stream=_STREAM, first_factor=start)
        _resampled(centred, block, totals, squares)
    _t_statistics(totals, squares, n, out)
    return monte_carlo_p_value(np.sort(out), observed, tie_break=tie)


def _run(outcomes: Outcomes) -> BacktestResult:
    o = with_shortfall(outcomes)
    return exceedance_residuals(o.losses, o.value_at_risk, o.expected_shortfall)


def _simulate(outcomes: Outcomes, _: float, simulations: int, seed: int) -> float:
    o = with_shortfall(outcomes)
    found = residuals(o.losses, o.value_at_risk, o.expected_shortfall)
    tie = tie_break(o, "exceedance_residuals", seed)
    return bootstrapped_exceedance_residuals(found, simulations=simulations, seed=seed, tie=tie)


BACKTESTS = (
    Backtest(
        "exceedance_residuals",
        "Losses beyond value at risk average to expected shortfall (McNeil-Frey; bootstrap, one-sided).",
        _run,
        _simulate,
        ("forecast_value_at_risk", "forecast_expected_shortfall"),
    ),
)
