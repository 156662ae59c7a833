"""The generalised Pareto distribution of losses above a threshold: its fit, and value at risk and ES of the tail.

Of the ``n`` losses, ``N`` lie strictly above the threshold ``u``; their excesses follow
``P(excess > y) = (1 + shape y / scale)^(-1 / shape)``, for shape zero ``exp(-y / scale)``. A positive shape is a heavy
tail with moments below ``1 / shape``, a negative one ends at ``u - scale / shape``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from riskops.checks import check_finite, check_integer, check_level, check_number, check_one_of, exact_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats

__all__ = ["ESTIMATORS", "FEWEST_EXCEEDANCES", "ParetoFit", "fit_pareto", "pareto_mass", "pareto_quantile"]

ESTIMATORS = ("likelihood", "moments")

#: Fewer losses above the threshold do not tell the shape of a tail.
FEWEST_EXCEEDANCES = 10

#: Below this product of shape (or ``shape / scale``) and excess, logarithms are summed as power series.
_SMALL = 1e-3
_ORDERS = np.arange(1.0, 9.0)
#: Where the slope of the profile likelihood is looked at: ``shape / scale`` times the largest excess.
_NEGATIVE = -(1.0 - 10.0 ** np.arange(-12.0, 0.0, 0.25))
#: At or below this shape the likelihood is not regular: its estimates have no normal errors (Smith 1985).
_REGULAR = -0.5


@dataclass(frozen=True, eq=False)
class ParetoFit:
    """A generalised Pareto tail fitted to the losses above a threshold.

    ``value_at_risk`` and ``expected_shortfall`` are McNeil, Frey and Embrechts (2015), equations 5.18 and 5.19.
    """

    #: Strictly above it the losses are the tail's.
    threshold: float
    #: All losses, and those of them above the threshold.
    observations: int
    exceedances: int
    shape: float
    scale: float
    #: Standard errors from the observed information (or of the moments, Hosking and Wallis 1987); NaN where the shape
    #: is outside the range in which the estimates are asymptotically normal.
    shape_error: float
    scale_error: float
    log_likelihood: float
    estimator: str
    #: The losses above the threshold less the threshold, ascending.
    excesses: Floats = field(repr=False)

    @property
    def tail_mass(self) -> float:
        """The share of the losses above the threshold."""
        return self.exceedances / self.observations

    def value_at_risk(self, level: float) -> float:
        """``u + scale / shape ((n / N (1 - level))^-shape - 1)``.

        Raises
        ------
        InputError
            The level lies below the threshold: more than ``N / n`` of the losses are beyond it.
        """
        return float(self.quantile_beyond(np.array(self.share_beyond(level))))

    def expected_shortfall(self, level: float) -> float:
        """``VaR / (1 - shape) + (scale - shape u) / (1 - shape)``.

        Raises
        ------
        InputError
            The level lies below the threshold, or the shape is 1 or more: the mean of the tail is infinite.
        """
        return self.mean_beyond(self.share_beyond(level))

    def quantile_beyond(self, share: Floats) -> Floats:
        """The loss above which a share of the tail lies, of any shape."""
        return self.threshold + self.scale * pareto_quantile(share, self.shape)

    def mean_beyond(self, share: float) -> float:
        """The average of the worst share of the tail's losses; an error where it is infinite."""
        if self.shape >= 1.0:
            raise InputError(
                f"shape: {self.shape:.4g} of the fitted tail is not below 1, so its expected shortfall is infinite; "
                "choose another threshold, or the estimator 'moments'"
            )
        excess = float(self.quantile_beyond(np.array(share))) - self.threshold
        return self.threshold + (excess + self.scale) / (1.0 - self.shape)

    def mass_above(self, loss: Floats) -> Floats:
        """The probability of a loss above each, which are at or above the threshold."""
        return self.tail_mass * pareto_mass((loss - self.threshold) / self.scale, self.shape)

    def reaches(self, level: float) -> bool:
        """Whether a level lies at or above the threshold: no more than ``N / n`` of the losses are beyond it."""
        return self._share(level) <= 1

    def share_beyond(self, level: float) -> float:
        """``n (1 - level) / N``: the share of the tail beyond a level, at most 1."""
        share = self._share(level)
        if share > 1:
            raise InputError(
                f"level: {level!r} lies below the threshold, above which are {self.exceedances} of "
                f"{self.observations} losses; the fitted tail says nothing about it"
            )
        return float(share)

    def _share(self, level: float) -> Fraction:
        return self.observations * (1 - exact_level(check_level("level", level))) / self.exceedances


