"""Watching a run from outside: log lines that programs read, metrics that a server collects, and a profile."""

from __future__ import annotations
