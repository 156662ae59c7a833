"""Intervals of value at risk and expected shortfall of a fitted tail, from the profile of its likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import chdtri

from riskops.checks import check_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.pareto import ParetoFit, log_likelihood, pareto_quantile

__all__ = ["TailIntervals", "tail_intervals"]

#: How finely the shape is searched before the best one is refined.
_POINTS = 81
#: A shortfall that grows without bound has a shape that approaches 1: searched to ``1 - exp(-25)``.
_NEAR_ONE = 25.0


class TailIntervals(NamedTuple):
    """The ends of the intervals; an upper end is infinite where no loss is too large for the data."""

    value_at_risk: tuple[float, float]
    expected_shortfall: tuple[float, float]


def tail_intervals(fit: ParetoFit, *, level: float = 0.99, confidence: float = 0.95) -> TailIntervals:
    """Profile-likelihood intervals of the tail's value at risk and expected shortfall at a level.

    An interval holds the values for which the likelihood, at its largest over the shape, lies within half the
    ``confidence`` quantile of chi-squared with one degree of freedom of its maximum. Unlike estimate plus and minus
    standard errors it is as skewed as the data's evidence. The number of exceedances is taken as known.

    Parameters
    ----------
    fit
        A maximum-likelihood fit of :func:`riskops.history.forecasts.pareto.fit_pareto`.
    level
        A level above the threshold.
    confidence
        The probability that the interval covers the value.

    Returns
    -------
    TailIntervals
        Lower and upper ends, in the unit of the losses.

    Raises
    ------
    InputError
        The fit is by moments, the level not above the threshold, or the tail's shortfall infinite.

    References
    ----------
    McNeil, Frey and Embrechts (2015), Quantitative Risk Management, 5.2.3; Davison and Smith (1990), Models for
    exceedances over high thresholds.

    Examples
    --------
    >>> from riskops.history.forecasts.pareto import fit_pareto
    >>> fit = fit_pareto([1.0 / (1.0 - (i + 0.5) / 1000) ** 0.5 for i in range(1000)], threshold=2.0)
    >>> found = tail_intervals(fit, level=0.99)
    >>> [round(end, 2) for end in found.value_at_risk], [round(end, 1) for end in found.expected_shortfall]
    ([8.08, 13.36], [13.0, 42.2])
    """
    check_level("confidence", confidence)
    if fit.estimator != "likelihood":
        raise InputError("fit: profile intervals are those of a fit by likelihood, not by moments")
    share = fit.share_beyond(level)
    if share == 1.0:
        raise InputError(f"level: {level!r} is that of the threshold itself, whose value at risk is given")
    estimates = fit.value_at_risk(level), fit.expected_shortfall(level)
    excesses, unit = fit.excesses / fit.scale, fit.scale
    drop = float(chdtri(1.0, 1.0 - confidence)) / 2.0
    quantile = _Profile(excesses, np.linspace(-1.0, max(2.0, fit.shape + 2.0), _POINTS), _Quantile(share))
    shortfall = _Profile(excesses, np.linspace(-_NEAR_ONE, math.log(2.0), _POINTS), _Shortfall(share))
    ends = []
    for estimate, profile in zip(estimates, (quantile, shortfall), strict=True):
        low, high = _interval((estimate - fit.threshold) / unit, profile, drop)
        ends.append((fit.threshold + unit * low, fit.threshold + unit * high))
    return TailIntervals(*ends)


class _Quantile:
    """At a point, the shape: the point itself, and the scale for which the quantile's excess is 1."""

    def __init__(self, share: float) -> None:
        self.share = np.array(share)

    def __call__(self, point: float) -> tuple[float, float]:
        return point, 1.0 / float(pareto_quantile(self.share, point))


class _Shortfall:
    """At a point, the shape: 1 less its exponential, and the scale for which the shortfall's excess is 1."""

    def __init__(self, share: float) -> None:
        self.share = np.array(share)

    def __call__(self, point: float) -> tuple[float, float]:
        gap = math.exp(point)
        return 1.0 - gap, gap / (1.0 + float(pareto_quantile(self.share, 1.0 - gap)))


class _Profile:
    """The likelihood's largest value over the shape, with the scale so that an excess has a given value."""

    def __init__(self, excesses: Floats, points: Floats, law: Callable[[float], tuple[float, float]]) -> None:
        self.excesses = excesses
        self.points = points
        self.law = law
        self.shapes, self.factors = np.array([law(point) for point in points.tolist()]).T

    def __call__(self, excess: float) -> float:
        from scipy.optimize import minimize_scalar

        scales = excess * self.factors
        products = self.shapes[:, None] * (self.excesses / scales[:, None])
        feasible = products[:, -1] > -1.0  # else the tail ends below the largest excess
        logs = np.log1p(np.where(feasible[:, None], products, 0.0)).sum(axis=1)
        near = np.abs(self.shapes) < 1e-9
        slope = np.where(near, self.excesses.sum() / scales, logs / np.where(near, 1.0, self.shapes))
        heights = np.where(feasible, -len(self.excesses) * np.log(scales) - logs - slope, -np.inf)
        best = int(np.argmax(heights))
        low, high = self.points[max(best - 1, 0)], self.points[min(best + 1, len(self.points) - 1)]
        found = minimize_scalar(
            lambda point: -self._height(point, excess), bounds=(low, high), method="bounded", options={"xatol": 1e-7}
        )
        return max(float(heights[best]), -float(found.fun))

    def _height(self, point: float, excess: float) -> float:
        # the bounded search compares numbers; a tail too short for the data is worse than any
        shape, factor = self.law(point)
        found = float(log_likelihood(self.excesses, shape, np.array(excess * factor)))
        return found if math.isfinite(found) else -1e300


def _interval(estimate: float, profile: _Profile, drop: float) -> tuple[float, float]:
    """Where the profile has fallen by ``drop`` from its maximum, which lies at the estimate."""
    from scipy.optimize import brentq

    least = profile(estimate) - drop

    def above(excess: float) -> float:
        return profile(excess) - least

    low = high = estimate
    while above(low) > 0.0:
        low *= 0.8
    while above(high) > 0.0:
        high *= 1.3
        if high > 1e6 * estimate:
            break
    lower = float(brentq(above, low, estimate, xtol=1e-12, rtol=1e-10))
    upper = math.inf if above(high) > 0.0 else float(brentq(above, estimate, high, xtol=1e-12, rtol=1e-10))
    return lower, upper
