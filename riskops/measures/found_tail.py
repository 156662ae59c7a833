"""What every tail figure is made from: the order statistics around each quantile, and the sums over what lies beyond.

They come from a tail that was kept whole, or, where that would not fit, from two passes: brackets of the order
statistics, and sums over the exceedances of the losses read again. Both give the same doubles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError
from riskops.measures.exceedances import Exceedances, beyond, terms, total
from riskops.reductions import Groups, WorstLosses

__all__ = ["FoundTail", "found_from_sums", "found_from_tail", "worst_of"]

Place = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FoundTail:
    """By place ``(row..., level)`` the losses around the quantile and the sums over what lies beyond it.

    Parameters
    ----------
    worst, sums
        By place; the sums by the names of :func:`riskops.measures.exceedances.term_names`.
    lead
        The sizes of the leading dims, without ``level``.
    paths
        How many paths there are.
    """

    worst: Mapping[Place, WorstLosses]
    sums: Mapping[Place, Mapping[str, float]]
    lead: tuple[int, ...]
    paths: int

    def base(self) -> FoundTail:
        """The rows of the first scenario, without that dim."""
        worst = {at[1:]: each for at, each in self.worst.items() if at[0] == 0}
        sums = {at[1:]: each for at, each in self.sums.items() if at[0] == 0}
        return FoundTail(worst, sums, self.lead[1:], self.paths)


def worst_of(tail: Mapping[str, Any], at: Place) -> WorstLosses:
    """The kept losses of a row, from what ``Tail`` or ``WeightedTail`` finalises to."""
    losses, paths = tail["loss"][at], tail["path"][at]
    if "weight" not in tail:
        return WorstLosses(losses, paths)
    held = int(np.count_nonzero(paths >= 0))  # shorter rows are padded
    return WorstLosses(losses[:held], paths[:held], tail["weight"][at][:held], counted=False)


def found_from_tail(
    tail: Mapping[str, Any], masses: npt.NDArray[np.float64], *, groups: Groups, plain: bool, stressed: bool
) -> FoundTail:
    """From a tail that was kept whole.

    Parameters
    ----------
    tail
        What ``Tail`` or ``WeightedTail`` finalises to.
    masses
        The weight beyond each quantile ``(row..., level)``.
    groups, plain
        As for :func:`riskops.measures.exceedances.terms`.
    stressed
        Whether the first dim is ``scenario``, whose first entry the others are matched with.
    """
    lead = masses.shape[:-1]
    worst: dict[Place, WorstLosses] = {}
    sums: dict[Place, dict[str, float]] = {}
    base: dict[Place, Exceedances] = {}
    for row in np.ndindex(*lead):
        kept = worst_of(tail, row)
        for column in range(masses.shape[-1]):
            at = (*row, column)
            worst[at] = kept
            own = _beyond(kept, masses[at])
            matched = base[at[1:]] if stressed and row[0] > 0 else None
            if stressed and row[0] == 0:
                base[at[1:]] = own
            sums[at] = total(terms(own, matched, groups=groups, plain=plain))
    return FoundTail(worst, sums, lead, int(tail["paths"]))


def _beyond(kept: WorstLosses, mass: float) -> Exceedances:
    place = kept.beyond(mass)
    if not 0 <= place < len(kept.values):
        raise InputError(f"tail: {len(kept.values)} losses do not reach the quantile beyond which {mass:g} lie")
    return beyond(kept.values, kept.paths, kept.weights, float(kept.values[place]))


def found_from_sums(marks: Mapping[str, Any], second: Mapping[str, Any], *, stressed: bool) -> FoundTail:
    """From the brackets of a first pass and the sums of a second one.

    Parameters
    ----------
    marks
        What :func:`riskops.measures.tail_passes.tail_marks` gives.
    second
        What :class:`riskops.measures.excess_sums.ExcessSums` finalises to.
    stressed
        As :func:`found_from_tail`.
    """
    lead, masses, names = marks["lead"], marks["masses"], second["names"]
    worst: dict[Place, WorstLosses] = {}
    sums: dict[Place, Mapping[str, float]] = {}
    for number, row in enumerate(np.ndindex(*lead)):
        for column in range(masses.shape[-1]):
            at = (*row, column)
            if number not in second["open"]:
                worst[at] = marks["worst"][number][column]
                sums[at] = dict(zip(names, second["sums"][number, column].tolist(), strict=True))
    for numbers in _rows_of(second["open"], lead, stressed):
        stacked = _stacked([second["open"][number] for number in numbers])
        rows = [np.unravel_index(number, lead) for number in numbers]
        part = np.stack([masses[r] for r in rows])
        found = found_from_tail(stacked, part, groups=marks["groups"], plain=marks["plain"], stressed=stressed)
        for k, r in enumerate(rows):
            for column in range(masses.shape[-1]):
                at = (*(int(i) for i in r), column)
                worst[at], sums[at] = found.worst[k, column], found.sums[k, column]
    return FoundTail(worst, sums, lead, int(marks["paths"]))


def _rows_of(open_rows: Mapping[int, Any], lead: tuple[int, ...], stressed: bool) -> list[list[int]]:
    """The rows whose tails were kept whole, those of one position under all scenarios together, the base first."""
    if not stressed:
        return [[row] for row in sorted(open_rows)]
    size = int(np.prod(lead[1:], dtype=np.int64))
    return [[first + k * size for k in range(lead[0])] for first in sorted(row for row in open_rows if row < size)]


def _stacked(tails: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Tails of single rows as one tail ``(row, kept)``, shorter ones padded as WeightedTail does."""
    width = max(tail["loss"].shape[-1] for tail in tails)
    fill = {"loss": -np.inf, "path": -1, "weight": 0.0}
    out: dict[str, Any] = {"paths": tails[0]["paths"]}
    for name, value in fill.items():
        if name in tails[0]:
            rows = [tail[name].reshape(-1) for tail in tails]
            out[name] = np.stack([np.pad(row, (0, width - len(row)), constant_values=value) for row in rows])
    return out
