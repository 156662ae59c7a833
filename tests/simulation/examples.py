"""What the tests of simulation, measures and whole runs simulate: three correlated assets, and a model with a peg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.models import GeometricBrownianMotion, Model, Shock
from riskops.schema import variable
from riskops.simulation import SimulationSpec

__all__ = ["ASSETS", "Pegged", "book_of", "brownian", "prices_of", "spec_of"]

ASSETS = ("A", "B", "C")


def brownian(*, scale: float = 1.0) -> GeometricBrownianMotion:
    """Three correlated assets with different drifts and volatilities; ``scale`` multiplies the volatilities."""
    correlation = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.1], [-0.3, 0.1, 1.0]])
    return GeometricBrownianMotion(ASSETS, [0.08, 0.0, -0.05], scale * np.array([0.2, 0.35, 0.1]), correlation)


def spec_of(model: Model | None = None, **options: Any) -> SimulationSpec:
    """A spec of four tiles, single steps of a day, in chunks of a tile, unless told otherwise."""
    settings = {"paths": 4096, "seed": 11, "chunk_paths": 1024} | options
    return SimulationSpec(brownian() if model is None else model, **settings)


def book_of(exposure: npt.ArrayLike, assets: Sequence[str] = ASSETS) -> xr.Dataset:
    """Portfolios ``p0``, ``p1``, ... with these exposures ``(portfolio, asset)``."""
    values = np.array(exposure, dtype=float)
    coords = {"portfolio": [f"p{i}" for i in range(len(values))], "asset": list(assets)}
    return xr.Dataset({"exposure": variable("exposure", ("portfolio", "asset"), values, coords=coords)})


def prices_of(assets: Sequence[str] = ASSETS) -> xr.Dataset:
    """Two days of prices, which scenarios with instant moves are resolved against."""
    days = np.array(["2022-12-27", "2022-12-28"], dtype="datetime64[ns]")
    table = variable(
        "price",
        ("observation", "asset"),
        np.full((2, len(assets)), 100.0),
        coords={"observation": days, "asset": list(assets)},
    )
    return xr.Dataset({"price": table})


@dataclass(frozen=True, eq=False)
class Pegged(Model):
    """Log growth that is halved at every step before noise is added, so that today's price enters the dynamics."""

    volatility: float = 0.01

    kind: ClassVar[str] = "toy_pegged"
    shocks: ClassVar[tuple[Shock, ...]] = (Shock("noise"),)
    price_enters_dynamics: ClassVar[bool] = True

    @classmethod
    def fit(cls, returns: xr.Dataset, *, days_per_year: float = 252.0) -> Self:
        return cls(tuple(map(str, returns["asset"].values)))

    def tables(self, step_years: float) -> Mapping[str, npt.NDArray[Any]]:
        return {"volatility": np.array([self.volatility])}

    @staticmethod
    def advance(state: Mapping[str, Any], shocks: Mapping[str, Any], tables: Mapping[str, Any]) -> None:
        growth = state["log_growth"]
        growth[:] = growth / 2 + tables["volatility"][0] * shocks["noise"]