def pareto_quantile(mass: Floats, shape: float) -> Floats:
    """The excess, in units of the scale, above which a share ``mass`` of the tail lies; infinite at mass 0."""
    with np.errstate(divide="ignore"):
        logs = -np.log(mass)
    if shape == 0.0:
        return logs
    with np.errstate(over="ignore"):
        return np.asarray(np.expm1(shape * logs) / shape)


def pareto_mass(excess: Floats, shape: float) -> Floats:
    """The share of the tail above an excess in units of the scale: the inverse of :func:`pareto_quantile`."""
    if shape == 0.0:
        return np.exp(-excess)
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(-np.log1p(np.maximum(shape * excess, -1.0)) / shape))


def fit_pareto(
    losses: npt.ArrayLike,
    *,
    threshold: float | None = None,
    exceedances: int | None = None,
    estimator: str = "likelihood",
) -> ParetoFit:
    """Fit a generalised Pareto distribution to the losses strictly above a threshold.

    Parameters
    ----------
    losses
        ``(n,)``, positive for a loss, in any order and unit: minus returns, or money.
    threshold
        A loss below the largest one. Give this or ``exceedances``.
    exceedances
        The threshold is the largest loss but so many: ``x(n - exceedances)``, ascending. Where losses equal it, fewer
        lie above.
    estimator
        ``"likelihood"``: maximum likelihood. ``"moments"``: probability-weighted moments of Hosking and Wallis (1987)
        with plotting positions ``(i - 0.35) / N``; their shape is always below 1.

    Returns
    -------
    ParetoFit
        Shape (positive for a heavy tail) and scale with standard errors, and value at risk and expected shortfall of
        any level above the threshold.

    Raises
    ------
    InputError
        A loss that is not finite (the NaN rule), fewer than 10 of them above the threshold, all of these equal, a
        likelihood without a maximum at a shape above -1, or moments whose tail ends below the largest loss.

    Notes
    -----
    With ``theta = shape / scale`` the likelihood is at its largest for ``shape = mean log(1 + theta y)``, which leaves
    one unknown (Grimshaw 1993): every change of sign of the slope of that profile is bracketed and solved to the last
    digits, and the highest maximum is taken. Towards ``theta = -1 / max y`` the likelihood grows without bound, at
    shapes below -1 where it has no meaning; those are left out. The slope is summed as a power series near shape zero,
    so that the exponential distribution is an ordinary point.

    References
    ----------
    Grimshaw (1993), Computing maximum likelihood estimates for the generalized Pareto distribution. Hosking and Wallis
    (1987), Parameter and quantile estimation for the generalized Pareto distribution. McNeil, Frey and Embrechts
    (2015), Quantitative Risk Management, 5.2. Smith (1985), Maximum likelihood estimation in a class of nonregular
    cases.

    Examples
    --------
    >>> losses = [1.0 / (1.0 - (i + 0.5) / 1000) ** 0.5 for i in range(1000)]
    >>> fit = fit_pareto(losses, threshold=2.0)
    >>> fit.exceedances, round(fit.shape, 2), round(fit.scale, 2)
    (250, 0.49, 1.0)
    >>> round(fit.value_at_risk(0.99), 2), round(fit.expected_shortfall(0.99), 2)
    (9.93, 19.66)
    """
    ordered = np.sort(check_finite("losses", losses).ravel())
    check_one_of("estimator", estimator, ESTIMATORS)
    if (threshold is None) == (exceedances is None):
        raise InputError("threshold: give either the threshold or the number of exceedances")
    if threshold is not None:
        level = check_number("threshold", threshold)
    else:
        count = check_integer("exceedances", exceedances, at_least=FEWEST_EXCEEDANCES, below=max(len(ordered), 11))
        if count >= len(ordered):
            raise InputError(f"exceedances: {count} are not fewer than the {len(ordered)} losses")
        level = float(ordered[len(ordered) - 1 - count])
    return fit_sorted(ordered, level, estimator)


