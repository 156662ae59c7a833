"""Are value at risk and expected shortfall together right, on average and whatever was known? Nolde and Ziegel.

With ``p = 1 - level`` and I the breaches, two figures of each day have mean zero under the null:
``U1 = I - p`` and ``U2 = VaR - ES + I (L - VaR) / p``. Both are positive on average where forecasts are too low.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numba import njit
from scipy.special import chdtrc, ndtr

from riskops.checks import check_one_of
from riskops.history.backtests.base import Backtest, BacktestResult, Outcomes, tail_probability
from riskops.history.backtests.null_tails import drawn_excesses, implied_degrees, with_shortfall
from riskops.history.backtests.simulated import monte_carlo_p_value, tie_break
from riskops.history.forecasts.base import Floats

__all__ = ["conditional_calibration", "general_calibration", "hommel"]

Alternative = Literal["two_sided", "greater"]

_FLAT = 1e-10
#: What rounding may leave between T and its largest value where the determinant is as small as _FLAT lets it be.
_NEARLY = 1e-6


def hommel(p_values: Floats) -> float:
    """One p-value of several, however dependent: ``min(q (1 + 1/2 + ... + 1/q) min_j p(j) / j, 1)``, p(j) ascending.

    References
    ----------
    Hommel (1983), Tests of the overall hypothesis for arbitrary dependence structures, Biometrical Journal 25, 423-430.

    Examples
    --------
    >>> round(hommel(np.array([0.01, 0.5])), 6)
    0.03
    """
    ranks = np.arange(1, len(p_values) + 1)
    return min(float(len(ranks) * np.sum(1.0 / ranks) * np.min(np.sort(p_values) / ranks)), 1.0)


def conditional_calibration(
    losses: Floats,
    value_at_risk: Floats,
    expected_shortfall: Floats,
    *,
    level: float,
    alternative: Alternative = "two_sided",
) -> BacktestResult:
    """The simple test of conditional calibration: U1 and U2 have mean zero.

    Two-sided: ``T = n m' W^-1 m`` with the means m and ``W = U'U / n``, chi-squared with two degrees of freedom. Where
    U1 and U2 are proportional, as without a breach under a constant forecast, U1 alone counts, with one degree.
    ``greater`` (forecasts too low): the largest of the two ``t_j = sqrt(n) m_j / sqrt(W_jj)``, and the p-value of both
    by :func:`hommel`. T is at most n, and n without a breach: in short samples the chi-squared law is far off, and the
    p-value by simulation is right but hardly sees too many breaches; read ``greater`` there. NaN without a day.

    References
    ----------
    Nolde and Ziegel (2017), Elicitability and backtesting: perspectives for banking regulation, Annals of Applied
    Statistics 11, 1833-1874.

    Examples
    --------
    >>> losses = np.array([0.0, 3.0, 0.5, 0.0, 1.0, 5.0, 0.0, 0.0])
    >>> result = conditional_calibration(losses, np.ones(8), 3.0 * np.ones(8), level=0.75)
    >>> round(result.statistic, 4), round(result.p_value, 4)
    (1.6, 0.4493)
    """
    check_one_of("alternative", alternative, ("two_sided", "greater"))
    if not len(losses):
        return BacktestResult(math.nan, math.nan)
    first, second = _figures(losses, value_at_risk, expected_shortfall, level)
    breaches = np.array([np.count_nonzero(losses > value_at_risk)], np.float64)
    of_first, of_squares = _coverage_sums(breaches, len(losses), tail_probability(level))
    of_second, second2, cross = (np.atleast_1d(np.sum(a)) for a in (second, second * second, first * second))
    sums = of_first, of_second, of_squares, second2, cross
    if alternative == "greater":
        t = _one_sided(*sums)[0]
        return BacktestResult(float(t.max()), hommel(ndtr(-t)))
    found, rank = _two_sided(*sums, n=len(losses))
    return BacktestResult(float(found[0]), float(chdtrc(rank[0], found[0])))


def general_calibration(
    losses: Floats,
    value_at_risk: Floats,
    expected_shortfall: Floats,
    *,
    level: float,
    scale: Floats | None = None,
    alternative: Alternative = "two_sided",
) -> BacktestResult:
    """The general test of conditional calibration: U1 and U2 weighted with what was known the day before.

    Two-sided: ``(U2 - U1 (ES - VaR) / p) / scale``, which is ``I (L - ES) / (p scale)``, has mean zero:
    ``T = n m^2 / w``, chi-squared with one degree of freedom. ``greater``: U1, U1 |VaR|, U2 and U2 / scale have means
    of zero or below: the largest of their t, and the p-value of all four by :func:`hommel`.

    Parameters
    ----------
    losses, value_at_risk, expected_shortfall
        ``(n,)``, loss positive.
    level
        The confidence level.
    scale
        The forecast volatility, as in the paper, or expected shortfall by default; above zero.
    alternative
        ``"two_sided"``, or ``"greater"``: forecasts too low.

    Returns
    -------
    BacktestResult
        NaN and NaN where a scale is not above zero, without a day, and two-sided without a breach.

    References
    ----------
    Nolde and Ziegel (2017), Elicitability and backtesting: perspectives for banking regulation, Annals of Applied
    Statistics 11, 1833-1874.

    Examples
    --------
    >>> losses = np.array([0.0, 3.0, 0.5, 0.0, 1.0, 5.0, 0.0, 0.0])
    >>> result = general_calibration(losses, np.ones(8), 3.0 * np.ones(8), level=0.75)
    >>> round(result.statistic, 4), round(result.p_value, 4)
    (1.0, 0.3173)
    """
    check_one_of("alternative", alternative, ("two_sided", "greater"))
    divisor = expected_shortfall if scale is None else scale
    if not len(losses) or np.any(divisor <= 0.0):
        return BacktestResult(math.nan, math.nan)
    first, second = _figures(losses, value_at_risk, expected_shortfall, level)
    if alternative == "greater":
        weighted = np.stack([first, first * np.abs(value_at_risk), second, second / divisor])
        t = _studentised(weighted.sum(axis=1), (weighted * weighted).sum(axis=1))
        return BacktestResult(float(t.max()), hommel(ndtr(-t)))
    breaches = losses > value_at_risk
    residual = (losses - expected_shortfall)[breaches] / divisor[breaches]
    squares = float(np.sum(residual * residual))
    if squares == 0.0:
        return BacktestResult(math.nan, math.nan)
    found = float(np.sum(residual)) ** 2 / squares
    return BacktestResult(found, float(chdtrc(1.0, found)))


def _figures(losses: Floats, value_at_risk: Floats, expected_shortfall: Floats, level: float) -> tuple[Floats, Floats]:
    tail = tail_probability(level)
    excess = np.maximum(losses - value_at_risk, 0.0) / tail
    return np.where(losses > value_at_risk, 1.0 - tail, -tail), value_at_risk - expected_shortfall + excess


def _coverage_sums(breaches: Floats, n: int, tail: float) -> tuple[Floats, Floats]:
    """The sums of U1 and of its square, by one rule for data and null: they hang on the number of breaches alone, so
    statistics tie, and a tie must not be broken by rounding."""
    return breaches - n * tail, n * tail * tail + breaches * (1.0 - 2.0 * tail)


def _studentised(total: Floats, squares: Floats) -> Floats:
    """``sqrt(n) mean / sqrt(mean of squares)``; 0 where everything is zero."""
    return np.divide(total, np.sqrt(squares), out=np.zeros_like(total), where=squares > 0.0)


def _one_sided(first: Floats, second: Floats, first2: Floats, second2: Floats, cross: Floats) -> Floats:
    """``(sample, 2)``, from the sums of U1, U2, their squares and their product."""
    return np.stack([_studentised(first, first2), _studentised(second, second2)], axis=-1)


def _two_sided(
    first: Floats, second: Floats, first2: Floats, second2: Floats, cross: Floats, *, n: int
) -> tuple[Floats, Floats]:
    """T and its degrees of freedom of each sample, from the sums of U1, U2, their squares and their product.

    T is n where a combination of U1 and U2 is the same on all days, as without a breach: exactly, so that such samples
    tie.
    """
    determinant = first2 * second2 - cross * cross
    full = determinant > _FLAT * first2 * second2
    explained = first * first * second2 - 2.0 * first * second * cross + second * second * first2
    alone: Floats = np.square(_studentised(first, first2))
    ratio: Floats = np.where(full, np.divide(explained, determinant, out=np.zeros_like(alone), where=full), alone)
    return np.where(ratio > (1.0 - _NEARLY) * n, float(n), ratio), np.where(full, 2.0, 1.0)


def _null(outcomes: Outcomes, kind: str, simulations: int, seed: int) -> Floats | None:
    """The statistics under the null, sorted: the forecasts of each day held fixed, the excesses of the implied law."""
    o, tail = outcomes, tail_probability(outcomes.level)
    degrees = implied_degrees(o.value_at_risk, o.expected_shortfall, o.level)
    if math.isnan(degrees):
        return None
    drawn = drawn_excesses(len(o.losses), o.level, degrees, simulations, seed)
    width = o.expected_shortfall - o.value_at_risk
    if kind == "general":
        sums = np.empty((simulations, 2))
        _residual_sums(drawn.offsets, drawn.day, drawn.excess, width / o.expected_shortfall, sums)
        found = _studentised(sums[:, 0], sums[:, 1]) ** 2
        return np.sort(found[np.diff(drawn.offsets) > 0])
    # sums over all days are those without a breach plus what each breach changes
    sums = np.empty((simulations, 3))
    _width_sums(drawn.offsets, drawn.day, drawn.excess / tail, width, sums)
    n, breaches = len(width), np.diff(drawn.offsets).astype(np.float64)
    first, first2 = _coverage_sums(breaches, n, tail)
    second = sums[:, 0] - width.sum()
    second2 = np.sum(width * width) + sums[:, 1]
    cross = tail * width.sum() + (1.0 - tail) * sums[:, 0] - sums[:, 2]
    if kind == "one_sided":
        return np.sort(_one_sided(first, second, first2, second2, cross).max(axis=-1))
    return np.sort(_two_sided(first, second, first2, second2, cross, n=n)[0])


@njit(cache=True, nogil=True, error_model="numpy")
def _residual_sums(offsets, day, excess, width, out):  # type: ignore[no-untyped-def]
    """Of each sample the sums of ``width (excess - 1)`` and of its square over the breaches."""
    for i in range(len(out)):
        total, squares = 0.0, 0.0
        for k in range(offsets[i], offsets[i + 1]):
            value = width[day[k]] * (excess[k] - 1.0)
            total += value
            squares += value * value
        out[i, 0], out[i, 1] = total, squares


@njit(cache=True, nogil=True, error_model="numpy")
def _width_sums(offsets, day, excess, width, out):  # type: ignore[no-untyped-def]
    """Of each sample the sums of ``b = width excess``, ``b (b - 2 width)`` and ``width`` over the breaches."""
    for i in range(len(out)):
        total, squares, widths = 0.0, 0.0, 0.0
        for k in range(offsets[i], offsets[i + 1]):
            w = width[day[k]]
            b = w * excess[k]
            total += b
            squares += b * (b - 2.0 * w)
            widths += w
        out[i, 0], out[i, 1], out[i, 2] = total, squares, widths


def _simulate(kind: str, outcomes: Outcomes, observed: float, simulations: int, seed: int) -> float:
    kept = with_shortfall(outcomes)
    null = _null(kept, kind, simulations, seed)
    if null is None or not len(null):
        return math.nan
    return monte_carlo_p_value(null, observed, tie_break=tie_break(kept, f"calibration {kind}", seed))


def _run(kind: str, outcomes: Outcomes) -> BacktestResult:
    o = with_shortfall(outcomes)
    if kind == "general":
        return general_calibration(o.losses, o.value_at_risk, o.expected_shortfall, level=o.level)
    side: Alternative = "greater" if kind == "one_sided" else "two_sided"
    return conditional_calibration(o.losses, o.value_at_risk, o.expected_shortfall, level=o.level, alternative=side)


_NEEDS = ("forecast_value_at_risk", "forecast_expected_shortfall")

BACKTESTS = (
    Backtest(
        "calibration",
        "Value at risk and expected shortfall are together right on average (Nolde-Ziegel, simple, two-sided).",
        lambda o: _run("two_sided", o),
        lambda o, observed, simulations, seed: _simulate("two_sided", o, observed, simulations, seed),
        _NEEDS,
    ),
    Backtest(
        "calibration_one_sided",
        "Neither value at risk nor expected shortfall is too low on average (Nolde-Ziegel, simple).",
        lambda o: _run("one_sided", o),
        lambda o, observed, simulations, seed: _simulate("one_sided", o, observed, simulations, seed),
        _NEEDS,
    ),
    Backtest(
        "calibration_general",
        "Losses beyond value at risk average to expected shortfall, each over it (Nolde-Ziegel, general, two-sided).",
        lambda o: _run("general", o),
        lambda o, observed, simulations, seed: _simulate("general", o, observed, simulations, seed),
        _NEEDS,
    ),
)
