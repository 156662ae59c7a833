"""How many losses exceed each of some thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from riskops.reductions.rank_summary import sorted_rows
from riskops.reductions.reduction import Array, Reduction, first_tile_of

__all__ = ["ExceedanceCounts"]


class _State(NamedTuple):
    counts: npt.NDArray[np.int64]
    lead: tuple[int, ...]
    seen: int


@dataclass(frozen=True, eq=False)
class ExceedanceCounts(Reduction):
    """How many paths of every row have a loss above each threshold.

    Parameters
    ----------
    variable
        The variable to read, ``(..., path)``.
    thresholds
        Ascending ``(threshold,)``.

    Notes
    -----
    ``finalize`` gives ``counts`` ``(..., threshold)`` and ``paths``, the number of paths seen. What is not finite is an
    error that names its row and path.

    Examples
    --------
    >>> counts = ExceedanceCounts(thresholds=np.array([0.0, 2.0]))
    >>> state = counts.chunk({"loss": np.array([1.0, 2.0, 3.0])}, first_path=0)
    >>> counts.finalize(state)["counts"].tolist()
    [3, 1]
    """

    variable: str = "loss"
    thresholds: npt.NDArray[np.float64] = field(kw_only=True)

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> _State:
        first_tile_of(first_path)
        rows = sorted_rows(block, self.variable, first_path=first_path)
        counts = np.stack([len(row) - np.searchsorted(row, self.thresholds, side="right") for row in rows])
        return _State(counts.astype(np.int64), block[self.variable].shape[:-1], len(rows[0]))

    def combine(self, states: Sequence[_State]) -> _State:
        counts = np.add.reduce(np.stack([state.counts for state in states]))
        return _State(counts, states[0].lead, sum(state.seen for state in states))

    def finalize(self, state: _State) -> dict[str, Any]:
        return {"counts": state.counts.reshape(*state.lead, len(self.thresholds)), "paths": state.seen}
