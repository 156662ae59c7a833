"""The work of the suites `var` and `store`: twenty correlated assets, one long portfolio, its tail by bare kernels."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.measures.tail_risk import tail_figures
from riskops.models import GeometricBrownianMotion
from riskops.portfolio.loss import loss_block
from riskops.reductions import Tail, needed_tail
from riskops.rng import tile_counters
from riskops.schema import variable
from riskops.simulation import PathJob, SimulationSpec, Workload, chunk_sizes, path_job

__all__ = ["ASSETS", "LEVEL", "TailProblem", "book", "market_model"]

ASSETS, LEVEL = 20, 0.99


def market_model() -> GeometricBrownianMotion:
    """Volatilities from 15 to 40 % a year and correlations that fall with the distance between two assets."""
    names = tuple(f"A{i:02d}" for i in range(ASSETS))
    distance = np.abs(np.subtract.outer(np.arange(ASSETS), np.arange(ASSETS)))
    correlation = 0.25 + 0.75 * 0.8**distance
    return GeometricBrownianMotion(names, np.full(ASSETS, 0.06), np.linspace(0.15, 0.40, ASSETS), correlation)


def book(assets: tuple[str, ...]) -> xr.Dataset:
    """One portfolio of 100 money in every asset."""
    coords = {"portfolio": ["equal"], "asset": list(assets)}
    return variable("exposure", ("portfolio", "asset"), np.full((1, len(assets)), 100.0), coords=coords).to_dataset()


@dataclass(frozen=True)
class TailProblem:
    """VaR and ES of one-day losses, by the kernels that the graph calls, chunk by chunk, without a graph."""

    spec: SimulationSpec

    @property
    def job(self) -> PathJob:
        """The engine's job: the end of the last step."""
        return path_job(self.spec, times=[self.spec.times[-1]])

    @property
    def exposure(self) -> npt.NDArray[np.float64]:
        """The portfolio's money in each asset ``(portfolio, asset)``."""
        return book(self.spec.assets)["exposure"].to_numpy()

    def bounds(self) -> list[tuple[int, int]]:
        """First path and size of every chunk, at the default chunking."""
        sizes = chunk_sizes(self.spec, work=Workload(times=1))
        return list(zip(np.cumsum([0, *sizes[:-1]]).tolist(), sizes, strict=True))

    def tail(self, pool: Executor | None = None) -> dict[str, Any]:
        """The sorted tail of the losses, chunks in turn or on the threads of a pool."""
        reduction = Tail(keep=needed_tail(LEVEL, self.spec.paths))
        job, exposure, steps = self.job, self.exposure, np.zeros(1, np.int64)

        def state(chunk: tuple[int, int]) -> Any:
            first, size = chunk
            losses = loss_block(job.block(tile_counters(first, size), size), exposure, steps)
            return reduction.chunk({"loss": losses[0]}, first_path=first)

        states = list((map if pool is None else pool.map)(state, self.bounds()))
        return reduction.finalize(reduction.combine(states))

    def figures(self, pool: Executor | None = None) -> Mapping[str, npt.NDArray[np.float64]]:
        """VaR and ES with their errors, as the last stage of the graph makes them."""
        return tail_figures(self.tail(pool), levels=(LEVEL,), stressed=False, key=None)

    def losses(self) -> npt.NDArray[np.float64]:
        """All losses ``(path,)``, for a comparison with a plain sort."""
        steps, job = np.zeros(1, np.int64), self.job
        blocks = [loss_block(job.block(tile_counters(first, n), n), self.exposure, steps) for first, n in self.bounds()]
        return np.concatenate([block[0, 0, 0] for block in blocks])
