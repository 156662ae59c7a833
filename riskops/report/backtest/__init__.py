"""Forecasts and backtests as people read them: tables for the terminal, and one page."""

from __future__ import annotations

from riskops.report.backtest.assessment import assessment_records, assessment_table
from riskops.report.backtest.html import write_backtest_html
from riskops.report.backtest.summary import backtest_table

__all__ = ["assessment_records", "assessment_table", "backtest_table", "write_backtest_html"]
