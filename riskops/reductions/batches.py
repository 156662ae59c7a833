"""Errors by batch means: a statistic of each whole tile, and the spread of these over the tiles.

A tile's statistic is an independent estimate from 1024 paths, so with ``b`` whole tiles the standard error of the
statistic over all paths is close to ``sd(tile statistics) / sqrt(b)``, whatever the distribution. A short last tile is
no batch. With fewer than two batches the error is NaN, and so it is where a tile has no such statistic (no variance).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from riskops.reductions.order import SIDE, Z95
from riskops.reductions.tree import Merge, TileTree, Values

__all__ = [
    "LEAF_NUMBERS",
    "SLOT",
    "batch_error",
    "batch_leaves",
    "batch_reach",
    "fold_batches",
    "merge_batches",
    "replicate_tree",
    "widen",
]

Float = npt.NDArray[np.float64]

#: Numbers that the leaves of one stretch of tiles may hold (16 MB): with many slots or assets a tile's are many.
LEAF_NUMBERS = 1 << 21
#: Before the name of a value: the same value of each replicate, ``(node, replicate, ...)``.
SLOT = "replicate_"


def widen(count: npt.NDArray[Any], like: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A number a node, with axes of length one so that it meets the values of the nodes."""
    return count.reshape(count.shape + (1,) * (like.ndim - count.ndim))


def batch_leaves(statistics: Float, whole: npt.NDArray[np.bool_]) -> dict[str, Float]:
    """Leaves from the statistics ``(tile, ...)``; ``whole`` says which tiles have all their paths."""
    mean = np.where(widen(whole, statistics), statistics, 0.0)
    return {"batches": whole.astype(np.float64), "batch_mean": mean, "batch_squares": np.zeros_like(mean)}


def merge_batches(left: Values, right: Values) -> dict[str, Float]:
    """Number, mean and sum of squared deviations of the batches of two runs (Chan, Golub and LeVeque 1979)."""
    number = left["batches"] + right["batches"]
    weight = widen(right["batches"] / np.maximum(number, 1.0), left["batch_mean"])
    step = right["batch_mean"] - left["batch_mean"]
    squares = left["batch_squares"] + right["batch_squares"]
    return {
        "batches": number,
        "batch_mean": left["batch_mean"] + step * weight,
        "batch_squares": squares + step * step * (weight * widen(left["batches"], step)),
    }


def batch_error(total: Values) -> Float:
    """The standard error from the folded values; NaN with fewer than two batches."""
    number = total["batches"]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(total["batch_squares"] / ((number - 1.0) * number if number > 1 else np.nan)))


def batch_reach(number: float) -> float:
    """How many standard errors a 95 % interval reaches: Student's t for the number of batches, NaN below two."""
    if number < 2:
        return float("nan")
    return Z95 if number > 1000 else float(stdtrit(number - 1.0, 1.0 - SIDE))


def fold_batches(statistics: Float, whole: npt.NDArray[np.bool_]) -> dict[str, Float]:
    """The folded values of batches that are all at hand, ``(batch, ...)``; ``whole`` says which of them count."""
    leaves = batch_leaves(statistics, whole)
    total: Values = {name: array[:1] for name, array in leaves.items()}
    for k in range(1, len(whole)):
        total = merge_batches(total, {name: array[k : k + 1] for name, array in leaves.items()})
    return {name: array[0] for name, array in total.items()}


def replicate_tree(
    first_tile: int, leaves: Values, replicates: int, merge: Merge, *, names: Sequence[str] | None = None
) -> TileTree:
    """The tree of tiles whose values also stand in slots, one a replicate: tile t in slot t modulo ``replicates``.

    ``names`` are the values that do so, all when it is None. The slots that a tile does not fill are zero; so that they
    cost little, the tiles are worked through in stretches.
    """
    tiles, slotted = len(next(iter(leaves.values()))), tuple(leaves) if names is None else names
    stretch = max(1, LEAF_NUMBERS // (replicates * sum(leaves[name][0].size for name in slotted)))
    trees = []
    for start in range(0, tiles, stretch):
        part = {name: array[start : start + stretch] for name, array in leaves.items()}
        slots: dict[str, npt.NDArray[Any]] = {}
        for name in slotted:
            array = part[name]
            slots[SLOT + name] = np.zeros((len(array), replicates, *array.shape[1:]))
            rows = np.arange(len(array))
            slots[SLOT + name][rows, (first_tile + start + rows) % replicates] = array
        trees.append(TileTree.from_tiles(first_tile + start, part | slots, merge))
    return TileTree.join(trees, merge)
