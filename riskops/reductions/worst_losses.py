"""The worst losses of a row, or those around a quantile with the weight of all that are worse: where order statistics
are read off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Cut", "WorstLosses"]

Float = npt.NDArray[np.float64]
#: Cumulative sums of weights are off by less than this share of themselves.
_CLOSE = 1e-9


class Cut(NamedTuple):
    """A place in the order of the losses, the worst first and of equal ones the earlier path: what stands up to it.

    All losses above ``value`` do. Of those equal to it: all on paths before the chunk that holds ``path``, and in that
    chunk the first ``ties``, or with ``ties`` of -1 those up to ``path``.
    """

    value: float
    path: int = -1
    ties: int = -1

    def holds(self, losses: Float, paths: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which losses of a chunk, or of a part of one that has all its ties, stand up to the cut; paths ascend."""
        inside: npt.NDArray[np.bool_] = losses > self.value
        equal = np.flatnonzero(losses == self.value)
        if len(equal) and paths[0] <= self.path:
            if self.ties < 0:
                equal = equal[paths[equal] <= self.path]
            elif paths[-1] >= self.path:
                equal = equal[: self.ties]
            inside[equal] = True
        return inside


@dataclass(frozen=True, eq=False)
class WorstLosses:
    """Losses of a row, descending, of equal ones the earlier path first.

    Parameters
    ----------
    values
        The losses ``(entry,)``.
    paths
        The path of each entry; of an entry that stands for the equal losses of a chunk the first of them.
    weights
        What each entry counts: its path's weight, or with ``counted`` how many equal losses it stands for; None: one.
    counted
        Whether every path counts one.
    above
        The weight of all losses that are worse than these, as doubles that add up to it exactly.
    """

    values: Float
    paths: npt.NDArray[np.int64]
    weights: Float | None = None
    counted: bool = True
    above: tuple[float, ...] = ()

    @cached_property
    def _cumulative(self) -> Float:
        ones = np.ones(len(self.values)) if self.weights is None else self.weights
        total: Float = math.fsum(self.above) + np.cumsum(ones)
        return total

    def beyond(self, mass: float) -> int:
        """The first entry at which the weights, from the worst loss on, exceed ``mass``; as many as there are entries
        where they never do, -1 where those above do already."""
        if math.fsum((*self.above, -mass)) > 0.0:
            return -1
        cumulative = self._cumulative
        place = int(np.searchsorted(cumulative, mass, side="right"))
        if self.counted:
            return place
        # sums round on the way: where one is close, the exact sum decides on which side of the mass it is
        while place > 0 and self._close(place - 1, mass) and self._exceeds(place - 1, mass):
            place -= 1
        while place < len(cumulative) and self._close(place, mass) and not self._exceeds(place, mass):
            place += 1
        return place

    def _close(self, entry: int, mass: float) -> bool:
        return bool(abs(self._cumulative[entry] - mass) <= _CLOSE * mass)

    def _exceeds(self, entry: int, mass: float) -> bool:
        assert self.weights is not None  # only weights are not counted
        return math.fsum((*self.above, *self.weights[: entry + 1].tolist(), -mass)) > 0.0

    def weight_before(self, entry: int) -> float:
        """The weight of all that stands before an entry."""
        before = [float(entry)] if self.weights is None else self.weights[:entry].tolist()
        return math.fsum((*self.above, *before))

    def cut(self, mass: float) -> Cut:
        """The cut behind the order statistic at which the weights exceed ``mass``; for counts, ``mass`` is the number
        of losses before it."""
        entry = self.beyond(mass)
        if entry < 0:
            return Cut(float(self.values[0]))
        ties = math.floor(mass - self.weight_before(entry)) + 1 if self.counted else -1
        return Cut(float(self.values[entry]), int(self.paths[entry]), ties)

    def cut_before(self, mass: float) -> Cut:
        """The cut before that order statistic."""
        if self.counted:
            return self.cut(math.floor(mass) - 1.0) if mass >= 1.0 else Cut(math.inf)
        entry = self.beyond(mass)
        if entry > 0:
            return Cut(float(self.values[entry - 1]), int(self.paths[entry - 1]))
        return Cut(float(self.values[0])) if self.above else Cut(math.inf)
