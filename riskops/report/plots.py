"""The plots of a run, each a Bokeh figure; the only file that imports Bokeh, and only when a plot is drawn.

Colours are those of Okabe and Ito, which stay apart under colour blindness. Names of assets, portfolios and scenarios
reach the plots as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import xarray as xr

from riskops.errors import InputError
from riskops.report.bins import fan_values, histogram_of, spread, whisker_segments
from riskops.report.formatting import Figure, Money, horizon_text, level_text, short_name
from riskops.report.view import BASE, StressRow, View

__all__ = [
    "contribution_bars",
    "correlation_map",
    "embed",
    "fan_chart",
    "library",
    "loss_distribution",
    "stress_bars",
    "stress_changes",
]

BLUE, VERMILLION, SKY, GREY, INK = "#0072B2", "#D55E00", "#56B4E9", "#8A8F98", "#2B2F36"
#: Orange for minus one, nearly white for zero, blue for plus one.
DIVERGING = ("#B35806", "#F1A340", "#FEE0B6", "#F7F7F7", "#C6DBEF", "#5A9BCB", "#08519C")
#: The quantiles of portfolio value that the fan chart shows, the bands from outside in.
FAN = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
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
        (figure.value, f"{name} {level_text(row.level)}: {money.text(figure.value)}", colour)
        for row in view.summary(portfolio)
        for name, figure, colour in (("VaR", row.value_at_risk, BLUE), ("ES", row.expected_shortfall, VERMILLION))
        if row.horizon == horizon and figure.value is not None
    )
    edges = histogram.edges([value for value, _, _ in marks], bars=_BARS)
    shares, shown = 100.0 * histogram.shares(edges), edges / money.divisor
    span, peak = shown[-1] - shown[0], max(float(shares.max()), 1e-12)
    plot = _figure(
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
        _label(plot, x, height, text, colour, x_offset=5)
    plot.x_range.start, plot.x_range.end = shown[0] - 0.01 * span, shown[-1] + (0.3 if marks else 0.01) * span
    plot.y_range.start, plot.y_range.end = 0, 1.2 * peak
    _money_ticks(plot.xaxis[0], money)
    return plot


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
    view = View(results)
    money = view.money(portfolio)
    days, values, widest = fan_values(view, portfolio=portfolio, probabilities=FAN)
    values /= money.divisor
    plot = _figure("Portfolio value", "Trading days from today", f"Value ({money.unit})", height=400)
    for i, alpha in enumerate((0.18, 0.30, 0.45)):
        plot.varea(x=days, y1=values[i], y2=values[-1 - i], fill_color=BLUE, fill_alpha=alpha)
    plot.line(days, values[3], line_color=INK, line_width=2)
    plot.scatter(days, values[3], size=6, fill_color=INK, line_color="white")
    low, high = float(values.min()), float(values.max())
    margin = max(0.06 * (high - low), 1e-6 * max(abs(high), 1e-6))
    places = spread(values[:, -1], gap=0.055 * (high - low + 2 * margin))
    for probability, value, place in zip(FAN, values[:, -1], places, strict=True):
        text = "median" if probability == 0.5 else level_text(probability)
        _label(plot, days[-1], place, f"{text}: {money.text(value * money.divisor)}", INK, x_offset=8)
    plot.x_range.start, plot.x_range.end = 0.0, 1.22 * days[-1]
    plot.y_range.start = min(low - margin, float(places.min()) - margin)
    plot.y_range.end = max(high + margin, float(places.max()) + margin)
    _money_ticks(plot.yaxis[0], money)
    note = f"Quantiles are read from histogram bins at most {money.with_unit(widest)} wide."
    models = _models()
    plot.add_layout(models.Title(text=note, text_font_size="11px", text_font_style="normal", text_color=INK), "below")
    return plot


def contribution_bars(results: xr.Dataset, *, portfolio: str, horizon: float, level: float) -> Any:
    """Draw what each asset adds to expected shortfall (bars with 95 % interval) and to VaR (diamonds), largest on top.

    Parameters
    ----------
    results
        ``component_expected_shortfall`` and ``component_value_at_risk``.
    portfolio, horizon, level
        Which tail.

    Returns
    -------
    bokeh.plotting.figure
        At most 30 assets, the smallest beyond them combined in one bar.

    Raises
    ------
    InputError
        When the results hold no contributions for this portfolio.

    Examples
    --------
    >>> from riskops.report.example import example_results
    >>> contribution_bars(example_results(), portfolio="growth", horizon=1.0, level=0.95)
    figure(...)
    """
    view = View(results)
    money = view.money(portfolio)
    rows = view.contributions(portfolio, horizon=horizon, level=level)
    if not rows:
        raise InputError(f"component_expected_shortfall: the results hold none for portfolio {portfolio!r}")
    plot = _figure(
        f"Contributions at {level_text(level)} over {horizon_text(horizon)}",
        f"Contribution to the loss ({money.unit})",
        "",
        height=110 + 24 * len(rows),
    )
    y = _names_axis(plot, [row.asset for row in rows])
    shortfall = [row.expected_shortfall for row in rows]
    _bars(plot, y, shortfall, money, colour=SKY, label="expected shortfall, 95 % interval", height=0.62)
    _whiskers(plot, y, shortfall, money)
    plot.scatter(
        [(row.value_at_risk.value or 0.0) / money.divisor for row in rows],
        y,
        marker="diamond",
        size=13,
        fill_color=BLUE,
        line_color="white",
        legend_label="value at risk",
    )
    _finish_bars(plot, money)
    return plot


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
    models = _models()
    view = View(results)
    names, values = view.correlation(horizon, most=most)
    n = len(names)
    plot = _figure(f"Correlation over {horizon_text(horizon)}", "", "", height=170 + max(26 * n, 120))
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
    _names_axis(plot, names)
    plot.xaxis[0].ticker = list(range(n))
    plot.xaxis[0].major_label_overrides = {i: _plain(name) for i, name in enumerate(names)}
    plot.xaxis[0].major_label_orientation = np.pi / 2 if n > 8 else "horizontal"
    plot.x_range.start, plot.x_range.end = -0.5, n - 0.5
    plot.grid.visible = False
    return plot


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
    plot = _figure(title, f"Loss ({money.unit})", "", height=130 + 40 * len(rows))
    y = _names_axis(plot, [row.scenario for row in rows])
    for name, colour, figures, shift in (
        ("VaR, 95 % interval", BLUE, [row.value_at_risk for row in rows], 0.19),
        ("ES, 95 % interval", VERMILLION, [row.expected_shortfall for row in rows], -0.19),
    ):
        _bars(plot, y + shift, figures, money, colour=colour, label=name, height=0.34)
        _whiskers(plot, y + shift, figures, money)
    base = rows[0].expected_shortfall.value
    if rows[0].scenario == BASE and base is not None:
        _line(plot, base / money.divisor, "dashed")
    _finish_bars(plot, money)
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
    plot = _figure(title, f"Change against the base ({money.unit})", "", height=130 + 32 * (len(rows) - 1))
    y = _names_axis(plot, [row.scenario for row in rows[1:]])
    for name, marker, colour, figures, shift in (
        ("VaR, 95 % interval", "circle", BLUE, [row.value_at_risk_change for row in rows[1:]], 0.15),
        ("ES, 95 % interval", "square", VERMILLION, [row.expected_shortfall_change for row in rows[1:]], -0.15),
    ):
        known = [(place, figure) for place, figure in zip(y + shift, figures, strict=True) if figure.value is not None]
        places = np.array([place for place, _ in known])
        ends = [(figure.value or 0.0) / money.divisor for _, figure in known]
        plot.segment(x0=0, x1=ends, y0=places, y1=places, line_color=colour, line_width=2, line_alpha=0.5)
        _whiskers(plot, places, [figure for _, figure in known], money)
        look = {"marker": marker, "size": 8, "fill_color": colour, "line_color": "white"}
        plot.scatter(ends, places, legend_label=name, **look)
    _line(plot, 0.0, "solid")
    _finish_bars(plot, money)
    return plot


def _stressed(results: xr.Dataset, portfolio: str, horizon: float, level: float) -> tuple[Money, list[StressRow]]:
    view = View(results)
    rows = view.stress(portfolio, horizon=horizon, level=level)
    if not rows:
        raise InputError("scenario: the results hold none beside the base")
    return view.money(portfolio), rows


# -- what the plots share ---------------------------------------------------------------------------------------------


def _models() -> Any:
    """Bokeh's models, untyped: its stubs lack most of them."""
    return import_module("bokeh.models")


