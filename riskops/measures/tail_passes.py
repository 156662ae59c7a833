"""How a tail is found: kept whole in one pass where that is small, in bounded memory and two passes where it is not.

The tail of a run grows with its paths. Up to a bound it is kept, and everything is read off it. Beyond, the first pass
keeps brackets of the order statistics (:class:`riskops.reductions.Brackets`), and a second one, over losses read from
the store or drawn again, adds up what lies beyond them. Both give the same doubles, so which it was shows in no figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.measures.excess_sums import ExcessSums
from riskops.measures.found_tail import FoundTail, found_from_sums, found_from_tail
from riskops.measures.grouped_tail import grouped_span, needed_mass, quantile_mass
from riskops.measures.tail_shares import tail_cuts
from riskops.reductions import (
    Brackets,
    Groups,
    Reduction,
    Tail,
    WeightedTail,
    again_dataset,
    boxed,
    chunk_states,
    combine_states,
    finalized,
    groups_of,
    interval_ranks,
    needed_tail,
    order_index,
)

__all__ = [
    "WHOLE_TAIL_BYTES",
    "Again",
    "find_tail",
    "found_tail",
    "is_bounded",
    "is_plain",
    "tail_reduction",
    "tail_size",
]

#: Gives the losses a second time, once its argument, a 0-d array, is computed.
Again = Callable[[da.Array], xr.Dataset]
#: Tails whose losses and paths take no more than this are kept whole.
WHOLE_TAIL_BYTES = 64 * 2**20


def is_plain(losses: xr.Dataset) -> bool:
    """Whether the paths are independent and count one each."""
    return groups_of(losses.attrs).unit == "path" and "loss_weight" not in losses


def tail_size(levels: Sequence[float], n: int, groups: Groups, *, controlled: bool = False) -> int:
    """How many of the largest of n losses of weight one are needed; controlled figures move along the tail."""
    plain = needed_tail(levels, n)
    if groups.unit == "path" and not controlled:
        return plain
    return max(plain, min(n, math.ceil(needed_mass(levels, n, groups)) + 1))


def is_bounded(*, rows: int, kept: int) -> bool:
    """Whether tails of so many rows and kept losses are too large to be kept whole."""
    return rows * kept * 16 > WHOLE_TAIL_BYTES


def tail_reduction(losses: xr.Dataset, *, level: Sequence[float], controlled: bool = False) -> Reduction:
    """The reduction that finds what VaR, ES and their intervals need of these losses in the first pass."""
    if not _takes_two(losses, level):
        return _whole(losses, level=level, controlled=controlled)
    n, groups = losses.sizes["path"], groups_of(losses.attrs)
    grouped = not is_plain(losses) or controlled
    spans = tuple(grouped_span(a, n, groups) if grouped else _span(a, n) for a in level)
    return Brackets(weight="loss_weight" if "loss_weight" in losses else None, spans=spans, paths=n)


def _takes_two(losses: xr.Dataset, level: Sequence[float]) -> bool:
    """Whether the tail of these losses is found in two passes."""
    n = losses.sizes["path"]
    kept = n if "loss_weight" in losses else tail_size(level, n, groups_of(losses.attrs), controlled=True)
    return is_bounded(rows=losses["loss"].size // n, kept=kept)


def _span(level: float, n: int) -> tuple[float, float]:
    low, high = interval_ranks(level, n)
    return float(n - high), float(n - low)


def _whole(losses: xr.Dataset, *, level: Sequence[float], controlled: bool) -> Tail | WeightedTail:
    n, groups = losses.sizes["path"], groups_of(losses.attrs)
    if "loss_weight" in losses:
        return WeightedTail(mass=needed_mass(level, n, groups))
    return Tail(keep=tail_size(level, n, groups, controlled=controlled))


def quantile_masses(
    levels: Sequence[float], n: int, *, lead: Sequence[int], plain: bool, counted: bool
) -> npt.NDArray[np.float64]:
    """The weight beyond VaR ``(row..., level)``."""
    masses = [float(n - order_index(a, n)) if plain else quantile_mass(a, n, counted=counted) for a in levels]
    return np.broadcast_to(np.array(masses), (*lead, len(levels)))


#: Says the weight beyond each quantile from the result of the first pass, where it is not that of the levels.
Masses = Callable[[Mapping[str, Any]], npt.NDArray[np.float64]]


def found_tail(
    result: Mapping[str, Any], *, key: str | None, levels: Sequence[float], groups: str, plain: bool, stressed: bool
) -> FoundTail:
    """What a tail that was kept whole, or a result of both passes, gives; plain arithmetic, no graph."""
    if "second" in result:
        return found_from_sums(result["marks"], result["second"], stressed=stressed)
    tail = result if key is None else result[key]
    lead, n = tail["loss"].shape[:-1], int(tail["paths"])
    masses = quantile_masses(levels, n, lead=lead, plain=plain, counted="weight" not in tail)
    return found_from_tail(tail, masses, groups=Groups.from_text(groups), plain=plain, stressed=stressed)


def find_tail(
    result: da.Array,
    losses: xr.Dataset,
    *,
    level: Sequence[float],
    key: str | None = None,
    again: Again | None = None,
    masses: Masses | None = None,
) -> da.Array:
    """The result of the first pass, or that of both where one does not suffice; a lazy 0-d object array.

    Parameters
    ----------
    result
        What the (fused) reduction with :func:`tail_reduction` finalises to; ``key`` is its name in there.
    losses
        ``loss`` ``([scenario, portfolio, horizon,] path)``, with ``loss_weight`` where paths are weighted.
    level
        Confidence levels.
    key
        The name of the tail in the result.
    again
        Gives the losses a second time; None makes them again from their sources.
    masses
        The weight beyond each quantile ``(row..., level)`` from the result; by default that of the levels.
    """
    if not _takes_two(losses, level):
        return result
    marks = lazy_marks(result, losses, level=level, key=key, masses=masses)
    stressed = "scenario" in losses["loss"].dims
    sums = ExcessSums(
        groups=groups_of(losses.attrs),
        plain=is_plain(losses),
        scenarios=losses.sizes["scenario"] if stressed else 0,
        fallback=_whole(losses, level=level, controlled=masses is not None),
    )
    second = second_pass(marks, losses, sums, again=again, name="excess-sums")
    return da.map_blocks(
        _both, marks, second, dtype=object, meta=np.empty((), object), name=f"both-passes-{tokenize(second.name)}"
    )


def second_pass(
    marks: da.Array, losses: xr.Dataset, reduction: Reduction, *, again: Again | None, name: str
) -> da.Array:
    """Reduce the losses made again, every chunk with the ``quantile`` and ``cuts`` of the marks beside it."""
    small = da.map_blocks(
        _small, marks, dtype=object, meta=np.empty((), object), name=f"quantiles-{tokenize(marks.name)}"
    )
    made = again_dataset(losses, after=small) if again is None else again(small)
    states = chunk_states(made, reduction, beside=small, name=name)
    return finalized(combine_states(states, reduction, name=name), reduction)


def lazy_marks(
    result: da.Array, losses: xr.Dataset, *, level: Sequence[float], key: str | None, masses: Masses | None = None
) -> da.Array:
    """The lazy :func:`tail_marks` of a first pass."""
    groups = groups_of(losses.attrs).text
    return da.map_blocks(
        tail_marks,
        result,
        key=key,
        levels=tuple(level),
        groups=groups,
        plain=is_plain(losses),
        stressed="scenario" in losses["loss"].dims,
        masses=masses,
        dtype=object,
        meta=np.empty((), object),
        name=f"tail-marks-{tokenize(result.name, key, level, groups, masses)}",
    )


def tail_marks(
    result: npt.NDArray[Any],
    key: str | None,
    levels: Sequence[float],
    groups: str,
    plain: bool,
    stressed: bool,
    masses: Masses | None,
) -> npt.NDArray[Any]:
    """The brackets of the first pass, the quantiles ``(row, level)`` in them, and the cuts of the base's rows.

    Rows that are open have NaN for quantiles and None for cuts.
    """
    whole = result.item()
    tail = whole if key is None else whole[key]
    lead, n, worst = tuple(tail["lead"]), int(tail["paths"]), tail["worst"]
    counted = all(each is None or each.counted for row in worst for each in row)
    wanted = quantile_masses(levels, n, lead=lead, plain=plain, counted=counted) if masses is None else masses(whole)
    flat = wanted.reshape(-1, len(levels))
    quantile = np.full(flat.shape, np.nan)
    layers = lead[0] if stressed else 1
    per = len(worst) // layers
    for row in range(per):
        numbers = [row + s * per for s in range(layers)]
        found = [[_at(worst[k][c], flat[k, c]) for c in range(len(levels))] for k in numbers]
        if not np.isnan(found).any():  # the rows of a place are matched, so they are found in the same way
            quantile[numbers] = found
    cuts = [
        None if np.isnan(quantile[row]).any() else [tail_cuts(worst[row][c], a, n) for c, a in enumerate(levels)]
        for row in range(per)
    ]
    marks = {"worst": worst, "lead": lead, "paths": n, "masses": wanted, "quantile": quantile, "cuts": cuts}
    return boxed(marks | {"groups": Groups.from_text(groups), "plain": plain})


def _at(worst: Any, mass: float) -> float:
    if worst is None:
        return math.nan
    place = worst.beyond(mass)
    return float(worst.values[place]) if 0 <= place < len(worst.values) else math.nan


def _small(marks: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What goes to every task of the second pass."""
    return boxed({name: marks.item()[name] for name in ("quantile", "cuts")})


def _both(marks: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return boxed({"marks": marks.item(), "second": second.item()})
