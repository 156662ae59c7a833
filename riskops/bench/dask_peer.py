"""The baselines in dask.array, as its users write them: whole expressions over lazy arrays, on all threads."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from riskops.bench.numpy_peer import Single, bit_generator

__all__ = ["growth", "tail"]


def growth(paths: int, steps: int, *, drift: float, deviation: float, seed: int, chunk: int, kind: str) -> da.Array:
    """Log growth ``(path,)`` after all steps; steps come first, so that their sum runs over contiguous paths."""
    rng = da.random.default_rng(bit_generator(kind, seed=seed))
    normals = rng.standard_normal((steps, paths), chunks=(steps, chunk), dtype=np.float32)
    return normals.sum(axis=0) * np.float32(deviation) + np.float32(drift * steps)


def tail(
    paths: int, *, drift: Single, mixing: Single, exposure: Single, beyond: int, seed: int, chunk: int, kind: str
) -> Any:
    """The largest one-day losses of a portfolio, descending, by ``topk``: exact, which ``percentile`` is not."""
    rng = da.random.default_rng(bit_generator(kind, seed=seed))
    normals = rng.standard_normal((len(drift), paths), chunks=(len(drift), chunk), dtype=np.float32)
    change = da.exp(mixing @ normals + drift[:, None]) - np.float32(1.0)
    return da.topk(-exposure @ change, beyond + 1)
