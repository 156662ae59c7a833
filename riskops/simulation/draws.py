"""The draws of a stretch of paths, step by step, in the arrangement that the spec's sampling asks for.

Each class fills the arrays of all shocks for one step. What it does to a path depends on the path's number, the seed
and the sampling alone, never on the stretch (contract C1), nor on the place where the stretch is worked through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numba
import numpy as np

from riskops.errors import InputError
from riskops.models import Shock, path_kernel
from riskops.models.base import Array
from riskops.rng import MAX_STREAM, TILE
from riskops.scalar import exp, fma, like, log_f64
from riskops.simulation.place import HOST, Place
from riskops.simulation.rows import scale_rows, set_rows
from riskops.simulation.sampling import Sampling

__all__ = ["Antithetic", "Draws", "Importance", "MomentMatched", "Stratified"]

#: The stream of draws that belong to no shock: the strata. (The last stream scrambles Sobol points.)
OWN_STREAM = MAX_STREAM - 2
_SHIFTED = 3 * TILE // 4


class Draws:
    """Plain draws: every path, step, factor and stream by itself."""

    #: Likelihood ratios of the paths drawn so far, ``(1, path)``; None where every path counts the same.
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
        place: Place = HOST,
    ) -> None:
        self.shocks, self.sampling, self.seed, self.dtype = tuple(shocks), sampling, seed, np.dtype(dtype)
        self.paths, self.place = n, place
        self.arrays: list[Array] = []
        for shock in shocks:
            whole = shock.kind in ("outcome", "word", "rows")
            self.arrays.append(place.empty((shock.count(assets), n), np.dtype(np.uint32) if whole else self.dtype))
        self.counters: Array = np.empty(0, np.uint32)
        self._prepare(tables)

    def _prepare(self, tables: Mapping[str, Array]) -> None:
        """Make what the arrangement needs beside the draws; ``tables`` are the model's, on the host."""

    def start(self, counters: Array) -> None:
        """Begin with the paths that these counters, on the host, stand for."""
        self.counters = self.place.put(counters)

    def draw(self, step: int) -> None:
        """Fill the arrays with the draws of a step; step 0 is for drawn initial states."""
        for stream in range(len(self.shocks)):
            self._fill(stream, step)

    def _fill(self, stream: int, step: int) -> None:
        """Plain draws of one shock."""
        fill = self.place.fill(self.shocks[stream].kind)
        fill(self.arrays[stream], self.counters, seed=self.seed, step=step, stream=stream)

    def _normals(self, vectors: Mapping[str, Sequence[float]]) -> list[tuple[Array, Array]]:
        """The arrays of the shocks that vectors are given for, with their vectors in the simulation's dtype."""
        found = []
        for shock, out in zip(self.shocks, self.arrays, strict=True):
            if shock.name in vectors:
                found.append((out, np.array(vectors[shock.name], self.dtype)))
        return found

    def _row(self) -> Array:
        """A number a path."""
        return self.place.empty((1, self.paths), self.dtype)


class Antithetic(Draws):
    """Lanes 2 and 3 of every tile take the opposite draws of lanes 0 and 1: -z, the mirrored quantile, ~word."""

    def draw(self, step: int) -> None:
        super().draw(step)
        for out in self.arrays:
            self.place.mirror_tiles(out)


class MomentMatched(Draws):
    """The normals of every step, factor and tile shifted and scaled to mean zero and deviation one."""

    def draw(self, step: int) -> None:
        super().draw(step)
        for shock, out in zip(self.shocks, self.arrays, strict=True):
            if shock.kind == "normal":
                self.place.match_tiles(out)


@path_kernel(tables=("vector",))
def _project(along, normals, vector):  # type: ignore[no-untyped-def]
    """along += vector . normals, in the order of the factors."""
    total = along[0]
    for f in range(len(vector)):
        weight, row = vector[f], normals[f]
        for i in range(len(total)):
            total[i] = fma(weight, row[i], total[i])


@path_kernel(tables=("share", "spread"))
def _pull(change, along, total, done, share, spread):  # type: ignore[no-untyped-def]
    """A step of the bridge from ``done`` to ``total``: what it takes is ``share`` of what is left plus ``spread`` of
    the draw."""
    moved, drawn, end, settled = change[0], along[0], total[0], done[0]
    for i in range(len(moved)):
        pulled = fma(share, end[i] - settled[i], spread * drawn[i])
        moved[i] = pulled - drawn[i]
        settled[i] = settled[i] + pulled


