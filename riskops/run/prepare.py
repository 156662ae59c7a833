"""From a configuration to a job: prices loaded, the model calibrated, portfolios and scenarios resolved, all eagerly.

What needs no paths is tried here, so that what it refuses is refused before the simulation, and not after.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, overload

import xarray as xr

from riskops.config import Config
from riskops.config.backtest import BacktestConfig
from riskops.config.places import StoreSection
from riskops.config.sections import RiskSection
from riskops.errors import ConfigError, InputError
from riskops.history import historical_value_at_risk
from riskops.market import load_prices, log_returns
from riskops.measures import arrange
from riskops.models import calibrate
from riskops.portfolio import book, load_portfolios
from riskops.reductions import needed_paths
from riskops.run.backtest import BacktestJob, prepare_backtest
from riskops.run.job import RiskJob
from riskops.run.keys import keys_of
from riskops.run.target import Bounds, Target
from riskops.scenarios import BASE, stress_losses
from riskops.simulation import SimulationSpec

__all__ = ["asked", "check_observed", "check_paths", "kept", "prepare"]


@overload
def prepare(config: Config, *, title: str = ...) -> RiskJob: ...


@overload
def prepare(config: BacktestConfig, *, title: str = ...) -> BacktestJob: ...


def prepare(config: Config | BacktestConfig, *, title: str | None = None) -> RiskJob | BacktestJob:
    """Load, validate and calibrate: the eager part of a run, before its graph.

    Parameters
    ----------
    config
        A loaded configuration, of any kind of job.
    title
        The title of the report where the configuration gives none.

    Returns
    -------
    RiskJob or BacktestJob
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
    if isinstance(config, BacktestConfig):
        return prepare_backtest(config, title=title or "VaR backtest")
    market, model, simulation = config.market, config.model, config.simulation
    with keys_of("market", ("start", "end", "assets", "gaps")):
        prices = load_prices(market.prices, start=market.start, end=market.end, assets=market.assets, gaps=market.gaps)
    portfolios = load_portfolios(config.portfolios)
    with keys_of("model", tuple(model.options()), otherwise="model: "):
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
    spec = _arranged(spec, config, positions)
    check_paths(simulation.paths, config.risk.levels)
    wanted = simulation.target
    target = None
    if wanted.relative_error is not None:
        target = Target(wanted.measure, wanted.level, wanted.relative_error)
    job = RiskJob(
        title=config.title or title or "Market risk",
        currency=market.currency,
        spec=spec,
        prices=prices,
        book=positions,
        scenarios=(BASE, *config.stress.load()),
        calibration=calibration.report,
        target=target,
        bounds=None if target is None else Bounds(simulation.max_paths, simulation.max_seconds),
        **asked(config.risk),
        **kept(config.store),
        device=simulation.device,
        device_fallback=simulation.device_fallback,
    )
    check_observed(job)
    return job


def asked(risk: RiskSection) -> dict[str, Any]:
    """What is measured, as the fields of a job."""
    return {
        "levels": tuple(sorted(risk.levels)),
        "horizons": tuple(float(horizon) for horizon in risk.horizons),
        "historical": risk.historical,
        "dependence": risk.dependence,
        "contributions": risk.contributions,
    }


def kept(store: StoreSection) -> dict[str, Any]:
    """What is stored of the paths, as the fields of a job."""
    return {
        "store_losses": store.losses,
        "store_paths": store.paths,
        "store_times": store.times,
        "store_url": store.url,
    }


def check_paths(paths: int, levels: Collection[float]) -> None:
    """Refuse a level that so many paths carry no interval of."""
    for level in levels:
        if paths < needed_paths(level):
            raise ConfigError(
                f"simulation.paths: {paths} carry no 95 % interval at level {level!r}; "
                f"at least {needed_paths(level)} are needed, or remove that level from risk.levels"
            )


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


def check_observed(job: RiskJob) -> None:
    """Work out once what needs no paths, and is cheap: what it refuses is refused before the simulation, not after."""
    _ = job.times  # a time to store that is no step
    with keys_of("stress", ()):
        stress_losses(job.book, scenarios=job.scenarios, prices=job.prices)
    if not job.historical:
        return
    try:
        historical_value_at_risk(job.prices, book=job.book, level=job.levels, horizons=job.horizons, window=job.window)
    except InputError as problem:
        argument, _, text = str(problem).partition(": ")
        key = "risk.horizons: " if argument in ("horizons", "days") else f"risk.historical: {argument}: "
        raise ConfigError(f"{key}{text}; change it, or set risk.historical to false") from problem
