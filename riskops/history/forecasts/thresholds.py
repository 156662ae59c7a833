"""Where the tail of a sample of losses begins: at a share of the sample, or where the shape of the tail has settled."""

from __future__ import annotations

import math

import numpy as np

from riskops.checks import check_number, exact_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.pareto import FEWEST_EXCEEDANCES

__all__ = ["RULES", "check_threshold", "moment_shapes", "stable_exceedances", "tail_threshold"]

RULES = ("fraction", "stability")

#: The rule of stability looks at tails from so many losses (fewer make shapes that jump) to this share of the sample.
FEWEST_STABLE = 30
WIDEST = 0.25
#: Its weight of the i-th shape is ``i`` to this power; Reiss and Thomas ask for one from 0 to 1/2.
_POWER = 0.25


def check_threshold(threshold: object, fraction: object) -> None:
    """Refuse what :func:`tail_threshold` does not know."""
    share = check_number("fraction", fraction)
    if not 0.0 < share < 0.5:
        raise InputError(f"fraction: {fraction!r} is not between 0 and 0.5; it is the share of the losses in the tail")
    if isinstance(threshold, str):
        if threshold not in RULES:
            raise InputError(f"threshold: {threshold!r} is not one of {', '.join(RULES)}, nor a loss")
    else:
        check_number("threshold", threshold)
    if threshold != "fraction" and share != 0.1:
        raise InputError(f"fraction: {fraction!r} is not used by threshold {threshold!r}; leave it out")


def tail_threshold(ordered: Floats, *, threshold: str | float, fraction: float) -> float:
    """The threshold of the largest losses, given the whole sample in ascending order.

    ``"fraction"``: that of ``k = floor(n fraction)`` exceedances, ``x(n - k)``, as McNeil and Frey (2000) take it;
    ``"stability"``: that of :func:`stable_exceedances`; a number is the threshold itself.
    """
    n = len(ordered)
    if not isinstance(threshold, str):
        return float(threshold)
    if threshold == "stability":
        return float(ordered[n - 1 - stable_exceedances(ordered)])
    k = math.floor(n * exact_level(fraction))
    if k < FEWEST_EXCEEDANCES:
        raise InputError(
            f"fraction: {fraction!r} of {n} losses are {k}, and a tail needs {FEWEST_EXCEEDANCES}; "
            "use a longer window or a larger fraction"
        )
    return float(ordered[n - 1 - k])


def stable_exceedances(ordered: Floats) -> int:
    """How many of the largest losses make the tail whose shape has settled.

    With ``shape(i)`` fitted to the ``i`` largest losses above ``x(n - i)``, by probability-weighted moments, the number
    is the ``k`` for which ``sum over i <= k of i^0.25 |shape(i) - median(shape(1..k))| / k`` is least (Reiss and Thomas
    2007, 6.1), ``i`` from 30 on and ``k`` to a quarter of the sample. The moments have a closed form for all ``i`` at
    once; the tail itself is then fitted as it was asked for.

    Parameters
    ----------
    ordered
        ``(n,)`` losses, ascending, at least 160.

    Raises
    ------
    InputError
        The losses are fewer than 160.

    References
    ----------
    Reiss and Thomas (2007), Statistical Analysis of Extreme Values, 3rd edition.
    """
    n = len(ordered)
    most = int(n * WIDEST)
    if most < FEWEST_STABLE + 10:
        raise InputError(
            f"threshold: stability needs {math.ceil((FEWEST_STABLE + 10) / WIDEST)} losses, and there are {n}; use "
            "threshold 'fraction'"
        )
    numbers = np.arange(FEWEST_STABLE, most + 1)
    shapes = moment_shapes(ordered, most)[FEWEST_STABLE - 1 :]
    weights = numbers**_POWER
    best, found = math.inf, int(numbers[-1])
    for last in range(10, len(numbers) + 1):
        part = shapes[:last]
        # np.median would sort no faster and say no more, but costs a check of NaN each time
        middle = np.partition(part, (last - 1) // 2)[(last - 1) // 2]
        distance = float((weights[:last] * np.abs(part - middle)).mean())
        if distance < best:
            best, found = distance, int(numbers[last - 1])
    return found


def moment_shapes(ordered: Floats, most: int) -> Floats:
    """The shapes, by the moments that ``fit_pareto`` takes, of the tails of 1 to ``most`` largest losses.

    A shape is NaN where the losses of the tail are equal.
    """
    descending = ordered[::-1]
    numbers = np.arange(1.0, most + 1.0)
    top, floor = descending[:most], descending[1 : most + 1]
    mean = np.cumsum(top) / numbers - floor
    # the i-th largest of k has weight (i - 0.65) / k
    weighted = np.cumsum(top * (numbers - 0.65)) / numbers**2 - floor * (numbers - 0.3) / (2.0 * numbers)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2.0 - mean / (mean - 2.0 * weighted))
