"""Draws: the words and normals of riskops against those of NumPy's generators, block by block in the cache."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from riskops.bench import jax_peer, numpy_peer
from riskops.bench.agreement import plain_philox, sample_of_normal, within_errors
from riskops.bench.rows import Row
from riskops.bench.timing import Setting, Timed, core_count, on_threads, race
from riskops.rng import fill_normals, fill_words, tile_counters

__all__ = ["draws"]

SUITE = "draws"
SEED = 20_221_228
#: Numbers in a block, which stays in the second-level cache, and numbers in all.
BLOCK, NUMBERS = 65_536, 16 * 2**20
#: Paths whose draws are held to a second implementation.
SAMPLE = 8192


def draws(setting: Setting) -> list[Row]:
    """Words, and normals of both precisions."""
    blocks = max(1, setting.count(NUMBERS) // BLOCK)
    return [*_words(blocks), _normals(blocks, "float32"), _normals(blocks, "float64"), *_jax_normals(setting, blocks)]


def _work(blocks: int) -> str:
    return f"{blocks * BLOCK / 1e6:.3g} M in blocks of {BLOCK // 1024} Ki, one thread"


def _fill_blocks(fill: Callable[..., None], out: npt.NDArray[Any], blocks: int) -> npt.NDArray[Any]:
    counters = tile_counters(0, BLOCK)
    for step in range(blocks):
        fill(out, counters, seed=SEED, step=step, stream=0)
    return out


def _words(blocks: int) -> list[Row]:
    out = np.empty((1, BLOCK), np.uint32)
    # Their words come 64 bits at a time; random_raw is the quickest way to them, ahead of integers and bytes.
    kinds = {"Philox4x64": np.random.Philox(SEED), "SFC64": np.random.SFC64(SEED)}

    def raw(kind: np.random.BitGenerator) -> npt.NDArray[np.uint32]:
        for _ in range(blocks):
            words = kind.random_raw(BLOCK // 2).view(np.uint32)
        return words

    ours, *theirs = race(
        partial(_fill_blocks, fill_words, out, blocks), *(partial(raw, kind) for kind in kinds.values())
    )
    same = np.array_equal(ours.result[0, :SAMPLE], plain_philox(SAMPLE, seed=SEED, step=blocks - 1))
    return [
        Row(
            SUITE,
            "words",
            f"32-bit words (Philox4x32-10), {_work(blocks)}",
            ours.seconds,
            f"NumPy {name}.random_raw",
            timed.seconds,
            same and _uniform(ours.result) and _uniform(timed.result),
        )
        for name, timed in zip(kinds, theirs, strict=True)
    ]


def _uniform(words: npt.NDArray[np.uint32]) -> bool:
    """Whether the mean of the words is that of a uniform distribution."""
    return within_errors(float(words.mean()), 2.0**31 - 0.5, 2.0**32 / np.sqrt(12.0 * words.size))


def _normals(blocks: int, dtype: str) -> Row:
    kind = numpy_peer.quickest(dtype)
    rng = numpy_peer.generator(kind, seed=SEED)
    ours_out, theirs_out = np.empty((1, BLOCK), dtype), np.empty(BLOCK, dtype)

    def theirs() -> npt.NDArray[Any]:
        for _ in range(blocks):
            rng.standard_normal(out=theirs_out, dtype=theirs_out.dtype.type)
        return theirs_out

    ours, baseline = race(partial(_fill_blocks, fill_normals, ours_out, blocks), theirs)
    return Row(
        SUITE,
        f"normals {dtype}",
        f"standard normals, {_work(blocks)}",
        ours.seconds,
        f"NumPy {kind} standard_normal into out=",
        baseline.seconds,
        _are_quantiles(ours.result[0], blocks - 1) and _standard(ours) and _standard(baseline),
    )


def _standard(timed: Timed) -> bool:
    return sample_of_normal(timed.result, 0.0, 1.0)


def _are_quantiles(normals: npt.NDArray[Any], step: int) -> bool:
    """Whether the normals are the quantiles (SciPy's) of the words that contract C1 gives them."""
    words = plain_philox(SAMPLE, seed=SEED, step=step)
    if normals.dtype == np.float32:
        folded, scale, bound = np.minimum(words, ~words).astype(np.float64), 2.0**-32, 2e-6
    else:
        low = plain_philox(SAMPLE, seed=SEED, step=step, stream=2**31).astype(np.uint64)
        whole = words.astype(np.uint64) << np.uint64(32) | low
        folded, scale, bound = np.minimum(whole, ~whole).astype(np.float64), 2.0**-64, 1e-12
    quantiles = ndtri((folded + 0.5) * scale)
    expected = np.where(words < 2**31, quantiles, -quantiles)
    return bool(np.max(np.abs(normals[:SAMPLE] - expected)) < bound)


def _jax_normals(setting: Setting, blocks: int) -> list[Row]:
    if not jax_peer.available():
        setting.say("draws: JAX is not installed, so no row compares with it")
        return []
    count, cores = blocks * BLOCK, core_count()
    out = np.empty((1, count), np.float32)

    def ours(pool: Executor) -> npt.NDArray[Any]:
        def fill(block: int) -> None:
            first = block * BLOCK
            fill_normals(out[:, first : first + BLOCK], tile_counters(first, BLOCK), seed=SEED, step=1, stream=0)

        list(pool.map(fill, range(blocks)))
        return out

    with on_threads(cores) as pool:
        mine, theirs = race(partial(ours, pool), jax_peer.normals(count, seed=SEED))
    return [
        Row(
            SUITE,
            "normals float32, one array",
            f"{count / 1e6:.3g} M standard normals, {cores} threads",
            mine.seconds,
            "JAX random.normal, compiled",
            theirs.seconds,
            _are_quantiles(mine.result[0], 1) and _standard(mine) and _standard(theirs),
        )
    ]
