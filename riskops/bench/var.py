"""VaR and ES at 99 % of one-day scenarios of twenty correlated assets: kernels, pipeline, overhead, two workers; and
the covariance of the returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.bench import dask_peer, jax_peer, numpy_peer
from riskops.bench.agreement import within_errors
from riskops.bench.problem import ASSETS, LEVEL, TailProblem, book, market_model
from riskops.bench.rows import Row, Target
from riskops.bench.timing import Setting, core_count, on_threads, race
from riskops.cluster import open_cluster
from riskops.measures.tail_risk import tail_risk
from riskops.portfolio import portfolio_loss
from riskops.reductions import CoMoments, order_index, quantile_and_shortfall
from riskops.rng import tile_counters
from riskops.simulation import SimulationSpec, simulate

__all__ = ["var"]

SUITE = "var"
PATHS = 1_000_000
#: Enough for tasks of a few tenths of a second, at which the plan aims: the graph's cost is that of its tasks.
MANY_PATHS = 16 * 2**20
#: Kernel time of VaR and ES of a million scenarios on two cores, from DESIGN.md.
KERNEL_SECONDS = 0.035
Figures = Mapping[str, npt.NDArray[np.float64]]


def var(setting: Setting) -> list[Row]:
    """All comparisons of the suite."""
    problem = _problem(setting.count(PATHS))
    many = _problem(setting.count(MANY_PATHS))
    return [
        *_kernels(problem),
        *_pipelines(problem, setting),
        _overhead(problem, None),
        _overhead(many, Target(least_ratio=1 / 1.1)),
        *_two_workers(many, setting),
        _covariance(problem),
    ]


def _problem(paths: int) -> TailProblem:
    return TailProblem(SimulationSpec(market_model(), paths=paths, seed=99))


def _work(problem: TailProblem, threads: int) -> str:
    plural = "s" if threads > 1 else ""
    return f"VaR and ES at 99 % of {problem.spec.paths:,} scenarios x {ASSETS} assets, {threads} thread{plural}"


@dataclass(frozen=True)
class _Peer:
    """What the baselines are given of a problem: tables of one step in single precision."""

    problem: TailProblem

    @property
    def tables(self) -> dict[str, Any]:
        tables = self.problem.spec.model.tables(self.problem.spec.step_years)
        single = {name: np.ascontiguousarray(table, np.float32) for name, table in tables.items()}
        return {**single, "exposure": self.problem.exposure[0].astype(np.float32), "seed": 99}

    @property
    def beyond(self) -> int:
        """How many losses are larger than VaR."""
        return self.problem.spec.paths - order_index(LEVEL, self.problem.spec.paths)


def _kernels(problem: TailProblem) -> list[Row]:
    """The kernels on one thread against NumPy on one, and on two against DESIGN.md's time."""
    peer, kind = _Peer(problem), numpy_peer.quickest()
    losses = partial(numpy_peer.scenario_losses, problem.spec.paths, kind=kind, **peer.tables)
    threads = min(2, core_count())
    with on_threads(threads) as pool:
        one, two, theirs = race(
            problem.tail,
            partial(problem.tail, pool),
            lambda: numpy_peer.quantile_and_mean_beyond(losses(), peer.beyond),
        )
    exact = _is_exact(problem, one.result) and _is_exact(problem, two.result)
    own = quantile_and_shortfall(one.result["loss"][0, 0], LEVEL, problem.spec.paths)
    return [
        Row(
            SUITE,
            "kernels",
            _work(problem, 1),
            one.seconds,
            f"NumPy ({kind}, BLAS, cached blocks, partition)",
            theirs.seconds,
            exact and _close(problem, own, theirs.result),
            Target(least_ratio=8.0),
        ),
        Row(
            SUITE,
            "kernels, two cores",
            _work(problem, threads),
            two.seconds,
            "the target: 35 ms a million",
            KERNEL_SECONDS * problem.spec.paths / PATHS,
            exact,
            Target(least_ratio=1.0),
        ),
    ]


def _is_exact(problem: TailProblem, tail: Mapping[str, Any]) -> bool:
    """Whether VaR from the tail is NumPy's order statistic of the same losses, and ES the mean beyond the level."""
    losses, n = np.sort(problem.losses()), problem.spec.paths
    value, shortfall = quantile_and_shortfall(tail["loss"][0, 0], LEVEL, n)
    rank = order_index(LEVEL, n)
    excess = float(np.sum(losses[rank:] - losses[rank - 1])) / (n * (1.0 - LEVEL))
    return bool(value == losses[rank - 1] and abs(shortfall - (losses[rank - 1] + excess)) < 1e-9 * abs(shortfall))


def _close(problem: TailProblem, ours: tuple[float, float], theirs: tuple[float, float]) -> bool:
    """Whether VaR and ES of other draws differ by no more than their errors explain."""
    figures = problem.figures()
    errors = (float(figures[f"{name}_standard_error"].item()) for name in ("value_at_risk", "expected_shortfall"))
    return all(within_errors(a, b, error, error) for a, b, error in zip(ours, theirs, errors, strict=True))


