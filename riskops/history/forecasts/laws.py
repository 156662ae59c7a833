"""Laws of losses and of their innovations: quantiles, shortfalls in closed form, and probabilities.

All are laws of the LOSS. A loss is minus a return, so a return that is skewed to the left, as share returns are, has a
loss skewed to the right: its ``skewness`` here is above zero, and is minus the one that a fit to returns gives.

scipy.stats has these and costs half a second to import; only scipy.special is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, ndtr, ndtri, stdtr, stdtrit

from riskops.checks import check_finite, check_level, check_number, exact_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers
from riskops.reductions import quantile_and_shortfall

__all__ = ["EmpiricalLaw", "NormalLaw", "SkewedTLaw", "StudentTLaw", "log_density_constant", "order_ranks"]

#: A probability is taken for the decimal that it prints as: its float64, and the product with a number of losses, err
#: by less than this.
_ROUNDING = 2.0**-51


def order_ranks(probability: Floats, number: int) -> Integers:
    """``k = ceil(n p)``, at least 1: the place of each quantile among ``n`` ascending losses; fast, for many."""
    rank = np.ceil(number * probability * (1.0 - _ROUNDING)).astype(np.int64)
    return np.clip(rank, 1, number)


def _mass(level: float) -> float:
    """The probability beyond a level, rounded once."""
    return float(1 - exact_level(check_level("level", level)))


def log_density_constant(degrees: float) -> float:
    """The logarithm of the density of Student's t, of unit scale, at zero."""
    if degrees > 1e5:  # Stirling's series; the difference of the log gammas cancels
        return -0.5 * math.log(2.0 * math.pi) - 0.25 / degrees
    return float(gammaln(0.5 * (degrees + 1.0)) - gammaln(0.5 * degrees)) - 0.5 * math.log(degrees * math.pi)


def _t_partial_mean(y: float, degrees: float) -> float:
    """``E[T; T > y]`` of Student's t of unit scale: its density times ``(degrees + y^2) / (degrees - 1)``."""
    log_density = log_density_constant(degrees) - 0.5 * (degrees + 1.0) * math.log1p(y * y / degrees)
    return math.exp(log_density) * (degrees + y * y) / (degrees - 1.0)


def _check_degrees(degrees: float, *, unit_variance: bool) -> None:
    least = 2 if unit_variance else 1
    if check_number("degrees", degrees) <= least:
        missing = "variance" if unit_variance else "expected shortfall"
        raise InputError(f"degrees: {degrees!r} is not above {least}; Student's t has no {missing} there")


@dataclass(frozen=True)
class NormalLaw:
    """The standard normal law. ``shortfall = density(quantile) / (1 - level)``.

    Examples
    --------
    >>> law = NormalLaw()
    >>> round(float(law.quantile(np.array(0.99))), 6), round(law.shortfall(0.99), 6)
    (2.326348, 2.665214)
    """

    def quantile(self, probability: Floats) -> Floats:
        """The smallest loss that is not exceeded with each probability."""
        return np.asarray(ndtri(probability))

    def shortfall(self, level: float) -> float:
        """The average of the quantile function beyond ``level``."""
        mass = _mass(level)
        z = float(ndtri(mass))
        return math.exp(-0.5 * z * z) / (math.sqrt(2.0 * math.pi) * mass)

    def probability(self, loss: Floats) -> Floats:
        """The probability of a loss no larger than each."""
        return np.asarray(ndtr(loss))


