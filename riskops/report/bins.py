"""Quantiles and densities from a histogram of losses, each with the width of the bins that bounds its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskops.checks import exact_level
from riskops.errors import InputError
from riskops.report.view import BASE, View

__all__ = ["Histogram", "fan_values", "histogram_of", "spread", "whisker_segments"]

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Histogram:
    """The non-empty bins ``[low, high)`` of a loss, ascending, and their counts: whole numbers of paths, or sums of the
    weights of weighted ones."""

    low: _Floats
    high: _Floats
    counts: npt.NDArray[np.int64] | _Floats

    @property
    def total(self) -> float:
        """All counts together."""
        return float(self.counts.sum())

    def quantile(self, probability: float) -> tuple[float, float]:
        """The loss not exceeded with ``probability``, placed evenly inside its bin, and the width of that bin."""
        reached = np.cumsum(self.counts)
        rank: float
        if np.issubdtype(self.counts.dtype, np.integer):
            rank = max(math.ceil(int(reached[-1]) * exact_level(probability)), 1)
            place = rank - 0.5
        else:
            rank = place = float(reached[-1]) * probability
        i = min(int(np.searchsorted(reached, rank)), len(reached) - 1)
        inside = (place - (reached[i] - self.counts[i])) / self.counts[i]
        width = float(self.high[i] - self.low[i])
        return float(self.low[i] + inside * width), width

    def shares(self, edges: _Floats) -> _Floats:
        """The share of paths between each two edges; a bin that an edge cuts is taken as evenly filled."""
        after = np.cumsum(self.counts)
        ends = np.column_stack([self.low, self.high]).ravel()
        reached = np.column_stack([after - self.counts, after]).ravel()
        return np.asarray(np.diff(np.interp(edges, ends, reached)) / self.total, dtype=np.float64)

    def edges(self, marks: Sequence[float], *, bars: int) -> _Floats:
        """Edges of equal bars from the 0.05 % to the 99.95 % quantile, or further where a mark lies."""
        low = min([self.quantile(0.0005)[0], *marks])
        high = max([self.quantile(0.9995)[0], *marks])
        margin = max(0.02 * (high - low), 1e-6 * max(abs(low), abs(high), 1.0))
        return np.linspace(low - margin, high + margin, bars + 1)


def histogram_of(view: View, *, portfolio: str, horizon: float) -> Histogram:
    """The histogram of a portfolio's loss at a horizon under the base scenario."""
    counts = view.array("loss_histogram", scenario=BASE, portfolio=portfolio, horizon=horizon)
    filled = np.flatnonzero(counts)
    if not len(filled):
        raise InputError(f"loss_histogram: no path of portfolio {portfolio!r} at horizon {horizon:g} is counted")
    low, high = (np.asarray(view.results[name].values, dtype=np.float64)[filled] for name in ("bin_low", "bin_high"))
    return Histogram(low, high, counts[filled] if view.weighted else counts[filled].astype(np.int64))


def fan_values(view: View, *, portfolio: str, probabilities: Sequence[float]) -> tuple[_Floats, _Floats, float]:
    """Days from today, quantiles of the portfolio's value ``(probability, day)``, and the widest bin that was used."""
    today = view.portfolio_value(portfolio)
    if today is None:
        raise InputError("portfolio_value: the results do not state it")
    days = np.array([0.0, *view.horizons])
    values = np.full((len(probabilities), len(days)), today)
    widest = 0.0
    for j, horizon in enumerate(view.horizons, start=1):
        histogram = histogram_of(view, portfolio=portfolio, horizon=horizon)
        for i, probability in enumerate(probabilities):
            loss, width = histogram.quantile(float(1 - exact_level(probability)))
            values[i, j] = today - loss
            widest = max(widest, width)
    return days, values, widest


def spread(places: _Floats, *, gap: float) -> _Floats:
    """Move ascending places apart to at least ``gap``, about their middle, so that labels there do not overlap."""
    moved = places.copy()
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    return np.asarray(moved - (moved - places).mean(), dtype=np.float64)


def whisker_segments(y: _Floats, low: _Floats, high: _Floats, cap: float = 0.1) -> tuple[_Floats, ...]:
    """Ends ``x0, y0, x1, y1`` of the strokes of intervals: a line from low to high, and a cap on each end."""
    return (
        np.concatenate([low, low, high]),
        np.concatenate([y, y - cap, y - cap]),
        np.concatenate([high, low, high]),
        np.concatenate([y, y + cap, y + cap]),
    )
