"""Errors by batch means: a statistic of each whole tile, and the spread of these over the tiles.

A tile's statistic is an independent estimate from 1024 paths, so with ``b`` whole tiles the standard error of the
statistic over all paths is close to ``sd(tile statistics) / sqrt(b)``, whatever the distribution. A short last tile is
no batch. With fewer than two batches the error is NaN, and so it is where a tile has no such statistic (no variance).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.reductions.tree import Values

__all__ = ["batch_error", "batch_leaves", "merge_batches", "widen"]

Float = npt.NDArray[np.float64]


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
