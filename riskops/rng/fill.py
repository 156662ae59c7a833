"""Fill arrays with draws on the CPU: which word goes where (contract C1), in loops that vectorise.

Paths are grouped in tiles of 1024; a tile owns 256 counters, and a counter's four output words go to four lanes of
the tile, 256 paths apart. A loop over the counters of a tile so writes four contiguous runs. Philox and the transform
of its words run as two loops over one tile, whose words stay in the first-level cache: in one loop the registers do
not suffice.

The kernels stand at module level, so that their compiled code is cached on disk and shared by every process.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from riskops.errors import InputError
from riskops.rng.draws import (
    normal_log_f32,
    normal_log_f64,
    normal_of_log_f32,
    normal_of_log_f64,
    uniform_f32,
    uniform_f64,
)
from riskops.rng.philox import philox
from riskops.scalar import add_u32

__all__ = ["MAX_PATHS", "MAX_STREAM", "TILE", "fill_normals", "fill_uniforms", "fill_words", "tile_counters"]

#: Paths in a tile, the largest number of paths, and the first number that is no stream (the low words' streams begin
#: there).
TILE = 1024
MAX_PATHS = 2**34
MAX_STREAM = 2**31

_QUARTER = 256
_LOW_WORDS = np.uint32(MAX_STREAM)
#: Compared with a dtype, a type would be converted first, which takes longer than the comparison.
_WORD, _SINGLE, _DOUBLE = np.dtype(np.uint32), np.dtype(np.float32), np.dtype(np.float64)
_kernel = njit(cache=True, nogil=True, error_model="numpy")


@njit(forceinline=True, error_model="numpy")
def _tile_words(out, counters, factor, step, stream, key_0, key_1):  # type: ignore[no-untyped-def]
    """The 1024 words of one tile from its 256 counters."""
    for i in range(_QUARTER):
        w0, w1, w2, w3 = philox(counters[i], factor, step, stream, key_0, key_1)
        out[i] = w0
        out[i + 256] = w1
        out[i + 512] = w2
        out[i + 768] = w3


@_kernel
def _words(out, counters, key_0, key_1, step, stream, first_factor):  # type: ignore[no-untyped-def]
    """Words ``(factor, n)``; whole tiles are written in place, a short last one by way of a full tile."""
    factors, n = out.shape
    whole = n // TILE
    spare = np.empty(TILE, np.uint32)
    for row in range(factors):
        factor = add_u32(first_factor, row)
        for tile in range(whole):
            start = tile * TILE
            _tile_words(
                out[row, start : start + TILE],
                counters[tile * _QUARTER : (tile + 1) * _QUARTER],
                factor, step, stream, key_0, key_1,
            )  # fmt: skip
        if whole * TILE < n:
            last = counters[whole * _QUARTER : (whole + 1) * _QUARTER]
            _tile_words(spare, last, factor, step, stream, key_0, key_1)
            out[row, whole * TILE :] = spare[: n - whole * TILE]


@_kernel
def _normals_f32(out, counters, key_0, key_1, step, stream, first_factor):  # type: ignore[no-untyped-def]
    factors, n = out.shape
    words = np.empty(TILE, np.uint32)
    for row in range(factors):
        factor = add_u32(first_factor, row)
        for start in range(0, n, TILE):
            tile = start // 4
            _tile_words(words, counters[tile : tile + _QUARTER], factor, step, stream, key_0, key_1)
            run = out[row, start : start + TILE]
            for i in range(run.shape[0]):
                run[i] = normal_log_f32(words[i])
            for i in range(run.shape[0]):
                run[i] = normal_of_log_f32(run[i], words[i])


@_kernel
def _uniforms_f32(out, counters, key_0, key_1, step, stream, first_factor):  # type: ignore[no-untyped-def]
    factors, n = out.shape
    words = np.empty(TILE, np.uint32)
    for row in range(factors):
        factor = add_u32(first_factor, row)
        for start in range(0, n, TILE):
            tile = start // 4
            _tile_words(words, counters[tile : tile + _QUARTER], factor, step, stream, key_0, key_1)
            run = out[row, start : start + TILE]
            for i in range(run.shape[0]):
                run[i] = uniform_f32(words[i])


@_kernel
def _normals_f64(out, counters, key_0, key_1, step, stream, first_factor):  # type: ignore[no-untyped-def]
    factors, n = out.shape
    high, low = np.empty(TILE, np.uint32), np.empty(TILE, np.uint32)
    for row in range(factors):
        factor = add_u32(first_factor, row)
        for start in range(0, n, TILE):
            own = counters[start // 4 : start // 4 + _QUARTER]
            _tile_words(high, own, factor, step, stream, key_0, key_1)
            _tile_words(low, own, factor, step, add_u32(stream, _LOW_WORDS), key_0, key_1)
            run = out[row, start : start + TILE]
            for i in range(run.shape[0]):
                run[i] = normal_log_f64(high[i], low[i])
            for i in range(run.shape[0]):
                run[i] = normal_of_log_f64(run[i], high[i])


@_kernel
def _uniforms_f64(out, counters, key_0, key_1, step, stream, first_factor):  # type: ignore[no-untyped-def]
    factors, n = out.shape
    high, low = np.empty(TILE, np.uint32), np.empty(TILE, np.uint32)
    for row in range(factors):
        factor = add_u32(first_factor, row)
        for start in range(0, n, TILE):
            own = counters[start // 4 : start // 4 + _QUARTER]
            _tile_words(high, own, factor, step, stream, key_0, key_1)
            _tile_words(low, own, factor, step, add_u32(stream, _LOW_WORDS), key_0, key_1)
            run = out[row, start : start + TILE]
            for i in range(run.shape[0]):
                run[i] = uniform_f64(high[i], low[i])


def tile_counters(first_path: int, paths: int) -> npt.NDArray[np.uint32]:
    """The counters ``(tiles*256,)`` of the tiles that hold ``paths`` paths from ``first_path`` on, which begins a
    tile."""
    if first_path % TILE or first_path < 0:
        raise InputError(f"first_path: {first_path} is not a multiple of {TILE} from 0 on")
    if paths < 0 or first_path + paths > MAX_PATHS:
        raise InputError(f"paths: {paths} from path {first_path} on are not between 0 and {MAX_PATHS} in all")
    first, tiles = first_path // 4, -(-paths // TILE)
    return np.arange(first, first + tiles * _QUARTER, dtype=np.int64).astype(np.uint32)


def arguments(
    out: Any, counters: Any, seed: int, step: int, stream: int, first_factor: int
) -> tuple[np.uint32, np.uint32, np.uint32, np.uint32, np.uint32]:
    """The kernels' scalar arguments, after the checks that keep a kernel inside its arrays and a draw inside C1."""
    rows, columns = out.shape
    if counters.dtype != _WORD or counters.ndim != 1 or counters.size % _QUARTER:
        raise InputError(f"counters: expected uint32 in whole tiles of 256, not {counters.dtype} {counters.shape}")
    if columns > 4 * counters.size:
        raise InputError(f"out: {columns} columns are more than the {4 * counters.size} draws of the counters")
    if not 0 <= seed < 2**64:
        raise InputError(f"seed: {seed} is not an integer >= 0 and < 2^64")
    if not 0 <= step < 2**32:
        raise InputError(f"step: {step} is not an integer >= 0 and < 2^32")
    if not 0 <= stream < MAX_STREAM:
        raise InputError(f"stream: {stream} is not an integer >= 0 and < 2^31")
    if not 0 <= first_factor <= 2**32 - rows:
        raise InputError(f"first_factor: {first_factor} and {rows} rows are not between 0 and 2^32")
    key_0, key_1 = np.uint32(seed & 0xFFFFFFFF), np.uint32(seed >> 32)
    return key_0, key_1, np.uint32(step), np.uint32(stream), np.uint32(first_factor)


