"""Student's t and its skewed form by maximum likelihood: location, scale, degrees of freedom and skewness of losses.

The density is that of :class:`riskops.history.forecasts.laws.SkewedTLaw` without unit variance: the scale is fitted
directly, so that a law whose variance is infinite (two degrees of freedom and fewer) is found as well as another.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import psi

from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.laws import log_density_constant
from riskops.threads import pinned_threads

__all__ = ["FEWEST_DEGREES", "MOST_DEGREES", "MOST_SKEWNESS", "TFit", "fit_t"]

#: Expected shortfall is infinite from one degree of freedom down; from the most up a t is normal for every purpose.
FEWEST_DEGREES, MOST_DEGREES = 1.05, 1000.0
MOST_SKEWNESS = 0.95

#: Of a scale, in robust deviations of the sample: at the lower end the likelihood has no maximum.
_SCALES = (1e-5, 1e3)
#: Degrees of freedom and skewness to start from; the best end of all starts that are needed is taken.
_STARTS = ((5.0, 0.0), (2.0, 0.0), (30.0, 0.0), (4.0, 0.2), (4.0, -0.2))
_GRADIENT = 1e-5


class TFit(NamedTuple):
    """The estimates for losses: the mode and scale in their unit, and the logarithm of the likelihood."""

    location: float
    scale: float
    degrees: float
    skewness: float
    log_likelihood: float


def _objective(theta: Floats, losses: Floats) -> tuple[float, Floats]:
    """Minus the mean log likelihood and its gradient, in location, log scale, log degrees and, if given, skewness."""
    location, scale, degrees = theta[0], math.exp(theta[1]), math.exp(theta[2])
    skewness = theta[3] if len(theta) == 4 else 0.0
    z = (losses - location) / scale
    sign = np.where(z < 0.0, -1.0, 1.0)
    side = 1.0 + skewness * sign
    w = z / side
    square = w * w
    log_kernel = np.log1p(square / degrees)
    slope = (degrees + 1.0) * w / (degrees + square)
    mean_kernel, pull = float(log_kernel.mean()), float((slope * w).mean())
    value = log_density_constant(degrees) - theta[1] - 0.5 * (degrees + 1.0) * mean_kernel
    half = 0.5 * (psi(0.5 * (degrees + 1.0)) - psi(0.5 * degrees) - 1.0 / degrees)
    gradient = [
        float((slope / side).mean()) / scale,
        pull - 1.0,
        degrees * (half - 0.5 * mean_kernel) + 0.5 * pull,
    ]
    if len(theta) == 4:
        gradient.append(float((slope * w * sign / side).mean()))
    return -value, -np.array(gradient)


def fit_t(losses: Floats, *, skewed: bool, method: str) -> TFit:
    """Fit by L-BFGS-B from up to five starts, in units of the sample's robust deviation.

    Raises
    ------
    InputError
        More than so many losses are equal that the likelihood grows without end, or no start converges.
    """
    from scipy.optimize import minimize

    low, centre, high = np.quantile(losses, (0.25, 0.5, 0.75))
    unit = float(high - low) / 1.349 or float(losses.std())
    sample = (losses - centre) / unit
    bounds: list[tuple[float | None, float | None]] = [
        (None, None),
        (math.log(_SCALES[0]), math.log(_SCALES[1])),
        (math.log(FEWEST_DEGREES), math.log(MOST_DEGREES)),
    ]
    bounds += [(-MOST_SKEWNESS, MOST_SKEWNESS)] if skewed else []
    best, stationary = None, False
    with pinned_threads():
        for degrees, skewness in _STARTS:
            start = np.array([0.0, math.log(0.9), math.log(degrees)] + ([skewness] if skewed else []))
            found = minimize(
                _objective, start, args=(sample,), jac=True, method="L-BFGS-B", bounds=bounds,
                options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8},
            )  # fmt: skip
            if math.isfinite(found.fun) and (best is None or found.fun < best.fun):
                best, stationary = found, _is_stationary(found.x, found.jac, bounds)
            if stationary:
                break
    if best is None or not stationary or best.x[1] <= math.log(_SCALES[0]) + 1e-6:
        equal = int(np.unique(losses, return_counts=True)[1].max())
        raise InputError(
            f"{method}: the likelihood of {len(losses)} returns has no maximum that can be found"
            f" ({equal} of them are equal); take a longer window or another method"
        )
    return TFit(
        location=float(centre) + unit * float(best.x[0]),
        scale=unit * math.exp(best.x[1]),
        degrees=min(max(math.exp(best.x[2]), FEWEST_DEGREES), MOST_DEGREES),
        skewness=float(best.x[3]) if skewed else 0.0,
        log_likelihood=-len(losses) * (float(best.fun) + math.log(unit)),
    )


def _is_stationary(theta: Floats, gradient: Floats, bounds: list[tuple[float | None, float | None]]) -> bool:
    """Whether nothing is gained by a step that the bounds allow."""
    for value, slope, (low, high) in zip(theta, gradient, bounds, strict=True):
        held = (low is not None and value <= low and slope > 0.0) or (
            high is not None and value >= high and slope < 0.0
        )
        if not held and abs(slope) > _GRADIENT:
            return False
    return True
