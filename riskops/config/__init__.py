"""Configurations: one YAML file says what a run computes; it is read, checked whole, and written back complete."""

from __future__ import annotations

from riskops.config.analysis import AnalysisConfig, analysis_from_mapping, load_analysis
from riskops.config.describe import ConfigKey, config_keys, starter_config
from riskops.config.load import config_from_mapping, load_config, to_yaml
from riskops.config.sections import Config

__all__ = [
    "AnalysisConfig",
    "Config",
    "ConfigKey",
    "analysis_from_mapping",
    "config_from_mapping",
    "config_keys",
    "load_analysis",
    "load_config",
    "starter_config",
    "to_yaml",
]
