"""What a backtest computes: its series, forecasters and tests, resolved before anything is fitted.

A job is made once from a configuration, eagerly; its record and the prices beside it are all that ``resume`` and
``replay`` need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr

from riskops.history.series import portfolio_returns
from riskops.market import log_returns, simple_returns
from riskops.run.directory import canonical
from riskops.run.job import spec_hash
from riskops.schema import variable

__all__ = ["BacktestJob", "EnsembleRule"]


@dataclass(frozen=True)
class EnsembleRule:
    """How the ensemble weighs its members."""

    score: Literal["fissler_ziegel", "tick"]
    window: int
    learning_rate: float | None
    update_every: int
    minimum_weight: float
    confidence_set: float | None


@dataclass(frozen=True, eq=False)
class BacktestJob:
    """A resolved backtest.

    Parameters
    ----------
    title
        Of the report.
    prices
        ``price`` (observation, asset) of every asset that a series is made of.
    assets
        The assets that are series of their own.
    weights
        The fixed weights of each portfolio, by asset.
    returns
        Simple or logarithmic returns.
    methods
        The records of the forecasters, as :func:`riskops.run.backtest.prepare.method_of` reads them.
    levels, horizon, window, scheme, refit_every, first, failures
        As those of :func:`riskops.rolling_forecasts`; ``first`` is a date or None.
    ensemble
        None: no ensemble.
    tests, simulations, size, confidence_set, seed
        What judges the forecasts.
    """

    kind: ClassVar[str] = "var_backtest"

    title: str
    prices: xr.Dataset
    assets: tuple[str, ...]
    weights: Mapping[str, Mapping[str, float]]
    returns: Literal["simple", "log"]
    methods: tuple[Mapping[str, Any], ...]
    levels: tuple[float, ...]
    horizon: int
    window: int
    scheme: Literal["rolling", "expanding"]
    refit_every: int
    first: str | None
    failures: Literal["error", "nan"]
    ensemble: EnsembleRule | None
    tests: tuple[str, ...]
    simulations: int
    size: float
    confidence_set: float
    seed: int

    @cached_property
    def series(self) -> xr.Dataset:
        """The returns of every series, assets first, then portfolios: ``simple_return`` or ``log_return``."""
        name = f"{self.returns}_return"
        made = simple_returns(self.prices) if self.returns == "simple" else log_returns(self.prices)
        own = made[name].sel(asset=list(self.assets)).to_numpy()
        if not self.weights:
            return self._returns(name, own, self.assets)
        held = portfolio_returns(made[[name]], weights=self.weights)["portfolio_return"]
        return self._returns(name, np.concatenate([own, held.to_numpy()], axis=1), (*self.assets, *self.weights))

    def _returns(self, name: str, values: Any, names: tuple[str, ...]) -> xr.Dataset:
        coords = {"observation": self.prices["observation"].to_numpy()[1:], "asset": list(names)}
        return xr.Dataset({name: variable(name, ("observation", "asset"), values, coords=coords)})

    def record(self) -> dict[str, Any]:
        """Everything that a figure depends on, as plain JSON values; the prices enter by the hash of their content."""
        rule = self.ensemble
        return {
            "job": self.kind,
            "title": self.title,
            "prices_sha256": self.prices.attrs["sha256"],
            "price_adjustments": list(self.prices.attrs.get("adjustments", [])),
            "assets": list(self.assets),
            "weights": [{"portfolio": name, "weights": dict(held)} for name, held in self.weights.items()],
            "returns": self.returns,
            "methods": [dict(method) for method in self.methods],
            "levels": list(self.levels),
            "horizon": self.horizon,
            "window": self.window,
            "scheme": self.scheme,
            "refit_every": self.refit_every,
            "first": self.first,
            "failures": self.failures,
            "ensemble": None if rule is None else dict(vars(rule)),
            "tests": list(self.tests),
            "simulations": self.simulations,
            "size": self.size,
            "confidence_set": self.confidence_set,
            "seed": self.seed,
        }

    def fingerprint(self) -> str:
        """The sha256 of the record: two jobs of one fingerprint give the same ``results.json``."""
        return spec_hash(self.record())

    def attrs(self) -> dict[str, Any]:
        """What every table and report says about the run; plain values that Zarr and JSON hold."""
        dates = self.prices["observation"].to_numpy().astype("datetime64[D]")
        record = self.record()
        said = (
            "job",
            "title",
            "returns",
            "levels",
            "horizon",
            "window",
            "scheme",
            "refit_every",
            "simulations",
            "size",
        )
        return {
            **{name: record[name] for name in said},
            "as_of": str(dates[-1]),
            "first_price": str(dates[0]),
            "methods": canonical(record["methods"]),
            "ensemble": "none" if self.ensemble is None else canonical(record["ensemble"]),
            "weights": canonical({name: dict(held) for name, held in self.weights.items()}),
            "confidence_set": self.confidence_set,
            "seed": str(self.seed),
            "adjustments": record["price_adjustments"],
            "spec_hash": self.fingerprint(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, prices: xr.Dataset) -> BacktestJob:
        """Make the job again from its record and the stored prices."""
        about = {"sha256": record["prices_sha256"], "adjustments": list(record["price_adjustments"])}
        plain = ("title", "returns", "horizon", "window", "scheme", "refit_every", "first", "failures")
        judged = ("simulations", "size", "confidence_set", "seed")
        return cls(
            prices=prices.assign_attrs(about),
            assets=tuple(record["assets"]),
            weights={one["portfolio"]: one["weights"] for one in record["weights"]},
            methods=tuple(record["methods"]),
            levels=tuple(record["levels"]),
            ensemble=None if record["ensemble"] is None else EnsembleRule(**record["ensemble"]),
            tests=tuple(record["tests"]),
            **{name: record[name] for name in (*plain, *judged)},
        )
