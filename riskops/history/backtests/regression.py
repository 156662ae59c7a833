"""Does a regression of losses on their expected shortfall forecasts find those forecasts? Bayer and Dimitriadis.

Under the null the law of the statistics is known where losses are of one Student t law times a scale that the forecasts
follow (:mod:`riskops.history.backtests.null_tails`): it hangs on the path of the forecasts, which is held fixed, so
every path has a null of its own. Its samples are cut: relative losses well below the quantile cannot matter and are
left out, of what was observed as well, so that both are judged by one rule.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import chdtrc, ndtr

from riskops.checks import check_one_of
from riskops.history.backtests.base import Backtest, BacktestResult, Outcomes, tail_probability
from riskops.history.backtests.null_tails import (
    drawn_excesses,
    implied_degrees,
    law_quantile,
    shortfall_ratio,
    tail_shortfall,
    with_shortfall,
)
from riskops.history.backtests.simulated import monte_carlo_p_value, tie_break
from riskops.history.backtests.tail_regression import quantile_line, regressions
from riskops.history.forecasts.base import Floats

__all__ = ["SIMULATIONS", "intercept_regression", "joint_regression", "shortfall_regression"]

#: P-values by simulation stand on no more than this: every one is a regression, and every path has its own.
SIMULATIONS = 999
#: The largest share of days that simulated samples hold.
_WIDEST = 0.45


def joint_regression(losses: Floats, expected_shortfall: Floats, *, level: float) -> tuple[Floats, Floats, Floats]:
    """Regress VaR and ES of losses on a constant and a forecast e of ES: coefficients of each, and ES's covariance.

    The first-order conditions of the joint (FZ0) regression are those of a quantile regression weighted with
    ``1 / ES``, and of a least-squares regression of ``VaR + max(L - VaR, 0) / p`` weighted with ``1 / ES^2``. They are
    solved with the weights at the forecast e, their values under the null: the quantile part exactly, and the rest in
    closed form. An error of the quantile part moves the shortfall part by its square only, so the covariance is the
    sandwich of the least-squares part, with the correction ``n / (n - 2)``.

    Returns
    -------
    tuple
        ``(2,)`` VaR's intercept and slope, ``(2,)`` those of ES, ``(2, 2)`` the covariance of the latter; NaN where
        the quantile regression has no bound.
    """
    tail, n = tail_probability(level), len(losses)
    design = np.stack([1.0 / expected_shortfall, np.ones(n)], axis=1)  # weighted: everything is over e
    relative, over = losses / expected_shortfall, np.ascontiguousarray(design[:, 0])
    line = quantile_line(over, relative, n, tail, float(over.sum()), np.empty((3, n)), np.empty(n, np.int64))
    quantile = np.array(line)
    fitted = over * quantile[0] + quantile[1]
    target = fitted + np.maximum(relative - fitted, 0.0) / tail
    (a, b), (_, d) = np.einsum("ti,tj->ij", design, design)
    inverse = np.array([[d, -b], [-b, a]]) / (a * d - b * b)
    shortfall = np.einsum("ij,tj,t->i", inverse, design, target)
    moment = design * (target - over * shortfall[0] - shortfall[1])[:, None]
    covariance = np.einsum("ij,tj,tk,kl->il", inverse, moment, moment, inverse, optimize=False) * (n / (n - 2.0))
    return quantile, shortfall, covariance


def shortfall_regression(losses: Floats, expected_shortfall: Floats, *, level: float) -> BacktestResult:
    """Bayer and Dimitriadis' strict regression test: ES of the losses is ``0 + 1`` times its forecast.

    The Wald statistic of intercept and slope of :func:`joint_regression`, chi-squared with two degrees of freedom. It
    looks at forecasts of expected shortfall alone. By its asymptotic law it rejects far too often
    with few days in the tail: at a nominal 5 %, right forecasts in 34 to 47 % of samples with 6 days in the tail, in 12
    to 17 % with 25, and in 6 % with 250. Read the p-value by simulation; by it the test has next to no power with 25
    days in the tail, where :func:`intercept_regression` has much.
    NaN and NaN where fewer than three days are in the tail, forecasts do not vary (then the intercept test says all
    there is) or one is not above zero, or the regression has no spread.

    References
    ----------
    Bayer and Dimitriadis (2022), Regression-based expected shortfall backtesting, Journal of Financial Econometrics 20,
    437-471; Dimitriadis and Bayer (2019), A joint quantile and expected shortfall regression framework, Electronic
    Journal of Statistics 13, 1823-1871.

    Examples
    --------
    >>> forecast = 1.0 + np.arange(1000.0) % 10 / 10
    >>> even = (np.arange(1000) // 10 + 0.5) / 100
    >>> result = shortfall_regression(even * forecast, 0.95 * forecast, level=0.9)
    >>> round(result.statistic, 6), round(result.p_value, 6)
    (0.0, 1.0)
    """
    wald = _observed(losses, expected_shortfall, level)[0]
    return BacktestResult(wald, float(chdtrc(2.0, wald)))


def intercept_regression(
    losses: Floats,
    expected_shortfall: Floats,
    *,
    level: float,
    alternative: Literal["two_sided", "greater"] = "two_sided",
) -> BacktestResult:
    """Bayer and Dimitriadis' intercept test: ES of the losses is a constant plus its forecast, and that is zero.

    As :func:`joint_regression`, with the slope of ES held at one; that of VaR is free, as its distance from ES grows
    with the scale of the day. The statistic is the intercept over its standard error (correction ``n / (n - 1)``),
    standard normal, positive where forecasts are too low. With few days in
    the tail the asymptotic law rejects too often (19 to 26 % with 6 days at a nominal 5 %, 5 to 11 % with 25). The
    p-value by simulation does not; it is twice the smaller tail, as t is skewed: little tails have little errors.
    NaN and NaN where fewer than three days are in the tail, a forecast is not above zero, or there is no spread.

    Parameters
    ----------
    losses, expected_shortfall
        ``(n,)``, loss positive.
    level
        The confidence level.
    alternative
        ``"two_sided"``, or ``"greater"``: expected shortfall is too low.

    References
    ----------
    Bayer and Dimitriadis (2022), Regression-based expected shortfall backtesting, Journal of Financial Econometrics 20,
    437-471.

    Examples
    --------
    >>> result = intercept_regression(np.arange(1.0, 101.0), np.full(100, 95.5), level=0.9)
    >>> round(result.statistic, 6), round(result.p_value, 6)
    (0.0, 1.0)
    """
    check_one_of("alternative", alternative, ("two_sided", "greater"))
    found = _observed(losses, expected_shortfall, level)[1]
    return BacktestResult(found, float(ndtr(-found) if alternative == "greater" else 2.0 * ndtr(-abs(found))))


def _observed(
    losses: Floats, expected_shortfall: Floats, level: float, *, cut: float = -math.inf
) -> tuple[float, float]:
    """The Wald statistic and the t, of the days whose loss over forecast is above the cut; all others count as calm."""
    n, tail = len(losses), tail_probability(level)
    if n * tail < 3.0 or np.any(expected_shortfall <= 0.0):
        return math.nan, math.nan
    relative = losses / expected_shortfall
    day = np.flatnonzero(relative > cut)
    out = np.empty((1, 2))
    over, sums = _weights(expected_shortfall)
    regressions(np.array([0, len(day)]), day.astype(np.int32), relative[day], over, tail, sums, out)
    return float(out[0, 0]), float(out[0, 1])


def _weights(expected_shortfall: Floats) -> tuple[Floats, Floats]:
    """One over the forecasts, about one, and the sums of its powers from 0 to 4; all ones where they do not vary."""
    if np.ptp(expected_shortfall) <= 1e-9 * expected_shortfall.max():
        over = np.ones(len(expected_shortfall))
    else:
        over = float(expected_shortfall.mean()) / expected_shortfall
    return over, np.array([np.sum(over**k) for k in range(5)])


def _held(n: int, level: float) -> float:
    """The level above which simulated samples are held: days enough that the line is above all others."""
    tail = tail_probability(level)
    return round(1.0 - min(tail + (20.0 + 12.0 * math.sqrt(n * tail)) / n, _WIDEST), 9)


@lru_cache(maxsize=8)
def _nulls(path: bytes, level: float, degrees: float, simulations: int, seed: int) -> tuple[Floats, Floats]:
    """The Wald statistics and the t of simulated samples, sorted, for a path of forecasts."""
    expected_shortfall = np.frombuffer(path)
    n = len(expected_shortfall)
    held = _held(n, level)
    drawn = drawn_excesses(n, held, degrees, simulations, seed)
    quantile = 1.0 / shortfall_ratio(held, degrees)
    unit = tail_shortfall(held, degrees) / tail_shortfall(level, degrees)
    relative = unit * (quantile + (1.0 - quantile) * drawn.excess)
    out = np.empty((simulations, 2))
    over, sums = _weights(expected_shortfall)
    regressions(drawn.offsets, drawn.day, relative, over, tail_probability(level), sums, out)
    wald, t = out.T
    return np.sort(wald[~np.isnan(wald)]), np.sort(t[~np.isnan(t)])


def _simulated(outcomes: Outcomes, simulations: int, seed: int) -> tuple[tuple[Floats, float], tuple[Floats, float]]:
    """Of each statistic the null and what was observed, NaN where there is none."""
    o, level, n = outcomes, outcomes.level, len(outcomes.losses)
    degrees = implied_degrees(o.value_at_risk, o.expected_shortfall, level)
    if math.isnan(degrees) or tail_probability(level) >= _WIDEST:
        return (np.empty(0), math.nan), (np.empty(0), math.nan)
    cut = float(law_quantile(np.asarray(tail_probability(_held(n, level))), degrees)) / tail_shortfall(level, degrees)
    observed = _observed(o.losses, o.expected_shortfall, level, cut=cut)
    nulls = _nulls(o.expected_shortfall.tobytes(), level, degrees, min(simulations, SIMULATIONS), seed)
    return (nulls[0], observed[0]), (nulls[1], observed[1])


def _simulate_strict(outcomes: Outcomes, _: float, simulations: int, seed: int) -> float:
    o = with_shortfall(outcomes)
    null, observed = _simulated(o, simulations, seed)[0]
    if math.isnan(observed) or not len(null):
        return math.nan
    return monte_carlo_p_value(null, observed, tie_break=tie_break(o, "shortfall_regression", seed))


def _simulate_intercept(outcomes: Outcomes, _: float, simulations: int, seed: int) -> float:
    """Twice the smaller tail: where losses happen to be small their standard error is too, so t is skewed."""
    o = with_shortfall(outcomes)
    null, observed = _simulated(o, simulations, seed)[1]
    if math.isnan(observed) or not len(null):
        return math.nan
    tie = tie_break(o, "shortfall_intercept", seed)
    above = monte_carlo_p_value(null, observed, tie_break=tie)
    below = monte_carlo_p_value(-null[::-1], -observed, tie_break=tie)
    return min(2.0 * min(above, below), 1.0)


def _strict(outcomes: Outcomes) -> BacktestResult:
    o = with_shortfall(outcomes)
    return shortfall_regression(o.losses, o.expected_shortfall, level=o.level)


def _intercept(outcomes: Outcomes) -> BacktestResult:
    o = with_shortfall(outcomes)
    return intercept_regression(o.losses, o.expected_shortfall, level=o.level)


_NEEDS = ("forecast_value_at_risk", "forecast_expected_shortfall")

BACKTESTS = (
    Backtest(
        "shortfall_regression",
        "Expected shortfall of the losses is its forecast: intercept 0, slope 1 (Bayer-Dimitriadis, strict).",
        _strict,
        _simulate_strict,
        _NEEDS,
    ),
    Backtest(
        "shortfall_intercept",
        "Expected shortfall of the losses is its forecast plus a constant of zero (Bayer-Dimitriadis, intercept).",
        _intercept,
        _simulate_intercept,
        _NEEDS,
    ),
)
