"""The p-values of every method and test as a map."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from riskops.checks import check_one_of
from riskops.report.backtest_view import BacktestView
from riskops.report.formatting import DASH, level_text, short_name
from riskops.report.plots.style import INK, cells, entitle, frame, key_above

__all__ = ["p_value_map", "p_value_text"]

#: From this p-value on, up to the next: fill, text, and what the legend says.
_STEPS = (
    (0.0, "#B3390B", "white", "below 0.1 %"),
    (0.001, "#DD7038", INK, "below 1 %"),
    (0.01, "#F5B98C", INK, "below 5 %"),
    (0.05, "#FBE6D6", INK, "below 10 %"),
    (0.1, "#E4EEF5", INK, "10 % or more"),
)


def p_value_map(
    results: xr.Dataset,
    *,
    series: str | None = None,
    level: float | None = None,
    kind: Literal["best", "simulated", "asymptotic"] = "best",
) -> Any:
    """Draw the p-values of every method and test as a map: the darker, the surer a test rejects.

    Parameters
    ----------
    results
        ``p_value`` and ``simulated_p_value`` (test, method, series, level), as :func:`riskops.backtest` gives them or a
        run holds them.
    series
        Which series; the first by default.
    level
        Which level; by default 99 % where it is there, else the highest but one.
    kind
        ``simulated``, ``asymptotic``, or the ``best``: simulated where there is one.

    Returns
    -------
    bokeh.plotting.figure
        A cell a method and test with its p-value; empty where a test has none.

    Raises
    ------
    InputError
        The results lack the series or the level; an unknown kind.

    Examples
    --------
    >>> from riskops.report.example import example_backtest
    >>> p_value_map(example_backtest(), series="INDEX", level=0.99)
    figure(...)
    """
    check_one_of("kind", kind, ("best", "simulated", "asymptotic"))
    view = BacktestView(results)
    series, level = view.one_series(series), view.level(level)
    values = view.p_values(("method", "test"), kind=kind, series=series, level=level)
    names, tests = view.methods, view.tests
    plot = frame("", "", "", height=min(230 + 24 * len(names), 2400))
    entitle(plot, f"{short_name(series)}: p-values at {level_text(level)}")
    rows, columns = np.indices(values.shape)
    flat = values.ravel()
    steps = np.searchsorted([low for low, *_ in _STEPS], np.nan_to_num(flat, nan=1.0), side="right") - 1
    known = np.isfinite(flat)
    data = {
        "x": columns.ravel(),
        "y": len(names) - 1 - rows.ravel(),
        "fill": [_STEPS[k][1] if one else "white" for k, one in zip(steps, known, strict=True)],
        "ink": [_STEPS[k][2] if one else INK for k, one in zip(steps, known, strict=True)],
        "text": [_short(value) for value in flat.tolist()],
        "p": [p_value_text(value) for value in flat.tolist()],
        "method": [names[i] for i in rows.ravel()],
        "test": [tests[i] for i in columns.ravel()],
        "null": [view.nulls.get(tests[i], "") for i in columns.ravel()],
    }
    cells(plot, data, names=names, columns=tests, tips=[("", "@method, @test"), ("p", "@p"), ("null", "@null")])
    entries = []
    for _, fill, _, text in _STEPS:
        shown = plot.rect(x=[0], y=[-9], width=1, height=1, fill_color=fill, line_color=None)
        entries.append((text, shown))
    key_above(plot, entries, columns=3)
    return plot


def p_value_text(value: float) -> str:
    """A p-value to three decimals.

    Examples
    --------
    >>> p_value_text(0.04321), p_value_text(0.0), p_value_text(float("nan"))
    ('0.043', '0.000', '–')
    """
    return f"{value:.3f}" if np.isfinite(value) else DASH


def _short(value: float) -> str:
    """A p-value in a narrow cell, without the zero that each begins with."""
    return "" if not np.isfinite(value) else f"{value:.2f}".removeprefix("0")
