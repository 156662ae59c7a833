"""The draws of a stretch of paths, step by step, in the arrangement that the spec's sampling asks for.

Each class fills the arrays of all shocks for one step. What it does to a path depends on the path's number, the seed
and the sampling alone, never on the stretch (contract C1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numba
import numpy as np

from riskops.models import Shock
from riskops.models.base import Array
from riskops.reductions.lanes import LANES, tile_product, tile_sum
from riskops.rng import MAX_STREAM, TILE, fill_normals, fill_uniforms, fill_words
from riskops.rng.draws import normal_f32, normal_f64
from riskops.scalar import exp, fma, like, log_f64, sqrt
from riskops.simulation.sampling import Sampling

__all__ = ["Antithetic", "Draws", "Importance", "MomentMatched", "Stratified", "fill_shock"]

#: The stream of draws that belong to no shock: the strata. (The last stream scrambles Sobol points.)
OWN_STREAM = MAX_STREAM - 2
_QUARTER = TILE // 4
_HALF = TILE // 2
_FILL = {
    "normal": fill_normals,
    "uniform": fill_uniforms,
    "outcome": fill_words,
    "word": fill_words,
    "rows": fill_words,
}


def fill_shock(shock: Shock, out: Array, counters: Array, *, seed: int, step: int, stream: int) -> None:
    """Plain draws of one shock."""
    _FILL[shock.kind](out, counters, seed=seed, step=step, stream=stream)


class Draws:
    """Plain draws: every path, step, factor and stream by itself."""

    #: Likelihood ratios of the paths drawn so far, ``(path,)``; None where every path counts the same.
    weights: Array | None = None

    def __init__(
        self,
        shocks: Sequence[Shock],
        sampling: Sampling,
        *,
        seed: int,
        n: int,
        assets: int,
        dtype: np.dtype,
        tables: Mapping[str, Array],
    ) -> None:
        self.shocks, self.sampling, self.seed, self.dtype = tuple(shocks), sampling, seed, np.dtype(dtype)
        self.paths, self.tables = n, tables
        self.arrays: list[Array] = []
        for shock in shocks:
            factors = assets if shock.per == "asset" else 1
            whole = shock.kind in ("outcome", "word", "rows")
            self.arrays.append(np.empty((factors, n), np.uint32 if whole else dtype))
        self.counters: Array = np.empty(0, np.uint32)

    def start(self, counters: Array) -> None:
        """Begin with the paths that these counters stand for."""
        self.counters = counters

    def draw(self, step: int) -> None:
        """Fill the arrays with the draws of a step; step 0 is for drawn initial states."""
        for stream, (shock, out) in enumerate(zip(self.shocks, self.arrays, strict=True)):
            fill_shock(shock, out, self.counters, seed=self.seed, step=step, stream=stream)

    def _normals(self, vectors: Mapping[str, Sequence[float]]) -> list[tuple[Array, Array]]:
        """The arrays of the shocks that vectors are given for, with their vectors in the simulation's dtype."""
        found = []
        for shock, out in zip(self.shocks, self.arrays, strict=True):
            if shock.name in vectors:
                found.append((out, np.array(vectors[shock.name], self.dtype)))
        return found


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


class Antithetic(Draws):
    """Lanes 2 and 3 of every tile take the opposite draws of lanes 0 and 1: -z, the mirrored quantile, ~word."""

    def draw(self, step: int) -> None:
        super().draw(step)
        for out in self.arrays:
            (_mirror_words if out.dtype == np.uint32 else _mirror_numbers)(out)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _match(out, x, lane):  # type: ignore[no-untyped-def]
    """Shift and scale each tile of each row to mean 0 and mean square 1, in double precision and lane order."""
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