def _plain(text: str) -> Any:
    """A name as plain text: of a bare string Bokeh takes ``$$...$$`` for TeX."""
    return _models().PlainText(text=short_name(text))


def _figure(title: str, x_label: str, y_label: str, *, height: int) -> Any:
    models = _models()
    plot: Any = import_module("bokeh.plotting").figure(
        height=height,
        sizing_mode="stretch_width",
        min_width=320,
        toolbar_location=None,
        tools="",
        x_range=models.Range1d(),
        y_range=models.Range1d(),
        title=title,
        x_axis_label=x_label or None,
        y_axis_label=y_label or None,
        outline_line_color=None,
    )
    plot.title.text_font_size, plot.title.text_color = "14px", INK
    for axis in plot.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.minor_tick_line_color = None
        axis.axis_line_color = axis.major_tick_line_color = GREY
    plot.grid.grid_line_color = "#E6E8EB"
    return plot


def _label(plot: Any, x: float, y: float, text: str, colour: str, *, x_offset: int) -> None:
    models = _models()
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


def _money_ticks(axis: Any, money: Money) -> None:
    models = _models()
    axis.formatter = models.NumeralTickFormatter(format=money.tick_format)
    axis.ticker = models.BasicTicker(desired_num_ticks=6)


def _names_axis(plot: Any, names: Sequence[str]) -> np.ndarray:
    """Put names on the y axis from the top down and return their places."""
    places = np.arange(len(names), dtype=np.float64)[::-1]
    plot.yaxis[0].ticker = places.tolist()
    plot.yaxis[0].major_label_overrides = {int(y): _plain(name) for y, name in zip(places, names, strict=True)}
    plot.yaxis[0].major_tick_line_color = None
    plot.ygrid[0].visible = False
    plot.y_range.start, plot.y_range.end = -0.6, len(names) - 0.4
    return places


