"""How far it goes: peak memory from one million paths to sixteen, against the plan, and a thousand portfolios."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.bench.memory import measure
from riskops.bench.problem import ASSETS, LEVEL, market_model
from riskops.bench.rows import Row, Target
from riskops.bench.store import disk_folder
from riskops.bench.timing import Setting, core_count, on_threads, race
from riskops.measures.tail_risk import tail_risk
from riskops.portfolio import portfolio_loss
from riskops.reductions import order_index
from riskops.rng import tile_counters
from riskops.schema import variable
from riskops.simulation import SimulationSpec, path_job, simulate

__all__ = ["scale"]

SUITE = "scale"
PATHS = tuple(millions * 2**20 for millions in (1, 4, 16))
BOOKS, BOOK_PATHS = 1000, 65_536
CONFIGURATION = """
market: {prices: sp500, end: 2022-12-28}
portfolios:
  - {name: equal, capital: 1000000, weights: equal}
  - {name: technology, capital: 1000000, weights: {AAPL: 0.5, MSFT: 0.5}}
simulation: {steps: 10}
risk: {levels: [0.95, 0.99], horizons: [10]}
stress: {library: market, scenarios: [volatility_doubled, correlations_up]}
"""


def scale(setting: Setting) -> list[Row]:
    """Runs of three sizes in processes of their own, on threads and on worker processes; then many portfolios."""
    return [*_memory("threads", setting), *_memory("processes", setting), _portfolios(setting)]


def _memory(cluster: str, setting: Setting) -> list[Row]:
    sizes = sorted({setting.count(paths) for paths in PATHS})
    folder = Path(tempfile.mkdtemp(prefix=".riskops-bench-", dir=disk_folder(8 * 6 * sizes[-1])))
    try:
        configuration = folder / "scale.yaml"
        configuration.write_text(CONFIGURATION, "utf-8")
        found = [
            measure(
                configuration,
                overrides=[f"simulation.paths={paths}"],
                cluster=cluster,
                workers=min(2, core_count()),
                folder=folder,
            )
            for paths in sizes
        ]
    finally:
        shutil.rmtree(folder)
    place = "peak of the process" if cluster == "threads" else "peak of a worker"
    planned = [
        Row(
            SUITE,
            f"{place}, {cluster}",
            f"{one.paths:,} paths x {ASSETS} assets x 10 steps, 6 losses each, {one.seconds:.0f} s",
            one.measured,
            "as planned",
            one.planned,
            True,
            Target(least_ratio=0.75, most_ratio=1.25),
            unit="B",
        )
        for one in found
    ]
    least = min(found, key=lambda one: one.measured)
    most = max(found, key=lambda one: one.measured)
    flat = Row(
        SUITE,
        f"{place} is flat, {cluster}",
        f"{most.paths:,} paths",
        most.measured,
        f"{least.paths:,} paths",
        least.measured,
        True,
        Target(least_ratio=1 / 1.2),
        unit="B",
    )
    return [*planned, flat]


def _portfolios(setting: Setting) -> Row:
    """VaR and ES of a thousand long and short books from given draws, against NumPy with BLAS."""
    spec = SimulationSpec(market_model(), paths=setting.count(BOOK_PATHS), seed=7)
    amounts = np.random.default_rng(1).standard_normal((BOOKS, ASSETS)) * 1e5
    coords = {"portfolio": [f"book {k}" for k in range(BOOKS)], "asset": list(spec.assets)}
    book = variable("exposure", ("portfolio", "asset"), amounts, coords=coords).to_dataset()
    job, n = path_job(spec, times=[1.0]), spec.paths
    beyond = n - order_index(LEVEL, n)

    def ours() -> xr.Dataset:
        losses = portfolio_loss(simulate(spec, times=[1.0]), book=book)
        return tail_risk(losses, level=LEVEL).compute()

    def part(first: int) -> npt.NDArray[Any]:
        """The quantiles of some books, and the means beyond them: what fits the cache at a time."""
        losses = -amounts[first : first + 50] @ returns
        losses.partition(n - beyond - 1, axis=1)
        tail = losses[:, n - beyond - 1 :]
        return np.stack([tail[:, 0], tail[:, 1:].mean(axis=1)])

    with on_threads(core_count()) as pool:
        returns = np.expm1(job.block(tile_counters(0, n), n)[0, 0].astype(np.float64))
        mine, theirs = race(ours, lambda: np.concatenate(list(pool.map(part, range(0, BOOKS, 50))), axis=1), rounds=3)
    var = mine.result["value_at_risk"].values.reshape(-1)
    agrees = bool(np.allclose(var, theirs.result[0], rtol=1e-4, atol=1.0))
    return Row(
        SUITE,
        "a thousand portfolios",
        f"VaR and ES at 99 % with errors, {n:,} paths x {ASSETS} assets x {BOOKS:,} books, simulated, in one pass",
        mine.seconds,
        "NumPy (BLAS, partition) from returns that are given, without errors",
        theirs.seconds,
        agrees,
    )
