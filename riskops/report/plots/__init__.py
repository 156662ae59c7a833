"""The plots of a run, each a Bokeh figure; the only folder that imports Bokeh, and only when a plot is drawn."""

from __future__ import annotations

from riskops.report.plots.contributions import contribution_bars
from riskops.report.plots.correlation import correlation_map
from riskops.report.plots.embed import embed, library
from riskops.report.plots.exceedance import exceedance_plot
from riskops.report.plots.fan import fan_chart
from riskops.report.plots.loss import loss_distribution
from riskops.report.plots.stress import stress_bars, stress_changes

__all__ = [
    "contribution_bars",
    "correlation_map",
    "embed",
    "exceedance_plot",
    "fan_chart",
    "library",
    "loss_distribution",
    "stress_bars",
    "stress_changes",
]
