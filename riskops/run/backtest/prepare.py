"""From a configuration to a backtest's job: prices loaded and joined, portfolios made weights, methods resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.config.backtest import BacktestConfig, BacktestSection, EnsembleSection
from riskops.errors import ConfigError, InputError
from riskops.history.backtests.registry import list_backtests
from riskops.history.forecasts import METHODS, forecaster
from riskops.history.forecasts.base import Forecaster
from riskops.history.series import day_text
from riskops.market import load_prices
from riskops.portfolio import Portfolio, book, load_portfolios
from riskops.run.backtest.job import BacktestJob, EnsembleRule
from riskops.run.keys import keys_of
from riskops.run.model_forecast import model_forecaster

__all__ = ["method_of", "prepare_backtest"]

#: The keys of a method that is a simulation model.
_MONTE_CARLO = ("kind", "model", "options", "paths", "seed")


def prepare_backtest(config: BacktestConfig, *, title: str = "VaR backtest") -> BacktestJob:
    """Load, validate and resolve: the eager part of a backtest, before its graph.

    Parameters
    ----------
    config
        A loaded configuration.
    title
        The title of the report where the configuration gives none.

    Returns
    -------
    BacktestJob
        What is to be computed.

    Raises
    ------
    InputError
        A file, price, portfolio or setting is not what it must be; the text names it.

    Examples
    --------
    >>> from riskops.config.backtest import backtest_from_mapping
    >>> asked = {"market": {"prices": "sp500_index"}, "backtest": {"methods": ["historical", "ewma"]}}
    >>> prepare_backtest(backtest_from_mapping(asked)).assets
    ('SP500',)
    """
    market, wanted, judged = config.market, config.backtest, config.tests
    with keys_of("market", ("start", "end", "assets", "gaps")):
        prices = load_prices(market.prices, start=market.start, end=market.end, assets=market.assets, gaps=market.gaps)
    own = [str(name) for name in prices["asset"].to_numpy()]
    weights = _weights(load_portfolios(config.series.portfolios), prices) if config.series.portfolios else {}
    whole, others = _joined(prices, config.series.others, gaps=market.gaps)
    assets = (*(own if config.series.assets else ()), *others)
    twice = [name for name in weights if name in assets]
    if twice:
        raise ConfigError(f"series.portfolios: {twice[0]!r} is the name of an asset too")
    check_days(wanted, whole["observation"].to_numpy()[1:])
    methods = list(METHODS) if wanted.methods == "all" else wanted.methods
    records = _records(methods, wanted)
    return BacktestJob(
        title=config.title or title,
        prices=whole,
        assets=assets,
        weights=weights,
        returns=config.series.returns,
        methods=records,
        levels=wanted.levels,
        horizon=wanted.horizon,
        window=wanted.window,
        scheme=wanted.scheme,
        refit_every=wanted.refit_every,
        first=None if wanted.first is None else wanted.first.isoformat(),
        failures=wanted.failures,
        ensemble=_rule(config.ensemble, len(records)),
        tests=tuple(list_backtests() if judged.names == "all" else judged.names),
        simulations=judged.simulations,
        size=judged.size,
        confidence_set=judged.confidence_set,
        seed=judged.seed,
    )


def method_of(record: str | Mapping[str, Any]) -> Forecaster:
    """The forecaster of a record: one of the registered methods, or a simulation model (``kind: monte_carlo``)."""
    if isinstance(record, str) or record.get("kind") != "monte_carlo":
        return forecaster(record)
    unknown = [name for name in record if name not in _MONTE_CARLO]
    if unknown:
        raise InputError(f"{unknown[0]}: is no setting of monte_carlo; known are {', '.join(_MONTE_CARLO[1:])}")
    model, options = record["model"], record.get("options")
    if isinstance(model, Mapping):  # as a forecaster records it
        model, options = model["kind"], model["options"]
    if not isinstance(options, Mapping | None):
        raise InputError(f"options: {options!r} is not a mapping of options of the model's fit")
    settings = {name: record[name] for name in ("paths", "seed") if name in record}
    return model_forecaster(model, options=options, **settings)


def check_days(wanted: BacktestSection, dates: npt.NDArray[Any]) -> None:
    """Refuse a window, or a first day, that leaves no day to forecast, or too few returns before it."""
    first = wanted.window
    if wanted.first is not None:
        first = int(np.searchsorted(dates, np.datetime64(wanted.first)))
        if first < wanted.window:
            raise ConfigError(
                f"backtest.first: {first} returns before {wanted.first} are fewer than backtest.window, {wanted.window}"
            )
    if first + wanted.horizon > len(dates):
        asked = f"window: {wanted.window} returns leave" if wanted.first is None else f"first: {wanted.first} leaves"
        over = f" over {wanted.horizon} days" if wanted.horizon > 1 else ""
        raise ConfigError(
            f"backtest.{asked} none of the {len(dates)} returns, to {day_text(dates[-1])}, to forecast{over}"
        )


def _records(given: Sequence[str | Mapping[str, Any]], wanted: BacktestSection) -> tuple[Mapping[str, Any], ...]:
    """The records of the methods, each known to have a way to the horizon from so long a window."""
    records, names = [], []
    for i, one in enumerate(given):
        path = f"backtest.methods[{i}]" if wanted.methods != "all" else f"backtest.methods: {one}"
        try:
            method = method_of(one)
            method.horizon_rule(wanted.horizon)
        except (InputError, TypeError) as problem:
            raise ConfigError(f"{path}: {problem}") from problem
        if method.name in names:
            raise ConfigError(f"{path}: {method.name!r} is given twice")
        if method.least > wanted.window:
            raise ConfigError(
                f"backtest.window: {wanted.window} returns are fewer than the {method.least} that {method.name} needs"
            )
        records.append(method.record())
        names.append(method.name)
    return tuple(records)


def _rule(section: EnsembleSection, members: int) -> EnsembleRule | None:
    """How the ensemble is made; there is none of one method."""
    if not section.enabled or members < 2:
        return None
    if section.minimum_weight * members > 1.0:
        raise ConfigError(
            f"ensemble.minimum_weight: {section.minimum_weight:g} for each of {members} methods is more than one in "
            f"all; at most {1.0 / members:.6g}"
        )
    return EnsembleRule(**section.model_dump(exclude={"enabled"}))


def _weights(portfolios: Sequence[Portfolio], prices: xr.Dataset) -> dict[str, dict[str, float]]:
    """Each portfolio's weights: those that it has on the last day, kept fixed through all of history."""
    names = [str(name) for name in prices["asset"].to_numpy()]
    held = book(portfolios, prices=prices)
    found = {}
    for portfolio in portfolios:
        if portfolio.equal_weights:
            found[portfolio.name] = dict.fromkeys(names, 1.0 / len(names))
            continue
        one = held.sel(portfolio=portfolio.name)
        worth = float(one["portfolio_value"])
        if worth <= 0.0:
            raise ConfigError(
                f"series.portfolios: {portfolio.name!r} is worth {worth:g}; its returns need a value above 0"
            )
        amounts = np.asarray(one["exposure"].to_numpy() / worth).tolist()
        assets = [str(name) for name in one["asset"].to_numpy()]
        found[portfolio.name] = {name: w for name, w in zip(assets, amounts, strict=True) if w != 0.0}
    return found


