"""Simulation: a frozen spec, a plan of the work, lazy paths, and the run directory they are written to."""

from riskops.simulation.engine import PathJob, ScenarioLike, path_job, paths_of, simulate
from riskops.simulation.plan import Plan, Workload, chunk_sizes, plan
from riskops.simulation.sampling import METHODS, Sampling
from riskops.simulation.spec import SimulationSpec

__all__ = [
    "METHODS",
    "PathJob",
    "Plan",
    "Sampling",
    "ScenarioLike",
    "SimulationSpec",
    "Workload",
    "chunk_sizes",
    "path_job",
    "paths_of",
    "plan",
    "simulate",
]
