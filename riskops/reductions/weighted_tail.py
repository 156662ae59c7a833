"""The exact tail of weighted losses: the worst losses of every row until their weights add up to what is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from riskops.checks import check_positive
from riskops.reductions.loss_rows import loss_rows
from riskops.reductions.reduction import Array, Reduction, first_tile_of

__all__ = ["WeightedTail"]


class _Row(NamedTuple):
    """Losses of a row with their paths and weights, in any order until the tail is cut."""

    losses: npt.NDArray[np.float64]
    paths: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


def _take(row: _Row, which: npt.NDArray[Any] | slice) -> _Row:
    return _Row(row.losses[which], row.paths[which], row.weights[which])


def _tail(row: _Row, mass: float) -> _Row:
    """The worst losses, sorted, up to the first behind which the weights exceed ``mass``, and that one.

    Only what may be needed is sorted: the largest losses, twice as many until their weights suffice, with all that
    equal the smallest of them.
    """
    many, needed = len(row.losses), row
    most = int(mass) + 1
    while most < many:
        least = np.partition(row.losses, many - most)[many - most]
        needed = _take(row, np.flatnonzero(row.losses >= least))
        if needed.weights.sum() > mass * (1.0 + 1e-9):
            break
        needed, most = row, 2 * most
    needed = _take(needed, np.lexsort((needed.paths, -needed.losses)))
    beyond = np.cumsum(needed.weights) > mass
    return _take(needed, slice(None, int(np.argmax(beyond)) + 1 if beyond[-1] else None))


@dataclass(frozen=True, eq=False)
class _State:
    rows: tuple[_Row, ...]
    lead: tuple[int, ...]
    seen: int


@dataclass(frozen=True)
class WeightedTail(Reduction):
    """The largest losses of every row whose weights add up to more than ``mass``, with their paths and weights.

    Parameters
    ----------
    variable
        The variable to read, ``(..., horizon, path)``.
    weight
        The variable that weights the paths, ``(horizon, path)``, not negative.
    mass
        The sum of weights that is needed: paths times the tail probability, with room for an interval.

    Notes
    -----
    ``finalize`` gives ``loss``, ``path`` and ``weight`` ``(..., kept)``, the worst loss first and of equal losses the
    earlier path; shorter rows end in losses of minus infinity with weight zero and path -1. ``paths`` is the number of
    paths seen. The loss at which the weights exceed ``mass`` is the last one kept, so what is kept does not depend on
    how the paths were cut. A NaN in either variable is an error that names its row and path.
    """

    variable: str = "loss"
    weight: str = "loss_weight"
    mass: float = field(kw_only=True)

    def __post_init__(self) -> None:
        check_positive("mass", self.mass)

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable, self.weight)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> _State:
        first_tile_of(first_path)
        lead = block[self.variable].shape[:-1]
        data, weights = (loss_rows(block, name, first_path=first_path) for name in self.variables)
        paths = np.arange(first_path, first_path + data.shape[-1])
        horizons = len(weights)
        rows = [_Row(row, paths, weights[k % horizons]) for k, row in enumerate(data)]
        return _State(tuple(self._held(row) for row in rows), lead, data.shape[-1])

    def _held(self, row: _Row) -> _Row:
        """The row cut down to its tail where it has grown to twice what is needed: cutting costs a sort."""
        return _tail(row, self.mass) if row.weights.sum() > 2.0 * self.mass else row

    def combine(self, states: Sequence[_State]) -> _State:
        joined = []
        for parts in zip(*(state.rows for state in states), strict=True):
            row = _Row(*(np.concatenate([part[k] for part in parts]) for k in range(3)))
            joined.append(self._held(row))
        return _State(tuple(joined), states[0].lead, sum(state.seen for state in states))

    def finalize(self, state: _State) -> dict[str, Any]:
        tails = [_tail(row, self.mass) for row in state.rows]
        kept = max(len(row.losses) for row in tails)
        losses = np.full((len(tails), kept), -np.inf)
        paths, weights = np.full(losses.shape, -1, dtype=np.int64), np.zeros(losses.shape)
        for k, row in enumerate(tails):
            losses[k, : len(row.losses)], paths[k, : len(row.paths)] = row.losses, row.paths
            weights[k, : len(row.weights)] = row.weights
        shape = (*state.lead, kept)
        named = {"loss": losses, "path": paths, "weight": weights}
        return {name: array.reshape(shape) for name, array in named.items()} | {"paths": state.seen}
