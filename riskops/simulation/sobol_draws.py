"""Normals from scrambled Sobol points, in the order of a Brownian bridge and of principal components.

The first coordinates of a Sobol sequence are its best, so they go where the variance is: to the end of the path before
its middle, to the first principal component of the correlated normals before the next (Caflisch, Morokoff and Owen
1997; Glasserman 2003, Monte Carlo Methods, 5.5). All steps of a stretch are drawn at once, and then handed out.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from riskops.models.base import Array
from riskops.rng import (
    MAX_DIMENSIONS,
    bridge_intervals,
    dimension_order,
    fill_low_words,
    fill_normals,
    fill_sobol_words,
    normals_of_words,
)
from riskops.scalar import fma
from riskops.simulation.draws import Draws, fill_shock

__all__ = ["SobolDraws"]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _settle(path, draws, left, middle, right, weights):  # type: ignore[no-untyped-def]
    """The point in the middle from the two that are settled: ``w0 path[left] + w1 path[right] + w2 draw``."""
    w0, w1, w2 = weights[0], weights[1], weights[2]
    before, after, found = path[left], path[right], path[middle]
    for i in range(len(draws)):
        found[i] = fma(w2, draws[i], fma(w1, after[i], w0 * before[i]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _differences(path):  # type: ignore[no-untyped-def]
    """Steps from points, in place and from the end; the point 0 is where the path begins."""
    for t in range(path.shape[0] - 1, 0, -1):
        after, before = path[t], path[t - 1]
        for i in range(path.shape[1]):
            after[i] = after[i] - before[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rotate(out, components, rotation):  # type: ignore[no-untyped-def]
    """out[f] = sum over j of rotation[f, j] * components[j], in the order of j."""
    for f in range(out.shape[0]):
        row = out[f]
        first, weight = components[0], rotation[f, 0]
        for i in range(len(row)):
            row[i] = weight * first[i]
        for j in range(1, rotation.shape[1]):
            other, weight = components[j], rotation[f, j]
            for i in range(len(row)):
                row[i] = fma(weight, other[i], row[i])


class SobolDraws(Draws):
    """All normals of the steps to the last horizon at once, from Sobol points where the dimensions reach."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._normal = [k for k, shock in enumerate(self.shocks) if shock.kind == "normal"]
        factors = [len(self.arrays[k]) for k in self._normal]
        steps, dtype = self.sampling.steps, self.dtype
        self._first = np.concatenate([[0], np.cumsum(factors)])
        wanted = min(self.sampling.dimensions, MAX_DIMENSIONS)
        self._order = dimension_order(steps, int(self._first[-1]), wanted)
        self._bridge = bridge_intervals(steps)
        self._weights = np.array([_bridge_weights(*row) for row in self._bridge.tolist()], dtype)
        self._paths = [np.empty((steps + 1, count, self.paths), dtype) for count in factors]
        self._spare = np.empty((max(factors), self.paths), dtype)
        self._rotations = {
            name: np.array(vector, dtype).reshape(round(len(vector) ** 0.5), -1)
            for name, vector in self.sampling.rotation.items()
        }

    def start(self, counters: Array) -> None:
        super().start(counters)
        for place, stream in enumerate(self._normal):
            path = self._paths[place]
            path[0] = path[-1] = 0.0  # the last point has weight zero in its own first value, and must be a number
            for level, (left, middle, right) in enumerate(self._bridge.tolist()):
                self._fill_level(self._spare[: path.shape[1]], place, stream, level)
                for f in range(path.shape[1]):
                    _settle(path[:, f], self._spare[f], left, middle, right, self._weights[level])
            for f in range(path.shape[1]):
                _differences(path[:, f])

    def _fill_level(self, out: Array, place: int, stream: int, level: int) -> None:
        """The independent normals of a level of the bridge, ``(component, path)``: Sobol's, then Philox's."""
        dimensions = self._order[level, self._first[place] : self._first[place + 1]]
        step = level + 1  # the draws that this step would take without a bridge
        if np.any(dimensions < 0):
            fill_normals(out, self.counters, seed=self.seed, step=step, stream=stream)
        rows = np.flatnonzero(dimensions >= 0)
        if not len(rows):
            return
        words = np.empty((len(rows), self.paths), np.uint32)
        numbers = [int(d) for d in dimensions[rows]]
        fill_sobol_words(words, self.counters, seed=self.seed, replicates=self.sampling.replicates, dimensions=numbers)
        low: Array | None = None
        if self.dtype == np.float64:
            every = np.empty((len(dimensions), self.paths), np.uint32)
            fill_low_words(every, self.counters, seed=self.seed, step=step, stream=stream)
            low = every[rows]
        found = np.empty((len(rows), self.paths), self.dtype)
        normals_of_words(found, words, low)
        out[rows] = found

    def draw(self, step: int) -> None:
        for stream, (shock, out) in enumerate(zip(self.shocks, self.arrays, strict=True)):
            if stream not in self._normal or not 1 <= step <= self.sampling.steps:
                fill_shock(shock, out, self.counters, seed=self.seed, step=step, stream=stream)
                continue
            found = self._paths[self._normal.index(stream)][step]
            if shock.name in self._rotations:
                _rotate(out, found, self._rotations[shock.name])
            else:
                out[:] = found


def _bridge_weights(left: int, middle: int, right: int) -> tuple[float, float, float]:
    """The weights of both ends and of the draw; the first draw, which has no right end, moves the last point."""
    if middle == right:
        return 1.0, 0.0, float(np.sqrt(right - left))
    length, before, after = right - left, middle - left, right - middle
    return after / length, before / length, float(np.sqrt(before * after / length))
