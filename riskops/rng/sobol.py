"""Scrambled Sobol points as words that take the place of Philox words: a pure function of seed, path and dimension.

Paths are grouped in the tiles of C1, and the tiles are dealt to ``R`` replicates: tile ``t`` belongs to replicate
``t mod R``, whose scramble is its own, and holds its points ``(t div R) * 1024`` to ``+ 1023``. Each replicate so is a
randomised Sobol sequence from its first point on, and the spread of the replicates' answers is the Monte-Carlo error.

A point's word is the exclusive or of direction numbers over the set bits of the point's number (natural order, not
Gray's, so that any point is found at once). They are those of Joe and Kuo (2008), see ``data/NOTICE``. Each replicate
and dimension is scrambled on its own by a random lower triangular matrix over the bits and a digital shift (Matousek
1998): every point is uniform, the net property stays, and the variance of a mean is that of Owen's nested scrambling.
The matrix is linear and goes into the direction numbers, so scrambling costs a point nothing. Hashes that imitate the
nested scramble (Burley 2020) would cost each word a dozen operations and are only near to it.

The scramble's 32 random words are the output of Philox, keyed by the seed, for the counters ``(replicate, dimension,
block, SCRAMBLE_STREAM)``, block 0 to 7. Word ``j`` fills the matrix's column ``j`` (counted from the highest bit) below
the diagonal of ones; of the last column nothing is below, and word 31 is the shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from numba import njit

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.rng.fill import MAX_STREAM, TILE, arguments
from riskops.rng.philox import philox
from riskops.scalar import scalar_function

__all__ = [
    "MAX_DIMENSIONS",
    "MAX_REPLICATES",
    "SCRAMBLE_STREAM",
    "fill_sobol_words",
    "scrambled_directions",
    "sobol_directions",
    "sobol_word",
    "unscrambled_directions",
]

#: Dimensions that have direction numbers, and the largest number of replicates.
MAX_DIMENSIONS = 5120
MAX_REPLICATES = 256
#: The scrambles' stream: the last, which no model's count of shocks gets to.
SCRAMBLE_STREAM = MAX_STREAM - 1

Words = npt.NDArray[np.uint32]

_BITS = 32
_QUARTER = 256
_LANE_BITS, _TILE_BITS = 8, 10
_SHIFT = _BITS  # the column behind the direction numbers
#: Counters below this many a replicate hold the points below 2^32, which the direction numbers reach.
_COUNTERS = 2**30
_ZERO, _ONE = np.uint32(0), np.uint32(1)
_STREAM = np.uint32(SCRAMBLE_STREAM)
_BIT = np.left_shift(_ONE, np.arange(_BITS - 1, -1, -1, dtype=np.uint32))
_WORD, _INDEX = np.dtype(np.uint32), np.dtype(np.int64)
_kernel = njit(cache=True, nogil=True, error_model="numpy")


@scalar_function
def sobol_word(directions, point):  # type: ignore[no-untyped-def]
    """The word of point number ``point`` (uint32) from one replicate's and dimension's row of
    :func:`sobol_directions`."""
    word = directions[_SHIFT]
    for k in range(_BITS):
        word = np.uint32(word ^ (directions[k] if np.uint32(point >> np.uint32(k)) & _ONE else _ZERO))
    return word


@_kernel
def _scramble(out, plain, dimensions, first_replicate, key_0, key_1):  # type: ignore[no-untyped-def]
    """Scrambled direction numbers and shift ``(dimension, replicate, 33)``."""
    words, numbers = np.empty(_BITS, np.uint32), np.empty(_BITS, np.uint32)
    for row in range(dimensions.shape[0]):
        dimension = np.uint32(dimensions[row])
        given = plain[dimensions[row]]
        for i in range(out.shape[1]):
            replicate = np.uint32(first_replicate + i)
            for n in range(_BITS // 4):
                start = 4 * n
                words[start], words[start + 1], words[start + 2], words[start + 3] = philox(
                    replicate, dimension, np.uint32(n), _STREAM, key_0, key_1
                )
            numbers[:] = _ZERO
            for j in range(_BITS):
                one = _BIT[j]
                column = np.uint32(np.uint32(words[j] & np.uint32(one - _ONE)) | one)
                for k in range(_BITS):
                    numbers[k] ^= column if given[k] & one else _ZERO
            out[row, i, :_BITS] = numbers
            out[row, i, _SHIFT] = words[_BITS - 1]


@njit(forceinline=True, error_model="numpy")
def _place(counter, replicates):  # type: ignore[no-untyped-def]
    """The replicate of a counter's tile and the number of the tile's first point."""
    tile = np.int64(counter) >> _LANE_BITS
    return tile % replicates, np.uint32((tile // replicates) << _TILE_BITS)


@njit(forceinline=True, error_model="numpy")
def _is_tile(counters):  # type: ignore[no-untyped-def]
    """Whether 256 counters are those of one tile, in their order."""
    first = np.int64(counters[0])
    same = first % _QUARTER == 0
    for i in range(_QUARTER):
        same &= np.int64(counters[i]) - first == i
    return same


@njit(forceinline=True, error_model="numpy")
def _tile_words(out, counters, whole, scrambled):  # type: ignore[no-untyped-def]
    """The 1024 words of 256 counters, from the directions ``(replicate, 33)`` of one dimension.

    In a whole tile each direction number doubles the run that is written; counters chosen one by one
    (:mod:`riskops.measures.attribution` pads with such) have four lanes each.
    """
    if whole:
        replicate, point = _place(counters[0], scrambled.shape[0])
        directions = scrambled[replicate]
        out[0] = sobol_word(directions, point)
        for k in range(_TILE_BITS):
            n, direction = 1 << k, directions[k]
            source, target = out[:n], out[n : 2 * n]
            for i in range(n):
                target[i] = source[i] ^ direction
    else:
        for i in range(_QUARTER):
            replicate, point = _place(counters[i], scrambled.shape[0])
            directions = scrambled[replicate]
            word = sobol_word(directions, np.uint32(point | np.uint32(counters[i] & np.uint32(_QUARTER - 1))))
            low, high = directions[_LANE_BITS], directions[_LANE_BITS + 1]
            out[i] = word
            out[i + 256] = word ^ low
            out[i + 512] = word ^ high
            out[i + 768] = np.uint32(word ^ low) ^ high


@_kernel
def _words(out, counters, dimensions, scrambled):  # type: ignore[no-untyped-def]
    """Words ``(row, n)``; whole tiles are written in place, a short last one by way of a full tile."""
    rows, n = out.shape
    whole = n // TILE
    spare = np.empty(TILE, np.uint32)
    aligned = np.empty(-(-n // TILE), np.bool_)
    for tile in range(aligned.shape[0]):
        aligned[tile] = _is_tile(counters[tile * _QUARTER : (tile + 1) * _QUARTER])
    for row in range(rows):
        own = scrambled[dimensions[row]]
        for tile in range(whole):
            start = tile * TILE
            _tile_words(
                out[row, start : start + TILE],
                counters[tile * _QUARTER : (tile + 1) * _QUARTER],
                aligned[tile], own,
            )  # fmt: skip
        if whole * TILE < n:
            _tile_words(spare, counters[whole * _QUARTER : (whole + 1) * _QUARTER], aligned[whole], own)
            out[row, whole * TILE :] = spare[: n - whole * TILE]


@lru_cache(maxsize=1)
def unscrambled_directions() -> Words:
    """The direction numbers ``(MAX_DIMENSIONS, 32)`` of Joe and Kuo before any scramble, the first digit in the
    highest bit."""
    with (files("riskops.rng") / "data" / "joe_kuo_6.npz").open("rb") as file, np.load(file) as stored:
        polynomials, initial = stored["polynomials"], stored["initial"].astype(np.uint32)
    every, most = np.arange(MAX_DIMENSIONS), len(initial)
    degree = np.sum(polynomials[:, None] >> np.arange(1, most + 1, dtype=np.uint32) > 0, axis=1)
    numbers = np.zeros((MAX_DIMENSIONS, _BITS), np.uint32)
    for k in range(_BITS):
        before = numbers[every, np.maximum(k - degree, 0)]
        word = before ^ (before >> degree.astype(np.uint32))
        for j in range(1, min(k, most - 1) + 1):
            coefficient = polynomials >> np.maximum(degree - j, 0).astype(np.uint32) & _ONE
            word ^= np.where(j < degree, coefficient, _ZERO) * numbers[:, k - j]
        numbers[:, k] = np.where(k < degree, initial[min(k, most - 1)] << np.uint32(_BITS - 1 - k), word)
    numbers[0] = _BIT  # van der Corput's sequence has no polynomial
    numbers.flags.writeable = False
    return numbers


class _Scrambled:
    """The scrambled directions ``(dimension, replicate, 33)`` of one seed, each dimension made when first asked for.

    Threads may make the same dimension twice, with the same words; a dimension counts as made when it is complete.
    """

    def __init__(self, seed: int, replicates: int) -> None:
        self.seed = seed
        self.table = np.empty((MAX_DIMENSIONS, replicates, _BITS + 1), np.uint32)  # pages not written take no memory
        self.made = np.zeros(MAX_DIMENSIONS, np.bool_)

    def with_dimensions(self, dimensions: npt.NDArray[np.int64]) -> Words:
        made = self.made[dimensions]
        if not made.all():
            missing = np.unique(dimensions[~made])
            self.table[missing] = _scrambled_directions(self.seed, 0, self.table.shape[1], missing)
            self.made[missing] = True
        return self.table


_scrambled = lru_cache(maxsize=4)(_Scrambled)


def _scrambled_directions(seed: int, first: int, replicates: int, dimensions: npt.NDArray[np.int64]) -> Words:
    out = np.empty((len(dimensions), replicates, _BITS + 1), np.uint32)
    key_0, key_1 = np.uint32(seed & 0xFFFFFFFF), np.uint32(seed >> 32)
    _scramble(out, unscrambled_directions(), dimensions, first, key_0, key_1)
    return out


def _checked_dimensions(dimensions: Sequence[int] | npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    array = np.asarray(dimensions)
    if array.dtype != _INDEX:
        if array.size and array.dtype.kind not in "iu":
            raise InputError(f"dimensions: {array.dtype} are not integers")
        array = array.astype(np.int64)
    if array.ndim != 1:
        raise InputError(f"dimensions: expected one axis, not {array.ndim}")
    if array.size and not 0 <= array.min() <= array.max() < MAX_DIMENSIONS:
        raise InputError(f"dimensions: {array.min()} to {array.max()} are not between 0 and {MAX_DIMENSIONS - 1}")
    return array


def sobol_directions(
    seed: int, replicate: int, dimension_numbers: Sequence[int] | npt.NDArray[np.integer]
) -> npt.NDArray[np.uint32]:
    """One replicate's scrambled direction numbers, and its shift, in these dimensions.

    Parameters
    ----------
    seed
        The 64-bit seed of the draws.
    replicate
        The replicate's number, below ``MAX_REPLICATES``.
    dimension_numbers
        Sobol dimensions below ``MAX_DIMENSIONS``.

    Returns
    -------
    array of uint32 ``(dimension, 33)``
        The direction numbers ``v_0`` to ``v_31`` and the shift: the word of point ``n`` is the shift ^ the ``v_k`` of
        the set bits ``k`` of ``n`` (:func:`sobol_word`).

    Examples
    --------
    >>> directions = sobol_directions(7, 0, [0, 1])
    >>> directions.shape, bool(directions[0, 0] >> 31)
    ((2, 33), True)
    """
    check_integer("seed", seed, at_least=0, below=2**64)
    check_integer("replicate", replicate, at_least=0, below=MAX_REPLICATES)
    return _scrambled_directions(seed, replicate, 1, _checked_dimensions(dimension_numbers))[:, 0]


def scrambled_directions(
    seed: int, replicates: int, dimensions: Sequence[int] | npt.NDArray[np.integer]
) -> npt.NDArray[np.uint32]:
    """What :func:`fill_sobol_words` draws from: the directions and shifts ``(dimension, replicate, 33)`` of these
    dimensions in all replicates, after its checks of both."""
    check_integer("replicates", replicates, at_least=1, below=MAX_REPLICATES + 1)
    wanted = _checked_dimensions(dimensions)
    return _scrambled(seed, replicates).with_dimensions(wanted)[wanted]


def fill_sobol_words(
    out: npt.NDArray[np.uint32],
    counters: npt.NDArray[np.uint32],
    *,
    seed: int,
    replicates: int,
    dimensions: Sequence[int] | npt.NDArray[np.integer],
) -> None:
    """Fill ``out`` ``(row, path)`` with scrambled Sobol words: row ``r`` is dimension ``dimensions[r]``.

    The columns' paths are those of :func:`riskops.rng.fill_words`: column ``tile*1024 + lane*256 + i`` is lane ``lane``
    of the counter ``counters[tile*256 + i]``, any counters in any order. Whole tiles, as
    :func:`riskops.rng.tile_counters` lists them, are several times faster. The last tile may be short. ``replicates``
    is part of what a path's word depends on.

    The scrambled directions of the last four pairs of a seed and ``replicates`` are kept, 132 bytes for each
    replicate of each dimension that was asked for.
    """
    arguments(out, counters, seed, 0, 0, 0)
    if out.dtype != _WORD:
        raise InputError(f"out: {out.dtype} is not uint32")
    check_integer("replicates", replicates, at_least=1, below=MAX_REPLICATES + 1)
    wanted = _checked_dimensions(dimensions)
    if len(wanted) != len(out):
        raise InputError(f"dimensions: {len(wanted)} for {len(out)} rows")
    if replicates * _COUNTERS <= 2**32 - 1 and counters.size and counters.max() >= replicates * _COUNTERS:
        raise InputError(f"replicates: {replicates} of 2^32 points each do not reach path {4 * int(counters.max())}")
    _words(out, counters, wanted, _scrambled(seed, replicates).with_dimensions(wanted))