@path_kernel(tables=("vector",))
def _push(normals, change, vector):  # type: ignore[no-untyped-def]
    """normals += vector * change."""
    moved = change[0]
    for f in range(len(vector)):
        weight, row = vector[f], normals[f]
        for i in range(len(moved)):
            row[i] = fma(weight, moved[i], row[i])


class Stratified(Draws):
    """The sum of the normals along a direction, over all steps to the last horizon, stratified in 1024 strata a tile.

    The sum is drawn first, one path of every tile in each stratum, and the steps then follow the bridge that ends in
    it: the rest of every step's normals stays as drawn (Glasserman 2003, Monte Carlo Methods, 4.3).
    """

    def _prepare(self, tables: Mapping[str, Array]) -> None:
        self._total, self._done, self._along, self._change = (self._row() for _ in range(4))
        self._words = self.place.empty((1, self.paths), np.dtype(np.uint32))
        self._low = None if self.dtype == np.float32 else self.place.empty((1, self.paths), np.dtype(np.uint32))
        self._zero = self.place.put(np.zeros(1, self.dtype))
        self._vectors = [(out, self.place.put(vector)) for out, vector in self._normals(self.sampling.direction)]

    def start(self, counters: Array) -> None:
        super().start(counters)
        self.place.fill_words(self._words, self.counters, seed=self.seed, step=0, stream=OWN_STREAM)
        self.place.stratify_words(self._words, self.counters)
        if self._low is not None:
            self.place.fill_words(self._low, self.counters, seed=self.seed, step=1, stream=OWN_STREAM)
        self.place.normals_of_words(self._total, self._words, self._low)
        scale_rows(self._total, self.dtype.type(np.sqrt(self.sampling.steps)))
        set_rows(self._done, self._zero)

    def draw(self, step: int) -> None:
        super().draw(step)
        if not 1 <= step <= self.sampling.steps:
            return
        left = self.sampling.steps - step + 1
        set_rows(self._along, self._zero)
        for out, vector in self._vectors:
            _project(self._along, out, vector)
        share, spread = self.dtype.type(1.0 / left), self.dtype.type(np.sqrt(1.0 - 1.0 / left))
        _pull(self._change, self._along, self._total, self._done, share, spread)
        for out, vector in self._vectors:
            _push(out, self._change, vector)


@path_kernel(tables=("vector", "half_square"))
def _shift(normals, log_ratio, shifted, vector, half_square):  # type: ignore[no-untyped-def]
    """Add the vector in the lanes that are shifted; in all of them add ``theta . z - theta^2 / 2`` to the logarithm of
    the density of the shifted normals over that of the plain ones."""
    ratio, moved = log_ratio[0], shifted[0]
    for f in range(len(vector)):
        weight, row = vector[f], normals[f]
        for i in range(len(ratio)):
            z = row[i] + (weight if moved[i] != 0 else like(weight, 0.0))
            row[i] = z
            ratio[i] = fma(weight, z, ratio[i])
    for i in range(len(ratio)):
        ratio[i] = ratio[i] - half_square


