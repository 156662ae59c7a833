"""The breaches of every method in every year, in the colours of Basel's traffic light."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from riskops.errors import InputError
from riskops.report.backtest_view import BacktestView
from riskops.report.formatting import level_text, short_name
from riskops.report.plots.style import INK, cells, entitle, frame, key_above

__all__ = ["ZONE_COLOURS", "traffic_light_grid"]

#: Fill and text of each zone: apart in lightness too, so that they differ without colour.
ZONE_COLOURS = {
    "green": ("#BFE3D0", INK),
    "yellow": ("#F0C93A", INK),
    "red": ("#B3390B", "white"),
    "none": ("#ECEEF1", INK),
}


def traffic_light_grid(results: xr.Dataset, *, series: str | None = None, level: float | None = None) -> Any:
    """Draw the number of breaches of every method in every year, coloured by its traffic-light zone.

    Parameters
    ----------
    results
        ``traffic_light_zone`` (method, series, level, year) and the breaches of each year, as
        :func:`riskops.breaches_by_year` gives them or a run holds them.
    series
        Which series; the first by default.
    level
        Which level; by default 99 % where it is there, else the highest but one.

    Returns
    -------
    bokeh.plotting.figure
        A cell a method and year with its number of breaches.

    Raises
    ------
    InputError
        A variable is missing, or the results lack the series or the level.

    Examples
    --------
    >>> from riskops.report.example import example_backtest
    >>> traffic_light_grid(example_backtest(), series="INDEX", level=0.99)
    figure(...)
    """
    view = BacktestView(results)
    series, level = view.one_series(series), view.level(level)
    zones, counts, days = yearly(view, series, level)
    years = [str(year) for year in view.labels("year")]
    names = view.methods
    plot = frame("", "", "", height=min(90 + 24 * len(names), 2400))
    entitle(plot, f"{short_name(series)}: breaches a year at {level_text(level)}")
    flat = [str(zone) for zone in zones.ravel().tolist()]
    rows, columns = np.indices(zones.shape)
    data = {
        "x": columns.ravel(),
        "y": len(names) - 1 - rows.ravel(),
        "fill": [ZONE_COLOURS.get(zone, ZONE_COLOURS["none"])[0] for zone in flat],
        "ink": [ZONE_COLOURS.get(zone, ZONE_COLOURS["none"])[1] for zone in flat],
        "text": [str(count) if zone != "none" else "" for count, zone in zip(counts.ravel(), flat, strict=True)],
        "zone": flat,
        "breaches": counts.ravel(),
        "days": days.ravel(),
        "method": [names[i] for i in rows.ravel()],
        "year": [years[i] for i in columns.ravel()],
    }
    tips = [("", "@method, @year"), ("breaches", "@breaches of @days days"), ("zone", "@zone")]
    cells(plot, data, names=names, columns=years, tips=tips)
    entries = []
    for zone in ("green", "yellow", "red"):
        shown = plot.rect(x=[0], y=[-9], width=1, height=1, fill_color=ZONE_COLOURS[zone][0], line_color=None)
        entries.append((zone, shown))
    key_above(plot, entries)
    return plot


def yearly(view: BacktestView, series: str, level: float) -> tuple[Any, Any, Any]:
    """Zones, breaches and forecasts of a series (method, year)."""
    results = view.results
    counts = "yearly_breaches" if "yearly_breaches" in results else "breaches"
    days = "yearly_forecasts" if "yearly_forecasts" in results else "forecasts"
    for name in ("traffic_light_zone", counts, days):
        if name not in results or "year" not in results[name].dims:
            raise InputError(f"{name}: the results do not have it by year")
    at: dict[str, Any] = {"series": series, "level": level}
    zones, breaches, forecasts = (
        view.values(n, ("method", "year"), **at) for n in ("traffic_light_zone", counts, days)
    )
    return zones, breaches.astype(np.int64), forecasts.astype(np.int64)
