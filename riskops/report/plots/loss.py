"""The distribution of a portfolio's loss, with VaR and ES marked."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from riskops.report.bins import histogram_of
from riskops.report.formatting import horizon_text, level_text
from riskops.report.plots.style import BLUE, SKY, VERMILLION, frame, label, money_ticks
from riskops.report.view import View

__all__ = ["loss_distribution"]

_BARS = 90


def loss_distribution(results: xr.Dataset, *, portfolio: str, horizon: float) -> Any:
    """Draw the distribution of a portfolio's loss, with VaR and ES of every level marked.

    Parameters
    ----------
    results
        Tail risk and ``loss_histogram`` with the coordinates ``bin_low`` and ``bin_high``.
    portfolio, horizon
        Which loss; the base scenario is drawn.

    Returns
    -------
    bokeh.plotting.figure
        Equal bars from the 0.05 % to the 99.95 % quantile, or further where a mark lies; a bin of the histogram that a
        bar's edge cuts is taken as evenly filled.

    Raises
    ------
    InputError
        When the results lack the histogram, the portfolio or the horizon.

    Examples
    --------
    >>> from riskops.report.example import example_results
    >>> loss_distribution(example_results(), portfolio="growth", horizon=1.0)
    figure(...)
    """
    view = View(results)
    money = view.money(portfolio)
    histogram = histogram_of(view, portfolio=portfolio, horizon=horizon)
    marks = sorted(
        (figure.value, f"{name} {level_text(row.level)}", colour)
        for row in view.summary(portfolio)
        for name, figure, colour in (("VaR", row.value_at_risk, BLUE), ("ES", row.expected_shortfall, VERMILLION))
        if row.horizon == horizon and figure.value is not None
    )
    edges = histogram.edges([value for value, _, _ in marks], bars=_BARS)
    shares, shown = 100.0 * histogram.shares(edges), edges / money.divisor
    span, peak = shown[-1] - shown[0], max(float(shares.max()), 1e-12)
    plot = frame(
        f"Loss over {horizon_text(horizon)}",
        f"Loss ({money.unit}); gains are negative",
        "Paths in the bar (%)",
        height=380,
    )
    plot.quad(
        left=shown[:-1], right=shown[1:], bottom=0, top=shares, fill_color=SKY, line_color="white", line_width=0.5
    )
    # Labels stand right of their line, one row each, the leftmost highest: lines further right end below its row.
    rows = 1.12 * peak - np.arange(len(marks)) * min(0.085 * peak, 0.95 * peak / max(len(marks), 1))
    at = np.array([value for value, _, _ in marks]) / money.divisor
    colours = [colour for _, _, colour in marks]
    plot.segment(x0=at, x1=at, y0=0, y1=rows, line_color=colours, line_width=2)
    for x, height, (_, text, colour) in zip(at, rows, marks, strict=True):
        label(plot, x, height, text, colour, x_offset=5)
    plot.x_range.start, plot.x_range.end = shown[0] - 0.01 * span, shown[-1] + (0.3 if marks else 0.01) * span
    plot.y_range.start, plot.y_range.end = 0, 1.2 * peak
    money_ticks(plot.xaxis[0], money)
    return plot
