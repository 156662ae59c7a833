"""Does a regression of losses on their expected shortfall forecasts find those forecasts? Bayer and Dimitriadis."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy.special import chdtrc, ndtr

from riskops.checks import check_one_of
from riskops.history.backtests.base import Backtest, BacktestResult, Outcomes, tail_probability
from riskops.history.backtests.null_tails import with_shortfall
from riskops.history.forecasts.base import Floats
from riskops.reductions import quantile_and_shortfall, shortfall_error
from riskops.threads import pinned_threads

__all__ = ["intercept_regression", "joint_regression", "shortfall_regression"]

_FLAT = 1e-12


def joint_regression(losses: Floats, expected_shortfall: Floats, *, level: float) -> tuple[Floats, Floats, Floats]:
    """Regress VaR and ES of losses on a constant and a forecast e of ES: coefficients of each, and ES's covariance.

    The first-order conditions of the joint (FZ0) regression are those of a quantile regression weighted with
    ``1 / ES``, and of a least-squares regression of ``VaR + max(L - VaR, 0) / p`` weighted with ``1 / ES^2``. They are
    solved with the weights at the forecast e, their values under the null: the quantile part exactly, as a linear
    programme, and the rest in closed form. An error of the quantile part moves the shortfall part by its square only,
    so the covariance is the sandwich of the least-squares part, with the correction ``n / (n - 2)``.

    Returns
    -------
    tuple
        ``(2,)`` VaR's intercept and slope, ``(2,)`` those of ES, ``(2, 2)`` the covariance of the latter.
    """
    tail, n = tail_probability(level), len(losses)
    design = np.stack([1.0 / expected_shortfall, np.ones(n)], axis=1)  # weighted: everything is over e
    relative = losses / expected_shortfall
    with pinned_threads():
        quantile = _quantile_coefficients(relative, design, level)
        fitted = design @ quantile
        target = fitted + np.maximum(relative - fitted, 0.0) / tail
        inverse = np.linalg.inv(design.T @ design)
        shortfall = inverse @ (design.T @ target)
        moment = design * (target - design @ shortfall)[:, None]
        covariance = inverse @ (moment.T @ moment) @ inverse * (n / (n - 2.0))
    return quantile, shortfall, covariance


def _quantile_coefficients(target: Floats, design: Floats, level: float) -> Floats:
    """The quantile regression by its dual: as many constraints as coefficients, which are their multipliers."""
    from scipy.optimize import linprog

    right = tail_probability(level) * design.sum(axis=0)
    found = linprog(-target, A_eq=design.T, b_eq=right, bounds=(0.0, 1.0), method="highs-ds")
    if found.status != 0:
        raise ArithmeticError(f"quantile regression: {found.message}")
    return np.asarray(-found.eqlin.marginals, np.float64)


def shortfall_regression(losses: Floats, expected_shortfall: Floats, *, level: float) -> BacktestResult:
    """Bayer and Dimitriadis' strict regression test: ES of the losses is ``0 + 1`` times its forecast.

    The Wald statistic of intercept and slope of :func:`joint_regression`, chi-squared with two degrees of freedom. It
    looks at forecasts of expected shortfall alone. With few days in the tail it rejects far too often: at a nominal
    5 %, right forecasts are rejected in 40 % of samples with 6 days in the tail, in 11 to 18 % with 25; with 250 the
    size is right.
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
    nothing = BacktestResult(math.nan, math.nan)
    if len(losses) * tail_probability(level) < 3.0 or np.any(expected_shortfall <= 0.0):
        return nothing
    if np.ptp(expected_shortfall) <= 1e-9 * expected_shortfall.max():
        return nothing
    _, found, covariance = joint_regression(losses, expected_shortfall, level=level)
    (a, b), (_, d) = covariance
    determinant = a * d - b * b
    if not determinant > _FLAT * a * d:
        return nothing
    intercept, slope = found[0], found[1] - 1.0
    wald = (d * intercept * intercept - 2.0 * b * intercept * slope + a * slope * slope) / determinant
    return BacktestResult(float(wald), float(chdtrc(2.0, wald)))


def intercept_regression(
    losses: Floats,
    expected_shortfall: Floats,
    *,
    level: float,
    alternative: Literal["two_sided", "greater"] = "two_sided",
) -> BacktestResult:
    """Bayer and Dimitriadis' intercept test: losses less their expected shortfall have an expected shortfall of zero.

    With a constant alone the joint regression is the sample's own VaR and ES; the statistic is that ES over its
    standard error, standard normal, positive where forecasts are too low. Where scales vary much from day to day, the
    worst days of ``L - ES`` are not the breaches, and and with few days in the tail, it rejects too often. NaN and NaN
    where fewer than three days are in the tail, or they do not vary.

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
    n = len(losses)
    if n * tail_probability(level) < 3.0:
        return BacktestResult(math.nan, math.nan)
    descending = np.sort(losses - expected_shortfall)[::-1]
    quantile, shortfall = quantile_and_shortfall(descending, level, n)
    error = shortfall_error(descending, level, n, quantile, shortfall)
    if not error > 0.0:
        return BacktestResult(math.nan, math.nan)
    found = shortfall / error
    return BacktestResult(found, float(ndtr(-found) if alternative == "greater" else 2.0 * ndtr(-abs(found))))


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
        None,
        _NEEDS,
    ),
    Backtest(
        "shortfall_intercept",
        "Losses less forecast expected shortfall have an expected shortfall of zero (Bayer-Dimitriadis, intercept).",
        _intercept,
        None,
        _NEEDS,
    ),
)
