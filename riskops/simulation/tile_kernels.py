"""Kernels that look at a whole tile, or at a path's place in it, on the CPU; their twins for a device stand in
:mod:`riskops.simulation.device_kernels`. Whatever treats a path by itself is one kernel for both instead.
"""

from __future__ import annotations

import numba
import numpy as np

from riskops.models.base import Array
from riskops.reductions.lanes import LANES, tile_product, tile_sum
from riskops.rng import TILE
from riskops.scalar import scalar_function, sqrt

__all__ = ["match_tiles", "mirror_tiles", "stratify_words", "stratum_word"]

_QUARTER = TILE // 4
_HALF = TILE // 2
_QUARTER_WORD = np.uint32(_QUARTER)
_KEPT, _PLACE = np.uint32(10), np.uint32(22)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _mirror_numbers(out):  # type: ignore[no-untyped-def]
    for row in range(out.shape[0]):
        for start in range(0, out.shape[1], TILE):
            source, target = out[row, start : start + _HALF], out[row, start + _HALF : start + TILE]
            for i in range(_HALF):
                target[i] = -source[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _mirror_words(out):  # type: ignore[no-untyped-def]
    for row in range(out.shape[0]):
        for start in range(0, out.shape[1], TILE):
            source, target = out[row, start : start + _HALF], out[row, start + _HALF : start + TILE]
            for i in range(_HALF):
                target[i] = np.uint32(~source[i])


def mirror_tiles(out: Array) -> None:
    """Lanes 2 and 3 of every tile take the opposite of lanes 0 and 1: ``-x`` of a number, ``~x`` of a word."""
    (_mirror_words if out.dtype == np.uint32 else _mirror_numbers)(out)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _match(out, x, lane):  # type: ignore[no-untyped-def]
    for row in range(out.shape[0]):
        for start in range(0, out.shape[1], TILE):
            tile = out[row, start : start + TILE]
            for i in range(TILE):
                x[i] = np.float64(tile[i])
            mean = tile_sum(x, lane) / TILE
            for i in range(TILE):
                x[i] = x[i] - mean
            scale = 1.0 / sqrt(tile_product(x, x, lane) / TILE)
            for i in range(TILE):
                tile[i] = x[i] * scale


def match_tiles(out: Array) -> None:
    """Shift and scale each tile of each row to mean 0 and mean square 1, in double precision and lane order."""
    _match(out, np.empty(TILE), np.empty(LANES))


@scalar_function
def stratum_word(word, lane, counter):  # type: ignore[no-untyped-def]
    """The word of a stratum: the path's place in its tile, ``lane`` and counter, becomes the top ten bits."""
    place = np.uint32(np.uint32(lane) * _QUARTER_WORD) | np.uint32(counter & np.uint32(_QUARTER_WORD - np.uint32(1)))
    return np.uint32(np.uint32(place << _PLACE) | np.uint32(word >> _KEPT))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _stratify(words, counters):  # type: ignore[no-untyped-def]
    row = words[0]
    for i in range(len(row)):
        counter = counters[(i // TILE) * _QUARTER + i % _QUARTER]
        row[i] = stratum_word(row[i], (i % TILE) // _QUARTER, counter)


def stratify_words(words: Array, counters: Array) -> None:
    """Each of the 1024 strata holds one path of every tile: ``words`` ``(1, path)`` moved into theirs."""
    _stratify(words, counters)
