"""Losses of a series under the VaR lines of some methods, and when each was breached."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.errors import InputError
from riskops.report.backtest_view import BacktestView
from riskops.report.formatting import level_text, short_name
from riskops.report.plots.style import GREY, INK, METHOD_COLOURS, bokeh_models, entitle, frame, key_above

__all__ = ["backtest_lines"]

#: Groups of days, of each of which the largest loss is drawn; more than a page has pixels for shows nothing more.
_GROUPS = 1_500
_MOST = len(METHOD_COLOURS)


def backtest_lines(
    results: xr.Dataset,
    *,
    series: str | None = None,
    level: float | None = None,
    methods: Sequence[str] | None = None,
) -> Any:
    """Draw the losses of a series under the VaR forecasts of some methods, and mark every breach.

    Parameters
    ----------
    results
        ``realised_loss`` and ``forecast_value_at_risk`` over dated observations, as :func:`riskops.rolling_forecasts`
        gives them or a run holds them.
    series
        Which series; the first by default.
    level
        Which level; by default 99 % where it is there, else the highest but one.
    methods
        At most five; by default the first, the two of the best score and the ensemble.

    Returns
    -------
    bokeh.plotting.figure
        Losses as bars and a line a method, its number of breaches beside its name; below, a tick on every day of a
        breach. Of many days only some are drawn: of each few the one with the largest loss, and every day of a breach.

    Raises
    ------
    InputError
        A variable is missing, or the results lack the series, the level or a method.

    Examples
    --------
    >>> from riskops.report.example import example_backtest
    >>> backtest_lines(example_backtest(), series="INDEX", level=0.99)
    figure(...)
    """
    models = bokeh_models()
    view = BacktestView(results)
    series, level = view.one_series(series), view.level(level)
    chosen = _usual(view, series, level) if methods is None else [str(name) for name in methods]
    if not 0 < len(chosen) <= _MOST:
        raise InputError(f"methods: {len(chosen)} of them; from one to {_MOST} can be drawn")
    dates = np.asarray(results["observation"].values)
    loss = 100.0 * view.values("realised_loss", ("observation",), series=series)
    lines = {
        name: 100.0 * view.values("forecast_value_at_risk", ("observation",), series=series, level=level, method=name)
        for name in chosen
    }
    breached = {name: loss > line for name, line in lines.items()}
    days = _drawn(loss, np.any(list(breached.values()), axis=0))
    high = max([float(np.nanmax(loss, initial=0.0)), *(float(np.nanmax(line, initial=0.0)) for line in lines.values())])
    high, lane = 1.05 * (high or 1.0), 0.045 * (high or 1.0)
    plot = frame("", "", "Loss (per cent of value)", height=430)
    entitle(plot, f"{short_name(series)}: losses and VaR at {level_text(level)}")
    if dates.dtype.kind == "M":
        plot.xaxis[0].formatter = models.DatetimeTickFormatter(years="%Y", months="%b %Y", days="%d %b %Y")
        plot.xaxis[0].ticker = models.DatetimeTicker(desired_num_ticks=8)
    # single precision for what is only drawn; days since 1970 need double
    source = models.ColumnDataSource(
        {"day": dates[days], "loss": np.maximum(loss[days], 0.0).astype(np.float32)}
        | {f"line-{i}": line[days].astype(np.float32) for i, line in enumerate(lines.values())}
    )
    plot.segment(x0="day", x1="day", y0=0.0, y1="loss", source=source, line_color="#B9BEC6", line_width=1)
    entries = []
    for i, (name, line) in enumerate(lines.items()):
        colour, count = METHOD_COLOURS[i], int(breached[name].sum())
        text = f"{short_name(name)} ({count:,})"
        line_drawn = plot.line(x="day", y=f"line-{i}", source=source, line_color=colour, line_width=1.4)
        entries.append((text, line_drawn))
        at = breached[name]
        low = -lane * (i + 1.9)
        ticks = models.ColumnDataSource(
            {
                "day": dates[at],
                "loss": loss[at].astype(np.float32),
                "line": line[at].astype(np.float32),
                "bottom": np.full(count, low, np.float32),
                "top": np.full(count, low + 0.8 * lane, np.float32),
            }
        )
        shown = plot.segment(x0="day", x1="day", y0="bottom", y1="top", source=ticks, line_color=colour, line_width=2)
        plot.scatter("day", "loss", source=ticks, size=4, fill_color=INK, line_color="white", line_width=0.5)
        tips = [("day", "@day{%F}"), ("loss", "@loss{0.00} %"), ("VaR", "@line{0.00} %")]
        plot.add_tools(models.HoverTool(renderers=[shown], tooltips=tips, formatters={"@day": "datetime"}))
    key_above(plot, entries, columns=2)
    plot.add_layout(models.Span(location=0.0, dimension="width", line_color=GREY, line_width=1))
    plot.y_range.start, plot.y_range.end = -lane * (len(lines) + 1.6), high
    plot.x_range = models.DataRange1d(range_padding=0.01)
    # below zero the axis has no meaning
    plot.yaxis[0].ticker = models.FixedTicker(ticks=_round_ticks(high))
    return plot


def _usual(view: BacktestView, series: str, level: float) -> list[str]:
    """The first method, the two of the best score, and the ensemble."""
    order = view.order(level, series=series)
    joint = view.ensemble()
    names = [view.methods[0], *order[:2], *([joint] if joint is not None else []), *order[2:3]]
    return list(dict.fromkeys(names))[:4]


def _round_ticks(high: float) -> list[float]:
    """Round numbers from zero up."""
    step = 10.0 ** np.floor(np.log10(high / 6.0))
    step *= next(factor for factor in (1.0, 2.0, 5.0, 10.0) if high / (step * factor) <= 6.0)
    return [float(f"{k * step:.12g}") for k in range(int(high / step) + 1)]


def _drawn(loss: npt.NDArray[np.float64], always: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The days that are drawn: of each group the one with the largest loss, and some always."""
    n = len(loss)
    if n <= _GROUPS:
        return np.arange(n)
    edges = np.linspace(0, n, _GROUPS + 1).astype(np.int64)
    known = np.nan_to_num(loss, nan=-np.inf)
    largest = [low + int(np.argmax(known[low:high])) for low, high in pairwise(edges.tolist())]
    return np.union1d(largest, np.flatnonzero(always))
