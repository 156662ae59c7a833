"""Exact order statistics at any ranks, in two passes over the losses and bounded memory.

The first pass says between which two losses each lies (:class:`riskops.reductions.RankSummary`), the second collects
what lies between, equal losses once with their number, and counts what lies below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.reductions.rank_summary import RankSummary, merge_levels, sorted_rows
from riskops.reductions.reduction import Array, Reduction, chunk_states, combine_states, finalized, reduce_paths
from riskops.reductions.second_pass import again_dataset

__all__ = ["Between", "order_statistics", "order_statistics_bytes", "summary_points"]

Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

#: States that one task merges.
SPLIT_EVERY = 8


class _Found(NamedTuple):
    """Of a row the intervals between which its order statistics lie, how many losses lie below each interval, and the
    losses inside, ascending, with how many there are of each."""

    low: Float
    high: Float
    below: Whole
    values: Float
    counts: Whole


@dataclass(frozen=True, eq=False)
class _State:
    rows: tuple[_Found, ...]
    brackets: Mapping[str, Float]
    lead: tuple[int, ...]


def _intervals(low: Float, high: Float) -> tuple[Float, Float]:
    """The brackets that are no single loss, those that meet joined into one."""
    open_ = low < high
    low, high = low[open_], high[open_]
    first = np.ones(len(low), np.bool_)
    first[1:] = low[1:] > high[:-1]
    last = np.append(first[1:], True)[: len(low)]
    return low[first], high[last]


def _equal_once(values: Float, counts: Whole) -> tuple[Float, Whole]:
    """From ascending losses, equal ones once, with the sum of their numbers."""
    if not len(values):
        return values, counts
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    return values[first], np.add.reduceat(counts, first)


@dataclass(frozen=True, eq=False)
class Between(Reduction):
    """The order statistics at ``ranks``, from the losses between the brackets that a first pass has found.

    Parameters
    ----------
    variable
        The variable to read, ``(..., path)``.
    ranks
        The ranks of the order statistics, from 1 for the smallest loss, ascending.

    Notes
    -----
    Beside its variable a chunk is given ``low`` and ``high`` ``(row, rank)``. ``finalize`` gives ``values`` ``(...,
    rank)`` and ``collected``, the largest number of distinct losses that a row had to hold.
    """

    variable: str = "loss"
    ranks: Whole = field(kw_only=True)

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> _State:
        rows = sorted_rows(block, self.variable, first_path=first_path)
        found = []
        for ascending, row_low, row_high in zip(rows, block["low"], block["high"], strict=True):
            low, high = _intervals(row_low, row_high)
            start = np.searchsorted(ascending, low, side="left")
            stop = np.searchsorted(ascending, high, side="right")
            inside = [ascending[a:b] for a, b in zip(start.tolist(), stop.tolist(), strict=True)]
            values = np.concatenate(inside) if inside else np.empty(0)
            held = _equal_once(values, np.ones(len(values), np.int64))
            found.append(_Found(low, high, start.astype(np.int64), *held))
        brackets = {name: block[name] for name in ("low", "high")}
        return _State(tuple(found), brackets, block[self.variable].shape[:-1])

    def combine(self, states: Sequence[_State]) -> _State:
        rows = []
        for parts in zip(*(state.rows for state in states), strict=True):
            values = np.concatenate([part.values for part in parts])
            order = np.argsort(values)
            held = _equal_once(values[order], np.concatenate([part.counts for part in parts])[order])
            below = np.add.reduce(np.stack([part.below for part in parts]))
            rows.append(_Found(parts[0].low, parts[0].high, below, *held))
        return _State(tuple(rows), states[0].brackets, states[0].lead)

    def finalize(self, state: _State) -> dict[str, Any]:
        ranks: Whole = self.ranks
        out = []
        for row, low, high in zip(state.rows, state.brackets["low"], state.brackets["high"], strict=True):
            figures, wide = low.copy(), low < high  # where both are one loss, it is the order statistic
            if wide.any():
                figures[wide] = self._read(row, ranks[wide], low[wide])
            out.append(figures)
        collected = max(len(row.values) for row in state.rows)
        return {"values": np.stack(out).reshape(*state.lead, len(ranks)), "collected": collected}

    def _read(self, row: _Found, ranks: Whole, low: Float) -> Float:
        """The order statistics at these ranks, each inside the interval that holds its lower bracket."""
        interval = np.searchsorted(row.low, low, side="right") - 1
        start = np.searchsorted(row.values, row.low, side="left")
        stop = np.searchsorted(row.values, row.high, side="right")
        upto = np.append(0, np.cumsum(row.counts))
        inside = upto[start][interval] + ranks - row.below[interval]
        place = np.searchsorted(upto, inside, side="left") - 1
        if ((place < start[interval]) | (place >= stop[interval])).any():
            raise InputError(f"{self.variable}: the second pass was given other losses than the first")
        found: Float = row.values[place]
        return found


def summary_points(paths: int, ranks: int, *, chunks: int) -> int:
    """How many losses of a row the first pass holds, so that both passes need about the same memory.

    What the second has to hold falls as the first holds more, so that the memory of both is of the order of the square
    root of paths times ranks: no way to select exactly in two passes does with less (Munro and Paterson 1980).

    Examples
    --------
    >>> summary_points(1_000_000, 3000, chunks=1)
    27387
    >>> summary_points(64_000_000, 3000, chunks=64)
    379474
    """
    check_integer("paths", paths, at_least=1)
    check_integer("ranks", ranks, at_least=1)
    levels = merge_levels(check_integer("chunks", chunks, at_least=1), SPLIT_EVERY)
    return max(math.ceil(math.sqrt(ranks * paths * (levels + 1) / 4.0)), 2)


def order_statistics_bytes(paths: int, ranks: int, *, chunks: int, rows: int = 1) -> dict[str, int]:
    """The most bytes that :func:`order_statistics` needs, whatever the losses.

    Parameters
    ----------
    paths, ranks, chunks
        Number of paths, of ranks, and of chunks of ``path``.
    rows
        Product of the leading dims.

    Returns
    -------
    dict
        ``message``: of a state that goes from task to task. ``task``: of the task that merges states. ``waiting``: of
        all states that wait for their neighbours while chunks are worked through in order. A task that makes a state
        holds its chunk and a sorted copy of it beside.

    Examples
    --------
    >>> order_statistics_bytes(1_000_000, 3000, chunks=8)
    {'message': 5112000, 'task': 25560000, 'waiting': 40896000}
    """
    points = summary_points(paths, ranks, chunks=chunks)
    levels = merge_levels(chunks, SPLIT_EVERY)
    first = 24 * (min(points, paths) + 2)
    inside = min(ranks * (2 * ((levels + 1) * paths // points) + 2), paths)
    second = 16 * inside + 40 * ranks
    # states are joined two by two, so that two generations lie beside those that were given
    message = rows * max(first, second)
    task = max(3 * SPLIT_EVERY * rows * first, 5 * rows * second)
    return {"message": message, "task": task, "waiting": SPLIT_EVERY * levels * message}


def order_statistics(ds: xr.Dataset, *, ranks: Sequence[int], variable: str = "loss") -> da.Array:
    """The order statistics of every row of a variable at these ranks, exactly; lazy, two passes in one graph.

    Parameters
    ----------
    ds
        Holds the variable ``(..., path)`` in chunks of whole tiles.
    ranks
        Ranks from 1 for the smallest loss, ascending and unique.
    variable
        The variable to read.

    Returns
    -------
    Array
        0-d object array; ``.compute().item()`` has ``values`` ``(..., rank)``, and ``collected``, the largest number of
        distinct losses that the second pass had to hold for a row.

    Raises
    ------
    InputError
        A rank beyond the number of paths, or (when computed) a loss that is not finite.

    Notes
    -----
    Each chunk is made, or read, once a pass. :func:`order_statistics_bytes` bounds the memory for any losses in any
    order. The results are losses of the sample, so they do not depend on chunks, order or scheduler; -0.0 gives 0.0.

    Examples
    --------
    >>> losses = xr.Dataset({"loss": ("path", np.arange(1.0, 4097.0))}).chunk(path=1024)
    >>> order_statistics(losses, ranks=[41, 4000]).compute().item()["values"].tolist()
    [41.0, 4000.0]
    """
    wanted = np.array([check_integer("ranks", rank, at_least=1) for rank in ranks], dtype=np.int64)
    paths = ds.sizes["path"]
    if len(wanted) and wanted[-1] > paths:
        raise InputError(f"ranks: {wanted[-1]} is beyond the {paths} paths")
    chunks = len(ds[variable].chunksizes.get("path", (paths,)))
    points = summary_points(paths, max(len(wanted), 1), chunks=chunks)
    summary = RankSummary(variable, ranks=wanted, points=points)
    brackets = reduce_paths(ds[[variable]], summary, split_every=SPLIT_EVERY, name="rank-summary")
    between = Between(variable, ranks=wanted)
    second = again_dataset(ds[[variable]], after=brackets)
    states = chunk_states(second, between, beside=brackets, name="order-statistics")
    return finalized(combine_states(states, between, split_every=SPLIT_EVERY, name="order-statistics"), between)
