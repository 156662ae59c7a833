"""How much quicker 2,000 assets are by 20 factors than by the full Cholesky factor, and the memory that they take.

Run by hand, from the root of the checkout, on one core, with nothing else running:

    taskset -c 0 python -m tests.models.measure_factors [ASSETS [FACTORS]]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from riskops.measures import value_at_risk
from riskops.models import GeometricBrownianMotion
from riskops.portfolio import portfolio_loss
from riskops.rng import tile_counters
from riskops.simulation import SimulationSpec, path_job, simulate
from tests.models.factor_market import market_loadings, names_of
from tests.simulation.examples import book_of

PATHS = 65_536
#: Paths whose simulation alone is timed: few enough for the full factor, which takes a thousand products an asset.
TIMED = 8192


def peak() -> float:
    """The largest resident size of this process so far, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def seconds(model: GeometricBrownianMotion) -> float:
    """Processor time of the quickest of five simulations of one step, kernels compiled."""
    job = path_job(SimulationSpec(model, paths=TIMED, steps=1, seed=1), times=[1.0])
    counters, found = tile_counters(0, TIMED), []
    for _ in range(6):
        begun = time.process_time()
        job.block(counters, TIMED)
        found.append(time.process_time() - begun)
    return min(found[1:])


def main(assets: int = 2000, factors: int = 20) -> None:
    names, structure = tuple(names_of(assets)), market_loadings(assets, factors)
    given = (names, np.zeros(assets), np.full(assets, 0.3))
    model = GeometricBrownianMotion(*given, structure)
    paths = simulate(SimulationSpec(model, paths=PATHS, steps=1, seed=1, chunk_paths=8192), times=[1.0])
    book = book_of([np.full(assets, 1e6 / assets)], names)
    before, begun = peak(), time.perf_counter()
    found = value_at_risk(portfolio_loss(paths, book=book), level=0.99).compute(scheduler="synchronous")
    took = time.perf_counter() - begun
    figure = float(found["value_at_risk"].values.reshape(-1)[0])
    print(f"{PATHS:,} paths x 1 step x {assets:,} assets by {factors} factors: VaR {figure:,.0f} in {took:.2f} s,")
    print(f"  {peak() - before:,.0f} MiB above the {before:,.0f} MiB of libraries and model; all paths are ", end="")
    print(f"{PATHS * assets * 4 / 2**20:,.0f} MiB")
    by_factors = seconds(model)
    full = seconds(GeometricBrownianMotion(*given, np.asarray(structure)))
    print(f"{TIMED:,} paths alone: {by_factors:.3f} s by factors, {full:.3f} s by the full factor: ", end="")
    print(f"{full / by_factors:.1f} times")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