def fit_sorted(ordered: Floats, threshold: float, estimator: str) -> ParetoFit:
    """:func:`fit_pareto` of finite losses in ascending order."""
    threshold += 0.0  # a return of zero is a loss of 0.0, not of -0.0
    excesses = ordered[np.searchsorted(ordered, threshold, side="right") :] - threshold
    if len(excesses) < FEWEST_EXCEEDANCES:
        raise InputError(
            f"threshold: {len(excesses)} of {len(ordered)} losses are above {threshold:.6g}, and a tail needs "
            f"{FEWEST_EXCEEDANCES}; choose a lower threshold"
        )
    if excesses[0] == excesses[-1]:
        raise InputError(f"threshold: all {len(excesses)} losses above {threshold:.6g} are equal; they have no tail")
    unit = float(excesses.mean())  # the fit itself has no unit
    scaled = excesses / unit
    if estimator == "likelihood":
        shape, scale = _most_likely(scaled)
        covariance = np.linalg.inv(_information(scaled, shape, scale)) if shape > _REGULAR else np.full((2, 2), np.nan)
        errors = np.sqrt(np.diagonal(covariance)).tolist()
    else:
        shape, scale = _moments(scaled)
        errors = _moments_errors(len(scaled), shape, scale)
    return ParetoFit(
        threshold=threshold,
        observations=len(ordered),
        exceedances=len(excesses),
        shape=shape,
        scale=scale * unit,
        shape_error=errors[0],
        scale_error=errors[1] * unit,
        log_likelihood=float(log_likelihood(scaled, shape, np.array(scale))) - len(excesses) * math.log(unit),
        estimator=estimator,
        excesses=excesses,
    )


def log_likelihood(excesses: Floats, shape: float, scale: Floats) -> Floats:
    """Log-likelihood of excesses, for scales of any shape; minus infinity where the tail ends below the largest."""
    ratio = excesses / scale[..., None]
    if shape == 0.0:
        return np.asarray(-len(excesses) * np.log(scale) - ratio.sum(axis=-1))
    with np.errstate(divide="ignore"):
        logs = np.log1p(np.maximum(shape * ratio, -1.0)).sum(axis=-1)
    found = -len(excesses) * np.log(scale) - (1.0 + 1.0 / shape) * logs
    return np.where(np.isneginf(logs), -np.inf, found)


def _most_likely(excesses: Floats) -> tuple[float, float]:
    """Shape and scale at the highest maximum of the likelihood with a shape above -1; the mean of the excesses is 1."""
    from scipy.optimize import brentq

    powers = _mean_powers(excesses)
    largest = float(excesses[-1])
    # beyond this there is no further root (Grimshaw 1993), with the sign of his k
    end = 2.0 * (1.0 - float(excesses[0])) / float(excesses[0]) ** 2 * largest
    positive = 10.0 ** np.arange(-1.0, math.log10(max(end, 1.0)) + 0.5, 0.25)
    thetas = np.concatenate([_NEGATIVE, positive]) / largest
    shapes, slopes = _slopes(excesses, thetas)
    rising = (slopes[:-1] > 0.0) & (slopes[1:] <= 0.0) & (shapes[:-1] > -1.0)
    best, found = -math.inf, None
    for i in np.flatnonzero(rising):
        theta = brentq(_slope, thetas[i], thetas[i + 1], args=(excesses, powers), xtol=1e-15, rtol=1e-15)
        shape, scale = _profile(theta, excesses, powers)
        height = -math.log(scale) - shape
        if height > best:
            best, found = height, (shape, scale)
    if found is None:
        raise InputError(
            f"threshold: the likelihood of the {len(excesses)} excesses has no maximum at a shape above -1: they look "
            "like those of a distribution that jumps to its end; choose a lower threshold or the estimator 'moments'"
        )
    return found


def _mean_powers(excesses: Floats) -> Floats:
    """The means of the powers 1 to 8."""
    return np.array([np.mean(excesses**order) for order in _ORDERS])


