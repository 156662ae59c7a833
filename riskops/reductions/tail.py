"""The exact tail: the worst losses of every row, with the numbers of their paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from riskops.checks import check_integer
from riskops.reductions.loss_rows import loss_rows
from riskops.reductions.reduction import Array, Reduction, first_tile_of

__all__ = ["Tail", "TailState"]

Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


class Segment(NamedTuple):
    """Losses ``(row, n)`` in path order, and their paths: of the same shape, or None when they are all from
    ``first``."""

    losses: Float
    paths: Whole | None
    first: int


@dataclass(frozen=True, eq=False)
class TailState:
    """The worst losses of a run of paths, in segments in path order, and how many paths were seen.

    Selecting costs a pass over the losses, so a state may hold up to twice the number that is kept before it is cut
    down; a segment that keeps every path of its chunk is the chunk's own array.
    """

    segments: tuple[Segment, ...]
    lead: tuple[int, ...]
    seen: int


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _collect(losses, paths, cut, out, out_paths):  # type: ignore[no-untyped-def]
    """Put the losses above ``cut``, and of those equal to it the first, into ``out``, and their paths beside them.

    Both have one place to spare: every loss is written, and the place moves on only behind one that stays.
    """
    room = len(out) - 1
    for i in range(len(losses)):
        room -= losses[i] > cut
    place = 0
    for i in range(len(losses)):
        loss = losses[i]
        equal = (loss == cut) & (room > 0)
        out[place] = loss
        out_paths[place] = paths[i]
        place += (loss > cut) | equal
        room -= equal


def _length(segments: Sequence[Segment]) -> int:
    return sum(segment.losses.shape[-1] for segment in segments)


def _selected(segments: Sequence[Segment], keep: int) -> Segment:
    """One segment of the ``keep`` worst of every row, in path order; of equal losses the first ones."""
    rows, total = segments[0].losses.shape[0], _length(segments)
    kept = min(keep, total)
    out, out_paths = np.empty((rows, kept)), np.empty((rows, kept), dtype=np.int64)
    losses, work, paths = np.empty(total), np.empty(total), np.empty(total, dtype=np.int64)
    room, room_paths = np.empty(kept + 1), np.empty(kept + 1, dtype=np.int64)
    for row in range(rows):
        start = 0
        for segment in segments:
            stop = start + segment.losses.shape[-1]
            losses[start:stop] = segment.losses[row]
            if segment.paths is not None:
                paths[start:stop] = segment.paths[row]
            elif row == 0:
                paths[start:stop] = np.arange(segment.first, segment.first + stop - start)
            start = stop
        work[:] = losses
        work.partition(total - kept)
        _collect(losses, paths, work[total - kept], room, room_paths)
        out[row], out_paths[row] = room[:kept], room_paths[:kept]
    return Segment(out, out_paths, int(out_paths[0, 0]) if kept else 0)


@dataclass(frozen=True)
class Tail(Reduction):
    """The ``keep`` largest losses of every row and their paths: larger first, of equal losses the earlier path first.

    Parameters
    ----------
    variable
        The variable to read, ``(..., path)``.
    keep
        How many to keep; :func:`~riskops.reductions.needed_tail` says how many VaR and ES need.

    Notes
    -----
    ``finalize`` gives ``loss`` (float64) and ``path`` (int64) ``(..., keep)``, sorted, and ``paths``, the number of
    paths seen; with fewer paths than ``keep`` all are kept. A NaN is an error that names its row and path.
    """

    variable: str = "loss"
    keep: int = field(kw_only=True)

    def __post_init__(self) -> None:
        check_integer("keep", self.keep, at_least=1)

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> TailState:
        first_tile_of(first_path)
        data, lead = loss_rows(block, self.variable, first_path=first_path), block[self.variable].shape[:-1]
        whole = Segment(data, None, first_path)
        segment = whole if data.shape[-1] <= 2 * self.keep else _selected((whole,), self.keep)
        return TailState((segment,), lead, data.shape[-1])

    def combine(self, states: Sequence[TailState]) -> TailState:
        segments = tuple(segment for state in states for segment in state.segments)
        if _length(segments) > 2 * self.keep:
            segments = (_selected(segments, self.keep),)
        return TailState(segments, states[0].lead, sum(state.seen for state in states))

    def finalize(self, state: TailState) -> dict[str, Any]:
        losses, paths, _ = _selected(state.segments, self.keep)
        assert paths is not None  # a selection always names its paths
        order = np.argsort(-losses, axis=-1, kind="stable")  # equal losses stay in path order
        shape = (*state.lead, losses.shape[-1])
        return {
            "loss": np.take_along_axis(losses, order, axis=-1).reshape(shape),
            "path": np.take_along_axis(paths, order, axis=-1).reshape(shape),
            "paths": state.seen,
        }
