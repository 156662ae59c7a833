"""Runs that forecast from history and judge the forecasts: job, graph, figures and report of a backtest."""

from riskops.run.backtest.execute import execute_backtest, recorded_backtest, replayed_results, resume_backtest
from riskops.run.backtest.job import BacktestJob
from riskops.run.backtest.plan import backtest_plan_record
from riskops.run.backtest.prepare import prepare_backtest
from riskops.run.backtest.stages import LazyBacktest, var_backtest

__all__ = [
    "BacktestJob",
    "LazyBacktest",
    "backtest_plan_record",
    "execute_backtest",
    "prepare_backtest",
    "recorded_backtest",
    "replayed_results",
    "resume_backtest",
    "var_backtest",
]
