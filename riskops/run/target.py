"""An accuracy instead of a number of paths: what is judged, and by how much a run is extended until it is reached.

Counter-based draws make further paths the continuation of those that are there: a run goes on in batches that double
it, of whole chunks, and is judged only between them. What stops it, the target or a bound, is recorded, and so is the
count that it reached, which is all that ``replay`` needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

from riskops.errors import ConfigError
from riskops.rng import TILE
from riskops.simulation import SimulationSpec

__all__ = ["Bounds", "Target", "first_batch", "last_batch", "next_batch"]


@dataclass(frozen=True)
class Target:
    """The relative error to reach: the standard error over the measure, at every portfolio and horizon of the base.

    Parameters
    ----------
    measure
        ``value_at_risk``, ``expected_shortfall`` or ``mean_loss``.
    level
        The confidence level that is judged.
    relative_error
        What is to be reached.
    """

    measure: str
    level: float
    relative_error: float

    def reached(self, measures: xr.Dataset) -> float:
        """The largest relative error among the figures judged; infinite where a measure is zero or has no error."""
        worst = 0.0
        value, error = (
            self._judged(measures[name]).values.reshape(-1) for name in (self.measure, f"{self.measure}_standard_error")
        )
        for v, e in zip(value.tolist(), error.tolist(), strict=True):
            known = v != 0.0 and math.isfinite(v) and math.isfinite(e)
            worst = max(worst, abs(e / v) if known else math.inf)
        return worst

    def _judged(self, figures: xr.DataArray) -> xr.DataArray:
        base = figures.sel(scenario="base") if "scenario" in figures.dims else figures
        return base.sel(level=self.level) if "level" in base.dims else base

    def record(self) -> dict[str, Any]:
        """The target as plain JSON values."""
        return asdict(self)

    def outcome(self, measures: xr.Dataset) -> dict[str, Any]:
        """The target, the relative error that was got, and whether it met the target; an error without a value is
        null."""
        got = self.reached(measures)
        return self.record() | {"reached": got if math.isfinite(got) else None, "met": got <= self.relative_error}


@dataclass(frozen=True)
class Bounds:
    """What ends a run that has not met its target."""

    max_paths: int
    max_seconds: float | None = None

    def record(self) -> dict[str, Any]:
        """The bounds as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Bounds:
        """The inverse of :meth:`record`."""
        return cls(**record)


def _unit(spec: SimulationSpec) -> int:
    """Batches are whole chunks, and whole rounds of replicates."""
    return int(np.lcm(spec.chunk_paths or TILE, TILE * max(spec.sampling.replicates, 1)))


def first_batch(spec: SimulationSpec, *, bounds: Bounds) -> int:
    """The paths of the first batch: those of the spec, filled up to whole chunks, never fewer.

    Raises
    ------
    ConfigError
        The bound leaves no room for one batch.

    Examples
    --------
    >>> from riskops.models import GeometricBrownianMotion
    >>> model = GeometricBrownianMotion(("A",), np.zeros(1), np.array([0.2]), np.eye(1))
    >>> spec = SimulationSpec(model, paths=100_000, chunk_paths=65_536)
    >>> first_batch(spec, bounds=Bounds(max_paths=1_000_000))
    131072
    """
    unit = _unit(spec)
    first = -(-spec.paths // unit) * unit
    if first > bounds.max_paths:
        raise ConfigError(
            f"simulation.max_paths: {bounds.max_paths} hold no batch of whole chunks, {first} paths; "
            "raise it or set a smaller simulation.chunk_paths"
        )
    return first


def next_batch(spec: SimulationSpec, *, bounds: Bounds) -> int | None:
    """The paths after the next batch: twice as many, or as many whole chunks as the bound allows; None for no more.

    Examples
    --------
    >>> from riskops.models import GeometricBrownianMotion
    >>> model = GeometricBrownianMotion(("A",), np.zeros(1), np.array([0.2]), np.eye(1))
    >>> spec = SimulationSpec(model, paths=131_072, chunk_paths=65_536)
    >>> next_batch(spec, bounds=Bounds(max_paths=200_000))
    196608
    """
    following = min(2 * spec.paths, last_batch(spec, bounds=bounds))
    return following if following > spec.paths else None


def last_batch(spec: SimulationSpec, *, bounds: Bounds) -> int:
    """The paths that a bound leaves room for, in whole chunks."""
    unit = _unit(spec)
    return bounds.max_paths // unit * unit