@path_kernel(tables=("plain", "tilted", "log_ratios"))
def _tilt(words, log_ratio, shifted, plain, tilted, log_ratios):  # type: ignore[no-untyped-def]
    """Move the words of the lanes that are shifted so that they fall into the outcomes with the tilted probabilities,
    evenly inside each outcome; ``plain`` and ``tilted`` are the ends ``(factor, outcome + 1)`` of the outcomes'
    words."""
    ratio, moved = log_ratio[0], shifted[0]
    for f in range(words.shape[0]):
        row = words[f]
        outcomes = plain.shape[1] - 1
        for i in range(len(row)):
            word = np.uint64(row[i])
            ends = tilted[f] if moved[i] != 0 else plain[f]
            k = 0
            while k < outcomes - 1 and word >= ends[k + 1]:
                k += 1
            if moved[i] != 0:
                width, room = ends[k + 1] - ends[k], plain[f, k + 1] - plain[f, k]
                row[i] = np.uint32(plain[f, k] + (word - ends[k]) * room // width)
            ratio[i] = ratio[i] + log_ratios[f, k]


@path_kernel()
def _balance(weights, log_ratio):  # type: ignore[no-untyped-def]
    """One over the density of the mixture of three shifted lanes and a plain one (Owen and Zhou 2000)."""
    out, ratio = weights[0], log_ratio[0]
    for i in range(len(out)):
        x = ratio[i]
        bound = like(x, 80.0)
        x = x if x < bound else bound
        out[i] = like(x, 1.0) / fma(like(x, 0.75), exp(x), like(x, 0.25))


class Importance(Draws):
    """Three lanes of four are drawn where the losses are, the fourth as it comes; weights are those of the mixture.

    A weight so is at most 4 for every path, whatever the portfolio: the defensive mixture of Hesterberg (1995).
    """

    def _prepare(self, tables: Mapping[str, Array]) -> None:
        put = self.place.put
        self._log_ratio, self.weights = self._row(), self._row()
        self._zero, self._one = put(np.zeros(1, self.dtype)), put(np.ones(1, self.dtype))
        self._shifted = put((np.arange(self.paths) % TILE < _SHIFTED).astype(np.uint8)[None])
        self._shifts = []
        for out, vector in self._normals(self.sampling.shift):
            half_square = self.dtype.type(0.5 * sum(float(v) ** 2 for v in vector.tolist()))
            self._shifts.append((out, put(vector), half_square))
        self._tilts = []
        for shock, out in zip(self.shocks, self.arrays, strict=True):
            if shock.name in self.sampling.tilt and shock.table is not None:
                ends = outcome_ends(tables[shock.table], out.shape[0])
                tilted, logs = tilted_ends(ends, self.sampling.tilt[shock.name])
                self._tilts.append((out, put(ends), put(tilted), put(logs.astype(self.dtype))))

    def start(self, counters: Array) -> None:
        super().start(counters)
        set_rows(self._log_ratio, self._zero)
        set_rows(self.weights, self._one)

    def draw(self, step: int) -> None:
        super().draw(step)
        if step < 1:
            return
        for out, vector, half_square in self._shifts:
            _shift(out, self._log_ratio, self._shifted, vector, half_square)
        for out, plain, tilted, logs in self._tilts:
            _tilt(out, self._log_ratio, self._shifted, plain, tilted, logs)
        _balance(self.weights, self._log_ratio)


def outcome_ends(limits: Array, factors: int) -> Array:
    """Where the words of each outcome begin and the last one's end, ``(factor, outcome + 1)``, from thresholds."""
    ends = np.zeros((factors, limits.shape[-1] + 2), np.uint64)
    ends[:, 1:-1] = limits
    ends[:, -1] = 2**32
    return ends


def tilted_ends(plain: Array, probabilities: Sequence[float]) -> tuple[Array, Array]:
    """The ends under the tilted probabilities ``(factor * outcome)``, and the logarithm of each outcome's ratio.

    The ratios are those of the integer widths, so that they are exact for the words as they are drawn. An outcome that
    no word stands for keeps none.
    """
    width = np.diff(plain.astype(np.int64), axis=1)
    if len(probabilities) != width.size:
        raise InputError(f"sampling.tilt: {len(probabilities)} probabilities are not the {width.size} of the model")
    wanted = np.array(probabilities).reshape(width.shape)
    new = np.where(width > 0, np.maximum(np.floor(wanted * 2.0**32), 1.0), 0.0).astype(np.int64)
    for row in new:  # every outcome that can happen keeps a word; the likeliest takes up the rounding
        row[np.argmax(row)] += 2**32 - row.sum()
    tilted = np.zeros_like(plain)
    tilted[:, 1:] = np.cumsum(new, axis=1)
    logs = np.zeros(width.shape)
    _log_ratios(np.where(width > 0, new, 1), np.where(width > 0, width, 1), logs)
    return tilted, logs


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _log_ratios(a, b, out):  # type: ignore[no-untyped-def]
    """log(a / b) by our own logarithm: the last bits of NumPy's depend on the processor."""
    for f in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[f, k] = log_f64(np.float64(a[f, k]) / np.float64(b[f, k]))
