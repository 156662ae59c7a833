"""Normals from scrambled Sobol points, in the order of a Brownian bridge and of principal components.

The first coordinates of a Sobol sequence are its best, so they go where the variance is: to the end of the path before
its middle, to the first principal component of the correlated normals before the next (Caflisch, Morokoff and Owen
1997; Glasserman 2003, Monte Carlo Methods, 5.5). All steps of a stretch are drawn at once, and then handed out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from riskops.models import path_kernel
from riskops.models.base import Array
from riskops.rng import MAX_DIMENSIONS, bridge_intervals, dimension_order
from riskops.scalar import fma
from riskops.simulation.draws import Draws
from riskops.simulation.rows import copy_rows, set_rows

__all__ = ["SobolDraws"]


@path_kernel(tables=("left", "middle", "right", "w0", "w1", "w2"))
def _settle(path, draws, left, middle, right, w0, w1, w2):  # type: ignore[no-untyped-def]
    """The point in the middle from the two that are settled: ``w0 path[left] + w1 path[right] + w2 draw``."""
    for f in range(draws.shape[0]):
        before, after, found, draw = path[left, f], path[right, f], path[middle, f], draws[f]
        for i in range(len(draw)):
            found[i] = fma(w2, draw[i], fma(w1, after[i], w0 * before[i]))


@path_kernel()
def _differences(path):  # type: ignore[no-untyped-def]
    """Steps from points, in place and from the end; the point 0 is where the path begins."""
    for f in range(path.shape[1]):
        for t in range(path.shape[0] - 1, 0, -1):
            after, before = path[t, f], path[t - 1, f]
            for i in range(len(after)):
                after[i] = after[i] - before[i]


@path_kernel(tables=("rotation",))
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

    def _prepare(self, tables: Mapping[str, Array]) -> None:
        empty, put, word = self.place.empty, self.place.put, np.dtype(np.uint32)
        # common normals move all assets, so they come before each asset's own
        self._normal = [k for k, shock in enumerate(self.shocks) if shock.kind == "normal"]
        self._normal.sort(key=lambda k: self.shocks[k].per != "factor")
        factors = [self.arrays[k].shape[0] for k in self._normal]
        steps, dtype = self.sampling.steps, self.dtype
        self._first = np.concatenate([[0], np.cumsum(factors)])
        wanted = min(self.sampling.dimensions, MAX_DIMENSIONS)
        self._order = dimension_order(steps, int(self._first[-1]), wanted)
        self._bridge = bridge_intervals(steps).tolist()
        self._weights = [tuple(map(dtype.type, _bridge_weights(*row))) for row in self._bridge]
        self._paths = [empty((steps + 1, count, self.paths), dtype) for count in factors]
        self._spare = empty((max(factors), self.paths), dtype)
        self._words = empty((max(factors), self.paths), word)
        self._low = empty((max(factors), self.paths), word) if dtype == np.float64 else None
        self._zeros = put(np.zeros(max(factors), dtype))
        self._rotations = {
            name: put(np.array(vector, dtype).reshape(round(len(vector) ** 0.5), -1))
            for name, vector in self.sampling.rotation.items()
        }

    def start(self, counters: Array) -> None:
        super().start(counters)
        for place, stream in enumerate(self._normal):
            path = self._paths[place]
            set_rows(path[0], self._zeros)
            set_rows(path[self.sampling.steps], self._zeros)  # its own first value has weight zero, but is read
            for level, ends in enumerate(self._bridge):
                draws = self._spare[: path.shape[1]]
                self._fill_level(draws, place, stream, level)
                _settle(path, draws, *ends, *self._weights[level])
            _differences(path)

    def _fill_level(self, out: Array, place: int, stream: int, level: int) -> None:
        """The independent normals of a level of the bridge, ``(component, path)``: Sobol's, then Philox's."""
        dimensions = self._order[level, self._first[place] : self._first[place + 1]]
        count = int(np.sum(dimensions >= 0))  # the first components: no later one has a dimension before them
        keys = {"seed": self.seed, "step": level + 1, "stream": stream}  # those of this step's draws without a bridge
        if count < len(dimensions):
            self.place.fill_normals(out[count:], self.counters, **keys, first_factor=count)
        if not count:
            return
        words, low = self._words[:count], None
        numbers = [int(d) for d in dimensions[:count]]
        self.place.fill_sobol_words(
            words, self.counters, seed=self.seed, replicates=self.sampling.replicates, dimensions=numbers
        )
        if self._low is not None:
            low = self._low[:count]
            self.place.fill_low_words(low, self.counters, **keys)
        self.place.normals_of_words(out[:count], words, low)

    def draw(self, step: int) -> None:
        for stream, (shock, out) in enumerate(zip(self.shocks, self.arrays, strict=True)):
            if stream not in self._normal or not 1 <= step <= self.sampling.steps:
                self._fill(stream, step)
                continue
            found = self._paths[self._normal.index(stream)][step]
            if shock.name in self._rotations:
                _rotate(out, found, self._rotations[shock.name])
            else:
                copy_rows(out, found)


def _bridge_weights(left: int, middle: int, right: int) -> tuple[float, float, float]:
    """The weights of both ends and of the draw; the first draw, which has no right end, moves the last point."""
    if middle == right:
        return 1.0, 0.0, float(np.sqrt(right - left))
    length, before, after = right - left, middle - left, right - middle
    return after / length, before / length, float(np.sqrt(before * after / length))
