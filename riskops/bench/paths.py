"""Paths: one asset over 252 days, of which the last is kept, against NumPy on one core and others on all cores."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.bench import dask_peer, jax_peer, numpy_peer
from riskops.bench.agreement import sample_of_normal
from riskops.bench.rows import Row, Target
from riskops.bench.timing import Setting, Timed, core_count, on_threads, race
from riskops.models import GeometricBrownianMotion
from riskops.rng import TILE, fill_normals, tile_counters
from riskops.simulation import SimulationSpec, chunk_sizes, path_job, simulate

__all__ = ["paths"]

SUITE = "paths"
PATHS, STEPS = 1_000_000, 252
MODEL = GeometricBrownianMotion(("A",), np.array([0.08]), np.array([0.2]), np.eye(1))
MEAN, DEVIATION = float(MODEL.mean_log_growth(1.0)[0]), float(MODEL.volatility[0])
EIGHTFOLD = Target(least_ratio=8.0)


def paths(setting: Setting) -> list[Row]:
    """Bare kernels against NumPy on one thread; through Dask against dask.array, and JAX when it is there, on all."""
    spec = SimulationSpec(MODEL, paths=setting.count(PATHS), steps=STEPS, seed=1)
    own_steps = _steps_agree(spec)
    given: dict[str, Any] = {"drift": MEAN / STEPS, "deviation": DEVIATION / np.sqrt(STEPS), "seed": 1}
    kind, cores = numpy_peer.quickest(), core_count()

    def row(name: str, threads: int, ours: Timed, baseline: str, theirs: Timed, target: Target | None) -> Row:
        work = f"terminal log growth of {spec.paths:,} paths x {STEPS} steps, {threads} thread{'s' * (threads > 1)}"
        agrees = own_steps and all(sample_of_normal(timed.result, MEAN, DEVIATION) for timed in (ours, theirs))
        return Row(SUITE, name, work, ours.seconds, baseline, theirs.seconds, agrees, target)

    ours, theirs = race(
        partial(_kernel, spec), partial(numpy_peer.growth, spec.paths, STEPS, kind=kind, **given), rounds=4
    )
    rows = [row("kernels", 1, ours, f"NumPy ({kind}, cached blocks, in place)", theirs, EIGHTFOLD)]
    with on_threads(cores):
        lazy = simulate(spec, times=[STEPS])["log_growth"].data
        chunks = [chunk for chunk in (16_384, 65_536) if chunk <= spec.paths] or [spec.paths]
        peers = [dask_peer.growth(spec.paths, STEPS, chunk=chunk, kind=kind, **given) for chunk in chunks]
        ours, *others = race(lazy.compute, *(peer.compute for peer in peers), rounds=4)
        theirs = min(others, key=lambda timed: timed.seconds)
        rows.append(
            row("pipeline", cores, ours, f"dask.array ({kind}, the better of two chunk sizes)", theirs, EIGHTFOLD)
        )
        if jax_peer.available():
            ours, theirs = race(lazy.compute, jax_peer.growth(spec.paths, STEPS, **given), rounds=4)
            rows.append(row("pipeline", cores, ours, "JAX, compiled", theirs, None))
        else:
            setting.say("paths: JAX is not installed, so no row compares with it")
    return rows


def _kernel(spec: SimulationSpec) -> npt.NDArray[np.float32]:
    """The engine's blocks one after the other, without a graph."""
    job = path_job(spec, times=[STEPS])
    out, first = np.empty(spec.paths, np.float32), 0
    for size in chunk_sizes(spec):
        out[first : first + size] = job.block(tile_counters(first, size), size)[0, 0, 0]
        first += size
    return out


def _steps_agree(spec: SimulationSpec) -> bool:
    """Whether the engine gives what plain NumPy makes in double precision of the same normals, for the first tile."""
    total, normals = np.zeros(TILE), np.empty((1, TILE), np.float32)
    for step in range(1, STEPS + 1):
        fill_normals(normals, tile_counters(0, TILE), seed=spec.seed, step=step, stream=0)
        total += normals[0]
    expected = MEAN + DEVIATION / np.sqrt(STEPS) * total
    found = path_job(spec, times=[STEPS]).block(tile_counters(0, TILE), TILE)[0, 0, 0]
    return bool(np.max(np.abs(found - expected)) < 1e-5)