class MomentMatched(Draws):
    """The normals of every step, factor and tile shifted and scaled to mean zero and deviation one."""

    def draw(self, step: int) -> None:
        super().draw(step)
        x, lane = np.empty(TILE), np.empty(LANES)
        for shock, out in zip(self.shocks, self.arrays, strict=True):
            if shock.kind == "normal":
                _match(out, x, lane)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _stratify(words, counters):  # type: ignore[no-untyped-def]
    """The place in the tile becomes the top ten bits: each of the 1024 strata holds one path of every tile."""
    for i in range(len(words)):
        counter = counters[(i // TILE) * _QUARTER + i % _QUARTER]
        place = np.uint32(((i % TILE) // _QUARTER) * _QUARTER) + np.uint32(counter % np.uint32(_QUARTER))
        words[i] = np.uint32(np.uint32(place << np.uint32(22)) | np.uint32(words[i] >> np.uint32(10)))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _normals_of_f32(words, low, out):  # type: ignore[no-untyped-def]
    for i in range(len(words)):
        out[i] = normal_f32(words[i])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _normals_of_f64(words, low, out):  # type: ignore[no-untyped-def]
    for i in range(len(words)):
        out[i] = normal_f64(words[i], low[i])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _project(along, normals, vector):  # type: ignore[no-untyped-def]
    """along += vector . normals, in the order of the factors."""
    for f in range(len(vector)):
        weight, row = vector[f], normals[f]
        for i in range(len(along)):
            along[i] = fma(weight, row[i], along[i])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _pull(change, along, total, done, share, spread):  # type: ignore[no-untyped-def]
    """A step of the bridge from ``done`` to ``total``: what it takes is ``share`` of what is left plus ``spread`` of
    the draw."""
    for i in range(len(change)):
        pulled = fma(share, total[i] - done[i], spread[0] * along[i])
        change[i] = pulled - along[i]
        done[i] = done[i] + pulled


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _push(normals, vector, change):  # type: ignore[no-untyped-def]
    """normals += vector * change."""
    for f in range(len(vector)):
        weight, row = vector[f], normals[f]
        for i in range(len(change)):
            row[i] = fma(weight, change[i], row[i])


class Stratified(Draws):
    """The sum of the normals along a direction, over all steps to the last horizon, stratified in 1024 strata a tile.

    The sum is drawn first, one path of every tile in each stratum, and the steps then follow the bridge that ends in
    it: the rest of every step's normals stays as drawn (Glasserman 2003, Monte Carlo Methods, 4.3).
    """

    def start(self, counters: Array) -> None:
        super().start(counters)
        n, dtype = self.paths, self.dtype
        words, low = np.empty((1, n), np.uint32), np.empty((1, n), np.uint32)
        fill_words(words, counters, seed=self.seed, step=0, stream=OWN_STREAM)
        _stratify(words[0], counters)
        self._total, self._done, self._along = np.empty(n, dtype), np.zeros(n, dtype), np.empty(n, dtype)
        if dtype == np.float64:
            fill_words(low, counters, seed=self.seed, step=1, stream=OWN_STREAM)
        (_normals_of_f32 if dtype == np.float32 else _normals_of_f64)(words[0], low[0], self._total)
        self._total *= dtype.type(np.sqrt(self.sampling.steps))

    def draw(self, step: int) -> None:
        super().draw(step)
        if not 1 <= step <= self.sampling.steps:
            return
        left = self.sampling.steps - step + 1
        vectors = self._normals(self.sampling.direction)
        self._along[:] = 0
        for out, vector in vectors:
            _project(self._along, out, vector)
        share, spread = self.dtype.type(1.0 / left), np.array([np.sqrt(1.0 - 1.0 / left)], self.dtype)
        change = np.empty_like(self._along)
        _pull(change, self._along, self._total, self._done, share, spread)
        for out, vector in vectors:
            _push(out, vector, change)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _shift(normals, vector, log_ratio, half_square):  # type: ignore[no-untyped-def]
    """Add the vector in the first three lanes; in all of them add ``theta . z - theta^2 / 2`` to the logarithm of the
    density of the shifted normals over that of the plain ones."""
    for f in range(len(vector)):
        weight, row = vector[f], normals[f]
        for i in range(len(log_ratio)):
            z = row[i] + (weight if i % TILE < 3 * _QUARTER else like(weight, 0.0))
            row[i] = z
            log_ratio[i] = fma(weight, z, log_ratio[i])
    for i in range(len(log_ratio)):
        log_ratio[i] = log_ratio[i] - half_square[0]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _tilt(words, plain, tilted, log_ratios, log_ratio):  # type: ignore[no-untyped-def]
    """Move the words of the first three lanes so that they fall into the outcomes with the tilted probabilities, evenly
    inside each outcome; ``plain`` and ``tilted`` are the ends ``(factor, outcome + 1)`` of the outcomes' words."""
    for f in range(words.shape[0]):
        row = words[f]
        outcomes = plain.shape[1] - 1
        for i in range(len(row)):
            word = np.uint64(row[i])
            ends = tilted[f] if i % TILE < 3 * _QUARTER else plain[f]
            k = 0
            while k < outcomes - 1 and word >= ends[k + 1]:
                k += 1
            if i % TILE < 3 * _QUARTER:
                width, room = ends[k + 1] - ends[k], plain[f, k + 1] - plain[f, k]
                row[i] = np.uint32(plain[f, k] + (word - ends[k]) * room // width)
            log_ratio[i] = log_ratio[i] + log_ratios[f, k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _balance(log_ratio, out):  # type: ignore[no-untyped-def]
    """One over the density of the mixture of three shifted lanes and a plain one (Owen and Zhou 2000)."""
    for i in range(len(out)):
        x = log_ratio[i]
        bound = like(x, 80.0)
        x = x if x < bound else bound
        out[i] = like(x, 1.0) / fma(like(x, 0.75), exp(x), like(x, 0.25))


class Importance(Draws):
    """Three lanes of four are drawn where the losses are, the fourth as it comes; weights are those of the mixture.

    A weight so is at most 4 for every path, whatever the portfolio: the defensive mixture of Hesterberg (1995).
    """

    def start(self, counters: Array) -> None:
        super().start(counters)
        self._log_ratio = np.zeros(self.paths, self.dtype)
        self.weights = np.ones(self.paths, self.dtype)

    def draw(self, step: int) -> None:
        super().draw(step)
        if step < 1:
            return
        for out, vector in self._normals(self.sampling.shift):
            half_square = np.array([0.5 * sum(float(v) ** 2 for v in vector.tolist())], self.dtype)
            _shift(out, vector, self._log_ratio, half_square)
        for shock, out in zip(self.shocks, self.arrays, strict=True):
            if shock.name in self.sampling.tilt and shock.table is not None:
                ends = outcome_ends(self.tables[shock.table], len(out))
                plain, tilted, logs = tilted_ends(ends, self.sampling.tilt[shock.name])
                _tilt(out, plain, tilted, logs.astype(self.dtype), self._log_ratio)
        assert self.weights is not None
        _balance(self._log_ratio, self.weights)


def outcome_ends(limits: Array, factors: int) -> Array:
    """Where the words of each outcome begin and the last one's end, ``(factor, outcome + 1)``, from thresholds."""
    ends = np.zeros((factors, limits.shape[-1] + 2), np.uint64)
    ends[:, 1:-1] = limits
    ends[:, -1] = 2**32
    return ends


def tilted_ends(plain: Array, probabilities: Sequence[float]) -> tuple[Array, Array, Any]:
    """The ends under the tilted probabilities ``(factor * outcome)``, and the logarithm of each outcome's ratio.

    The ratios are those of the integer widths, so that they are exact for the words as they are drawn. An outcome that
    no word stands for keeps none.
    """
    wanted = np.array(probabilities).reshape(len(plain), -1)
    width = np.diff(plain.astype(np.int64), axis=1)
    new = np.where(width > 0, np.maximum(np.floor(wanted * 2.0**32), 1.0), 0.0).astype(np.int64)
    for row in new:  # every outcome that can happen keeps a word; the likeliest takes up the rounding
        row[np.argmax(row)] += 2**32 - row.sum()
    tilted = np.zeros_like(plain)
    tilted[:, 1:] = np.cumsum(new, axis=1)
    logs = np.zeros(width.shape)
    _log_ratios(np.where(width > 0, new, 1), np.where(width > 0, width, 1), logs)
    return plain, tilted, logs


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _log_ratios(a, b, out):  # type: ignore[no-untyped-def]
    """log(a / b) by our own logarithm: the last bits of NumPy's depend on the processor."""
    for f in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[f, k] = log_f64(np.float64(a[f, k]) / np.float64(b[f, k]))
