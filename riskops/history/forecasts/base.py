"""What a forecaster is: it is fitted to one series of returns, and says VaR and ES of the days that follow.

A forecaster is a frozen value that holds settings only. ``fit`` looks at a sample and gives a ``Fit``; the fit then
forecasts as many days as are asked for with its parameters held fixed, each from what was known on that day and from
nothing later. Whatever is asked over many series, refits and methods is built from these two steps (``rolling.py``).

Returns are one-day returns as the series has them, gains positive; the loss over ``days`` is minus the sum of the next
``days`` returns: exact for log returns, and for simple returns the loss of a position that is brought back to the same
money value every day. What a forecaster says is a loss, positive, per unit of that value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError

__all__ = [
    "Fit",
    "Floats",
    "Forecaster",
    "Integers",
    "Law",
    "Prediction",
    "check_sample",
    "located",
    "losses_ahead",
    "standardised",
    "window_starts",
]

#: The fourth power of a return of this size, or of its inverse, is still a number; nothing that is traded comes near.
_SMALLEST = 1e-60

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is forecast for ``n`` days: the tail at each level, and where the method has one, the whole distribution.

    Parameters
    ----------
    value_at_risk, expected_shortfall
        ``(level, n)``, loss positive, in the order of the levels that the fit was asked for. The expected shortfall is
        never below the value at risk.
    probability
        Takes the losses that came, ``(n,)``, and gives the forecast probability of a loss no larger than that, for each
        day; None where the method forecasts no distribution.
    value_at_risk_error, expected_shortfall_error
        ``(level, n)``, the Monte-Carlo standard error where the forecast was simulated, else None.
    fallback
        ``(n,)``, the days whose forecast is the method's documented fallback and not the method itself; None where it
        has no fallback. What the fallback is, its documentation and its ``notes`` say.
    """

    value_at_risk: Floats
    expected_shortfall: Floats
    probability: Callable[[Floats], Floats] | None = None
    value_at_risk_error: Floats | None = None
    expected_shortfall_error: Floats | None = None
    fallback: npt.NDArray[np.bool_] | None = None


class Fit(Protocol):
    """A forecaster that was fitted."""

    @property
    def parameters(self) -> Mapping[str, float]:
        """What was estimated, by name, in the units of the returns; empty where nothing was."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user must be told, a line each: a fallback that was taken, an estimate at its bound."""
        ...

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        """Forecast the ``days`` that follow each of some days.

        Parameters
        ----------
        returns
            The series from its first day on; finite.
        ends
            ``(n,)``, ascending: the i-th forecast knows ``returns[: ends[i]]`` and nothing after it.
        window
            A forecast looks back over the last ``window`` returns that it knows; None: over all of them.
        """
        ...


class Forecaster(Protocol):
    """A way to forecast VaR and ES from a series of returns."""

    @property
    def name(self) -> str:
        """The method's name in results, lower case with underscores; settings other than the defaults show in it."""
        ...

    @property
    def estimated(self) -> bool:
        """Whether ``fit`` estimates parameters that ``predict`` holds fixed; if not, a fit serves for all days."""
        ...

    @property
    def least(self) -> int:
        """The fewest returns that it can be fitted to."""
        ...

    def horizon_rule(self, days: int) -> str:
        """How the loss over ``days`` is reached, in a few words (``overlapping windows``, ``simulation``, ...).

        Raises
        ------
        InputError
            The method has no right way to that horizon.
        """
        ...

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> Fit:
        """Fit to a sample of returns, to forecast the tail at some levels of the loss over some days.

        Raises
        ------
        InputError
            The sample can't carry the method; the text says what is wrong with it.
        """
        ...

    def record(self) -> dict[str, Any]:
        """The kind and all settings, as plain JSON values: what a run writes down and a configuration may give."""
        ...


def check_sample(method: str, returns: Floats, *, least: int) -> Floats:
    """Return a sample of finite returns that is long enough, not constant, and of a size whose powers are numbers."""
    if returns.ndim != 1 or len(returns) < least:
        raise InputError(f"{method}: {returns.size} returns are too few; at least {least} are needed")
    bad = np.flatnonzero(~np.isfinite(returns))
    if len(bad):
        raise InputError(f"{method}: return {bad[0]} is {float(returns[bad[0]])!r}, not finite")
    if np.all(returns == returns[0]):
        raise InputError(
            f"{method}: all {len(returns)} returns are {float(returns[0])!r}; a constant has no risk to fit"
        )
    largest = float(np.abs(returns).max())
    if not _SMALLEST <= largest <= 1.0 / _SMALLEST:
        raise InputError(
            f"{method}: the largest return is {largest:.3g}, not between {_SMALLEST:g} and {1.0 / _SMALLEST:g};"
            " scale the returns"
        )
    return returns


def window_starts(ends: Integers, window: int | None) -> Integers:
    """The first return that each forecast looks back to."""
    return np.zeros_like(ends) if window is None else np.maximum(ends - window, 0)


def losses_ahead(returns: Floats, *, days: int) -> Floats:
    """The loss over the ``days`` returns from each position on, ``(len(returns) - days + 1,)``: minus their sum."""
    count = max(len(returns) - days + 1, 0)
    total = returns[:count].copy()
    for day in range(1, days):  # day by day: the order of a sum by NumPy depends on the shape of what is summed
        total += returns[day : day + count]
    return -total


class Law(Protocol):
    """A distribution of losses, or of the innovations of losses: what is left once location and scale are taken out."""

    def quantile(self, probability: Floats) -> Floats:
        """The smallest loss that is not exceeded with each probability, of any shape."""
        ...

    def shortfall(self, level: float) -> float:
        """The average of the quantile function beyond ``level``."""
        ...

    def probability(self, loss: Floats) -> Floats:
        """The probability of a loss no larger than each, of any shape."""
        ...


def located(law: Law, location: Floats, scale: Floats, *, levels: Sequence[float]) -> Prediction:
    """The prediction of days whose loss is ``location + scale * innovation``, the innovation of one law.

    ``location`` and ``scale`` are ``(n,)``.
    """
    quantile = law.quantile(np.asarray(levels, np.float64))
    shortfall = np.array([law.shortfall(level) for level in levels])
    return Prediction(
        value_at_risk=location + scale * quantile[:, None],
        expected_shortfall=location + scale * shortfall[:, None],
        probability=lambda losses: law.probability(standardised(losses, location, scale)),
    )


def standardised(losses: Floats, location: Floats, scale: Floats) -> Floats:
    """``(losses - location) / scale``; its limit where the scale is zero, as after returns that did not vary."""
    distance = losses - location
    limit = np.where(distance == 0.0, 0.0, np.copysign(np.inf, distance))
    return np.divide(distance, scale, out=limit, where=scale > 0.0)
