"""The exact tail: the worst losses of every row, with the numbers of their paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.reductions.reduction import Array, Reduction, first_tile_of, rows_of

__all__ = ["Tail", "TailState"]

Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TailState:
    """The worst losses ``(..., kept)`` in path order, the numbers of their paths, and how many paths were seen."""

    losses: Float
    paths: Whole
    seen: int


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _collect(losses, cut, out, at):  # type: ignore[no-untyped-def]
    """Put the losses above ``cut``, and of those equal to it the first, into ``out``, and their places into ``at``.

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
        at[place] = i
        place += (loss > cut) | equal
        room -= equal


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _first_nan(data):  # type: ignore[no-untyped-def]
    """Row and column of the first NaN; -1 when there is none."""
    for row in range(data.shape[0]):
        found = 0
        for i in range(data.shape[1]):
            found += data[row, i] != data[row, i]
        if found > 0:
            for i in range(data.shape[1]):
                if data[row, i] != data[row, i]:
                    return row, i
    return -1, -1


def _worst(losses: Float, keep: int) -> tuple[Float, Whole]:
    """The ``keep`` worst of every row ``(row, n)``, in order of place, and their places; of equals the first ones."""
    rows, n = losses.shape
    if n <= keep:
        return losses.copy(), np.broadcast_to(np.arange(n), losses.shape).copy()
    out, at = np.empty((rows, keep)), np.empty((rows, keep), dtype=np.int64)
    room_out, room_at = np.empty(keep + 1), np.empty(keep + 1, dtype=np.int64)
    for row in range(rows):
        cut = np.partition(losses[row], n - keep)[n - keep]
        _collect(losses[row], cut, room_out, room_at)
        out[row], at[row] = room_out[:keep], room_at[:keep]
    return out, at


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
        array = block[self.variable]
        data, lead = rows_of(array).astype(np.float64, copy=False), array.shape[:-1]
        row, column = _first_nan(data)
        if row >= 0:
            where = tuple(int(i) for i in np.unravel_index(row, lead))
            raise InputError(f"{self.variable}: path {first_path + column} of row {where} is NaN, not a number")
        losses, places = _worst(data, self.keep)
        shape = (*lead, losses.shape[-1])
        return TailState(losses.reshape(shape), (places + first_path).reshape(shape), data.shape[-1])

    def combine(self, states: Sequence[TailState]) -> TailState:
        losses = np.concatenate([state.losses for state in states], axis=-1)
        paths = np.concatenate([state.paths for state in states], axis=-1)
        shape, seen = losses.shape[:-1], sum(state.seen for state in states)
        worst, places = _worst(rows_of(losses), self.keep)
        kept = np.take_along_axis(rows_of(paths), places, axis=-1)
        return TailState(worst.reshape(*shape, -1), kept.reshape(*shape, -1), seen)

    def finalize(self, state: TailState) -> dict[str, Any]:
        order = np.argsort(-state.losses, axis=-1, kind="stable")  # equal losses stay in path order
        return {
            "loss": np.take_along_axis(state.losses, order, axis=-1),
            "path": np.take_along_axis(state.paths, order, axis=-1),
            "paths": state.seen,
        }
