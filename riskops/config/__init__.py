"""Configurations: one YAML file says what a run computes; it is read, checked whole, and written back complete."""

from __future__ import annotations

from riskops.config.describe import ConfigKey, config_keys, starter_config
from riskops.config.load import config_from_mapping, load_config, to_yaml
from riskops.config.sections import Config

__all__ = ["Config", "ConfigKey", "config_from_mapping", "config_keys", "load_config", "starter_config", "to_yaml"]
