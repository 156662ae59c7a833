"""Cornish-Fisher: the normal quantile corrected for skewness and kurtosis, where that gives a quantile function.

The expansion is a cubic in the normal quantile. It increases only where skewness and kurtosis lie in a bounded region;
outside it, VaR would fall as the level rises, and it is no law at all. Daily returns lie outside of it often: an excess
kurtosis above 8 does unless the skewness is large, and one above 12.1 always does. What is done then is a setting, and
every forecast says whether it was done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from riskops.checks import check_integer, check_one_of, exact_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers, Prediction, check_sample, standardised
from riskops.history.forecasts.window_moments import window_moments

__all__ = [
    "CornishFisher",
    "CornishFisherFit",
    "cornish_fisher_quantile",
    "cornish_fisher_shortfall",
    "largest_valid_share",
]

#: Halvings of an interval of length one until its ends are neighbours.
_HALVINGS = 60
#: Beyond these normal quantiles there is no float64 probability left.
_FAR = 40.0


def cornish_fisher_quantile(z: Floats, skewness: Floats, kurtosis: Floats) -> Floats:
    """The expansion at a normal quantile: ``z + (z^2 - 1) S / 6 + (z^3 - 3 z) K / 24 - (2 z^3 - 5 z) S^2 / 36``.

    ``kurtosis`` is the excess over a normal's three.

    Examples
    --------
    >>> round(float(cornish_fisher_quantile(np.array(2.326348), np.array(0.5), np.array(1.0))), 6)
    2.833709
    """
    cube = z * z * z
    corrected: Floats = (
        z
        + (z * z - 1.0) * skewness / 6.0
        + (cube - 3.0 * z) * kurtosis / 24.0
        - (2.0 * cube - 5.0 * z) * skewness**2 / 36.0
    )
    return corrected


def cornish_fisher_shortfall(level: float, skewness: Floats, kurtosis: Floats) -> Floats:
    """The average of the expansion over the normal quantiles beyond that of ``level``, in closed form.

    ``density(z) / (1 - level) * (1 + z S / 6 + (z^2 - 1) K / 24 - (2 z^2 - 1) S^2 / 36)``.
    """
    mass = float(1 - exact_level(level))
    z = -float(ndtri(mass))
    density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    corrected: Floats = (
        1.0 + z * skewness / 6.0 + (z * z - 1.0) * kurtosis / 24.0 - (2.0 * z * z - 1.0) * skewness**2 / 36.0
    )
    return density / mass * corrected


def _is_valid(skewness: Floats, kurtosis: Floats) -> npt.NDArray[np.bool_]:
    """Whether the expansion increases everywhere: its derivative is a parabola that nowhere is below zero."""
    leading = kurtosis / 8.0 - skewness**2 / 6.0
    constant = 1.0 - kurtosis / 8.0 + 5.0 * skewness**2 / 36.0
    # with the largest discriminant, skewness^2 / 9, that touches zero
    inside = (leading >= 0.0) & (constant >= 0.0) & (skewness**2 / 9.0 <= 4.0 * leading * constant)
    return np.asarray(inside)


def largest_valid_share(skewness: Floats, kurtosis: Floats) -> Floats:
    """The largest share, from 0 to 1, that skewness and excess kurtosis may both be taken with: 1 inside the region.

    At a share of zero the expansion is the normal quantile. Thin tails, an excess kurtosis below zero, have no other.
    """
    low, high = np.zeros_like(kurtosis), np.ones_like(kurtosis)
    inside = _is_valid(skewness, kurtosis)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        valid = _is_valid(middle * skewness, middle * kurtosis)
        low, high = np.where(valid, middle, low), np.where(valid, high, middle)
    return np.where(inside, 1.0, low)


@dataclass(frozen=True)
class CornishFisher:
    """Cornish-Fisher VaR and its ES: the moments of the window, up to the kurtosis.

    ``VaR = location + scale q(z)`` with the mean of losses, their deviation and the fourth-order expansion ``q`` at the
    normal quantile; ``ES`` is the average of that quantile function beyond the level, in closed form. Moments are those
    of the population (divisor n) and the kurtosis is the excess over three, as in R's PerformanceAnalytics. Over
    several days the cumulants are those of a sum of independent returns: the skewness falls with the root of the days,
    the excess kurtosis with the days.

    The domain of validity is checked for each forecast: skewness ``S`` and excess kurtosis ``K`` for which the
    expansion increases everywhere, ``S^2 / 9 <= 4 (K / 8 - S^2 / 6) (1 - K / 8 + 5 S^2 / 36)`` with both factors not
    below zero. It holds no thin tails (``K < 0``). Days outside are marked as fallbacks in the forecast.

    Parameters
    ----------
    outside
        What is done outside the domain. ``"shrink"``: both are multiplied by the largest share below one for which the
        expansion increases, which keeps their proportion. ``"normal"``: the normal quantile, which understates tails
        that are fat. ``"error"``: an error that says which day.

    References
    ----------
    Cornish and Fisher (1938), Moments and cumulants in the specification of distributions; Maillard (2012), A user's
    guide to the Cornish Fisher expansion. The modified ES of Boudt, Peterson and Croux (2008) is another: it averages
    over an Edgeworth density, which may be negative.

    Examples
    --------
    >>> returns = 0.01 * np.sinh(np.linspace(-1.5, 1.5, 199))
    >>> told = CornishFisher().fit(returns, levels=(0.99,), days=1).predict(returns, np.array([199]), window=None)
    >>> told.fallback.tolist()
    [True]
    """

    outside: str = "shrink"

    def __post_init__(self) -> None:
        check_one_of("outside", self.outside, ("shrink", "normal", "error"))

    @property
    def name(self) -> str:
        """The method's name in results."""
        return "cornish_fisher" + ("" if self.outside == "shrink" else f"_{self.outside}")

    @property
    def estimated(self) -> bool:
        """Nothing is held fixed: every forecast takes the moments of its own window."""
        return False

    @property
    def least(self) -> int:
        """The fewest returns."""
        return 10

    def horizon_rule(self, days: int) -> str:
        """The cumulants of a sum of independent returns."""
        check_integer("days", days, at_least=1)
        return "one day ahead" if days == 1 else "cumulants of the sum of independent days"

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> CornishFisherFit:
        """Check the sample, and say whether its moments lie inside the domain."""
        check_sample("cornish_fisher", returns, least=self.least)
        check_integer("days", days, at_least=1)
        settings = (self.outside, tuple(levels), days)
        if self.outside == "error":  # what a forecast looks back on is what counts, not this sample
            return CornishFisherFit(*settings, ())
        shape = CornishFisherFit(*settings, ()).shape(returns, np.array([len(returns)]), window=None)
        return CornishFisherFit(*settings, tuple(_notes(self.outside, shape)))

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": "cornish_fisher", "outside": self.outside}


