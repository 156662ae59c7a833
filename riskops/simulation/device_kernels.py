"""Kernels on a device that look at a whole tile, or at a path's place in it: the twins of
:mod:`riskops.simulation.tile_kernels`, from the same scalar functions and with the same order of every sum.

Import this module only where a device, or numba-cuda's simulator, is wanted: it needs one of the GPU extras.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from riskops.backend import GPU_EXTRAS
from riskops.errors import MissingExtraError
from riskops.reductions.lanes import LANES
from riskops.reductions.lanes import _lane_product as lane_product
from riskops.reductions.lanes import _lane_sum as lane_sum
from riskops.rng import TILE
from riskops.scalar import fma, sqrt
from riskops.simulation.tile_kernels import stratum_word

if find_spec("numba_cuda") is None:
    raise MissingExtraError(f"numba-cuda: not installed; install {GPU_EXTRAS}")

from numba import cuda, types

__all__ = ["match_tiles", "mirror_tiles", "stratify_words"]

_THREADS = 256
_MOST_ROWS = 65535
_QUARTER = TILE // 4
_HALF = TILE // 2
_DOUBLE = types.float64
_MINUS_SHARE = np.float64(-1.0 / TILE)


@cuda.jit
def _mirror_numbers(out):  # type: ignore[no-untyped-def]
    index, first_row = cuda.grid(2)
    path = (index // (2 * _QUARTER)) * TILE + index % (2 * _QUARTER)
    if path + _HALF < out.shape[1]:
        for row in range(first_row, out.shape[0], cuda.gridDim.y):
            out[row, path + _HALF] = -out[row, path]


@cuda.jit
def _mirror_words(out):  # type: ignore[no-untyped-def]
    index, first_row = cuda.grid(2)
    path = (index // (2 * _QUARTER)) * TILE + index % (2 * _QUARTER)
    if path + _HALF < out.shape[1]:
        for row in range(first_row, out.shape[0], cuda.gridDim.y):
            out[row, path + _HALF] = np.uint32(~out[row, path])


def mirror_tiles(out: Any) -> None:
    """As :func:`riskops.simulation.tile_kernels.mirror_tiles`: a thread a pair of paths."""
    kernel = _mirror_words if out.dtype == np.dtype(np.uint32) else _mirror_numbers
    kernel[(-(-out.shape[1] // (2 * _THREADS)), min(out.shape[0], _MOST_ROWS)), (_THREADS, 1)](out)


@cuda.jit
def _match(out):  # type: ignore[no-untyped-def]
    """A block of 64 threads a tile and row, each a lane of the sums; the lanes are added by halves, as on the CPU."""
    x = cuda.shared.array(TILE, _DOUBLE)
    lane = cuda.shared.array(LANES, _DOUBLE)  # on a line of its own: the simulator tells arrays apart by their lines
    start, j = cuda.blockIdx.x * TILE, cuda.threadIdx.x
    for row in range(cuda.blockIdx.y, out.shape[0], cuda.gridDim.y):
        for i in range(j, TILE, LANES):
            x[i] = np.float64(out[row, start + i])
        # A lane's own terms are the ones that its thread has written, so that only the lanes have to be waited for.
        lane[j] = lane_sum(x, j)
        cuda.syncthreads()
        width = LANES // 2
        while width > 0:
            if j < width:
                lane[j] = lane[j] + lane[j + width]
            cuda.syncthreads()
            width //= 2
        total = lane[0]
        cuda.syncthreads()
        for i in range(j, TILE, LANES):  # a division by 1024 is exact, so that this rounds once, as a difference does
            x[i] = fma(total, _MINUS_SHARE, x[i])
        lane[j] = lane_product(x, x, j)
        cuda.syncthreads()
        width = LANES // 2
        while width > 0:
            if j < width:
                lane[j] = lane[j] + lane[j + width]
            cuda.syncthreads()
            width //= 2
        scale = 1.0 / sqrt(lane[0] / TILE)
        cuda.syncthreads()
        for i in range(j, TILE, LANES):
            out[row, start + i] = x[i] * scale


def match_tiles(out: Any) -> None:
    """As :func:`riskops.simulation.tile_kernels.match_tiles`; ``out`` holds whole tiles."""
    _match[(out.shape[1] // TILE, min(out.shape[0], _MOST_ROWS)), (LANES, 1)](out)


@cuda.jit
def _stratify(words, counters):  # type: ignore[no-untyped-def]
    path = cuda.grid(1)
    if path < words.shape[1]:
        counter = counters[(path // TILE) * _QUARTER + path % _QUARTER]
        words[0, path] = stratum_word(words[0, path], (path % TILE) // _QUARTER, counter)


def stratify_words(words: Any, counters: Any) -> None:
    """As :func:`riskops.simulation.tile_kernels.stratify_words`: a thread a path."""
    _stratify[-(-words.shape[1] // _THREADS), _THREADS](words, counters)
