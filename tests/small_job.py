"""A small market-risk job of real prices, for tests that need a finished run: a second of work, every feature."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from riskops.cluster import open_cluster
from riskops.config import Config, load_config
from riskops.run import execute, prepare

CONFIGURATION = """
title: A small job
market: {prices: sp500, start: 2019-01-02, assets: [XOM, AAPL, JPM]}
portfolios:
  - {name: equal, capital: 1000000, weights: equal}
  - {name: long_short, cash: 250000, shares: {AAPL: 1000, XOM: -500}}
simulation: {paths: 5000, steps: 5, seed: 7, chunk_paths: 1024}
risk: {levels: [0.9, 0.99], horizons: [1, 5]}
stress: {library: market, scenarios: [covid_2020_q1, volatility_doubled, crash_20]}
"""


def write_configuration(folder: Path) -> Path:
    """``small.yaml`` in the folder."""
    path = folder / "small.yaml"
    path.write_text(CONFIGURATION, "utf-8")
    return path


def make_run(configuration: Path, out: Path, *overrides: str, kind: str = "synchronous", **cluster: Any) -> Path:
    """Run it into ``out``, through the library."""
    config = load_config(configuration, overrides=overrides)
    return run_config(config, out, kind=kind, **cluster)


def run_config(config: Config, out: Path, *, kind: str = "synchronous", **cluster: Any) -> Path:
    """Run a configuration into ``out``."""
    with open_cluster(kind, **cluster) as where:
        return execute(
            prepare(config), configuration=config.resolved(), out=out, cluster=where, html=config.report.html
        )


def edit_json(path: Path, keys: Sequence[str | int], value: object) -> None:
    """Set one value deep inside a JSON file."""
    data = place = json.loads(path.read_text("utf-8"))
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(data), "utf-8")