class _Shape(NamedTuple):
    """Of each forecast ``(n,)``: the moments of its loss, and the share of them that is inside the domain."""

    location: Floats
    scale: Floats
    skewness: Floats
    kurtosis: Floats
    share: Floats


def _notes(outside: str, shape: _Shape) -> list[str]:
    """What is said of a sample whose moments lie outside the domain."""
    skewness, kurtosis, share = shape.skewness, shape.kurtosis, shape.share
    if share[0] == 1.0:
        return []
    done = "the normal quantile is taken" if outside == "normal" else f"both are taken times {share[0]:.3g}"
    moments = f"skewness {-skewness[0]:.3g} and excess kurtosis {kurtosis[0]:.3g}"
    return [f"{moments} are outside the domain of Cornish-Fisher; {done}"]


@dataclass(frozen=True)
class CornishFisherFit:
    """The settings; the moments of a day's forecast are those of the returns before it."""

    outside: str
    levels: tuple[float, ...]
    days: int
    notes: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, float]:
        """None."""
        return {}

    def shape(self, returns: Floats, ends: Integers, *, window: int | None) -> _Shape:
        """The moments over the days; a window of equal returns has a scale of zero and neither skewness nor kurtosis.

        Raises
        ------
        InputError
            Moments outside the domain, where that is an error.
        """
        moments = window_moments(returns, ends, window=window, least=2)
        scale = np.sqrt(moments.second)
        varies = scale > 0.0
        unit = np.where(varies, scale, 1.0)
        skewness = np.where(varies, -moments.third / unit**3, 0.0) / math.sqrt(self.days)
        kurtosis = np.where(varies, moments.fourth / unit**4 - 3.0, 0.0) / self.days
        share = largest_valid_share(skewness, kurtosis)
        beyond = np.flatnonzero(share < 1.0)
        if self.outside == "error" and len(beyond):
            day = int(beyond[0])
            raise InputError(
                f"cornish_fisher: skewness {-skewness[day]:.3g} and excess kurtosis {kurtosis[day]:.3g} after return"
                f" {int(ends[day])}, over {self.days} days, are outside the domain of the expansion, as are those of"
                f" {len(beyond)} of {len(ends)} forecasts; use outside='shrink' or another method"
            )
        return _Shape(-self.days * moments.mean, math.sqrt(self.days) * scale, skewness, kurtosis, share)

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """Forecast from the moments of each day's window, and mark the days outside the domain."""
        location, scale, skewness, kurtosis, share = self.shape(returns, ends, window=window)
        fallback = share < 1.0
        taken = np.where(fallback, 0.0, 1.0) if self.outside == "normal" else share
        skewness, kurtosis = taken * skewness, taken * kurtosis
        z = [np.asarray(-ndtri(float(1 - exact_level(a)))) for a in self.levels]
        quantile = [cornish_fisher_quantile(one, skewness, kurtosis) for one in z]
        shortfall = [cornish_fisher_shortfall(a, skewness, kurtosis) for a in self.levels]
        return Prediction(
            value_at_risk=location + scale * np.array(quantile),
            expected_shortfall=location + scale * np.array(shortfall),
            probability=lambda losses: _probability(standardised(losses, location, scale), skewness, kurtosis),
            fallback=fallback,
        )


def _probability(innovation: Floats, skewness: Floats, kurtosis: Floats) -> Floats:
    """The normal probability of the ``z`` at which the increasing expansion reaches each innovation."""
    low, high = np.full_like(innovation, -_FAR), np.full_like(innovation, _FAR)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = cornish_fisher_quantile(middle, skewness, kurtosis) < innovation
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(ndtr(0.5 * (low + high)))