@dataclass(frozen=True)
class StudentTLaw:
    """Student's t law, symmetric about zero.

    ``shortfall = density(q) / (1 - level) * (degrees + q^2) / (degrees - 1)`` with the quantile ``q`` of unit scale.

    Parameters
    ----------
    degrees
        Degrees of freedom, a real number: above 2 for a variance, above 1 for a shortfall.
    unit_variance
        True: scaled by ``sqrt((degrees - 2) / degrees)`` so that the variance is one. False: of unit scale, with the
        variance ``degrees / (degrees - 2)`` where there is one.

    References
    ----------
    McNeil, Frey and Embrechts (2005), Quantitative Risk Management, 2.2.4.

    Examples
    --------
    >>> law = StudentTLaw(4.0)
    >>> round(10_000 * 0.2 / 250**0.5 * float(law.quantile(np.array(0.99))), 1)
    335.1
    """

    degrees: float
    unit_variance: bool = True

    def __post_init__(self) -> None:
        _check_degrees(self.degrees, unit_variance=self.unit_variance)

    @property
    def scale(self) -> float:
        """What the law of unit scale is multiplied by."""
        return math.sqrt(1.0 - 2.0 / self.degrees) if self.unit_variance else 1.0

    def quantile(self, probability: Floats) -> Floats:
        """The smallest loss that is not exceeded with each probability."""
        return np.asarray(self.scale * stdtrit(self.degrees, probability))

    def quantile_of_normal(self, z: Floats) -> Floats:
        """The quantile at the probability of a standard normal below each ``z``, to full precision in both tails."""
        return np.asarray(np.copysign(self.scale * stdtrit(self.degrees, ndtr(-np.abs(z))), z))

    def shortfall(self, level: float) -> float:
        """The average of the quantile function beyond ``level``."""
        mass = _mass(level)
        y = float(stdtrit(self.degrees, mass))
        return self.scale * _t_partial_mean(y, self.degrees) / mass

    def probability(self, loss: Floats) -> Floats:
        """The probability of a loss no larger than each."""
        return np.asarray(stdtr(self.degrees, loss / self.scale))


@dataclass(frozen=True)
class SkewedTLaw:
    """Hansen's skewed Student's t law of a loss: two halves of a t, stretched by ``1 - skewness`` and ``1 + skewness``.

    The half above the mode holds the probability ``(1 + skewness) / 2``. With ``unit_variance`` the law has mean zero
    and variance one, and is that of ``arch``'s ``SkewStudent``; without, its mode is zero and each half has the scale
    ``1 -/+ skewness`` of a t of unit scale.

    Parameters
    ----------
    degrees
        Degrees of freedom, a real number: above 2 for a variance, above 1 for a shortfall.
    skewness
        Between -1 and 1; above zero the large losses are the long tail. Minus the ``lambda`` of a fit to returns.
    unit_variance
        Whether the law is standardised.

    References
    ----------
    Hansen (1994), Autoregressive conditional density estimation, International Economic Review 35.

    Examples
    --------
    >>> law = SkewedTLaw(5.0, 0.1)
    >>> round(float(law.quantile(np.array(0.99))), 6), round(float(law.quantile(np.array(0.01))), 6)
    (2.783353, -2.415881)
    """

    degrees: float
    skewness: float
    unit_variance: bool = True

    def __post_init__(self) -> None:
        _check_degrees(self.degrees, unit_variance=self.unit_variance)
        if not -1.0 < check_number("skewness", self.skewness) < 1.0:
            raise InputError(f"skewness: {self.skewness!r} is not between -1 and 1")

    def mode_and_scale(self) -> tuple[float, float]:
        """The mode, and what the halves of unit scale are multiplied by."""
        if not self.unit_variance:
            return 0.0, 1.0
        mean = 4.0 * self.skewness * _t_partial_mean(0.0, self.degrees)
        variance = (1.0 + 3.0 * self.skewness**2) * self.degrees / (self.degrees - 2.0) - mean * mean
        return -mean / math.sqrt(variance), 1.0 / math.sqrt(variance)

    def quantile(self, probability: Floats) -> Floats:
        """The smallest loss that is not exceeded with each probability."""
        given = np.asarray(probability, np.float64)
        return self._quantile(given, 1.0 - given)

    def quantile_of_normal(self, z: Floats) -> Floats:
        """The quantile at the probability of a standard normal below each ``z``, to full precision in both tails."""
        return self._quantile(ndtr(z), ndtr(-z))

    def _quantile(self, below: Floats, above: Floats) -> Floats:
        """From the probabilities on either side; each half uses that towards its own end."""
        mode, scale = self.mode_and_scale()
        lower = below < 0.5 * (1.0 - self.skewness)
        side = np.where(lower, 1.0 - self.skewness, 1.0 + self.skewness)
        half = stdtrit(self.degrees, np.minimum(np.where(lower, below, above) / side, 0.5))
        return np.asarray(mode + scale * side * np.where(lower, half, -half))

    def shortfall(self, level: float) -> float:
        """The average of the quantile function beyond ``level``."""
        mass = _mass(level)
        mode, scale = self.mode_and_scale()
        upper, lower = 1.0 + self.skewness, 1.0 - self.skewness
        if mass <= 0.5 * upper:
            y = float(stdtrit(self.degrees, mass / upper))
            partial = upper * upper * _t_partial_mean(y, self.degrees)
        else:  # the whole mean less that of what lies below the level
            y = float(stdtrit(self.degrees, level / lower))
            mean = 4.0 * self.skewness * _t_partial_mean(0.0, self.degrees)
            partial = mean + lower * lower * _t_partial_mean(y, self.degrees)
        return mode + scale * partial / mass

    def probability(self, loss: Floats) -> Floats:
        """The probability of a loss no larger than each."""
        mode, scale = self.mode_and_scale()
        y = (np.asarray(loss, np.float64) - mode) / scale
        side = np.where(y < 0.0, 1.0 - self.skewness, 1.0 + self.skewness)
        outer = side * stdtr(self.degrees, -np.abs(y) / side)
        return np.asarray(np.where(y < 0.0, outer, 1.0 - outer))


