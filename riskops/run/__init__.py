"""Runs: a configuration becomes a job, a job a lazy graph, the graph a directory that explains itself."""

from riskops.run.check import Replay, compare, replay, verify
from riskops.run.directory import RunDirectory, find_run, list_runs, new_run_id, open_run
from riskops.run.execute import execute, plan_job, recorded_job, resume
from riskops.run.job import RiskJob, prepare
from riskops.run.recorder import Recorder
from riskops.run.stages import LazyResults, market_risk, results_of

__all__ = [
    "LazyResults",
    "Recorder",
    "Replay",
    "RiskJob",
    "RunDirectory",
    "compare",
    "execute",
    "find_run",
    "list_runs",
    "market_risk",
    "new_run_id",
    "open_run",
    "plan_job",
    "prepare",
    "recorded_job",
    "replay",
    "results_of",
    "resume",
    "verify",
]