def _joined(prices: xr.Dataset, others: Sequence[str], *, gaps: Any) -> tuple[xr.Dataset, list[str]]:
    """All prices in one Dataset, and the names of those that the others added; their dates must be the same."""
    parts, added = [prices], []
    dates = prices["observation"].to_numpy()
    for i, source in enumerate(others):
        with keys_of("series", (), otherwise=f"series.others[{i}]: "):
            found = load_prices(source, start=str(dates[0])[:10], end=str(dates[-1])[:10], gaps=gaps)
        mine = found["observation"].to_numpy()
        if not np.array_equal(mine, dates):
            apart = np.setxor1d(mine, dates)
            raise ConfigError(
                f"series.others[{i}]: {source} has not the dates of market.prices; {str(apart[0])[:10]} is in one of "
                "them only"
            )
        added += [str(name) for name in found["asset"].to_numpy()]
        parts.append(found)
    names = [str(name) for part in parts for name in part["asset"].to_numpy()]
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if twice:
        raise ConfigError(f"series.others: {twice[0]!r} is the name of two price series")
    if len(parts) == 1:
        return prices, added
    lines = [line for part in parts for line in part.attrs.get("adjustments", [])]
    whole = load_prices(xr.concat([part[["price"]] for part in parts], dim="asset", combine_attrs="drop"))
    return whole.assign_attrs(adjustments=lines), added
