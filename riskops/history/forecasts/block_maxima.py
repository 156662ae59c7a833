"""Block maxima: the largest loss of each block of days follows a generalised extreme value distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gamma, gammainc

from riskops.checks import check_integer, check_level, check_number, exact_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers, Prediction, check_sample, located, losses_ahead
from riskops.history.forecasts.extremal_index import blocks_extremal_index, extremal_index
from riskops.history.forecasts.extreme_value import FEWEST_MAXIMA, ExtremeValueFit, fit_extreme_value

__all__ = ["BlockMaxima", "MaximaLaw", "maxima_of_blocks"]

#: Below this shape the average of the quantiles is a quadrature; its closed form divides by the shape.
_SMALL = 1e-3


@dataclass(frozen=True)
class BlockMaxima:
    """Extreme value theory: a generalised extreme value distribution of the largest losses of blocks of days.

    The maximum of a block of ``m`` losses with distribution ``F`` has, for large ``m``, the distribution
    ``H = F^(m theta)``, so that ``VaR = H^-1(level^(m theta))``; the expected shortfall averages that beyond the level,
    in closed form. The extremal index ``theta`` is 1 for independent losses and smaller when large ones come in
    clusters, as those of shares do: with 1 their value at risk comes out too low. Blocks are counted back from the last
    day; an incomplete first one is left out. ``H`` describes maxima: a level that a typical block exceeds, such as 0.95
    with blocks of 21 days, rests on the smallest of them. Fits to fewer than about 25 blocks often fail.

    Over several days the same is done with the maxima of overlapping sums. These cluster by construction, each large
    day being in as many of them; their extremal index, estimated from the sums, brings the maxima back to the
    distribution of one sum. Nothing is scaled or simulated: the distribution of maxima has no body to draw from. A
    block must hold at least two sums that do not overlap.

    Parameters
    ----------
    block
        Days a block: 21 is a month.
    extremal_index
        ``"blocks"``: estimated with the blocks themselves, at the median of their maxima; ``"intervals"``: by the times
        between large losses (Ferro and Segers 2003), which sees clusters longer than a block too; or a number in
        (0, 1], that of one-day losses.

    References
    ----------
    McNeil (1998), Calculating quantile risk measures for financial return series using extreme value theory. Longin
    (2000), From value at risk to stress testing: the extreme value approach. McNeil, Frey and Embrechts (2015),
    Quantitative Risk Management, 5.1.

    Examples
    --------
    >>> returns = np.sinh(6.0 * ((np.arange(1008) * 0.6180339887498949) % 1.0 - 0.5)) / 100.0
    >>> fit = BlockMaxima().fit(returns, levels=(0.95, 0.99), days=1)
    >>> fit.parameters["maxima"]
    48.0
    >>> tail = fit.predict(returns, np.array([1008]), window=None)
    >>> bool((tail.expected_shortfall > tail.value_at_risk).all())
    True
    """

    block: int = 21
    extremal_index: float | str = "blocks"

    def __post_init__(self) -> None:
        check_integer("block", self.block, at_least=2)
        given = self.extremal_index
        if isinstance(given, str):
            if given not in ("blocks", "intervals"):
                raise InputError(f"extremal_index: {given!r} is not 'blocks', 'intervals' or a number in (0, 1]")
        elif not 0.0 < check_number("extremal_index", given) <= 1.0:
            raise InputError(f"extremal_index: {given!r} is not in (0, 1]")

    @property
    def name(self) -> str:
        """``block_maxima``, and the settings that are not the defaults."""
        parts = ["block_maxima"]
        if self.block != 21:
            parts.append(str(self.block))
        if self.extremal_index != "blocks":
            theta = self.extremal_index
            parts.append(theta if isinstance(theta, str) else f"extremal_index_{theta!r}")
        return "_".join(parts)

    @property
    def estimated(self) -> bool:
        """The distribution of maxima is estimated."""
        return True

    @property
    def least(self) -> int:
        """Ten blocks."""
        return self.block * FEWEST_MAXIMA

    def horizon_rule(self, days: int) -> str:
        """One day: the maxima of daily losses; more: those of overlapping sums with their extremal index."""
        check_integer("days", days, at_least=1)
        if days == 1:
            return "fitted maxima"
        if self.block < 2 * days:
            raise InputError(
                f"block: {self.block} days hold fewer than two separate sums of {days} days; use at least {2 * days}"
            )
        if not isinstance(self.extremal_index, str):
            raise InputError(
                f"extremal_index: {self.extremal_index!r} is that of one-day losses; over {days} days that of "
                "overlapping sums must be estimated: use 'blocks'"
            )
        return "maxima of overlapping windows, with their extremal index"

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> MaximaFit:
        """Fit the distribution of maxima, and their extremal index where it is asked for or the losses overlap."""
        self.horizon_rule(days)
        check_sample(self.name, returns, least=self.least + days - 1)
        losses = losses_ahead(returns, days=days)
        if self.extremal_index == "blocks":
            theta = blocks_extremal_index(losses, block=self.block)
        elif self.extremal_index == "intervals":
            theta = extremal_index(losses)
        else:
            theta = float(self.extremal_index)
        fitted = fit_extreme_value(maxima_of_blocks(losses, self.block))
        if fitted.shape >= 1.0:
            raise InputError(
                f"{self.name}: the shape {fitted.shape:.4g} of the maxima is not below 1, so the expected shortfall is "
                "infinite; use a longer window"
            )
        return MaximaFit(MaximaLaw(fitted, self.block * theta), theta, tuple(levels))

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {"kind": "block_maxima", "block": self.block, "extremal_index": self.extremal_index}


@dataclass(frozen=True, eq=False)
class MaximaFit:
    """A fitted distribution of maxima, the same for every day that is forecast."""

    law: MaximaLaw
    extremal_index: float
    levels: tuple[float, ...]

    @property
    def parameters(self) -> Mapping[str, float]:
        """Location, scale and shape of the maxima, how many there were, and the extremal index."""
        fitted = self.law.maxima
        return {
            "maxima": float(fitted.maxima),
            "location": fitted.location,
            "scale": fitted.scale,
            "shape": fitted.shape,
            "extremal_index": self.extremal_index,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """A shape without standard errors."""
        shape = self.law.maxima.shape
        return (f"shape {shape:.3g}: at or below -0.5 the estimates have no standard errors",) if shape <= -0.5 else ()

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """The fitted law, on every day."""
        return located(self.law, np.zeros(len(ends)), np.ones(len(ends)), levels=self.levels)


@dataclass(frozen=True, eq=False)
class MaximaLaw:
    """The law of one loss, of which ``power`` independent ones have a maximum of the fitted distribution."""

    maxima: ExtremeValueFit
    power: float

    def quantile(self, probability: Floats) -> Floats:
        """The smallest loss that is not exceeded with each probability."""
        return self.maxima.quantile_of_rate(-self.power * np.log(probability))

    def shortfall(self, level: float) -> float:
        """The average of the quantile function beyond ``level``: ``location + scale / shape (power^-shape
        lower_gamma(1 - shape, -log level) / (1 - level) - 1)``."""
        fitted, shape = self.maxima, self.maxima.shape
        mass = float(1 - exact_level(check_level("level", level)))
        end = -math.log1p(-mass)
        if abs(shape) < _SMALL:
            # over -log p = end exp(-r), with weight exp(-r)
            nodes, weights = np.polynomial.laguerre.laggauss(40)
            rates = end * np.exp(-nodes)
            return float((weights * fitted.quantile_of_rate(self.power * rates) * np.exp(-rates)).sum() * end / mass)
        integral = float(gammainc(1.0 - shape, end) * gamma(1.0 - shape))
        return fitted.location + fitted.scale / shape * (self.power**-shape * integral / mass - 1.0)

    def probability(self, loss: Floats) -> Floats:
        """The probability of a loss no larger than each."""
        return np.asarray(np.exp(-self.maxima.rate(loss) / self.power))


def maxima_of_blocks(losses: Floats, block: int) -> Floats:
    """The largest loss of each whole block, counted back from the last; in the order of time."""
    blocks = len(losses) // block
    return np.asarray(losses[len(losses) - blocks * block :].reshape(blocks, block).max(axis=1))
