"""The second pass over losses: exact sums over what lies beyond quantiles that a first pass has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from riskops.errors import InputError
from riskops.measures.exceedances import beyond, term_names, terms
from riskops.reductions import Groups, Reduction, Tail, WeightedTail
from riskops.reductions.exact_sums import LIMBS, ExactSums, add_all
from riskops.reductions.reduction import rows_of

__all__ = ["ExcessSums"]

#: Rows whose limbs are held at once.
ROWS = 256


@dataclass(frozen=True, eq=False)
class _State:
    sums: tuple[ExactSums, ...]
    open: Mapping[int, Any]
    seen: int


@dataclass(frozen=True)
class ExcessSums(Reduction):
    """The exact sums of :func:`riskops.measures.exceedances.terms` over each quantile.

    ``chunk`` takes ``loss`` and, where paths are weighted, ``loss_weight``, and beside them ``quantile`` ``(row,
    level)``; rows whose quantile is NaN are open: what ``fallback`` keeps of them is found instead.

    Parameters
    ----------
    groups, plain
        As for :func:`riskops.measures.exceedances.terms`.
    scenarios
        How many scenarios the rows are of, the base first; zero where there is no such dim.
    fallback
        Keeps the tail of an open row.
    """

    groups: Groups
    plain: bool
    scenarios: int
    fallback: Tail | WeightedTail

    @property
    def variables(self) -> tuple[str, ...]:
        return self.fallback.variables

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sums."""
        return term_names(self.groups, plain=self.plain, stressed=self.scenarios > 1)

    def chunk(self, block: Mapping[str, Any], *, first_path: int) -> _State:
        quantile = block["quantile"]
        losses = rows_of(block["loss"])
        weights = block.get("loss_weight")
        paths = np.arange(first_path, first_path + losses.shape[-1])
        column = {name: k for k, name in enumerate(self.names)}
        layers = max(self.scenarios, 1)
        base_rows = len(losses) // layers
        step = max(ROWS // layers, 1)
        sums = []
        for start in range(0, base_rows, step):
            shape = (layers, min(step, base_rows - start), quantile.shape[-1])
            limbs = np.zeros((*shape, len(column), LIMBS), np.int64)
            for row, c in np.ndindex(*shape[1:]):
                base = None
                for s in range(layers):
                    number = s * base_rows + start + row
                    if np.isnan(quantile[number, c]):
                        continue
                    own_weights = None if weights is None else weights[number % len(weights)]
                    own = beyond(losses[number], paths, own_weights, float(quantile[number, c]))
                    for name, values in terms(own, base, groups=self.groups, plain=self.plain).items():
                        if not add_all(limbs[s, row, c, column[name]], values):
                            raise InputError("loss: a loss is not finite, or its cube is beyond the largest double")
                    base = own if s == 0 and layers > 1 else base
            sums.append(ExactSums.of(limbs))
        open_rows = {}
        for row in np.flatnonzero(np.isnan(quantile).any(axis=1)).tolist():
            part = {"loss": losses[row : row + 1]}
            if weights is not None:
                part["loss_weight"] = weights[row % len(weights)][None]
            open_rows[row] = self.fallback.chunk(part, first_path=first_path)
        return _State(tuple(sums), open_rows, losses.shape[-1])

    def combine(self, states: Sequence[_State]) -> _State:
        sums = tuple(ExactSums.merged(parts) for parts in zip(*(state.sums for state in states), strict=True))
        kept = {row: self.fallback.combine([state.open[row] for state in states]) for row in states[0].open}
        return _State(sums, kept, sum(state.seen for state in states))

    def finalize(self, state: _State) -> dict[str, Any]:
        sums = np.concatenate([part.rounded() for part in state.sums], axis=1)
        return {
            "names": self.names,
            "sums": sums.reshape(-1, *sums.shape[2:]),
            "open": {row: self.fallback.finalize(kept) for row, kept in state.open.items()},
            "paths": state.seen,
        }
