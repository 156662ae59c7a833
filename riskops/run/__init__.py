"""Runs: a configuration becomes a job, a job a lazy graph, the graph a directory that explains itself."""

from riskops.run.analyse import analyse, prepare_analysis, run_analysis
from riskops.run.backtest import BacktestJob, LazyBacktest, var_backtest
from riskops.run.check import Replay, compare, replay, verify
from riskops.run.directory import RunDirectory, find_run, job_kind, list_runs, new_run_id, open_run
from riskops.run.execute import execute, recorded_job, resume
from riskops.run.job import RiskJob
from riskops.run.planning import plan_job, plan_record
from riskops.run.prepare import prepare
from riskops.run.recorder import Recorder
from riskops.run.stages import LazyResults, market_risk, results_of
from riskops.run.stored import StoredRun, open_stored

__all__ = [
    "BacktestJob",
    "LazyBacktest",
    "LazyResults",
    "Recorder",
    "Replay",
    "RiskJob",
    "RunDirectory",
    "StoredRun",
    "analyse",
    "compare",
    "execute",
    "find_run",
    "job_kind",
    "list_runs",
    "market_risk",
    "new_run_id",
    "open_run",
    "open_stored",
    "plan_job",
    "plan_record",
    "prepare",
    "prepare_analysis",
    "recorded_job",
    "replay",
    "results_of",
    "resume",
    "run_analysis",
    "var_backtest",
    "verify",
]