def by_precision(out: Any, single: Any, double: Any) -> Any:
    """The kernel for the dtype of ``out``; any other than float32 and float64 is refused, not converted."""
    if out.dtype == _SINGLE:
        return single
    if out.dtype == _DOUBLE:
        return double
    raise InputError(f"out: {out.dtype} is not float32 or float64")


def fill_words(
    out: npt.NDArray[np.uint32],
    counters: npt.NDArray[np.uint32],
    *,
    seed: int,
    step: int,
    stream: int,
    first_factor: int = 0,
) -> None:
    """Fill ``out`` ``(factor, path)`` with the words of C1: column ``tile*1024 + lane*256 + i`` of row ``f`` takes
    word ``lane`` of the counter ``(counters[tile*256 + i], first_factor + f, step, stream)``. The last tile may be
    short."""
    _words(out, counters, *arguments(out, counters, seed, step, stream, first_factor))


def fill_normals(
    out: npt.NDArray[Any],
    counters: npt.NDArray[np.uint32],
    *,
    seed: int,
    step: int,
    stream: int,
    first_factor: int = 0,
) -> None:
    """Fill ``out`` (float32 or float64) with standard normals, laid out as :func:`fill_words` says."""
    kernel = by_precision(out, _normals_f32, _normals_f64)
    kernel(out, counters, *arguments(out, counters, seed, step, stream, first_factor))


def fill_uniforms(
    out: npt.NDArray[Any],
    counters: npt.NDArray[np.uint32],
    *,
    seed: int,
    step: int,
    stream: int,
    first_factor: int = 0,
) -> None:
    """Fill ``out`` (float32 or float64) with signed folded probabilities: ``+p`` is the quantile p, ``-p`` the
    quantile 1 - p."""
    kernel = by_precision(out, _uniforms_f32, _uniforms_f64)
    kernel(out, counters, *arguments(out, counters, seed, step, stream, first_factor))
