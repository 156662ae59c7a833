"""Mean, standard deviation, skewness and excess kurtosis of every row, with their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numba
import numpy as np
import numpy.typing as npt

from riskops.errors import InputError
from riskops.reductions.batches import (
    SLOT,
    batch_error,
    batch_leaves,
    batch_reach,
    fold_batches,
    merge_batches,
    replicate_tree,
    widen,
)
from riskops.reductions.groups import Groups
from riskops.reductions.lanes import LANES, tile_product, tile_sum
from riskops.reductions.order import Z95
from riskops.reductions.reduction import Array, Reduction, first_tile_of, rows_of
from riskops.reductions.tree import TILE, TileTree, Values, tile_count

__all__ = ["Moments"]

Float = npt.NDArray[np.float64]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _tile_moments(data, out):  # type: ignore[no-untyped-def]
    """Mean and sums of the second, third and fourth power of the deviations from it: ``out[tile, row, 4]``."""
    x, square, lane = np.empty(TILE), np.empty(TILE), np.empty(LANES)
    for row in range(data.shape[0]):
        for tile in range(out.shape[0]):
            start = tile * TILE
            n = min(TILE, data.shape[1] - start)
            x[n:] = 0.0
            for i in range(n):
                x[i] = np.float64(data[row, start + i])
            mean = tile_sum(x, lane) / n
            for i in range(n):
                x[i] = x[i] - mean
            for i in range(TILE):
                square[i] = x[i] * x[i]
            out[tile, row, 0] = mean
            out[tile, row, 1] = tile_sum(square, lane)
            out[tile, row, 2] = tile_product(square, x, lane)
            out[tile, row, 3] = tile_product(square, square, lane)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _tile_weighted_moments(data, weights, out):  # type: ignore[no-untyped-def]
    """The sum of the weights, the weighted mean, and weighted sums of powers of deviations: ``out[tile, row, 5]``."""
    x, w, square, lane = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(LANES)
    for row in range(data.shape[0]):
        weight = weights[row % weights.shape[0]]
        for tile in range(out.shape[0]):
            start = tile * TILE
            n = min(TILE, data.shape[1] - start)
            x[n:] = 0.0
            w[n:] = 0.0
            for i in range(n):
                x[i] = np.float64(data[row, start + i])
                w[i] = np.float64(weight[start + i])
            mass = tile_sum(w, lane)
            mean = tile_product(w, x, lane) / mass if mass > 0.0 else 0.0
            for i in range(n):
                x[i] = x[i] - mean
            for i in range(TILE):
                square[i] = x[i] * x[i]
            out[tile, row, 0] = mass
            out[tile, row, 1] = mean
            out[tile, row, 2] = tile_product(w, square, lane)
            for i in range(TILE):
                w[i] = w[i] * square[i]
            out[tile, row, 3] = tile_product(w, x, lane)
            out[tile, row, 4] = tile_product(w, square, lane)


def _central(left: Values, right: Values, prefix: str = "") -> dict[str, Float]:
    """Counts, means and central sums of two runs together (Pebay 2008); sums of weights stand in for counts."""
    mass = prefix + ("weight" if prefix + "weight" in left else "count")
    mean, m2, m3, m4 = (prefix + name for name in ("mean", "m2", "m3", "m4"))
    number = left[mass] + right[mass]
    a, b, n = (widen(c, left[mean]) for c in (left[mass], right[mass], number))
    with np.errstate(all="ignore"):  # an infinite loss gives NaN, without a warning from every merge
        step = right[mean] - left[mean]
        share = step / np.where(n > 0.0, n, 1.0)
        second = step * share * (a * b)
        third = second * share * (a - b) + 3.0 * share * (a * right[m2] - b * left[m2])
        fourth = (
            second * share * share * (a * a - a * b + b * b)
            + 6.0 * share * share * (a * a * right[m2] + b * b * left[m2])
            + 4.0 * share * (a * right[m3] - b * left[m3])
        )
        return {
            prefix + "count": left[prefix + "count"] + right[prefix + "count"],
            mass: number,
            mean: left[mean] + share * b,
            m2: left[m2] + right[m2] + second,
            m3: left[m3] + right[m3] + third,
            m4: left[m4] + right[m4] + fourth,
        }


def _merge(left: Values, right: Values) -> dict[str, Float]:
    """Two runs together, and their batches, or their replicates slot by slot."""
    errors = _central(left, right, SLOT) if SLOT + "count" in left else merge_batches(left, right)
    return _central(left, right) | errors


def _shape(values: Values, prefix: str = "") -> tuple[Float, Float, Float]:
    """Standard deviation (ddof=1), skewness and excess kurtosis from the central sums; NaN where they do not exist."""
    mean, m2, m3, m4 = (values[prefix + name] for name in ("mean", "m2", "m3", "m4"))
    n = widen(values[prefix + "count"], mean)
    weight = values.get(prefix + "weight")
    with np.errstate(all="ignore"):
        freedom = np.where(n > 1, n - 1.0 if weight is None else weight * ((n - 1.0) / n), np.nan)
        mass = n if weight is None else weight
        variance = m2 / mass
        deviation = np.sqrt(m2 / freedom)
        skewness = (m3 / mass) / (variance * np.sqrt(variance))
        kurtosis = (m4 / mass) / (variance * variance) - 3.0
    return deviation, skewness, kurtosis


@dataclass(frozen=True)
class Moments(Reduction):
    """Mean, standard deviation (ddof=1), skewness ``m3 / m2^1.5`` and excess kurtosis ``m4 / m2^2 - 3`` of every row.

    Parameters
    ----------
    variable
        The variable to read, ``(..., path)``.
    weight
        The variable that weights the paths, ``(horizon, path)``, not negative, where ``variable`` is ``(..., horizon,
        path)``: leads repeat it. None counts every path once.
    groups
        Which paths depend on each other.

    Notes
    -----
    ``finalize`` gives ``mean``, ``standard_deviation``, ``skewness`` and ``excess_kurtosis`` ``(...)``, each with
    ``_standard_error``, the numbers ``count`` and ``batches``, and ``reach``, how many standard errors a 95 % interval
    reaches. A row without variance has neither skewness nor kurtosis: NaN. NaN or infinity among the paths of a row
    gives NaN in that row.

    Of independent paths without weights the error of the mean is sd / sqrt(n); the others are batch means over tiles
    (:mod:`riskops.reductions.batches`). Otherwise all errors are batch means, the mean's included, over tiles, or over
    replicates where those are the groups, and ``reach`` is Student's t for the number of batches.

    Weighted sums are divided by the sum of the weights (self-normalised), in every batch by its own; the variance
    keeps the factor ``n / (n - 1)`` of n paths.

    The state is a :class:`~riskops.reductions.tree.TileTree` of ``count``, ``mean``, ``m2``, ``m3``, ``m4`` (and
    ``weight``), and the ``batches``, ``batch_mean``, ``batch_squares`` of the statistics; for replicates, in place of
    these, of the former once more for each replicate, zero where it has no tile.
    """

    variable: str = "loss"
    weight: str | None = None
    groups: Groups = field(default_factory=Groups)

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,) if self.weight is None else (self.variable, self.weight)

    @property
    def _plain(self) -> bool:
        return self.weight is None and self.groups.unit == "path"

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> TileTree:
        array = block[self.variable]
        data, lead = rows_of(array), array.shape[:-1]
        tiles = tile_count(data.shape[1])
        names: tuple[str, ...] = ("mean", "m2", "m3", "m4")
        if self.weight is None:
            out = np.empty((tiles, len(data), 4))
            _tile_moments(data, out)
        else:
            weights = rows_of(block[self.weight])
            if len(data) % len(weights):
                raise InputError(f"{self.weight}: {len(weights)} rows do not weight the {len(data)} of {self.variable}")
            out, names = np.empty((tiles, len(data), 5)), ("weight", *names)
            _tile_weighted_moments(data, weights, out)
        count = np.full(tiles, float(TILE))
        count[-1] = data.shape[1] - (tiles - 1) * TILE
        sums = {"count": count} | {name: out[..., k].reshape(tiles, *lead) for k, name in enumerate(names)}
        first = first_tile_of(first_path)
        if self.groups.unit == "replicate":
            return replicate_tree(first, sums, self.groups.replicates, _merge)
        shape = np.stack(_shape(sums) if self._plain else (sums["mean"], *_shape(sums)), axis=-1)
        return TileTree.from_tiles(first, sums | batch_leaves(shape, count == TILE), _merge)

    def combine(self, states: Sequence[TileTree]) -> TileTree:
        return TileTree.join(states, _merge)

    def finalize(self, state: TileTree) -> dict[str, Array]:
        total = state.fold(_merge)
        n = total["count"]
        deviation, skewness, kurtosis = _shape(total)
        if self.groups.unit == "replicate":
            each = np.stack((total[SLOT + "mean"], *_shape(total, SLOT)), axis=-1)
            total |= fold_batches(each, total[SLOT + "count"] > 0.0)
        error = batch_error(total)
        return {
            "count": n.astype(np.int64),
            "batches": total["batches"].astype(np.int64),
            "reach": np.asarray(Z95 if self._plain else batch_reach(float(total["batches"]))),
            "mean": total["mean"],
            "mean_standard_error": deviation / np.sqrt(n) if self._plain else error[..., -4],
            "standard_deviation": deviation,
            "standard_deviation_standard_error": error[..., -3],
            "skewness": skewness,
            "skewness_standard_error": error[..., -2],
            "excess_kurtosis": kurtosis,
            "excess_kurtosis_standard_error": error[..., -1],
        }
