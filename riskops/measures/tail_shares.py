"""What each tail path counts in the contributions to ES and to VaR: its share, by its place in the order of the losses.

In ES every loss before VaR's own order statistic counts its weight, and that one what is left of ``n (1 - level)``. In
VaR all those count that lie in its window, the order statistics inside the 95 % interval of independent paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskops.checks import exact_level
from riskops.measures.grouped_tail import quantile_mass
from riskops.reductions import Z95, Cut, WorstLosses, interval_ranks

__all__ = ["TailCuts", "shares_of_chunk", "shares_of_tail", "tail_cuts"]

Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


class TailCuts(NamedTuple):
    """The places at which shares change: before and behind VaR's own loss, before and behind its window; and the share
    of VaR's own loss in ES."""

    before: Cut
    behind: Cut
    window_before: Cut
    window_behind: Cut
    boundary: float


def _window(worst: WorstLosses, level: float, n: int) -> tuple[float, float]:
    """The weights behind which the first and the last loss of VaR's window stand."""
    if worst.counted:
        low, high = interval_ranks(level, n)
        return float(n - high), float(n - low)
    mass = float(1 - exact_level(level))
    reach = Z95 * math.sqrt(mass * (1.0 - mass) / n)
    return n * max(mass - reach, 0.0), n * (mass + reach)


def _boundary(before: float, level: float, n: int) -> float:
    return max(float(n * (1 - exact_level(level)) - Fraction(before)), 0.0)


def tail_cuts(worst: WorstLosses, level: float, n: int) -> TailCuts:
    """The cuts of a row at a level, from the losses around its quantile."""
    mass = quantile_mass(level, n, counted=worst.counted)
    before = mass if worst.counted else worst.weight_before(worst.beyond(mass))
    first, last = _window(worst, level, n)
    return TailCuts(
        worst.cut_before(mass),
        worst.cut(mass),
        worst.cut_before(first),
        worst.cut(last),
        _boundary(before, level, n),
    )


def shares_of_chunk(
    losses: Float, paths: Whole, weights: Float | None, cuts: Sequence[TailCuts]
) -> tuple[Whole, Float]:
    """The paths of a chunk that count, ascending, and what they count ``(path, level, (ES, VaR))``."""
    lowest = min(min(cut.behind.value, cut.window_behind.value) for cut in cuts)
    which = np.flatnonzero(losses >= lowest)
    losses, paths = losses[which], paths[which]
    own = np.ones(len(which)) if weights is None else weights[which]
    shares = np.zeros((len(which), len(cuts), 2))
    if len(which):
        for level, cut in enumerate(cuts):
            before, behind, outside, inside = (each.holds(losses, paths) for each in cut[:4])
            shares[:, level, 0] = np.where(before, own, np.where(behind, cut.boundary, 0.0))
            shares[:, level, 1] = np.where(inside & ~outside, own, 0.0)
    return paths, shares


def shares_of_tail(worst: WorstLosses, levels: Sequence[float], n: int) -> tuple[Whole, Float]:
    """The same from a tail that was kept whole."""
    own = np.ones(len(worst.values)) if worst.weights is None else worst.weights
    shares = np.zeros((len(own), len(levels), 2))
    for c, level in enumerate(levels):
        place = worst.beyond(quantile_mass(level, n, counted=worst.counted))
        first, last = (worst.beyond(mass) for mass in _window(worst, level, n))
        shares[:place, c, 0] = own[:place]
        shares[place, c, 0] = _boundary(worst.weight_before(place), level, n)
        shares[first : last + 1, c, 1] = own[first : last + 1]
    order = np.argsort(worst.paths)
    used = order[shares[order].any(axis=(1, 2))]
    return worst.paths[used], shares[used]
