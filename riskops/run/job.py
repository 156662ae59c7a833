"""What a market-risk run computes: everything resolved and calibrated, before the first path is drawn.

A job is made once from a configuration, eagerly; from then on no file of the user is read again. Its record holds every
number that a figure depends on, exactly, so that ``resume`` and ``replay`` need the run directory and nothing else.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import xarray as xr

from riskops.measures import is_bounded, tail_size
from riskops.reductions.brackets import bracket_entries
from riskops.run.directory import canonical
from riskops.run.source import Source
from riskops.run.target import Bounds, Target
from riskops.scenarios import Scenario
from riskops.schema import variable
from riskops.simulation import PathJob, SimulationSpec, Workload, path_job

__all__ = ["RiskJob", "spec_hash"]

#: The times at which paths are stored: those of ``store.times``.
StoreTimes = Literal["horizons", "all"] | tuple[float, ...]


def spec_hash(record: object) -> str:
    """The sha256 of a job's record."""
    return hashlib.sha256(canonical(record).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class RiskJob:
    """A resolved market-risk run: spec, prices, portfolios, scenarios, and what is asked of them."""

    title: str
    currency: str
    spec: SimulationSpec
    prices: xr.Dataset
    book: xr.Dataset
    scenarios: tuple[Scenario, ...]
    levels: tuple[float, ...]
    horizons: tuple[float, ...]
    calibration: Mapping[str, Any]
    historical: bool = True
    dependence: bool = True
    contributions: bool = True
    target: Target | None = None
    bounds: Bounds | None = None
    store_losses: bool = True
    store_paths: bool = False
    store_times: StoreTimes = "horizons"
    store_url: str | None = None  # where arrays over paths go, if not into the run's folder
    source: Source | None = None  # a stored run that is read in the place of simulating
    device: str = "cpu"  # what is asked for until settle_device has chosen
    device_fallback: bool = False

    @cached_property
    def paths(self) -> PathJob:
        """The job of the simulation engine, all scenarios resolved."""
        return path_job(
            self.spec,
            times=self.times,
            scenarios=self.scenarios,
            prices=self.prices,
            device="cuda" if self.device == "cuda" else "cpu",
            device_fallback=self.device_fallback,
        )

    @property
    def times(self) -> tuple[float, ...]:
        """The times of the paths, in days: the horizons, and what is stored besides."""
        if not self.store_paths or self.store_times == "horizons":
            return self.horizons
        if self.store_times == "all":
            return self.spec.times[1:]
        steps = {self.spec.step_of(time, name="store.times") for time in (*self.store_times, *self.horizons)}
        return tuple(self.spec.time_of(step) for step in sorted(steps))

    @property
    def window(self) -> int:
        """Observations in the calibration window, which historical simulation uses too."""
        return int(self.calibration["observations"])

    @property
    def adjustments(self) -> list[str]:
        """What was changed because the configuration asked for it: gaps in the prices, a correlation matrix."""
        lines = list(self.prices.attrs.get("adjustments", []))
        if self.controlled and len(self.scenarios) > 1:
            lines.append("changes under stress are those of plain draws, not corrected by control variates")
        repair = self.calibration.get("nearest_correlation")
        if repair:
            lines.append(
                f"the correlation was replaced by the nearest that is positive definite ({repair['method']}): "
                f"Frobenius distance {repair['frobenius_distance']:.3g}, largest change {repair['largest_change']:.3g}"
            )
        factors = self.calibration.get("factors")
        if factors:
            lines.append(
                f"the correlation was replaced by one of {factors['factors']} factors ({factors['method']}), which "
                f"explain {sum(factors['explained_variance']):.3g} of the variance: it differs from the estimate by "
                f"{factors['root_mean_square_error']:.3g} in the root mean square, at most by "
                f"{factors['largest_error']:.3g}"
            )
        return lines

    @property
    def tail_paths(self) -> int:
        """How many of the worst paths of a row the exact tail keeps."""
        groups = self.spec.sampling.groups
        if self.spec.sampling.weighted:  # most paths may lie in the tail that they were drawn into
            return self.spec.paths
        return tail_size(self.levels, self.spec.paths, groups, controlled=self.controlled)

    @property
    def controlled(self) -> bool:
        """Whether figures are corrected by known means."""
        return self.spec.sampling.method == "control_variate"

    @property
    def _bracket_entries(self) -> int:
        """How many losses of a row the brackets of its tail hold; zero where the tail is kept whole."""
        rows = len(self.scenarios) * self.book.sizes["portfolio"] * len(self.horizons)
        if not is_bounded(rows=rows, kept=self.tail_paths):
            return 0
        n = self.spec.paths
        return math.ceil(sum(bracket_entries((1.0 - level) * n, n) for level in self.levels))

    @property
    def workload(self) -> Workload:
        """What the plan has to know."""
        return Workload(
            times=len(self.times),
            scenarios=len(self.scenarios),
            models=len(self.paths.models),
            portfolios=self.book.sizes["portfolio"],
            horizons=len(self.horizons),
            levels=len(self.levels),
            tail_paths=self.tail_paths,
            bracket_entries=self._bracket_entries,
            store_losses=self.store_losses,
            store_paths=self.store_paths,
            dependence=self.dependence,
            contributions=self.contributions,
            read_bytes=0 if self.source is None else self.source.path_bytes,
            reads_losses=self.source is not None and self.source.array == "loss",
        )

    def record(self) -> dict[str, Any]:
        """Everything that a figure depends on, as plain JSON values; the prices enter by the hash of their content."""
        return {
            "title": self.title,
            "currency": self.currency,
            "simulation": self.spec.record(),
            "prices_sha256": self.prices.attrs["sha256"],
            "price_adjustments": list(self.prices.attrs.get("adjustments", [])),
            "portfolios": {
                "names": self.book["portfolio"].values.tolist(),
                "exposure": self.book["exposure"].values.tolist(),
                "value": self.book["portfolio_value"].values.tolist(),
                "as_of": self.book.attrs["as_of"],
            },
            "scenarios": [scenario.record() for scenario in self.scenarios],
            "levels": list(self.levels),
            "horizons": list(self.horizons),
            "historical": self.historical,
            "dependence": self.dependence,
            "contributions": self.contributions,
            "target": None if self.target is None else self.target.record(),
            "calibration": dict(self.calibration),
        }

    def fingerprint(self) -> str:
        """The sha256 of the record: two jobs of one fingerprint give the same ``results.json``."""
        return spec_hash(self.record())

    def attrs(self) -> dict[str, Any]:
        """What every table and report says about the run."""
        return {
            "title": self.title,
            "as_of": self.book.attrs["as_of"],
            "window_start": str(self.calibration["window_start"]),
            "window_end": str(self.calibration["window_end"]),
            "window_observations": self.window,
            "currency": self.currency,
            "model": self.spec.model.kind,
            "paths": self.spec.paths,
            "steps": self.spec.steps,
            "step_days": float(self.spec.step_days),
            "seed": str(self.spec.seed),
            "dtype": self.spec.dtype,
            "sampling": self.spec.sampling.method,
            "adjustments": self.adjustments,
            "left_out": [name for name in ("dependence", "contributions") if not getattr(self, name)],
            "spec_hash": self.fingerprint(),
        }

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], *, prices: xr.Dataset, cutting: Mapping[str, Any] | None = None
    ) -> RiskJob:
        """Make the job again from its record and the stored prices, bit for bit."""
        how = dict(cutting or {})
        held = record["portfolios"]
        assets = list(record["simulation"]["model"]["assets"])
        coords = {"portfolio": held["names"], "asset": assets}
        positions = xr.Dataset(
            {
                "exposure": variable("exposure", ("portfolio", "asset"), np.array(held["exposure"]), coords=coords),
                "portfolio_value": variable(
                    "portfolio_value", ("portfolio",), np.array(held["value"]), coords={"portfolio": held["names"]}
                ),
            },
            attrs={"as_of": held["as_of"]},
        )
        about = {"sha256": record["prices_sha256"], "adjustments": list(record["price_adjustments"])}
        return cls(
            title=record["title"],
            currency=record["currency"],
            spec=SimulationSpec.from_record(record["simulation"], chunk_paths=how.get("chunk_paths")),
            prices=prices.assign_attrs(about),
            book=positions,
            scenarios=tuple(Scenario.from_record(scenario) for scenario in record["scenarios"]),
            levels=tuple(record["levels"]),
            horizons=tuple(record["horizons"]),
            calibration=record["calibration"],
            historical=record["historical"],
            dependence=record.get("dependence", True),
            contributions=record.get("contributions", True),
            target=None if record["target"] is None else Target(**record["target"]),
            bounds=None if how.get("bounds") is None else Bounds.from_record(how["bounds"]),
            store_losses=how.get("store_losses", True),
            store_paths=how.get("store_paths", False),
            store_url=how.get("store_url"),
            store_times=_times_of(how.get("store_times", "horizons")),
            source=None if how.get("source") is None else Source.from_record(how["source"]),
            device=how.get("device", "cpu"),
            device_fallback=how.get("device_fallback", False),
        )


def _times_of(recorded: Any) -> StoreTimes:
    return tuple(recorded) if isinstance(recorded, list) else recorded
