"""VaR and ES under every scenario, and their change against the base."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from riskops.errors import InputError
from riskops.report.formatting import Money, horizon_text, level_text
from riskops.report.plots.style import BLUE, VERMILLION, bars, finish_bars, frame, names_axis, upright, whiskers
from riskops.report.view import BASE, StressRow, View

__all__ = ["stress_bars", "stress_changes"]


def stress_bars(results: xr.Dataset, *, portfolio: str, horizon: float, level: float) -> Any:
    """Draw VaR and ES of the base and of every scenario side by side, with their 95 % intervals.

    Parameters
    ----------
    results
        ``value_at_risk`` and ``expected_shortfall`` over ``scenario``.
    portfolio, horizon, level
        Which tail.

    Returns
    -------
    bokeh.plotting.figure
        One pair of bars a scenario, the base on top.

    Raises
    ------
    InputError
        When the results hold no scenario beside the base.

    Examples
    --------
    >>> from riskops.report.example import example_results
    >>> stress_bars(example_results(), portfolio="growth", horizon=1.0, level=0.95)
    figure(...)
    """
    money, rows = _stressed(results, portfolio, horizon, level)
    title = f"VaR and ES at {level_text(level)} over {horizon_text(horizon)}"
    plot = frame(title, f"Loss ({money.unit})", "", height=130 + 40 * len(rows))
    y = names_axis(plot, [row.scenario for row in rows])
    for name, colour, figures, shift in (
        ("VaR, 95 % interval", BLUE, [row.value_at_risk for row in rows], 0.19),
        ("ES, 95 % interval", VERMILLION, [row.expected_shortfall for row in rows], -0.19),
    ):
        bars(plot, y + shift, figures, money, colour=colour, label=name, height=0.34)
        whiskers(plot, y + shift, figures, money)
    base = rows[0].expected_shortfall.value
    if rows[0].scenario == BASE and base is not None:
        upright(plot, base / money.divisor, "dashed")
    finish_bars(plot, money)
    return plot


def stress_changes(results: xr.Dataset, *, portfolio: str, horizon: float, level: float) -> Any:
    """Draw how much every scenario changes VaR and ES against the base, with the 95 % interval of the difference.

    Parameters
    ----------
    results
        ``value_at_risk_change`` and ``expected_shortfall_change`` over ``scenario``.
    portfolio, horizon, level
        Which tail.

    Returns
    -------
    bokeh.plotting.figure
        One pair of points a scenario, each joined to zero.

    Raises
    ------
    InputError
        When the results hold no scenario beside the base.

    Examples
    --------
    >>> from riskops.report.example import example_results
    >>> stress_changes(example_results(), portfolio="growth", horizon=1.0, level=0.95)
    figure(...)
    """
    money, rows = _stressed(results, portfolio, horizon, level)
    title = f"Change of VaR and ES at {level_text(level)} over {horizon_text(horizon)}"
    plot = frame(title, f"Change against the base ({money.unit})", "", height=130 + 32 * (len(rows) - 1))
    y = names_axis(plot, [row.scenario for row in rows[1:]])
    for name, marker, colour, figures, shift in (
        ("VaR, 95 % interval", "circle", BLUE, [row.value_at_risk_change for row in rows[1:]], 0.15),
        ("ES, 95 % interval", "square", VERMILLION, [row.expected_shortfall_change for row in rows[1:]], -0.15),
    ):
        known = [(place, figure) for place, figure in zip(y + shift, figures, strict=True) if figure.value is not None]
        places = np.array([place for place, _ in known])
        ends = [(figure.value or 0.0) / money.divisor for _, figure in known]
        plot.segment(x0=0, x1=ends, y0=places, y1=places, line_color=colour, line_width=2, line_alpha=0.5)
        whiskers(plot, places, [figure for _, figure in known], money)
        look = {"marker": marker, "size": 8, "fill_color": colour, "line_color": "white"}
        plot.scatter(ends, places, legend_label=name, **look)
    upright(plot, 0.0, "solid")
    finish_bars(plot, money)
    return plot


def _stressed(results: xr.Dataset, portfolio: str, horizon: float, level: float) -> tuple[Money, list[StressRow]]:
    view = View(results)
    rows = view.stress(portfolio, horizon=horizon, level=level)
    if not rows:
        raise InputError("scenario: the results hold none beside the base")
    return view.money(portfolio), rows
