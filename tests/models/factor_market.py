"""A market of many assets with a known correlation by factors, the same at every call: no such prices are bundled.

Run by hand, from the root of the checkout, it writes prices, loadings and a configuration into a folder:

    python -m tests.models.factor_market FOLDER [ASSETS [DAYS]]
    riskops run FOLDER/many_assets.yaml
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.models.factor_structure import FactorStructure
from riskops.schema import variable

__all__ = ["market_loadings", "market_returns", "names_of", "write_market"]

CONFIGURATION = """\
title: {assets:,} assets by 20 factors

market:
  prices: prices.csv

portfolios:
  - name: equal
    capital: 1_000_000
    weights: equal

model:
  kind: geometric_brownian
  drift: zero
  # A number of factors, or the loadings that the prices were made with: loadings.csv
  factors: 20

simulation:
  paths: 65_536
  steps: 1
  seed: 7

risk:
  levels: [0.95, 0.99]
  horizons: [1]
  dependence: false
"""


def names_of(assets: int) -> list[str]:
    return [f"A{number:04d}" for number in range(assets)]


def market_loadings(assets: int, factors: int, *, seed: int = 1) -> FactorStructure:
    """A market factor that all assets load on, weaker ones of either sign, and a tenth of each variance left over."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(assets, factors)) * 0.12
    loadings[:, 0] = rng.uniform(0.3, 0.7, size=assets)
    squares = np.sum(loadings * loadings, axis=1)
    return FactorStructure(loadings / np.sqrt(np.maximum(squares / 0.9, 1.0))[:, None])


def market_returns(structure: FactorStructure, *, days: int, seed: int = 2) -> xr.Dataset:
    """Daily log returns of that correlation, with deviations from 0.8 to 3 %, independent from day to day."""
    values = _values(structure, days=days, seed=seed)
    coords = {"asset": names_of(structure.assets)}
    return xr.Dataset({"log_return": variable("log_return", ("observation", "asset"), values, coords=coords)})


def _values(structure: FactorStructure, *, days: int, seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(days, structure.loadings.shape[1])) @ structure.loadings.T
    own = rng.normal(size=(days, structure.assets)) * structure.own
    return (common + own) * np.linspace(0.008, 0.03, structure.assets)


def write_market(folder: Path, *, assets: int = 2000, days: int = 1000, factors: int = 20) -> Path:
    """Write ``prices.csv``, ``loadings.csv`` and ``many_assets.yaml``; return the path of the last."""
    folder.mkdir(parents=True, exist_ok=True)
    structure = market_loadings(assets, factors)
    prices = 100.0 * np.exp(np.cumsum(_values(structure, days=days, seed=2), axis=0))
    dates = np.busday_offset("2020-01-01", np.arange(days), roll="forward")
    with (folder / "prices.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", *names_of(assets)])
        writer.writerows([str(date), *map(repr, row)] for date, row in zip(dates, prices.tolist(), strict=True))
    with (folder / "loadings.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["asset", *(f"factor_{number}" for number in range(factors))])
        rows = zip(names_of(assets), structure.loadings.tolist(), strict=True)
        writer.writerows([name, *map(repr, row)] for name, row in rows)
    configuration = folder / "many_assets.yaml"
    configuration.write_text(CONFIGURATION.format(assets=assets))
    return configuration


if __name__ == "__main__":
    where, *sizes = sys.argv[1:]
    given = dict(zip(("assets", "days"), map(int, sizes), strict=False))
    print(write_market(Path(where), **given))
