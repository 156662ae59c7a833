"""The baselines in NumPy, as its experts write them: single precision, its quickest generator, blocks that stay in the
cache, results written in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK", "bit_generator", "generator", "growth", "quantile_and_mean_beyond", "quickest", "scenario_losses"]

#: Paths in a block of one row.
BLOCK = 16_384
Single = npt.NDArray[np.float32]

_KINDS: dict[str, Callable[[int], np.random.BitGenerator]] = {"PCG64": np.random.PCG64, "SFC64": np.random.SFC64}


@lru_cache(maxsize=2)
def quickest(dtype: str = "float32") -> str:
    """Which of NumPy's quick generators makes normals of that type in the least time here."""
    out = np.empty(BLOCK, dtype)
    best = dict.fromkeys(_KINDS, float("inf"))
    for _ in range(9):
        for kind in _KINDS:
            rng = generator(kind, seed=0)
            start = time.perf_counter()
            for _ in range(8):
                rng.standard_normal(out=out, dtype=np.dtype(dtype).type)
            best[kind] = min(best[kind], time.perf_counter() - start)
    return min(best, key=lambda kind: best[kind])


def bit_generator(kind: str, *, seed: int) -> np.random.BitGenerator:
    """One of NumPy's quick bit generators by its name."""
    return _KINDS[kind](seed)


def generator(kind: str, *, seed: int) -> np.random.Generator:
    """A NumPy generator by the name of its bit generator."""
    return np.random.Generator(bit_generator(kind, seed=seed))


def growth(
    paths: int, steps: int, *, drift: float, deviation: float, seed: int, block: int = BLOCK, kind: str = "SFC64"
) -> Single:
    """Log growth ``(path,)`` after all steps of one asset: normals summed in place, and scaled once at the end."""
    rng = generator(kind, seed=seed)
    out, normals = np.zeros(paths, np.float32), np.empty(block, np.float32)
    for first in range(0, paths, block):
        total = out[first : first + block]
        draws = normals[: len(total)]
        for _ in range(steps):
            rng.standard_normal(out=draws, dtype=np.float32)
            total += draws
        total *= np.float32(deviation)
        total += np.float32(drift * steps)
    return out


def scenario_losses(
    paths: int, *, drift: Single, mixing: Single, exposure: Single, seed: int, block: int = 4096, kind: str = "SFC64"
) -> Single:
    """One-day losses ``(path,)`` of a portfolio: normals mixed by BLAS, ``exp``, and a product with the exposures.

    NumPy has vector instructions for ``exp`` on more processors than for ``expm1``.
    """
    rng = generator(kind, seed=seed)
    losses = np.empty(paths, np.float32)
    normals, mixed = np.empty((2, len(drift), block), np.float32)
    for first in range(0, paths, block):
        out = losses[first : first + block]
        draws, change = normals[:, : len(out)], mixed[:, : len(out)]
        if len(out) == block:
            rng.standard_normal(out=draws, dtype=np.float32)
        else:
            draws = rng.standard_normal(draws.shape, dtype=np.float32)
        np.matmul(mixing, draws, out=change)
        change += drift[:, None]
        np.exp(change, out=change)
        change -= np.float32(1.0)
        np.matmul(-exposure, change, out=out)
    return losses


def quantile_and_mean_beyond(losses: npt.NDArray[Any], beyond: int) -> tuple[float, float]:
    """VaR and ES from one partial sort: the order statistic with ``beyond`` larger ones, and the mean of those."""
    cut = len(losses) - beyond - 1
    sorted_part = np.partition(losses, cut)
    return float(sorted_part[cut]), float(np.mean(sorted_part[cut + 1 :], dtype=np.float64))
