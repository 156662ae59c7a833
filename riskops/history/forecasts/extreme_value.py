"""The generalised extreme value distribution of block maxima: its fit by maximum likelihood, quantiles, return levels.

``P(maximum <= x) = exp(-(1 + shape (x - location) / scale)^(-1 / shape))``, for shape zero
``exp(-exp(-(x - location) / scale))``; a positive shape is a heavy tail (Frechet), a negative one an end (Weibull).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskops.checks import check_finite, check_number
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats

__all__ = ["FEWEST_MAXIMA", "ExtremeValueFit", "fit_extreme_value"]

#: Fewer maxima do not tell three parameters.
FEWEST_MAXIMA = 10

#: Below this shape times deviation, functions of the shape are summed as power series.
_SMALL = 1e-2
_ITERATIONS = 200
_EULER = 0.5772156649015329


@dataclass(frozen=True, eq=False)
class ExtremeValueFit:
    """A generalised extreme value distribution fitted to maxima."""

    maxima: int
    location: float
    scale: float
    shape: float
    log_likelihood: float
    #: Of location, scale and shape, from the observed information; NaN at shapes of -0.5 and below, where the
    #: likelihood is not regular (Smith 1985).
    covariance: Floats

    @property
    def standard_errors(self) -> tuple[float, float, float]:
        """Of location, scale and shape."""
        low, middle, high = np.sqrt(np.diagonal(self.covariance)).tolist()
        return low, middle, high

    def quantile(self, probability: Floats) -> Floats:
        """The maximum that is not exceeded with each probability."""
        return self.quantile_of_rate(-np.log(probability))

    def quantile_of_rate(self, rate: Floats) -> Floats:
        """The quantile of the probability ``exp(-rate)``: more digits than the probability has near 1."""
        return self.location + self.scale * _deviation(rate, self.shape)

    def probability(self, loss: Floats) -> Floats:
        """The probability of a maximum no larger than each."""
        return np.asarray(np.exp(-self.rate(loss)))

    def rate(self, loss: Floats) -> Floats:
        """Minus the logarithm of the probability of a maximum no larger than each."""
        deviation = (np.asarray(loss, np.float64) - self.location) / self.scale
        if self.shape == 0.0:
            return np.exp(-deviation)
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(-np.log1p(np.maximum(self.shape * deviation, -1.0)) / self.shape))

    def return_level(self, blocks: float) -> tuple[float, float]:
        """The loss that the maximum of one in so many blocks exceeds, and its standard error (delta method)."""
        if check_number("blocks", blocks) <= 1.0:
            raise InputError(f"blocks: {blocks!r} is not above 1; the level is exceeded in one block of so many")
        rate = -math.log1p(-1.0 / blocks)
        deviation = float(_deviation(np.array(rate), self.shape))
        # the derivative by shape, of (rate^-shape - 1) / shape
        w = -math.log(rate)
        if abs(self.shape * w) < _SMALL:
            by_shape = sum(w ** (k + 2) * self.shape**k / (math.factorial(k) * (k + 2.0)) for k in range(10))
        else:
            by_shape = (w * math.exp(self.shape * w) - deviation) / self.shape
        gradient = np.array([1.0, deviation, self.scale * by_shape])
        variance = float((gradient[:, None] * self.covariance * gradient[None, :]).sum())
        return self.location + self.scale * deviation, math.sqrt(variance)


def fit_extreme_value(maxima: npt.ArrayLike) -> ExtremeValueFit:
    """Fit a generalised extreme value distribution to block maxima by maximum likelihood.

    Parameters
    ----------
    maxima
        ``(n,)``, the largest loss of each block, in any order and unit.

    Returns
    -------
    ExtremeValueFit
        Location, scale and shape (positive for a heavy tail) with their covariance.

    Raises
    ------
    InputError
        A maximum that is not finite, fewer than 10 of them, all equal, or a likelihood without a maximum at a shape
        above -1.

    Notes
    -----
    Newton's method on location, log scale and shape with analytic second derivatives, damped so that every step climbs,
    from the estimates by L-moments (Hosking, Wallis and Wood 1985); it ends where a further step would gain less than a
    rounding of the likelihood.

    References
    ----------
    McNeil, Frey and Embrechts (2015), Quantitative Risk Management, 5.1. Hosking, Wallis and Wood (1985), Estimation of
    the generalized extreme-value distribution by the method of probability-weighted moments. Prescott and Walden
    (1980), Maximum likelihood estimation of the parameters of the generalized extreme-value distribution.

    Examples
    --------
    >>> maxima = [-np.log(-np.log((i + 0.5) / 200)) for i in range(200)]
    >>> fit = fit_extreme_value(maxima)
    >>> abs(round(fit.location, 1)), round(fit.scale, 1), abs(round(fit.shape, 1))
    (0.0, 1.0, 0.0)
    """
    ordered = np.sort(check_finite("maxima", maxima).ravel())
    if len(ordered) < FEWEST_MAXIMA:
        raise InputError(f"maxima: {len(ordered)} block maxima are too few; at least {FEWEST_MAXIMA} are needed")
    if ordered[0] == ordered[-1]:
        raise InputError(f"maxima: all {len(ordered)} block maxima are equal; they have no distribution to fit")
    quarter = len(ordered) // 4
    unit = float(ordered[-1 - quarter] - ordered[quarter]) or float(ordered.std())
    centre = float(ordered[len(ordered) // 2])
    scaled = (ordered - centre) / unit  # the fit itself has no unit
    point, height, hessian = _most_likely(scaled)
    location, scale, shape = point[0], math.exp(point[1]), point[2]
    covariance = np.full((3, 3), math.nan)
    if shape > -0.5:
        units = np.array([unit, scale * unit, 1.0])  # of location, of scale by its logarithm, and of shape
        covariance = np.linalg.inv(-hessian) * units[:, None] * units[None, :]
    return ExtremeValueFit(
        maxima=len(ordered),
        location=centre + unit * location,
        scale=unit * scale,
        shape=shape,
        log_likelihood=height - len(ordered) * math.log(unit),
        covariance=covariance,
    )


def _deviation(rate: Floats, shape: float) -> Floats:
    """``(rate^-shape - 1) / shape``: the standardised maximum with ``-log`` probability ``rate``."""
    with np.errstate(divide="ignore", over="ignore"):
        logs = -np.log(rate)
        return logs if shape == 0.0 else np.asarray(np.expm1(shape * logs) / shape)


def _most_likely(maxima: Floats) -> tuple[list[float], float, Floats]:
    """The parameters at the maximum of the likelihood, its value there and its second derivatives."""
    start = _moments(maxima)
    for shape in (start[2], 0.1, -0.1):
        point = np.array([start[0], start[1], shape])
        height, gradient, hessian = _derivatives(point, maxima)
        if not math.isfinite(height):
            continue
        for _ in range(_ITERATIONS):
            step, gain = _climb(gradient, hessian)
            if gain < 1e-13 * len(maxima) and np.linalg.eigvalsh(-hessian)[0] > 0.0:
                return (point + step).tolist(), height, hessian
            moved = None
            for _ in range(60):
                trial = point + step
                if trial[2] > -1.0:
                    found = _derivatives(trial, maxima)
                    if found[0] > height or (found[0] == height and gain < 1e-9):
                        moved = trial, found
                        break
                step = step / 2.0
            if moved is None:
                break
            point, (height, gradient, hessian) = moved
    raise InputError(
        f"maxima: the likelihood of the {len(maxima)} block maxima has no maximum at a shape above -1; use other blocks"
    )


def _climb(gradient: Floats, hessian: Floats) -> tuple[Floats, float]:
    """Newton's step, turned uphill where the likelihood is not concave, and what it promises to gain."""
    values, vectors = np.linalg.eigh(-hessian)
    curvature = np.maximum(np.abs(values), 1e-8 * np.abs(values).max())
    along = vectors.T @ gradient
    step = vectors @ (along / curvature)
    length = float(np.abs(step).max())
    gain = 0.5 * float((along * along / curvature).sum())
    return (step / length if length > 1.0 else step), gain


