"""Mean, standard deviation, skewness and excess kurtosis of every row, with their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from riskops.reductions.batches import batch_error, batch_leaves, merge_batches, widen
from riskops.reductions.lanes import LANES, tile_product, tile_sum
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


def _merge(left: Values, right: Values) -> dict[str, Float]:
    """Counts, means and central sums of two runs together (Pebay 2008)."""
    number = left["count"] + right["count"]
    a, b, n = (widen(c, left["mean"]) for c in (left["count"], right["count"], number))
    with np.errstate(all="ignore"):  # an infinite loss gives NaN, without a warning from every merge
        step = right["mean"] - left["mean"]
        share = step / n
        second = step * share * (a * b)
        third = second * share * (a - b) + 3.0 * share * (a * right["m2"] - b * left["m2"])
        fourth = (
            second * share * share * (a * a - a * b + b * b)
            + 6.0 * share * share * (a * a * right["m2"] + b * b * left["m2"])
            + 4.0 * share * (a * right["m3"] - b * left["m3"])
        )
        return {
            "count": number,
            "mean": left["mean"] + share * b,
            "m2": left["m2"] + right["m2"] + second,
            "m3": left["m3"] + right["m3"] + third,
            "m4": left["m4"] + right["m4"] + fourth,
            **merge_batches(left, right),
        }


def _shape(n: npt.NDArray[np.float64], m2: Float, m3: Float, m4: Float) -> tuple[Float, Float, Float]:
    """Standard deviation (ddof=1), skewness and excess kurtosis from the central sums; NaN where they do not exist."""
    with np.errstate(all="ignore"):
        variance = m2 / n
        deviation = np.sqrt(m2 / np.where(n > 1, n - 1.0, np.nan))
        skewness = (m3 / n) / (variance * np.sqrt(variance))
        kurtosis = (m4 / n) / (variance * variance) - 3.0
    return deviation, skewness, kurtosis


@dataclass(frozen=True)
class Moments(Reduction):
    """Mean, standard deviation (ddof=1), skewness ``m3 / m2^1.5`` and excess kurtosis ``m4 / m2^2 - 3`` of every row.

    Parameters
    ----------
    variable
        The variable to read, ``(..., path)``.

    Notes
    -----
    ``finalize`` gives ``mean``, ``standard_deviation``, ``skewness`` and ``excess_kurtosis`` ``(...)``, each with
    ``_standard_error``, and the numbers ``count`` and ``batches``. The error of the mean is sd / sqrt(n); the others
    are batch means over tiles (:mod:`riskops.reductions.batches`). A row without variance has neither skewness nor
    kurtosis: NaN. NaN or infinity among the paths of a row gives NaN in that row.

    The state is a :class:`~riskops.reductions.tree.TileTree` of ``count``, ``mean``, ``m2``, ``m3``, ``m4``, and the
    ``batches``, ``batch_mean``, ``batch_squares`` of the three shape statistics.
    """

    variable: str = "loss"

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> TileTree:
        array = block[self.variable]
        data, lead = rows_of(array), array.shape[:-1]
        tiles = tile_count(data.shape[1])
        out = np.empty((tiles, len(data), 4))
        _tile_moments(data, out)
        count = np.full(tiles, float(TILE))
        count[-1] = data.shape[1] - (tiles - 1) * TILE
        sums = {name: out[..., k].reshape(tiles, *lead) for k, name in enumerate(("mean", "m2", "m3", "m4"))}
        shape = np.stack(_shape(widen(count, sums["mean"]), sums["m2"], sums["m3"], sums["m4"]), axis=-1)
        leaves = {"count": count, **sums, **batch_leaves(shape, count == TILE)}
        return TileTree.from_tiles(first_tile_of(first_path), leaves, _merge)

    def combine(self, states: Sequence[TileTree]) -> TileTree:
        return TileTree.join(states, _merge)

    def finalize(self, state: TileTree) -> dict[str, Array]:
        total = state.fold(_merge)
        n = total["count"]
        deviation, skewness, kurtosis = _shape(n, total["m2"], total["m3"], total["m4"])
        error = batch_error(total)
        return {
            "count": n.astype(np.int64),
            "batches": total["batches"].astype(np.int64),
            "mean": total["mean"],
            "mean_standard_error": deviation / np.sqrt(n),
            "standard_deviation": deviation,
            "standard_deviation_standard_error": error[..., 0],
            "skewness": skewness,
            "skewness_standard_error": error[..., 1],
            "excess_kurtosis": kurtosis,
            "excess_kurtosis_standard_error": error[..., 2],
        }