def _lazy(problem: TailProblem) -> xr.Dataset:
    """The pipeline as a user writes it."""
    paths = simulate(problem.spec, times=[problem.spec.times[-1]])
    return tail_risk(portfolio_loss(paths, book=book(problem.spec.assets)), level=LEVEL)


def _pair(figures: Any) -> tuple[float, float]:
    return float(figures["value_at_risk"].item()), float(figures["expected_shortfall"].item())


def _pipelines(problem: TailProblem, setting: Setting) -> list[Row]:
    """The pipeline on all threads against dask.array, and JAX when it is there."""
    peer, kind, cores, paths = _Peer(problem), numpy_peer.quickest(), core_count(), problem.spec.paths
    with on_threads(cores):
        chunks = [chunk for chunk in (65_536, 262_144) if chunk <= paths] or [paths]
        others = [
            dask_peer.tail(paths, beyond=peer.beyond, chunk=chunk, kind=kind, **peer.tables).compute for chunk in chunks
        ]
        ours, *timed = race(lambda: _pair(_lazy(problem).compute()), *others)
    best = min(timed, key=lambda timed: timed.seconds)
    found = float(best.result[-1]), float(np.mean(best.result[:-1], dtype=np.float64))
    rows = [
        Row(
            SUITE,
            "pipeline",
            _work(problem, cores),
            ours.seconds,
            f"dask.array ({kind}, exact topk, the better of two chunk sizes)",
            best.seconds,
            _close(problem, ours.result, found),
            Target(least_ratio=8.0),
        )
    ]
    if not jax_peer.available():
        setting.say("var: JAX is not installed, so no row compares with it")
        return rows
    losses = jax_peer.scenario_losses(paths, **peer.tables)
    with on_threads(cores):
        ours, theirs = race(
            lambda: _pair(_lazy(problem).compute()),
            lambda: numpy_peer.quantile_and_mean_beyond(losses(), peer.beyond),
        )
    agrees = _close(problem, ours.result, theirs.result)
    rows.append(Row(SUITE, "pipeline", _work(problem, cores), ours.seconds, "JAX, compiled", theirs.seconds, agrees))
    return rows


def _equal(one: Any, two: Any) -> bool:
    """Whether all figures, errors and intervals are the same to the last bit."""
    return all(float(one[name].item()) == float(two[name].item()) for name in two)


def _overhead(problem: TailProblem, target: Target | None) -> Row:
    """The same figures by the same kernels on as many threads, with a graph and without."""
    cores = core_count()
    with on_threads(cores) as pool:
        ours, bare = race(lambda: _lazy(problem).compute(), partial(problem.figures, pool))
    work = _work(problem, cores)
    agrees = _equal(ours.result, bare.result)
    return Row(SUITE, "overhead", work, ours.seconds, "the bare kernels", bare.seconds, agrees, target)


def _two_workers(problem: TailProblem, setting: Setting) -> list[Row]:
    if core_count() < 2:
        setting.say("var: one core only, so no row compares one with two")
        return []

    def compute(threads: int) -> xr.Dataset:
        with on_threads(threads):
            return _lazy(problem).compute()

    two, one = race(partial(compute, 2), partial(compute, 1))
    work, target = _work(problem, 2), Target(least_ratio=1.8)
    rows = [
        Row(SUITE, "two threads", work, two.seconds, "one thread", one.seconds, _equal(two.result, one.result), target)
    ]
    with open_cluster("processes", workers=2) as pair, open_cluster("processes", workers=1) as single:
        two, one = race(lambda: pair.compute(_lazy(problem))[0], lambda: single.compute(_lazy(problem))[0])
    work = work.replace("2 threads", "2 processes")
    rows.append(
        Row(SUITE, "two workers", work, two.seconds, "one worker", one.seconds, _equal(two.result, one.result), target)
    )
    return rows


def _covariance(problem: TailProblem) -> Row:
    """Covariance of simple returns from log growth in single precision, with its errors, against ``np.cov``."""
    n = problem.spec.paths
    growth = problem.job.block(tile_counters(0, n), n)[0]
    reduction = CoMoments()

    def ours() -> dict[str, Any]:
        return reduction.finalize(reduction.chunk({"log_growth": growth}, first_path=0))

    mine, theirs = race(ours, lambda: np.cov(np.expm1(growth[0], dtype=np.float64)))
    return Row(
        SUITE,
        "covariance",
        f"covariance and correlation of {n:,} scenarios x {ASSETS} assets with errors, 1 thread",
        mine.seconds,
        "NumPy: np.cov(np.expm1(growth)), BLAS, no errors",
        theirs.seconds,
        bool(np.allclose(mine.result["covariance"][0], theirs.result, rtol=1e-9, atol=0.0)),
    )