def _moments(maxima: Floats) -> tuple[float, float, float]:
    """Location, log scale and shape by L-moments, drawn in so that every maximum is possible; ``maxima`` ascending."""
    n = len(maxima)
    rank = np.arange(n, dtype=np.float64)
    b0 = float(maxima.mean())
    b1 = float((maxima * rank).mean()) / (n - 1.0)
    b2 = float((maxima * rank * (rank - 1.0)).mean()) / ((n - 1.0) * (n - 2.0))
    second, third = 2.0 * b1 - b0, 6.0 * b2 - 6.0 * b1 + b0
    c = 2.0 / (3.0 + third / second) - math.log(2.0) / math.log(3.0)
    shape = min(max(-(7.8590 * c + 2.9554 * c * c), -0.4), 0.8)
    if abs(shape) < 1e-6:
        scale = second / math.log(2.0)
        location = b0 - _EULER * scale
    else:
        gamma = math.gamma(1.0 - shape)
        scale = second * shape / (gamma * (2.0**shape - 1.0))
        location = b0 - scale * (gamma - 1.0) / shape
    worst = min(shape * float(maxima[0] - location), shape * float(maxima[-1] - location))
    if worst <= -0.95 * scale:
        scale = -worst / 0.95
    return location, math.log(scale), shape


