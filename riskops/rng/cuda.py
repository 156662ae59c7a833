"""The same fills on a CUDA device: one thread a counter, from the same scalar source, with the same bits as on the CPU.

Import this module only where a device (or numba-cuda's simulator, ``NUMBA_ENABLE_CUDASIM=1``) is wanted: it needs one
of the GPU extras. ``out`` and ``counters`` are device arrays of any library that speaks ``__cuda_array_interface__``;
the calls are asynchronous, on the default stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from riskops.backend import device_view, to_device
from riskops.errors import MissingExtraError
from riskops.rng.draws import normal_f32, normal_f64, uniform_f32, uniform_f64
from riskops.rng.fill import MAX_STREAM, arguments, by_precision
from riskops.rng.philox import philox
from riskops.rng.sobol import scrambled_directions, sobol_word
from riskops.scalar import add_u32

if find_spec("numba_cuda") is None:
    raise MissingExtraError("numba-cuda: not installed; install riskops[gpu-cuda12] or riskops[gpu-cuda13]")

from numba import cuda

__all__ = ["fill_low_words", "fill_normals", "fill_sobol_words", "fill_uniforms", "fill_words", "normals_of_words"]

_THREADS = 256
_WARP = 32
_QUARTER, _TILE = 256, 1024
_LANE_BITS, _TILE_BITS, _IN_QUARTER = np.uint32(8), np.uint32(10), np.uint32(255)
_MOST_ROWS = 65535
_LOW_WORDS = np.uint32(MAX_STREAM)


@cuda.jit
def _words(out, counters, key_0, key_1, step, stream, first_factor):  # type: ignore[no-untyped-def]
    index, first_row = cuda.grid(2)
    if index < counters.shape[0]:
        path = (index // _QUARTER) * _TILE + index % _QUARTER
        for row in range(first_row, out.shape[0], cuda.gridDim.y):
            factor = add_u32(first_factor, row)
            words = philox(counters[index], factor, step, stream, key_0, key_1)
            for lane in range(4):
                column = path + lane * _QUARTER
                if column < out.shape[1]:
                    out[row, column] = words[lane]


@cuda.jit
def _normals_f32(out, counters, key_0, key_1, step, stream, first_factor):  # type: ignore[no-untyped-def]
    index, first_row = cuda.grid(2)
    if index < counters.shape[0]:
        path = (index // _QUARTER) * _TILE + index % _QUARTER
        for row in range(first_row, out.shape[0], cuda.gridDim.y):
            factor = add_u32(first_factor, row)
            words = philox(counters[index], factor, step, stream, key_0, key_1)
            for lane in range(4):
                column = path + lane * _QUARTER
                if column < out.shape[1]:
                    out[row, column] = normal_f32(words[lane])


@cuda.jit
def _uniforms_f32(out, counters, key_0, key_1, step, stream, first_factor):  # type: ignore[no-untyped-def]
    index, first_row = cuda.grid(2)
    if index < counters.shape[0]:
        path = (index // _QUARTER) * _TILE + index % _QUARTER
        for row in range(first_row, out.shape[0], cuda.gridDim.y):
            factor = add_u32(first_factor, row)
            words = philox(counters[index], factor, step, stream, key_0, key_1)
            for lane in range(4):
                column = path + lane * _QUARTER
                if column < out.shape[1]:
                    out[row, column] = uniform_f32(words[lane])


@cuda.jit
def _normals_f64(out, counters, key_0, key_1, step, stream, first_factor):  # type: ignore[no-untyped-def]
    index, first_row = cuda.grid(2)
    if index < counters.shape[0]:
        path = (index // _QUARTER) * _TILE + index % _QUARTER
        for row in range(first_row, out.shape[0], cuda.gridDim.y):
            factor = add_u32(first_factor, row)
            high = philox(counters[index], factor, step, stream, key_0, key_1)
            low = philox(counters[index], factor, step, add_u32(stream, _LOW_WORDS), key_0, key_1)
            for lane in range(4):
                column = path + lane * _QUARTER
                if column < out.shape[1]:
                    out[row, column] = normal_f64(high[lane], low[lane])


@cuda.jit
def _uniforms_f64(out, counters, key_0, key_1, step, stream, first_factor):  # type: ignore[no-untyped-def]
    index, first_row = cuda.grid(2)
    if index < counters.shape[0]:
        path = (index // _QUARTER) * _TILE + index % _QUARTER
        for row in range(first_row, out.shape[0], cuda.gridDim.y):
            factor = add_u32(first_factor, row)
            high = philox(counters[index], factor, step, stream, key_0, key_1)
            low = philox(counters[index], factor, step, add_u32(stream, _LOW_WORDS), key_0, key_1)
            for lane in range(4):
                column = path + lane * _QUARTER
                if column < out.shape[1]:
                    out[row, column] = uniform_f64(high[lane], low[lane])


@cuda.jit
def _sobol_words(out, counters, scrambled):  # type: ignore[no-untyped-def]
    """Words from directions ``(row, replicate, 33)``: a counter's four paths are four points of one replicate."""
    index, first_row = cuda.grid(2)
    if index < counters.shape[0]:
        path = (index // _QUARTER) * _TILE + index % _QUARTER
        tile = np.int64(counters[index]) // _QUARTER
        replicate = tile % scrambled.shape[1]
        start = np.uint32(tile // scrambled.shape[1]) << _TILE_BITS
        first = np.uint32(start | np.uint32(counters[index] & _IN_QUARTER))
        for row in range(first_row, out.shape[0], cuda.gridDim.y):
            for lane in range(4):
                column = path + lane * _QUARTER
                if column < out.shape[1]:
                    point = np.uint32(first | np.uint32(np.uint32(lane) << _LANE_BITS))
                    out[row, column] = sobol_word(scrambled[row, replicate], point)


@cuda.jit
def _normals_of_words_f32(out, words):  # type: ignore[no-untyped-def]
    path, row = cuda.grid(2)
    if path < out.shape[1]:
        for i in range(row, out.shape[0], cuda.gridDim.y):
            out[i, path] = normal_f32(words[i, path])


@cuda.jit
def _normals_of_words_f64(out, words, low_words):  # type: ignore[no-untyped-def]
    path, row = cuda.grid(2)
    if path < out.shape[1]:
        for i in range(row, out.shape[0], cuda.gridDim.y):
            out[i, path] = normal_f64(words[i, path], low_words[i, path])


def _grid(columns: int, rows: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The launch of a thread a column, rows beside each other as far as a grid goes."""
    threads = min(_THREADS, -(-columns // _WARP) * _WARP)
    return (-(-columns // threads), min(rows, _MOST_ROWS)), (threads, 1)


def _launch(kernel: Any, out: Any, counters: Any, seed: int, step: int, stream: int, first_factor: int) -> None:
    scalars = arguments(out, counters, seed, step, stream, first_factor)
    if out.size:
        kernel[_grid(counters.size, out.shape[0])](out, counters, *scalars)


def fill_words(out: Any, counters: Any, *, seed: int, step: int, stream: int, first_factor: int = 0) -> None:
    """As :func:`riskops.rng.fill_words`, on the device."""
    _launch(_words, out, counters, seed, step, stream, first_factor)


def fill_normals(out: Any, counters: Any, *, seed: int, step: int, stream: int, first_factor: int = 0) -> None:
    """As :func:`riskops.rng.fill_normals`, on the device."""
    kernel = by_precision(out, _normals_f32, _normals_f64)
    _launch(kernel, out, counters, seed, step, stream, first_factor)


def fill_uniforms(out: Any, counters: Any, *, seed: int, step: int, stream: int, first_factor: int = 0) -> None:
    """As :func:`riskops.rng.fill_uniforms`, on the device."""
    kernel = by_precision(out, _uniforms_f32, _uniforms_f64)
    _launch(kernel, out, counters, seed, step, stream, first_factor)


def fill_low_words(out: Any, counters: Any, *, seed: int, step: int, stream: int, first_factor: int = 0) -> None:
    """As :func:`riskops.rng.fill_low_words`, on the device."""
    key_0, key_1, step_word, stream_word, factor = arguments(out, counters, seed, step, stream, first_factor)
    if out.size:
        low_stream = np.uint32(stream_word + _LOW_WORDS)
        _words[_grid(counters.size, out.shape[0])](out, counters, key_0, key_1, step_word, low_stream, factor)


def fill_sobol_words(
    out: Any, counters: Any, *, seed: int, replicates: int, dimensions: Sequence[int] | np.ndarray
) -> None:
    """As :func:`riskops.rng.fill_sobol_words`, on the device; the directions of the last calls stay there."""
    arguments(out, counters, seed, 0, 0, 0)
    if out.size:
        directions = _device_directions(seed, replicates, tuple(int(d) for d in dimensions))
        _sobol_words[_grid(counters.size, out.shape[0])](out, counters, directions)


@lru_cache(maxsize=512)  # a bridge asks for one set a level, again and again
def _device_directions(seed: int, replicates: int, dimensions: tuple[int, ...]) -> Any:
    return device_view(to_device(scrambled_directions(seed, replicates, dimensions)))


def normals_of_words(out: Any, words: Any, low_words: Any = None) -> None:
    """As :func:`riskops.rng.normals_of_words`, on the device."""
    if out.size:
        kernel = by_precision(out, _normals_of_words_f32, _normals_of_words_f64)
        kernel[_grid(out.shape[1], out.shape[0])](out, words, *(() if low_words is None else (low_words,)))
