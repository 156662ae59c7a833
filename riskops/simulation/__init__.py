"""Simulation: a frozen spec, a plan of the work, lazy paths, and the run directory they are written to."""

from riskops.simulation.device_plan import DeviceChoice, choose_device, device_memory
from riskops.simulation.engine import PathJob, ScenarioLike, path_job, paths_of, simulate
from riskops.simulation.fallbacks import clear_fallbacks, collect_fallbacks
from riskops.simulation.plan import Plan, Workload, chunk_sizes, plan
from riskops.simulation.sampling import METHODS, Sampling
from riskops.simulation.spec import SimulationSpec

__all__ = [
    "METHODS",
    "DeviceChoice",
    "PathJob",
    "Plan",
    "Sampling",
    "ScenarioLike",
    "SimulationSpec",
    "Workload",
    "choose_device",
    "chunk_sizes",
    "clear_fallbacks",
    "collect_fallbacks",
    "device_memory",
    "path_job",
    "paths_of",
    "plan",
    "simulate",
]
