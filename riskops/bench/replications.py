"""The same figures again and again under other seeds: what a sampling method is worth, and whether its errors are true.

A replication is a run without a graph: the engine's block, the losses, the tail, and the figures with their errors, by
the functions that the graph calls. Methods take turns, so that their times see the same noise; the least one counts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import fdtri

from riskops.measures.control_variates import controlled_figures, expected_loss
from riskops.measures.grouped_tail import needed_mass
from riskops.measures.pilot import arrange
from riskops.measures.tail_passes import tail_size
from riskops.measures.tail_risk import put_figures, tail_figures
from riskops.portfolio.loss import loss_block
from riskops.reductions import Moments, Reduction, Tail, WeightedTail
from riskops.rng import MAX_PATHS, tile_counters
from riskops.simulation import PathJob, SimulationSpec, path_job
from riskops.simulation.sampling import PILOT_PATHS

__all__ = ["MEASURES", "Factor", "Problem", "Replications", "replicate", "variance_factor"]

MEASURES = ("value_at_risk", "expected_shortfall")
#: Seeds of one method lie within this span of each other, those of different methods never do.
SPAN = 1_000_000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """What is simulated, and what is held: the loss at the last step of the first portfolio of ``book``.

    With ``linear`` the loss is taken linear in log growth, whose distribution is known where that of prices is not.
    """

    name: str
    spec: SimulationSpec
    book: xr.Dataset
    linear: bool = False

    @property
    def exposure(self) -> Floats:
        """Money in every asset ``(1, asset)``."""
        return np.asarray(self.book["exposure"].to_numpy()[:1], np.float64)

    @property
    def years(self) -> float:
        """The horizon."""
        return self.spec.times[-1] / self.spec.days_per_year

    def losses(self, block: npt.NDArray[Any]) -> Floats:
        """The losses ``(path,)`` of a block of log growth ``(1, 1, asset, path)``."""
        if self.linear:
            return -np.einsum("a,ap->p", self.exposure[0], block[0, 0].astype(np.float64))
        return loss_block(block, self.exposure, np.zeros(1, np.int64))[0, 0, 0]

    def mean_loss(self) -> float:
        """The exact mean, for the control variate."""
        model = self.spec.model
        if self.linear:
            return -float(self.exposure[0] @ model.mean_log_growth(self.years))
        zeros = np.zeros(self.exposure.shape[1])
        return float(expected_loss(self.exposure, model.mean_simple_return(self.years), zeros)[0])


class Factor(NamedTuple):
    """How many times smaller a variance is, with the 95 % interval that the F distribution gives it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Replications:
    """Figures of one method: ``(replication, level)`` by name, and the least time of a replication in seconds.

    The names are those of the measures with ``_standard_error``, ``_low`` and ``_high``, and ``effective_sample_size``.
    """

    method: str
    paths: int
    figures: Mapping[str, Floats]
    seconds: float

    def deviation(self, measure: str) -> Floats:
        """The real standard error of a run ``(level,)``: the spread over the replications."""
        return np.asarray(np.std(self.figures[measure], axis=0, ddof=1))

    def mean(self, measure: str) -> tuple[Floats, Floats]:
        """The mean ``(level,)`` and its standard error."""
        return self.figures[measure].mean(axis=0), self.deviation(measure) / np.sqrt(len(self.figures[measure]))

    def stated_over_real(self, measure: str) -> Floats:
        """The mean standard error that runs state over the real one ``(level,)``."""
        stated = self.figures[f"{measure}_standard_error"].mean(axis=0)
        return np.asarray(stated / self.deviation(measure))

    def effective_share(self) -> Floats:
        """The mean effective sample size over the paths ``(level,)``."""
        return np.asarray(self.figures["effective_sample_size"].mean(axis=0) / self.paths)

    def coverage(self, measure: str, truth: Floats) -> Floats:
        """The share of runs ``(level,)`` whose 95 % interval holds the true value."""
        low, high = self.figures[f"{measure}_low"], self.figures[f"{measure}_high"]
        return np.asarray(np.mean((low <= truth) & (truth <= high), axis=0))


def variance_factor(plain: Replications, other: Replications, measure: str) -> list[Factor]:
    """The measured variance-reduction factor of each level."""
    ratios = (plain.deviation(measure) / other.deviation(measure)) ** 2
    freedom = len(plain.figures[measure]) - 1, len(other.figures[measure]) - 1
    wide, narrow = float(fdtri(*freedom, 0.975)), float(fdtri(*freedom, 0.025))
    return [Factor(ratio, ratio / wide, ratio / narrow) for ratio in ratios.tolist()]


