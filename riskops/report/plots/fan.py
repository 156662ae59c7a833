"""The fan of a portfolio's value over the horizons."""

from __future__ import annotations

from typing import Any

import xarray as xr

from riskops.report.bins import fan_values, spread
from riskops.report.formatting import level_text
from riskops.report.plots.style import BLUE, INK, bokeh_models, frame, money_ticks, plain_axis
from riskops.report.view import View

__all__ = ["fan_chart"]

#: The quantiles of portfolio value that the fan chart shows, the bands from outside in.
FAN = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
#: With more days than this the axis is marked evenly; with fewer, where the quantiles are known.
MOST_TICKS = 12


def fan_chart(results: xr.Dataset, *, portfolio: str) -> Any:
    """Draw how far a portfolio's value may spread over the horizons: bands between quantiles, from today's value on.

    Parameters
    ----------
    results
        ``portfolio_value`` and ``loss_histogram`` with the coordinates ``bin_low`` and ``bin_high``.
    portfolio
        Which value; the base scenario is drawn.

    Returns
    -------
    bokeh.plotting.figure
        Bands 1 to 99 %, 5 to 95 %, 25 to 75 % and the median. Quantiles are read from the histogram: the line under the
        plot states the widest bin that was used, which bounds their error.

    Raises
    ------
    InputError
        When the results lack the histogram or the portfolio.

    Examples
    --------
    >>> from riskops.report.example import example_results
    >>> fan_chart(example_results(), portfolio="growth")
    figure(...)
    """
    models = bokeh_models()
    view = View(results)
    money = view.money(portfolio)
    days, values, widest = fan_values(view, portfolio=portfolio, probabilities=FAN)
    values /= money.divisor
    plot = frame("Portfolio value", "Trading days from today", f"Value ({money.unit})", height=400)
    for i, alpha in enumerate((0.18, 0.30, 0.45)):
        plot.varea(x=days, y1=values[i], y2=values[-1 - i], fill_color=BLUE, fill_alpha=alpha)
    plot.line(days, values[3], line_color=INK, line_width=2)
    plot.scatter(days, values[3], size=6, fill_color=INK, line_color="white")
    low, high = float(values.min()), float(values.max())
    margin = max(0.06 * (high - low), 1e-6 * max(abs(high), 1e-6))
    places = spread(values[:, -1], gap=0.055 * (high - low + 2 * margin))
    plot.x_range.start, plot.x_range.end = 0.0, 1.01 * days[-1]
    plot.y_range.start = min(low - margin, float(places.min()) - margin)
    plot.y_range.end = max(high + margin, float(places.max()) + margin)
    # An axis of its own for the quantiles' names: it takes the width that they need, however narrow the plot.
    quantiles = zip(FAN, values[:, -1], places, strict=True)
    names = {float(place): f"{_name(share)}: {money.text(value * money.divisor)}" for share, value, place in quantiles}
    plot.add_layout(models.LinearAxis(ticker=list(names), major_label_overrides=names), "right")
    plain_axis(plot.right[0])
    if len(days) <= MOST_TICKS:
        plot.xaxis[0].ticker = days.tolist()
    money_ticks(plot.yaxis[0], money)
    note = f"Read from histogram bins at most {money.with_unit(widest)} wide."
    plot.add_layout(models.Title(text=note, text_font_size="11px", text_font_style="normal", text_color=INK), "below")
    return plot


def _name(probability: float) -> str:
    return "median" if probability == 0.5 else level_text(probability)
