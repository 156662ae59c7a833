"""Reports read finished results by schema name: records and CSV, tables for the terminal, plots, and an HTML page."""

from __future__ import annotations

from riskops.report.backtest.assessment import assessment_records, assessment_table
from riskops.report.curves import curve_records, curve_table
from riskops.report.figures import figures, figures_csv
from riskops.report.html import write_html
from riskops.report.plots import (
    contribution_bars,
    correlation_map,
    exceedance_plot,
    fan_chart,
    loss_distribution,
    stress_bars,
    stress_changes,
)
from riskops.report.tables import as_text, compare_table, listing_table, plan_table, summary_table, terminal
from riskops.report.timings import profile_table, timing_rows, timings_table

__all__ = [
    "as_text",
    "assessment_records",
    "assessment_table",
    "compare_table",
    "contribution_bars",
    "correlation_map",
    "curve_records",
    "curve_table",
    "exceedance_plot",
    "fan_chart",
    "figures",
    "figures_csv",
    "listing_table",
    "loss_distribution",
    "plan_table",
    "profile_table",
    "stress_bars",
    "stress_changes",
    "summary_table",
    "terminal",
    "timing_rows",
    "timings_table",
    "write_html",
]
