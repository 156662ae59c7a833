"""The plots of a run, each a Bokeh figure; the only folder that imports Bokeh, and only when a plot is drawn."""

from __future__ import annotations

from riskops.report.plots.backtest_lines import backtest_lines
from riskops.report.plots.contributions import contribution_bars
from riskops.report.plots.correlation import correlation_map
from riskops.report.plots.embed import embed, library
from riskops.report.plots.exceedance import exceedance_plot
from riskops.report.plots.fan import fan_chart
from riskops.report.plots.loss import loss_distribution
from riskops.report.plots.p_values import p_value_map
from riskops.report.plots.ranking import score_ranking
from riskops.report.plots.stress import stress_bars, stress_changes
from riskops.report.plots.traffic_lights import traffic_light_grid
from riskops.report.plots.weights import weight_areas

__all__ = [
    "backtest_lines",
    "contribution_bars",
    "correlation_map",
    "embed",
    "exceedance_plot",
    "fan_chart",
    "library",
    "loss_distribution",
    "p_value_map",
    "score_ranking",
    "stress_bars",
    "stress_changes",
    "traffic_light_grid",
    "weight_areas",
]