def _derivatives(point: Floats, maxima: Floats) -> tuple[float, Floats, Floats]:
    """Log-likelihood by location, log scale and shape, with its first and second derivatives."""
    location, log_scale, shape = point.tolist()
    scale = math.exp(log_scale)
    s = (maxima - location) / scale
    nothing = np.zeros(3), np.zeros((3, 3))
    t = 1.0 + shape * s
    if t.min() <= 0.0:
        return -math.inf, *nothing
    y, y1, y2 = _logs(s, t, shape)
    with np.errstate(over="ignore"):
        g = np.exp(-y)
    if not np.isfinite(g).all():
        return -math.inf, *nothing
    d = g - 1.0 - shape
    height = float((-log_scale - (1.0 + shape) * y - g).sum())
    by_s = d / t
    by_shape = -y + d * y1
    by_ss = (-g - d * shape) / t**2
    by_s_shape = -1.0 / t - g * y1 / t - d * s / t**2
    by_shape_shape = -2.0 * y1 - g * y1 * y1 + d * y2
    gradient = np.array([-by_s.sum() / scale, (-1.0 - by_s * s).sum(), by_shape.sum()])
    hessian = np.empty((3, 3))
    hessian[0, 0] = by_ss.sum() / scale**2
    hessian[0, 1] = hessian[1, 0] = (by_ss * s + by_s).sum() / scale
    hessian[1, 1] = (by_ss * s * s + by_s * s).sum()
    hessian[0, 2] = hessian[2, 0] = -by_s_shape.sum() / scale
    hessian[1, 2] = hessian[2, 1] = -(by_s_shape * s).sum()
    hessian[2, 2] = by_shape_shape.sum()
    return height, gradient, hessian


def _logs(s: Floats, t: Floats, shape: float) -> tuple[Floats, Floats, Floats]:
    """``log(1 + shape s) / shape`` and its first and second derivatives by shape."""
    if abs(shape) * np.abs(s).max() < _SMALL:
        k = np.arange(10.0)[:, None]
        terms = (-shape) ** k * s ** (k + 1.0)
        first = -((k + 1.0) / (k + 2.0)) * terms * s
        second = (k + 1.0) * (k + 2.0) / (k + 3.0) * terms * s * s
        return (terms / (k + 1.0)).sum(axis=0), first.sum(axis=0), second.sum(axis=0)
    y = np.log1p(shape * s) / shape
    first = (s / t - y) / shape
    return y, first, (-((s / t) ** 2) - 2.0 * first) / shape
