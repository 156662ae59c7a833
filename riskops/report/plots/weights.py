"""The weights of an ensemble's members over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.report.backtest_view import BacktestView
from riskops.report.formatting import level_text, short_name
from riskops.report.plots.style import AREA_COLOURS, GREY, bokeh_models, entitle, frame, key_above

__all__ = ["weight_areas"]

#: Days that are drawn at most; of more, evenly spaced ones.
_DAYS = 1_600


def weight_areas(results: xr.Dataset, *, series: str | None = None, level: float | None = None, most: int = 7) -> Any:
    """Draw the weights of an ensemble's members over time as areas that add up to one.

    Parameters
    ----------
    results
        ``ensemble_weight`` (member, series, level, observation), as :func:`riskops.ensemble` or a run has it.
    series
        Which series; the first by default.
    level
        Which level; by default 99 % where it is there, else the highest but one.
    most
        Members with an area of their own, those of the largest mean weight; the others are summed.

    Returns
    -------
    bokeh.plotting.figure
        Stacked areas, the largest mean weight at the bottom; every fifth day where there are many.

    Raises
    ------
    InputError
        There is no ``ensemble_weight``, or the results lack the series or the level, or no day has weights.

    Examples
    --------
    >>> from riskops.report.example import example_backtest
    >>> weight_areas(example_backtest(), series="INDEX", level=0.99)
    figure(...)
    """
    models = bokeh_models()
    check_integer("most", most, at_least=1, below=len(AREA_COLOURS) + 1)
    view = BacktestView(results)
    series, level = view.one_series(series), view.level(level)
    weights = view.values("ensemble_weight", ("member", "observation"), series=series, level=level)
    known = np.isfinite(weights).all(axis=0)
    if not known.any():
        raise InputError(f"ensemble_weight: no day of {series} has weights")
    dates = np.asarray(results["observation"].values)[known]
    weights = weights[:, known]
    order = np.argsort(-weights.mean(axis=1), kind="stable")
    step = 5 if len(dates) > _DAYS else 1
    step *= -(-len(dates) // (_DAYS * step))
    days = dates[::step]
    names = [str(name) for name in view.labels("member")]
    parts = [(names[m], weights[m]) for m in order[:most]]
    if len(names) > most:
        parts.append((f"{len(names) - most} others", weights[order[most:]].sum(axis=0)))
    plot = frame("", "", "Weight", height=380)
    entitle(plot, f"{short_name(series)}: weights of the ensemble at {level_text(level)}")
    if dates.dtype.kind == "M":
        plot.xaxis[0].formatter = models.DatetimeTickFormatter(years="%Y", months="%b %Y", days="%d %b %Y")
        plot.xaxis[0].ticker = models.DatetimeTicker(desired_num_ticks=8)
    below = np.zeros(len(days))
    entries = []
    for i, (name, weight) in enumerate(parts):
        above = below + weight[::step]
        colour = AREA_COLOURS[i] if i < most else GREY
        area = plot.varea(
            x=days, y1=below.astype(np.float32), y2=above.astype(np.float32), fill_color=colour, fill_alpha=0.9
        )
        text = f"{short_name(name)}, {100 * weight.mean():.0f} %"
        entries.append((text, area))
        below = above
    key_above(plot, entries, columns=2)
    plot.y_range.start, plot.y_range.end = 0.0, 1.0
    plot.yaxis[0].formatter = models.NumeralTickFormatter(format="0 %")
    plot.x_range = models.DataRange1d(range_padding=0.0)
    return plot
