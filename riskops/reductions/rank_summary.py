"""Between which losses an order statistic lies, for any ranks and any losses: a summary of bounded size that merges.

A chunk is sorted and every s-th loss of it kept, with how many lie below it and how many do not exceed it. When
summaries are joined, a loss of one stands between two neighbours of another, so that both numbers are known up to what
lies between these: the doubts add up, and no assumption on the losses or their order is made (Munro and Paterson 1980;
Greenwald and Khanna 2004). A second pass over what lies between then reads the order statistics off
(:mod:`riskops.reductions.order_statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.reductions.reduction import Array, Reduction, first_tile_of, rows_of

__all__ = ["RankSummary", "sorted_rows"]

Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


class _Points(NamedTuple):
    """Losses of a row, ascending and distinct, the least and the largest among them: at most ``below`` of all lie below
    each, at least ``upto`` do not exceed it; between two neighbours lie at most ``apart``."""

    values: Float
    below: Whole
    upto: Whole
    apart: int


@dataclass(frozen=True, eq=False)
class _State:
    rows: tuple[_Points, ...]
    lead: tuple[int, ...]
    seen: int


def sorted_rows(block: Mapping[str, Array], name: str, *, first_path: int) -> list[Float]:
    """The rows of a chunk in double precision, each sorted, -0.0 as 0.0; what is not finite is an error."""
    array = block[name]
    data, found = rows_of(array), []
    for row, losses in enumerate(data):
        ascending = losses.astype(np.float64) + 0.0
        ascending.sort()
        if not (np.isfinite(ascending[0]) and np.isfinite(ascending[-1])):
            bad = int(np.argmin(np.isfinite(losses)))
            where = tuple(int(i) for i in np.unravel_index(row, array.shape[:-1]))
            what = f"{name}: path {first_path + bad} of row {where} is {float(losses[bad])!r}"
            raise InputError(f"{what}, not a finite number")
        found.append(ascending)
    return found


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _thin(below, upto, reach, keep):  # type: ignore[no-untyped-def]
    """Mark the fewest points that leave at most ``reach`` between neighbours; how much they leave at most."""
    last, apart = 0, 0
    keep[0] = True
    for i in range(1, len(below)):
        if i + 1 < len(below) and below[i + 1] - upto[last] <= reach:
            continue
        keep[i] = True
        apart = max(apart, below[i] - upto[last])
        last = i
    return apart


def _of_sorted(ascending: Float, points: int) -> _Points:
    step = -(-len(ascending) // points)
    picked = ascending[::step]
    values = np.unique(np.append(picked, ascending[-1]))
    below = np.searchsorted(ascending, values, side="left").astype(np.int64)
    upto = np.searchsorted(ascending, values, side="right").astype(np.int64)
    apart = int((below[1:] - upto[:-1]).max()) if len(values) > 1 else 0
    return _Points(values, below, upto, apart)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _merge(values, below, upto, others, other_below, other_upto, out, out_below, out_upto):  # type: ignore[no-untyped-def]
    """Merge the points of two summaries; how many there are.

    Below a loss of one lie at most as many of the other as below its next point, and at least as many do not exceed it
    as its last point says.
    """
    i = j = place = 0
    total, other_total = upto[-1], other_upto[-1]
    while i < len(values) or j < len(others):
        first = j == len(others) or (i < len(values) and values[i] <= others[j])
        value = values[i] if first else others[j]
        out[place] = value
        out_below[place] = (below[i] if i < len(values) else total) + (
            other_below[j] if j < len(others) else other_total
        )
        if i < len(values) and values[i] == value:
            i += 1
        if j < len(others) and others[j] == value:
            j += 1
        out_upto[place] = (upto[i - 1] if i > 0 else 0) + (other_upto[j - 1] if j > 0 else 0)
        place += 1
    return place


def _pair(one: _Points, other: _Points) -> _Points:
    size = len(one.values) + len(other.values)
    values, below, upto = np.empty(size), np.empty(size, np.int64), np.empty(size, np.int64)
    number = _merge(*one[:3], *other[:3], values, below, upto)
    return _Points(values[:number], below[:number], upto[:number], one.apart + other.apart)


def _joined(parts: Sequence[_Points], points: int) -> _Points:
    """The summary of all, thinned to that many points where there are more."""
    left = list(parts)
    while len(left) > 1:
        left = [_pair(*left[k : k + 2]) if k + 1 < len(left) else left[k] for k in range(0, len(left), 2)]
    values, below, upto, apart = left[0]
    if len(values) <= points:
        return _Points(values.copy(), below.copy(), upto.copy(), apart)
    keep = np.zeros(len(values), np.bool_)
    # upto grows by more than a points-th of all losses from one point kept to the next: that many and the ends stay
    apart = _thin(below, upto, apart + int(upto[-1]) // points, keep)
    return _Points(values[keep], below[keep], upto[keep], int(apart))


@dataclass(frozen=True, eq=False)
class RankSummary(Reduction):
    """Between which two losses of every row each of the wanted order statistics lies.

    Parameters
    ----------
    variable
        The variable to read, ``(..., path)``.
    ranks
        The ranks of the order statistics, from 1 for the smallest loss, ascending.
    points
        How many losses of a row a state holds; a chunk of no more, or a whole sample, is held exactly.

    Notes
    -----
    ``finalize`` gives ``low`` and ``high`` ``(row, rank)``, rows flattening the leading dims: ``low <= x(rank) <=
    high``. With ``L`` levels of the tree of merges no more than ``2 n (L + 1) / points`` of n losses lie strictly
    between them, whatever the losses and their order. A state takes 24 bytes a point. What is not finite is an error
    that names its row and path; -0.0 counts as 0.0.

    References
    ----------
    Munro and Paterson (1980), Selection and sorting with limited storage; Greenwald and Khanna (2004), Power-conserving
    computation of order-statistics over sensor networks.

    Examples
    --------
    >>> summary = RankSummary(ranks=np.array([950]), points=100)
    >>> state = summary.chunk({"loss": np.arange(1.0, 1001.0)}, first_path=0)
    >>> {name: float(found.item()) for name, found in summary.finalize(state).items()}
    {'low': 941.0, 'high': 951.0}
    """

    variable: str = "loss"
    ranks: npt.NDArray[np.int64] = field(kw_only=True)
    points: int = field(kw_only=True)

    def __post_init__(self) -> None:
        check_integer("points", self.points, at_least=2)
        if not len(self.ranks) or self.ranks[0] < 1 or (np.diff(self.ranks) < 1).any():
            raise InputError("ranks: they are not whole numbers from 1 on, ascending and unique")

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> _State:
        first_tile_of(first_path)
        rows = sorted_rows(block, self.variable, first_path=first_path)
        lead = block[self.variable].shape[:-1]
        return _State(tuple(_of_sorted(row, self.points) for row in rows), lead, len(rows[0]))

    def combine(self, states: Sequence[_State]) -> _State:
        rows = tuple(_joined(parts, self.points) for parts in zip(*(state.rows for state in states), strict=True))
        return _State(rows, states[0].lead, sum(state.seen for state in states))

    def finalize(self, state: _State) -> dict[str, Any]:
        if self.ranks[-1] > state.seen:
            raise InputError(f"ranks: {self.ranks[-1]} is beyond the {state.seen} paths")
        ranks = self.ranks
        low = [row.values[np.searchsorted(row.below, ranks, side="left") - 1] for row in state.rows]
        high = [row.values[np.searchsorted(row.upto, ranks, side="left")] for row in state.rows]
        return {"low": np.stack(low), "high": np.stack(high)}


def merge_levels(chunks: int, split_every: int = 8) -> int:
    """How often a state is merged on its way to the end of the tree."""
    return math.ceil(math.log(chunks, split_every)) if chunks > 1 else 0
