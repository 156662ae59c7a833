"""Returns and forecasters that the tests of the engine share: simple enough to be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers, Prediction


def returns_of(values: Any, *, variable: str = "simple_return", start: str = "2020-01-01") -> xr.Dataset:
    """Daily returns ``(observation, series)``; the series are A, B, ..."""
    array = np.asarray(values, np.float64)
    array = array[:, None] if array.ndim == 1 else array
    dim = "portfolio" if variable == "portfolio_return" else "asset"
    days = np.datetime64(start, "ns") + np.arange(len(array)) * np.timedelta64(1, "D")
    names = [chr(ord("A") + i) for i in range(array.shape[1])]
    return xr.Dataset({variable: (("observation", dim), array)}, coords={"observation": days, dim: names})


def random_returns(days: int, series: int, seed: int = 1) -> xr.Dataset:
    """Independent returns of one per cent a day."""
    return returns_of(np.random.default_rng(seed).normal(0.0, 0.01, (days, series)))


@dataclass(frozen=True)
class SpanFit:
    """Forecasts the largest loss of its sample times the level, plus the last return that is known."""

    worst: float
    levels: tuple[float, ...]
    refused: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    parameters: Mapping[str, float] = field(default_factory=dict)

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        if set(self.refused) & set(ends.tolist()):
            raise InputError("span: a day that it refuses")
        first = np.zeros(len(ends), np.int64) if window is None else np.maximum(ends - window, 0)
        quantile = np.array([[self.worst * a + returns[e - 1] + returns[f] for f, e in zip(first, ends, strict=True)]
                             for a in self.levels])  # fmt: skip
        return Prediction(quantile, quantile + 1.0, probability=lambda losses: losses + 0.5)


@dataclass(frozen=True)
class Span:
    """See :class:`SpanFit`; a sample whose first return is above ``refuses_above`` can't be fitted."""

    name: str = "span"
    estimated: bool = True
    least: int = 2
    refuses_above: float = np.inf
    refused_days: tuple[int, ...] = ()
    note: str = ""

    def horizon_rule(self, days: int) -> str:
        if days > 10:
            raise InputError(f"horizon: {days} days are more than the 10 that span reaches")
        return "one day" if days == 1 else "sums of days"

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> SpanFit:
        if returns[0] > self.refuses_above:
            raise InputError(f"span: the first return {float(returns[0])!r} is above {self.refuses_above!r}")
        notes = (self.note,) if self.note else ()
        return SpanFit(days * float(-returns.min()), tuple(levels), self.refused_days, notes)

    def record(self) -> dict[str, Any]:
        return {"kind": "span", "name": self.name, "estimated": self.estimated, "refuses_above": self.refuses_above}


@dataclass(frozen=True)
class Fixed(Span):
    """Answers with a prediction that it was given, whatever it is fitted to."""

    name: str = "fixed"
    quantile: float = 1.0
    shortfall: float = 2.0
    shape: tuple[int, ...] | None = None

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> Any:
        return _FixedFit(self, len(levels))


@dataclass(frozen=True)
class _FixedFit:
    made: Fixed
    levels: int
    notes: tuple[str, ...] = ()

    def predict(self, returns: Floats, ends: Integers, *, window: int | None) -> Prediction:
        shape = self.made.shape or (self.levels, len(ends))
        return Prediction(np.full(shape, self.made.quantile), np.full(shape, self.made.shortfall))
