"""The baselines in JAX, when it is installed: one compiled function each, in single precision, on all threads.

JAX is no dependency of riskops; :func:`available` says whether it is there, and nothing else here works without it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from riskops.bench.numpy_peer import Single

__all__ = ["available", "growth", "normals", "scenario_losses"]


def available() -> bool:
    """Whether JAX can be imported."""
    return find_spec("jax") is not None


def normals(count: int, *, seed: int) -> Callable[[], Single]:
    """A function that makes ``(count,)`` standard normals."""
    jax = import_module("jax")
    draw = jax.jit(lambda key: jax.random.normal(key, (count,), np.float32))
    key = jax.random.key(seed)
    return lambda: np.asarray(draw(key))


def growth(paths: int, steps: int, *, drift: float, deviation: float, seed: int) -> Callable[[], Single]:
    """A function that makes the log growth ``(path,)`` after all steps of one asset: a loop that keeps the sum."""
    jax = import_module("jax")

    def total(key: object) -> object:
        def add(step: int, sums: object) -> object:
            return sums + jax.random.normal(jax.random.fold_in(key, step), (paths,), np.float32)

        sums = jax.lax.fori_loop(0, steps, add, jax.numpy.zeros(paths, np.float32))
        return sums * np.float32(deviation) + np.float32(drift * steps)

    compiled, key = jax.jit(total), jax.random.key(seed)
    return lambda: np.asarray(compiled(key))


def scenario_losses(paths: int, *, drift: Single, mixing: Single, exposure: Single, seed: int) -> Callable[[], Single]:
    """A function that makes the one-day losses ``(path,)`` of a portfolio."""
    jax = import_module("jax")

    def losses(key: object) -> object:
        draws = jax.random.normal(key, (len(drift), paths), np.float32)
        return -exposure @ jax.numpy.expm1(mixing @ draws + drift[:, None])

    compiled, key = jax.jit(losses), jax.random.key(seed)
    return lambda: np.asarray(compiled(key))
