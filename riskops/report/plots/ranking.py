"""Methods ranked by their score, and which of them may be the best."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from riskops.report.backtest_view import BacktestView
from riskops.report.formatting import level_text, short_name
from riskops.report.plots.style import BLUE, GREY, INK, bokeh_models, entitle, frame, key_above, names_axis

__all__ = ["score_ranking"]

_NAMES = {"tick": "tick loss", "fissler_ziegel": "Fissler-Ziegel score", "fissler_ziegel_half": "Fissler-Ziegel score"}


def score_ranking(
    results: xr.Dataset, *, series: str | None = None, level: float | None = None, score: str | None = None
) -> Any:
    """Draw the methods by how far their score lies above the best, and mark the model confidence set.

    Parameters
    ----------
    results
        ``score`` (score_name, method, series, level), as :func:`riskops.scores` gives it or a run holds it, and with it
        ``in_confidence_set`` where there is one.
    series
        One series; by default the mean over all.
    level
        Which level; by default 99 % where it is there, else the highest but one.
    score
        Which score; by default the Fissler-Ziegel score where it is there, else the tick loss.

    Returns
    -------
    bokeh.plotting.figure
        A line from zero for each method, the best on top. Filled: in the confidence set; where each series has its own
        in all of them, and the number of sets is written beside. A method without a score is not drawn.

    Raises
    ------
    InputError
        There is no ``score``, or the results lack the series, the level or the score.

    Examples
    --------
    >>> from riskops.report.example import example_backtest
    >>> score_ranking(example_backtest(), level=0.99)
    figure(...)
    """
    models = bokeh_models()
    view = BacktestView(results)
    level = view.level(level)
    found = view.scores(level, series=series, name=score)
    ranked = [int(m) for m in np.argsort(found, kind="stable") if np.isfinite(found[m])]
    names = [view.methods[m] for m in ranked]
    called = _NAMES.get(str(score or view.ranking_score), str(score))
    whose = "mean of the series" if series is None else short_name(series)
    plot = frame("", f"{called[0].upper()}{called[1:]} above the best", "", height=110 + 24 * len(names))
    entitle(plot, f"Ranking at {level_text(level)}, {whose}")
    y = names_axis(plot, names)
    ends = np.array([found[m] - found[ranked[0]] for m in ranked])
    plot.segment(x0=0.0, x1=ends, y0=y, y1=y, line_color=BLUE, line_width=2, line_alpha=0.45)
    sets, of, whose = _sets(view, level, series)
    whole = [sets is not None and int(sets[m]) == of for m in ranked]
    source = models.ColumnDataSource(
        {
            "x": ends,
            "y": y,
            "fill": [BLUE if one else "white" for one in whole],
            "method": names,
            "score": [float(found[m]) for m in ranked],
            "sets": ["" if sets is None else f"{int(sets[m])} of {of}" for m in ranked],
        }
    )
    dots = plot.scatter("x", "y", source=source, size=9, fill_color="fill", line_color=BLUE, line_width=1.5)
    tips = [("", "@method"), (called, "@score{0.00000}")]
    if sets is not None:
        tips.append(("in the confidence set", "@sets"))
        if of > 1:
            look = {"text_font_size": "11px", "text_color": INK, "text_baseline": "middle", "x_offset": 9}
            plot.text("x", "y", text="sets", source=source, **look)
        entries = []
        for text, colour in ((f"in the confidence set{whose}", BLUE), ("not", "white")):
            shown = plot.scatter([0.0], [-9.0], size=9, fill_color=colour, line_color=BLUE, line_width=1.5)
            entries.append((text, shown))
        key_above(plot, entries)
    plot.add_tools(models.HoverTool(renderers=[dots], tooltips=tips))
    largest = float(ends.max()) if len(ends) and ends.max() > 0.0 else 1.0
    plot.x_range.start, plot.x_range.end = -0.02 * largest, 1.1 * largest
    plot.xaxis[0].ticker = models.BasicTicker(desired_num_ticks=6)
    plot.add_layout(models.Span(location=0.0, dimension="height", line_color=GREY, line_width=1.5))
    return plot


def _sets(view: BacktestView, level: float, series: str | None) -> tuple[Any, int, str]:
    """In how many confidence sets each method is, of how many, and whose they are."""
    if series is None or view.sets < 2:
        return view.in_sets(level), view.sets, view.whose_sets()
    return view.values("in_confidence_set", ("method",), series=series, level=level).astype(np.int64), 1, ""