def _bars(
    plot: Any, y: np.ndarray, figures: Sequence[Figure], money: Money, *, colour: str, label: str, height: float
) -> None:
    right = [(figure.value or 0.0) / money.divisor for figure in figures]
    plot.hbar(y=y, left=0, right=right, height=height, fill_color=colour, line_color=None, legend_label=label)


def _whiskers(plot: Any, y: np.ndarray, figures: Sequence[Figure], money: Money) -> None:
    ends = [
        (place, figure.low / money.divisor, figure.high / money.divisor)
        for place, figure in zip(y, figures, strict=True)
        if figure.low is not None and figure.high is not None
    ]
    if ends:
        plot.segment(*whisker_segments(*np.array(ends).T), line_color=INK, line_width=1.5)


def _line(plot: Any, x: float, dash: str) -> None:
    models = _models()
    plot.add_layout(models.Span(location=x, dimension="height", line_color=GREY, line_dash=dash, line_width=1.5))


def _finish_bars(plot: Any, money: Money) -> None:
    models = _models()
    plot.x_range = models.DataRange1d(range_padding=0.06)
    _money_ticks(plot.xaxis[0], money)
    legend = plot.legend[0]
    legend.orientation, legend.border_line_color, legend.label_text_font_size = "horizontal", None, "12px"
    legend.margin, legend.padding = 0, 4
    plot.add_layout(legend, "above")


def embed(plots: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Turn plots into script elements, and a ``<div>`` for each by its name."""
    from bokeh.embed import components

    # One document a plot: in a common one Bokeh walks all plots anew for each that is added.
    scripts, elements = [], {}
    for name, plot in plots.items():
        script, element = components(plot)
        scripts.append(str(script))
        elements[name] = str(element)
    return "".join(scripts), elements


def library() -> str:
    """The core of BokehJS as script elements for a page that must open without a network.

    The library can load TeX, map and icon services, which no plot here uses; their addresses are blanked so that the
    page names nothing to load.
    """
    from bokeh.resources import Resources

    script = str(Resources(mode="inline", components=["bokeh"], log_level="error").render_js())
    for service in ("https://cdn.jsdelivr.net", "https://maps.googleapis.com"):
        script = script.replace(service, "about:blank#")
    return script
