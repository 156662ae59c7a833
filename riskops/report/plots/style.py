"""How the plots look: one kind of figure, its colours, axes of money and of names, bars and whiskers.

Colours are those of Okabe and Ito, which stay apart under colour blindness. Names of assets, portfolios and scenarios
reach the plots as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from riskops.report.bins import whisker_segments
from riskops.report.formatting import Figure, Money, short_name

__all__ = [
    "AREA_COLOURS",
    "BLUE",
    "GREY",
    "INK",
    "METHOD_COLOURS",
    "SKY",
    "VERMILLION",
    "bars",
    "bokeh_models",
    "cells",
    "entitle",
    "finish_bars",
    "frame",
    "key_above",
    "label",
    "legend_above",
    "money_ticks",
    "names_axis",
    "plain",
    "plain_axis",
    "upright",
    "whiskers",
]

BLUE, VERMILLION, SKY, GREY, INK = "#0072B2", "#D55E00", "#56B4E9", "#8A8F98", "#2B2F36"
#: Of lines that are compared, and of areas that lie on each other.
METHOD_COLOURS = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#7A5C00")
AREA_COLOURS = (BLUE, SKY, "#009E73", "#F0E442", "#E69F00", VERMILLION, "#CC79A7", "#7A5C00")


def bokeh_models() -> Any:
    """Bokeh's models, untyped: its stubs lack most of them."""
    return import_module("bokeh.models")


def plain(text: str) -> Any:
    """A name as plain text: of a bare string Bokeh takes ``$$...$$`` for TeX."""
    return bokeh_models().PlainText(text=short_name(text))


def entitle(plot: Any, text: str) -> None:
    """Give a plot a title with names in it."""
    plot.title.text = bokeh_models().PlainText(text=text)


def frame(title: str, x_label: str, y_label: str, *, height: int, y_axis_type: str = "auto") -> Any:
    """An empty plot: its title, its labels and nothing to click."""
    models = bokeh_models()
    plot: Any = import_module("bokeh.plotting").figure(
        height=height,
        sizing_mode="stretch_width",
        min_width=320,
        toolbar_location=None,
        tools="",
        x_range=models.Range1d(),
        y_range=models.Range1d(),
        y_axis_type=y_axis_type,
        title=title,
        x_axis_label=x_label or None,
        y_axis_label=y_label or None,
        outline_line_color=None,
    )
    plot.title.text_font_size, plot.title.text_color = "14px", INK
    for axis in plot.axis:
        plain_axis(axis)
        axis.axis_line_color = axis.major_tick_line_color = GREY
    plot.grid.grid_line_color = "#E6E8EB"
    return plot


def plain_axis(axis: Any) -> None:
    """Dark upright text and no line."""
    axis.axis_label_text_font_style = "normal"
    axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
    axis.axis_label_text_color = axis.major_label_text_color = INK
    axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = None


def label(plot: Any, x: float, y: float, text: str, colour: str, *, x_offset: int) -> None:
    """Write a text right of a point."""
    models = bokeh_models()
    plot.add_layout(
        models.Label(
            x=x,
            y=y,
            text=models.PlainText(text=text),
            x_offset=x_offset,
            text_color=colour,
            text_baseline="middle",
            text_font_size="12px",
            background_fill_color="white",
            background_fill_alpha=0.75,
        )
    )


def money_ticks(axis: Any, money: Money) -> None:
    """Mark an axis at round amounts."""
    models = bokeh_models()
    axis.formatter = models.NumeralTickFormatter(format=money.tick_format)
    axis.ticker = models.BasicTicker(desired_num_ticks=6)


def names_axis(plot: Any, names: Sequence[str]) -> np.ndarray:
    """Put names on the y axis from the top down and return their places."""
    places = np.arange(len(names), dtype=np.float64)[::-1]
    plot.yaxis[0].ticker = places.tolist()
    plot.yaxis[0].major_label_overrides = {int(y): plain(name) for y, name in zip(places, names, strict=True)}
    plot.yaxis[0].major_tick_line_color = None
    plot.ygrid[0].visible = False
    plot.y_range.start, plot.y_range.end = -0.6, len(names) - 0.4
    return places


def bars(
    plot: Any, y: np.ndarray, figures: Sequence[Figure], money: Money, *, colour: str, label: str, height: float
) -> None:
    """Draw horizontal bars from zero."""
    right = [(figure.value or 0.0) / money.divisor for figure in figures]
    plot.hbar(y=y, left=0, right=right, height=height, fill_color=colour, line_color=None, legend_label=label)


def whiskers(plot: Any, y: np.ndarray, figures: Sequence[Figure], money: Money) -> None:
    """Draw the 95 % intervals of figures that have one."""
    ends = [
        (place, figure.low / money.divisor, figure.high / money.divisor)
        for place, figure in zip(y, figures, strict=True)
        if figure.low is not None and figure.high is not None
    ]
    if ends:
        plot.segment(*whisker_segments(*np.array(ends).T), line_color=INK, line_width=1.5)


def upright(plot: Any, x: float, dash: str) -> None:
    """Draw a vertical line over the whole height."""
    models = bokeh_models()
    plot.add_layout(models.Span(location=x, dimension="height", line_color=GREY, line_dash=dash, line_width=1.5))


def cells(
    plot: Any, data: dict[str, Any], *, names: Sequence[str], columns: Sequence[str], tips: Sequence[tuple[str, str]]
) -> None:
    """Draw a map: cells at ``x``, ``y`` with ``fill``, ``ink`` and ``text``, names beside it and columns below."""
    models = bokeh_models()
    plot.min_width = 190 + 25 * len(columns)  # below it the numbers would run into each other
    source = models.ColumnDataSource(data)
    look = {"fill_color": "fill", "line_color": "white"}
    drawn = plot.rect(x="x", y="y", width=1, height=1, source=source, **look)
    middle = {"text_align": "center", "text_baseline": "middle", "text_font_size": "11px"}
    plot.text(x="x", y="y", text="text", source=source, text_color="ink", **middle)
    plot.add_tools(models.HoverTool(renderers=[drawn], tooltips=list(tips)))
    names_axis(plot, names)
    plot.xaxis[0].ticker = list(range(len(columns)))
    plot.xaxis[0].major_label_overrides = {i: plain(name) for i, name in enumerate(columns)}
    plot.xaxis[0].major_label_orientation = np.pi / 2 if len(columns) > 6 else "horizontal"
    plot.x_range.start, plot.x_range.end = -0.5, len(columns) - 0.5
    plot.grid.visible = False


def key_above(plot: Any, entries: Sequence[tuple[str, Any]], *, columns: int | None = None) -> None:
    """Say over the plot what each glyph stands for."""
    models = bokeh_models()
    # a bare string that names a column would be taken for its values
    items = [models.LegendItem(label={"value": text}, renderers=[renderer]) for text, renderer in entries]
    legend = models.Legend(items=items)
    if columns is not None:
        legend.ncols = columns
    legend_above(plot, legend)


def legend_above(plot: Any, legend: Any) -> None:
    """Put a legend over the plot."""
    legend.orientation, legend.border_line_color, legend.label_text_font_size = "horizontal", None, "12px"
    legend.margin, legend.padding = 0, 4
    plot.add_layout(legend, "above")


def finish_bars(plot: Any, money: Money) -> None:
    """Give bars their axis of money and a legend above."""
    models = bokeh_models()
    plot.x_range = models.DataRange1d(range_padding=0.06)
    money_ticks(plot.xaxis[0], money)
    legend_above(plot, plot.legend[0])
