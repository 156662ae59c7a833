"""What a market-risk run computes: everything resolved and calibrated, before the first path is drawn.

A job is made once from a configuration, eagerly; from then on no file of the user is read again. Its record holds every
number that a figure depends on, exactly, so that ``resume`` and ``replay`` need the run directory and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from riskops.config import Config
from riskops.errors import ConfigError, InputError
from riskops.history import historical_value_at_risk
from riskops.market import load_prices, log_returns
from riskops.measures import arrange, tail_size
from riskops.models import calibrate
from riskops.portfolio import book, load_portfolios
from riskops.reductions import needed_paths
from riskops.run.directory import canonical
from riskops.run.target import Bounds, Target
from riskops.scenarios import BASE, Scenario, stress_losses
from riskops.schema import variable
from riskops.simulation import PathJob, SimulationSpec, Workload, path_job

__all__ = ["RiskJob", "prepare", "spec_hash"]


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
    device: str = "cpu"  # what is asked for until settle_device has chosen
    device_fallback: bool = False

    @cached_property
    def paths(self) -> PathJob:
        """The job of the simulation engine, all scenarios resolved."""
        return path_job(
            self.spec,
            times=self.horizons,
            scenarios=self.scenarios,
            prices=self.prices,
            device="cuda" if self.device == "cuda" else "cpu",
            device_fallback=self.device_fallback,
        )

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
    def workload(self) -> Workload:
        """What the plan has to know."""
        return Workload(
            times=len(self.horizons),
            scenarios=len(self.scenarios),
            models=len(self.paths.models),
            portfolios=self.book.sizes["portfolio"],
            horizons=len(self.horizons),
            tail_paths=self.tail_paths,
            store_losses=self.store_losses,
            store_paths=self.store_paths,
            dependence=self.dependence,
            contributions=self.contributions,
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
            device=how.get("device", "cpu"),
            device_fallback=how.get("device_fallback", False),
        )


def prepare(config: Config, *, title: str = "Market risk") -> RiskJob:
    """Load, validate and calibrate: the eager part of a run, before its graph.

    Parameters
    ----------
    config
        A loaded configuration.
    title
        The title of the report where the configuration gives none.

    Returns
    -------
    RiskJob
        What is to be computed.

    Raises
    ------
    InputError
        A file, price, portfolio, scenario or parameter is not what it must be; the text names it.

    Examples
    --------
    >>> from riskops.config import config_from_mapping
    >>> portfolio = {"name": "all", "capital": 1e6, "weights": "equal"}
    >>> config = config_from_mapping({"market": {"prices": "sp500"}, "portfolios": [portfolio]})
    >>> prepare(config).book["portfolio_value"].values.tolist()
    [1000000.0]
    """
    market, model, simulation = config.market, config.model, config.simulation
    with _keys_of("market", ("start", "end", "assets", "gaps")):
        prices = load_prices(market.prices, start=market.start, end=market.end, assets=market.assets, gaps=market.gaps)
    portfolios = load_portfolios(config.portfolios)
    with _keys_of("model", tuple(model.options()), otherwise="model: "):
        calibration = calibrate(
            log_returns(prices), kind=model.kind, days_per_year=simulation.days_per_year, options=model.options()
        )
    spec = SimulationSpec(
        model=calibration.model,
        paths=simulation.paths,
        steps=simulation.steps,
        step_days=simulation.step_days,
        seed=simulation.seed,
        dtype=simulation.dtype,
        chunk_paths=simulation.chunk_paths,
        days_per_year=simulation.days_per_year,
    )
    positions = book(portfolios, prices=prices)
    horizons = tuple(float(h) for h in config.risk.horizons)
    spec = _arranged(spec, config, positions)
    for level in config.risk.levels:
        if simulation.paths < needed_paths(level):
            raise ConfigError(
                f"simulation.paths: {simulation.paths} carry no 95 % interval at level {level!r}; "
                f"at least {needed_paths(level)} are needed, or remove that level from risk.levels"
            )
    wanted = simulation.target
    target = None
    if wanted.relative_error is not None:
        target = Target(wanted.measure, wanted.level, wanted.relative_error)
    job = RiskJob(
        title=config.title or title,
        currency=market.currency,
        spec=spec,
        prices=prices,
        book=positions,
        scenarios=(BASE, *config.stress.load()),
        levels=tuple(sorted(config.risk.levels)),
        horizons=horizons,
        calibration=calibration.report,
        historical=config.risk.historical,
        dependence=config.risk.dependence,
        contributions=config.risk.contributions,
        target=target,
        bounds=None if target is None else Bounds(simulation.max_paths, simulation.max_seconds),
        store_losses=config.store.losses,
        store_paths=config.store.paths,
        device=simulation.device,
        device_fallback=simulation.device_fallback,
    )
    _check_observed(job)
    return job


def _arranged(spec: SimulationSpec, config: Config, positions: xr.Dataset) -> SimulationSpec:
    """The spec with its draws arranged as the configuration asks for."""
    wanted = config.simulation.sampling
    if wanted.method == "plain":
        return spec
    try:
        return arrange(
            spec,
            book=positions,
            method=wanted.method,
            portfolio=wanted.portfolio,
            horizon=wanted.horizon if wanted.horizon is not None else max(config.risk.horizons),
            level=wanted.level,
            replicates=wanted.replicates,
            dimensions=wanted.dimensions,
        )
    except InputError as problem:
        text = str(problem)
        prefix = "" if text.startswith("simulation.") else "simulation." if text.startswith("sampling.") else None
        raise ConfigError(f"simulation.sampling: {text}" if prefix is None else prefix + text) from problem


def _check_observed(job: RiskJob) -> None:
    """Work out once what needs no paths, and is cheap: what it refuses is refused before the simulation, not after."""
    with _keys_of("stress", ()):
        stress_losses(job.book, scenarios=job.scenarios, prices=job.prices)
    if not job.historical:
        return
    try:
        historical_value_at_risk(job.prices, book=job.book, level=job.levels, horizons=job.horizons, window=job.window)
    except InputError as problem:
        argument, _, text = str(problem).partition(": ")
        key = "risk.horizons: " if argument in ("horizons", "days") else f"risk.historical: {argument}: "
        raise ConfigError(f"{key}{text}; change it, or set risk.historical to false") from problem


@contextmanager
def _keys_of(section: str, names: Collection[str], *, otherwise: str = "") -> Iterator[None]:
    """An error about an argument becomes one about the key of the configuration that it came from."""
    try:
        yield
    except InputError as problem:
        text = str(problem)
        argument = text.partition(":")[0].partition("[")[0]
        raise ConfigError((f"{section}." if argument in names else otherwise) + text) from problem
