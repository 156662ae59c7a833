"""How often the stated 95 % intervals of VaR and ES hold the true value, by sampling method and level.

Run it with ``python -m tests.coverage_of_intervals [replications] [--paths N] [--problem NAME] [--method NAME]``; a
thousand replications take a few minutes. ``tests/measures/test_coverage.py`` holds it to its bounds when the tests
marked ``slow`` are run. The true values are exact: those of one lognormal asset, and of a loss that is normal.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import stats
from scipy.special import ndtr, ndtri

from riskops.bench.replications import MEASURES, Problem, Replications, replicate
from riskops.models import GeometricBrownianMotion, StudentT
from riskops.schema import variable
from riskops.simulation import METHODS, SimulationSpec

LEVELS = (0.95, 0.99, 0.997)
PATHS = 32_768
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A problem and its exact VaR and ES ``(level,)``."""

    problem: Problem
    truth: dict[str, Floats]


def _book(names: Sequence[str], exposure: Sequence[float]) -> xr.Dataset:
    coords = {"portfolio": ["book"], "asset": list(names)}
    return variable("exposure", ("portfolio", "asset"), [list(exposure)], coords=coords).to_dataset()


def one_asset(paths: int = PATHS) -> Case:
    """One asset over one step: everything that a method arranges is all that there is."""
    model = GeometricBrownianMotion(("A",), [0.08], [0.3], np.eye(1))
    spec = SimulationSpec(model, paths=paths, steps=1, step_days=10.0, seed=1)
    mean, deviation = float(model.mean_log_growth(10 / 252)[0]), float(0.3 * np.sqrt(10 / 252))
    mass = 1.0 - np.array(LEVELS)
    z = ndtri(mass)
    value = -np.expm1(mean + deviation * z)
    shortfall = 1.0 - np.exp(mean + deviation**2 / 2) * ndtr(z - deviation) / mass
    truth = {"value_at_risk": 100.0 * value, "expected_shortfall": 100.0 * shortfall}
    return Case(Problem("one lognormal asset, 1 step", spec, _book(("A",), [100.0])), truth)


def normal_loss(paths: int = PATHS) -> Case:
    """Six assets over three steps, the loss linear in log growth; the hedges leave each method some variance."""
    names = tuple("ABCDEF")
    distance = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    model = GeometricBrownianMotion(names, np.full(6, 0.05), np.linspace(0.15, 0.4, 6), 0.2 + 0.8 * 0.7**distance)
    spec = SimulationSpec(model, paths=paths, steps=3, seed=1)
    exposure = np.array([100.0, 80.0, -40.0, 60.0, 50.0, -30.0])
    years = 3 / 252
    mean = -float(exposure @ model.mean_log_growth(years))
    deviation = float(np.sqrt(exposure @ model.covariance_log_growth(years) @ exposure))
    mass = 1.0 - np.array(LEVELS)
    z = -ndtri(mass)
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    truth = {"value_at_risk": mean + deviation * z, "expected_shortfall": mean + deviation * density / mass}
    return Case(Problem("normal loss of 6 assets, 3 steps", spec, _book(names, exposure.tolist()), linear=True), truth)


def student_loss(paths: int = PATHS) -> Case:
    """Four assets with Student t returns over one step, the loss linear in log growth: no one direction explains it."""
    names = tuple("ABCD")
    correlation = 0.4 + 0.6 * np.eye(4)
    model = StudentT(names, np.full(4, 0.05), np.linspace(0.15, 0.3, 4), correlation, 5.0)
    spec = SimulationSpec(model, paths=paths, steps=1, seed=1)
    exposure = np.array([100.0, 80.0, -40.0, 60.0])
    mean = -float(exposure @ model.mean_log_growth(1 / 252))
    nu = model.degrees_of_freedom
    scale = float(np.sqrt(exposure @ model.covariance_log_growth(1 / 252) @ exposure * (nu - 2.0) / nu))
    mass = 1.0 - np.array(LEVELS)
    t = stats.t.isf(mass, nu)
    beyond = stats.t.pdf(t, nu) / mass * (nu + t * t) / (nu - 1.0)
    truth = {"value_at_risk": mean + scale * t, "expected_shortfall": mean + scale * beyond}
    return Case(
        Problem("Student t loss of 4 assets, 1 step", spec, _book(names, exposure.tolist()), linear=True), truth
    )


CASES: dict[str, Callable[[int], Case]] = {
    "one_asset": one_asset,
    "normal_loss": normal_loss,
    "student_loss": student_loss,
}


def served(case: Case, methods: Sequence[str]) -> list[str]:
    """The methods without those that need a mean simple return where the model has none."""
    known = not isinstance(case.problem.spec.model, StudentT)
    return [method for method in methods if known or method != "control_variate"]


def coverage(case: Case, methods: Sequence[str], *, count: int, seed: int = 1) -> dict[str, Replications]:
    """The replications of every method, with a new pilot every fifty."""
    return replicate(case.problem, methods, count=count, levels=LEVELS, seed=seed, pilots=max(1, count // 50))


def lines(case: Case, found: dict[str, Replications]) -> list[str]:
    """The table: for each method and measure the coverage, the stated error over the real one, and the bias."""
    out = [f"{case.problem.name}, {case.problem.spec.paths:,} paths"]
    head = " ".join(f"{100 * level:>6g} %" for level in LEVELS)
    out.append(f"{'method':16} {'measure':19} {'coverage':8} {head} | stated/real {head} | bias/error {head}")
    for method, runs in found.items():
        for measure in MEASURES:
            truth = case.truth[measure]
            bias = (runs.mean(measure)[0] - truth) / runs.deviation(measure)
            parts = (100 * runs.coverage(measure, truth), runs.stated_over_real(measure), bias)
            columns = [" ".join(f"{value:8.{d}f}" for value in part) for part, d in zip(parts, (1, 3, 3), strict=True)]
            out.append(
                f"{method:16} {measure:19} {'':8} {columns[0]} |             {columns[1]} |            {columns[2]}"
            )
    return out


def main() -> None:
    """Print the table of every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("--paths", type=int, default=PATHS)
    parser.add_argument("--case", choices=sorted(CASES), action="append")
    parser.add_argument("--method", choices=sorted(METHODS), action="append")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for name in given.case or CASES:
        start = time.perf_counter()
        case = CASES[name](given.paths)
        found = coverage(case, served(case, given.method or list(METHODS)), count=given.count, seed=given.seed)
        print("\n".join(lines(case, found)))
        print(f"{time.perf_counter() - start:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
