"""The correlations of the assets' simulated returns, as a map."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import xarray as xr

from riskops.report.formatting import horizon_text
from riskops.report.plots.style import INK, bokeh_models, frame, names_axis, plain
from riskops.report.view import View

__all__ = ["correlation_map"]

#: Orange for minus one, nearly white for zero, blue for plus one.
DIVERGING = ("#B35806", "#F1A340", "#FEE0B6", "#F7F7F7", "#C6DBEF", "#5A9BCB", "#08519C")


def correlation_map(results: xr.Dataset, *, horizon: float, most: int = 40) -> Any:
    """Draw the correlations of the assets' simulated returns as a map from -1 (orange) to 1 (blue).

    Parameters
    ----------
    results
        ``correlation`` over ``asset`` and ``other_asset``.
    horizon
        Over which horizon.
    most
        How many assets fit; of more, those with the largest exposure over all portfolios are drawn.

    Returns
    -------
    bokeh.plotting.figure
        A square map; a cell's value shows under the pointer, and in the cell where there are at most 20 assets.

    Raises
    ------
    InputError
        When the results lack the measure or the horizon.

    Examples
    --------
    >>> from riskops.report.example import example_results
    >>> correlation_map(example_results(), horizon=1.0)
    figure(...)
    """
    models = bokeh_models()
    view = View(results)
    names, values = view.correlation(horizon, most=most)
    n = len(names)
    plot = frame(f"Correlation over {horizon_text(horizon)}", "", "", height=170 + max(26 * n, 120))
    rows, columns = np.indices((n, n))
    source = {
        "x": columns.ravel(),
        "y": n - 1 - rows.ravel(),
        "value": values.ravel(),
        "text": [f"{value:z.2f}" for value in values.ravel().tolist()],
        "one": [names[i] for i in rows.ravel()],
        "other": [names[i] for i in columns.ravel()],
    }
    palette = list(import_module("bokeh.palettes").interp_palette(DIVERGING, 101))
    mapper = models.LinearColorMapper(palette=palette, low=-1, high=1, nan_color="#DDDDDD")
    fill = {"field": "value", "transform": mapper}
    cells = plot.rect(x="x", y="y", width=1, height=1, source=source, fill_color=fill, line_color="white")
    if n <= 20:
        source["colour"] = np.where(np.abs(values.ravel()) > 0.75, "white", INK).tolist()
        middle = {"text_align": "center", "text_baseline": "middle", "text_font_size": "10px"}
        plot.text(x="x", y="y", text="text", source=source, text_color="colour", **middle)
    plot.add_tools(
        models.HoverTool(renderers=[cells], tooltips=[("", "@one, @other"), ("correlation", "@value{0.0000}")])
    )
    ticks = models.FixedTicker(ticks=[-1, -0.5, 0, 0.5, 1])
    plot.add_layout(models.ColorBar(color_mapper=mapper, ticker=ticks, width=14, bar_line_color=None), "right")
    names_axis(plot, names)
    plot.xaxis[0].ticker = list(range(n))
    plot.xaxis[0].major_label_overrides = {i: plain(name) for i, name in enumerate(names)}
    plot.xaxis[0].major_label_orientation = np.pi / 2 if n > 8 else "horizontal"
    plot.x_range.start, plot.x_range.end = -0.5, n - 0.5
    plot.grid.visible = False
    return plot