def replicate(
    problem: Problem,
    methods: Sequence[str],
    *,
    count: int,
    levels: Sequence[float],
    seed: int = 1,
    pilots: int = 4,
    plain_times: int = 1,
) -> dict[str, Replications]:
    """Run every method under ``count`` seeds of its own, with a new pilot so many times.

    Parameters
    ----------
    problem
        What to simulate; the seed of its spec is replaced.
    methods
        As :func:`riskops.measures.arrange` takes them.
    count
        Replications.
    levels
        Confidence levels.
    seed
        The first seed of the first method.
    pilots
        How many pilots the methods that need one take, in turn over the replications.
    plain_times
        So many times ``count`` are the replications of plain draws: all others are measured by them.
    """
    found: dict[str, list[dict[str, Floats]]] = {method: [] for method in methods}
    best = dict.fromkeys(methods, float("inf"))
    every = max(1, -(-count // pilots))
    runs: dict[str, _Run] = {}
    for k in range(count):
        for place, method in enumerate(methods):
            first = seed + place * SPAN + k
            if k % every == 0:
                runs[method] = _Run(problem, method, levels, first)
            for number in range(first, first + count * (plain_times if method == "plain" else 1), count):
                start = time.perf_counter()
                found[method].append(runs[method].figures(number))
                best[method] = min(best[method], time.perf_counter() - start)
    out = {}
    for method, every_run in found.items():
        figures = {name: np.stack([run[name] for run in every_run]) for name in every_run[0]}
        out[method] = Replications(method, problem.spec.paths, figures, best[method])
    return out


class _Run:
    """What the replications of a method share: the arrangement that its pilot found, and what is kept of the paths."""

    def __init__(self, problem: Problem, method: str, levels: Sequence[float], seed: int) -> None:
        self.problem, self.levels = problem, tuple(levels)
        self.spec = arrange(
            replace(problem.spec, seed=seed), book=problem.book, method=method, level=sorted(levels)[len(levels) // 2]
        )
        n, groups = self.spec.paths, self.spec.sampling.groups
        self.controlled = method == "control_variate"
        self.tail: Reduction = (
            WeightedTail(mass=needed_mass(self.levels, n, groups))
            if self.spec.sampling.weighted
            else Tail(keep=tail_size(self.levels, n, groups, controlled=self.controlled))
        )
        self.counters = tile_counters(0, n)
        self.pilot: Mapping[str, Any] = {}
        if self.controlled:
            self.pilot = self._summary(self._job(seed), MAX_PATHS - PILOT_PATHS, PILOT_PATHS)

    def _job(self, seed: int) -> PathJob:
        spec = replace(self.spec, seed=seed)
        return path_job(spec, times=[spec.times[-1]])

    def _summary(self, job: PathJob, first: int, n: int) -> dict[str, Any]:
        """The tail of the paths, and for the control variate their moments."""
        counters = self.counters if (first, n) == (0, self.spec.paths) else tile_counters(first, n)
        block = job.block(counters, n)
        assets = len(self.spec.assets)
        data: dict[str, npt.NDArray[Any]] = {"loss": self.problem.losses(block[:, :, :assets])[None, None, None]}
        if self.spec.sampling.weighted:
            data["loss_weight"] = block[0, :, assets].astype(np.float64)
        parts: dict[str, Reduction] = {"tail": self.tail}
        if self.controlled:
            parts["moments"] = Moments()
            parts["tail"] = Tail(keep=tail_size(self.levels, n, self.spec.sampling.groups, controlled=True))
        return {name: part.finalize(part.combine([part.chunk(data, first_path=first)])) for name, part in parts.items()}

    def figures(self, seed: int) -> dict[str, Floats]:
        """The figures ``(level,)`` of a run with this seed."""
        summary = self._summary(self._job(seed), 0, self.spec.paths)
        shape = (1, 1, 1, len(self.levels))
        if self.controlled:
            expected = np.full(shape[:-1], self.problem.mean_loss())
            placed = controlled_figures(summary, self.pilot, expected, levels=self.levels)
            made = put_figures(placed, shape)
        else:
            groups = self.spec.sampling.groups.text
            made = tail_figures(summary["tail"], levels=self.levels, stressed=False, groups=groups, key=None)
        made.setdefault("effective_sample_size", np.full(shape, float(self.spec.paths)))
        return {name: np.array(values.reshape(-1)) for name, values in made.items()}
