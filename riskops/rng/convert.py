"""Words to normals and uniforms, wherever the words come from: the bits that the fills give for the same words.

:mod:`riskops.rng.fill` draws and converts at once. Here the words are given: Sobol words (:mod:`riskops.rng.sobol`), or
rows of them beside rows of Philox words. ``out`` may be the words' own memory, seen as float32: each tile is read
before it is written.
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
from riskops.rng.fill import MAX_STREAM, TILE, arguments
from riskops.rng.fill import _words as _philox_words

__all__ = ["fill_low_words", "normals_of_words", "uniforms_of_words"]

_LOW_WORDS = np.uint32(MAX_STREAM)
_WORD, _SINGLE, _DOUBLE = np.dtype(np.uint32), np.dtype(np.float32), np.dtype(np.float64)
_kernel = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def _normals_f32(out, words):  # type: ignore[no-untyped-def]
    rows, n = out.shape
    spare = np.empty(TILE, np.uint32)
    for row in range(rows):
        for start in range(0, n, TILE):
            run, given = out[row, start : start + TILE], words[row, start : start + TILE]
            for i in range(run.shape[0]):
                spare[i] = given[i]
            for i in range(run.shape[0]):
                run[i] = normal_log_f32(spare[i])
            for i in range(run.shape[0]):
                run[i] = normal_of_log_f32(run[i], spare[i])


@_kernel
def _uniforms_f32(out, words):  # type: ignore[no-untyped-def]
    rows, n = out.shape
    spare = np.empty(TILE, np.uint32)
    for row in range(rows):
        for start in range(0, n, TILE):
            run, given = out[row, start : start + TILE], words[row, start : start + TILE]
            for i in range(run.shape[0]):
                spare[i] = given[i]
            for i in range(run.shape[0]):
                run[i] = uniform_f32(spare[i])


@_kernel
def _normals_f64(out, words, low_words):  # type: ignore[no-untyped-def]
    rows, n = out.shape
    for row in range(rows):
        for start in range(0, n, TILE):
            run, high = out[row, start : start + TILE], words[row, start : start + TILE]
            low = low_words[row, start : start + TILE]
            for i in range(run.shape[0]):
                run[i] = normal_log_f64(high[i], low[i])
            for i in range(run.shape[0]):
                run[i] = normal_of_log_f64(run[i], high[i])


@_kernel
def _uniforms_f64(out, words, low_words):  # type: ignore[no-untyped-def]
    rows, n = out.shape
    for row in range(rows):
        for i in range(n):
            out[row, i] = uniform_f64(words[row, i], low_words[row, i])


def _convert(out: Any, words: Any, low_words: Any, single: Any, double: Any) -> None:
    """Run the kernel for the dtype of ``out``, after the checks that keep it inside its arrays."""
    if out.dtype not in (_SINGLE, _DOUBLE):
        raise InputError(f"out: {out.dtype} is not float32 or float64")
    if (low_words is None) != (out.dtype == _SINGLE):
        needs = "takes no low words" if out.dtype == _SINGLE else "needs low words"
        raise InputError(f"low_words: {out.dtype} {needs}")
    for name, given in (("words", words), ("low_words", low_words)):
        if given is not None and (given.dtype != _WORD or given.shape != out.shape):
            raise InputError(f"{name}: expected uint32 {out.shape}, not {given.dtype} {given.shape}")
    if low_words is None:
        single(out, words)
    else:
        double(out, words, low_words)


def normals_of_words(
    out: npt.NDArray[Any], words: npt.NDArray[np.uint32], low_words: npt.NDArray[np.uint32] | None = None
) -> None:
    """Fill ``out`` ``(row, path)`` with the standard normals of these words, as :func:`riskops.rng.fill_normals` makes
    them: float32 from the words alone, float64 from the words and low words of the same shape."""
    _convert(out, words, low_words, _normals_f32, _normals_f64)


def uniforms_of_words(
    out: npt.NDArray[Any], words: npt.NDArray[np.uint32], low_words: npt.NDArray[np.uint32] | None = None
) -> None:
    """Fill ``out`` ``(row, path)`` with the signed folded probabilities of these words, as
    :func:`riskops.rng.fill_uniforms` makes them."""
    _convert(out, words, low_words, _uniforms_f32, _uniforms_f64)


def fill_low_words(
    out: npt.NDArray[np.uint32],
    counters: npt.NDArray[np.uint32],
    *,
    seed: int,
    step: int,
    stream: int,
    first_factor: int = 0,
) -> None:
    """Fill ``out`` ``(factor, path)`` with the low words of C1: those of the draw's ``stream + 2^31``, laid out as
    :func:`riskops.rng.fill_words` says."""
    key_0, key_1, step_word, stream_word, factor = arguments(out, counters, seed, step, stream, first_factor)
    _philox_words(out, counters, key_0, key_1, step_word, stream_word + _LOW_WORDS, factor)
