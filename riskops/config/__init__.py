"""Configurations: one YAML file says what a run computes; it is read, checked whole, and written back complete."""

from __future__ import annotations

from riskops.config.analysis import AnalysisConfig, analysis_from_mapping, load_analysis
from riskops.config.backtest import BacktestConfig, backtest_from_mapping, load_backtest
from riskops.config.describe import ConfigKey, config_keys, starter_config
from riskops.config.jobs import JobConfig, load_job
from riskops.config.load import config_from_mapping, load_config, to_yaml
from riskops.config.sections import Config

__all__ = [
    "AnalysisConfig",
    "BacktestConfig",
    "Config",
    "ConfigKey",
    "JobConfig",
    "analysis_from_mapping",
    "backtest_from_mapping",
    "config_from_mapping",
    "config_keys",
    "load_analysis",
    "load_backtest",
    "load_config",
    "load_job",
    "starter_config",
    "to_yaml",
]
