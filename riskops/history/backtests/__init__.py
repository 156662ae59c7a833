"""Backtests: is what was forecast what came? Each test is one file's idea, over any number of methods and series."""

from __future__ import annotations

from riskops.history.backtests.registry import list_backtests

__all__ = ["list_backtests"]
