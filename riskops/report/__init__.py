"""Reports read finished results by schema name: records and CSV, tables for the terminal, plots, and an HTML page."""

from __future__ import annotations

from riskops.report.backtest.assessment import assessment_records, assessment_table
from riskops.report.backtest.html import write_backtest_html
from riskops.report.backtest.summary import backtest_table
from riskops.report.curves import curve_records, curve_table
from riskops.report.figures import figures, figures_csv
from riskops.report.html import write_html
from riskops.report.plots import (
    backtest_lines,
    contribution_bars,
    correlation_map,
    exceedance_plot,
    fan_chart,
    loss_distribution,
    p_value_map,
    score_ranking,
    stress_bars,
    stress_changes,
    traffic_light_grid,
    weight_areas,
)
from riskops.report.tables import as_text, compare_table, listing_table, plan_table, summary_table, terminal
from riskops.report.timings import profile_table, timing_rows, timings_table

__all__ = [
    "as_text",
    "assessment_records",
    "assessment_table",
    "backtest_lines",
    "backtest_table",
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
    "p_value_map",
    "plan_table",
    "profile_table",
    "score_ranking",
    "stress_bars",
    "stress_changes",
    "summary_table",
    "terminal",
    "timing_rows",
    "timings_table",
    "traffic_light_grid",
    "weight_areas",
    "write_backtest_html",
    "write_html",
]
