"""Losses drawn by NumPy for the tests of measures: as Datasets, and as the sorted tails that figures are made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.reductions import needed_tail
from riskops.schema import variable

__all__ = ["coverage", "losses_of", "tail_of"]


def losses_of(values: npt.ArrayLike, *, chunk: int = 1024) -> xr.Dataset:
    """``loss`` from an array whose dims are the last ones of (scenario, portfolio, horizon, path)."""
    array = np.asarray(values, dtype=float)
    dims = ("scenario", "portfolio", "horizon", "path")[4 - array.ndim :]
    labels: dict[str, list[Any]] = {
        "scenario": ["base", *(f"s{i}" for i in range(1, 9))],
        "portfolio": [f"p{i}" for i in range(9)],
        "horizon": [float(1 + i) for i in range(9)],
    }
    coords = {d: labels[d][:size] for d, size in zip(dims[:-1], array.shape, strict=False)}
    return xr.Dataset({"loss": variable("loss", dims, array, coords=coords)}).chunk(path=chunk)


def tail_of(losses: npt.NDArray[np.float64], levels: Sequence[float]) -> dict[str, Any]:
    """What the tail reduction would give for ``losses`` ``(..., path)``."""
    n = losses.shape[-1]
    order = np.argsort(-losses, axis=-1, kind="stable")[..., : needed_tail(levels, n)]
    return {"loss": np.take_along_axis(losses, order, axis=-1), "path": order, "paths": n}


def coverage(lows: npt.ArrayLike, highs: npt.ArrayLike, exact: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The share of the replications (the first axis) whose interval holds the exact value."""
    inside = (np.asarray(lows) <= exact) & (np.asarray(exact) <= np.asarray(highs))
    return np.asarray(inside.mean(axis=0))
