"""Watching a run from outside: log lines that programs read, metrics that a server collects, and a profile."""

from riskops.observe.json_lines import JsonLines, json_lines
from riskops.observe.metrics import metric_address, serve_metrics
from riskops.observe.profile import profile_job

__all__ = ["JsonLines", "json_lines", "metric_address", "profile_job", "serve_metrics"]