@dataclass(frozen=True, eq=False)
class EmpiricalLaw:
    """The law of a sample of losses, each as likely as the others.

    Quantiles are order statistics, ``x(k)`` with ``k = ceil(n probability)``, and the shortfall is the exact average of
    that quantile function (contract C4). ``probability`` is the mid-rank that a loss takes when it joins the sample,
    ``(number below + half the number equal + 1/2) / (n + 1)``: unlike the step function of the sample it is neither 0
    nor 1 for a loss that is worse than all, and its mean over exchangeable losses is one half.

    Parameters
    ----------
    losses
        The sample, in any order; kept ascending.

    Examples
    --------
    >>> law = EmpiricalLaw(np.array([3.0, 1.0, 2.0, 4.0]))
    >>> law.quantile(np.array([0.5, 0.75, 0.76])).tolist(), law.shortfall(0.5)
    ([2.0, 3.0, 4.0], 3.5)
    >>> law.probability(np.array([0.0, 2.5, 9.0])).tolist()
    [0.1, 0.5, 0.9]
    """

    losses: Floats

    def __post_init__(self) -> None:
        losses = np.sort(check_finite("losses", self.losses), axis=None)
        if not losses.size:
            raise InputError("losses: an empty sample has no law")
        object.__setattr__(self, "losses", losses)

    def quantile(self, probability: Floats) -> Floats:
        """The smallest loss that is not exceeded with each probability."""
        return self.losses[order_ranks(np.asarray(probability, np.float64), self.losses.size) - 1]

    def shortfall(self, level: float) -> float:
        """The average of the quantile function beyond ``level``."""
        return quantile_and_shortfall(self.losses[::-1], level, self.losses.size)[1]

    def probability(self, loss: Floats) -> Floats:
        """The mid-rank of each loss in the sample that it joins."""
        below = np.searchsorted(self.losses, loss, side="left")
        upto = np.searchsorted(self.losses, loss, side="right")
        return np.asarray((0.5 * (below + upto) + 0.5) / (self.losses.size + 1.0))
