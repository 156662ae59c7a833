"""The same fills on a CUDA device: one thread a counter, from the same scalar source, with the same bits as on the CPU.

Import this module only where a device (or numba-cuda's simulator, ``NUMBA_ENABLE_CUDASIM=1``) is wanted: it needs one
of the GPU extras. ``out`` and ``counters`` are device arrays of any library that speaks ``__cuda_array_interface__``;
the calls are asynchronous, on the default stream.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from riskops.errors import MissingExtraError
from riskops.rng.draws import normal_f32, normal_f64, uniform_f32, uniform_f64
from riskops.rng.fill import MAX_STREAM, arguments, by_precision
from riskops.rng.philox import philox
from riskops.scalar import add_u32

if find_spec("numba_cuda") is None:
    raise MissingExtraError("numba-cuda: not installed; install riskops[gpu-cuda12] or riskops[gpu-cuda13]")

from numba import cuda

__all__ = ["fill_normals", "fill_uniforms", "fill_words"]

_THREADS = 256
_QUARTER, _TILE = 256, 1024
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


def _launch(kernel: Any, out: Any, counters: Any, seed: int, step: int, stream: int, first_factor: int) -> None:
    scalars = arguments(out, counters, seed, step, stream, first_factor)
    if out.size:
        grid = (-(-counters.size // _THREADS), min(out.shape[0], _MOST_ROWS))
        kernel[grid, (_THREADS, 1)](out, counters, *scalars)


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