def _slopes(excesses: Floats, thetas: Floats) -> tuple[Floats, Floats]:
    """The shape that each theta has, and a number of the sign of the profile likelihood's slope there."""
    products = thetas[:, None] * excesses
    shapes = np.log1p(products).mean(axis=1)
    shares = (products / (1.0 + products)).mean(axis=1)
    return shapes, shapes - shares - shapes * shares


def _slope(theta: float, excesses: Floats, powers: Floats) -> float:
    """The slope of the profile likelihood an excess; smooth across theta 0, where it is ``mean y^2 / 2 - 1``."""
    if abs(theta) * excesses[-1] < _SMALL:
        signs = (-theta) ** (_ORDERS - 1.0)
        ratio = float((signs * powers / _ORDERS).sum())  # shape / theta
        share = float((signs * powers).sum())
        # (shape - share) / theta^2, term by term: nothing cancels
        gap = float(((-theta) ** (_ORDERS[1:] - 2.0) * powers[1:] * (1.0 - 1.0 / _ORDERS[1:])).sum())
        return (gap - ratio * share) / ratio
    products = theta * excesses
    shape = float(np.log1p(products).mean())
    share = float((products / (1.0 + products)).mean())
    return (shape - share - shape * share) / (theta * shape)


def _profile(theta: float, excesses: Floats, powers: Floats) -> tuple[float, float]:
    """The most likely shape and scale at a ratio theta of the two."""
    if abs(theta) * excesses[-1] < _SMALL:
        scale = float(((-theta) ** (_ORDERS - 1.0) * powers / _ORDERS).sum())
        return theta * scale, scale
    shape = float(np.log1p(theta * excesses).mean())
    return shape, shape / theta


def _information(excesses: Floats, shape: float, scale: float) -> Floats:
    """Minus the second derivatives of the log-likelihood by shape and scale."""
    z = excesses / scale
    a = z / (1.0 + shape * z)
    if abs(shape) * z[-1] < 1e-2:
        k = np.arange(10.0)[:, None]
        twice = ((-shape) ** k * z ** (k + 2.0) * (z * (-2.0 / (k + 3.0) - k) + k + 1.0)).sum()
    else:
        twice = ((-2.0 * np.log1p(shape * z) / shape + 2.0 * a) / shape**2 + (1.0 + 1.0 / shape) * a * a).sum()
    mixed = (a * (1.0 - (1.0 + shape) * a)).sum() / scale
    scales = (1.0 - (1.0 + shape) * a * (2.0 - shape * a)).sum() / scale**2
    return -np.array([[twice, mixed], [mixed, scales]])


def _moments(excesses: Floats) -> tuple[float, float]:
    """Shape and scale of probability-weighted moments; the mean of the excesses is 1."""
    n = len(excesses)
    weighted = float((excesses * (1.0 - (np.arange(1.0, n + 1.0) - 0.35) / n)).mean())
    if weighted >= 0.5:
        raise InputError(f"threshold: the {n} excesses are nearer to equal than to any tail; choose a lower threshold")
    gap = 1.0 - 2.0 * weighted
    shape, scale = 2.0 - 1.0 / gap, 2.0 * weighted / gap
    if shape < 0.0 and -scale / shape <= excesses[-1]:
        raise InputError(
            f"threshold: the moments of the {n} excesses have a tail that ends at or below the largest loss; choose "
            "another threshold, or the estimator 'likelihood'"
        )
    return shape, scale


def _moments_errors(n: int, shape: float, scale: float) -> list[float]:
    """Asymptotic errors of shape and scale by moments (Hosking and Wallis 1987); NaN from shape 1/2 on."""
    if shape >= 0.5:
        return [math.nan, math.nan]
    shapes = (1.0 - shape) * (1.0 - shape + 2.0 * shape**2) * (2.0 - shape) ** 2
    scales = (7.0 - 18.0 * shape + 11.0 * shape**2 - 2.0 * shape**3) * scale**2
    below = n * (1.0 - 2.0 * shape) * (3.0 - 2.0 * shape)
    return [math.sqrt(shapes / below), math.sqrt(scales / below)]
