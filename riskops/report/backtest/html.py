"""The report of a backtest: one HTML file that holds its styles, its plots and their library, and needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from riskops.report import plots
from riskops.report.backtest import sections
from riskops.report.backtest.findings import findings
from riskops.report.backtest_view import BacktestView
from riskops.report.formatting import level_text, percent_text, short_name
from riskops.report.page import render
from riskops.schema import validate

__all__ = ["write_backtest_html"]


def write_backtest_html(
    results: xr.Dataset,
    *,
    path: str | Path,
    configuration: str,
    lineage: Mapping[str, Any],
    timings: Mapping[str, Any] | None = None,
    fit_seconds: Mapping[str, float] | None = None,
    title: str | None = None,
) -> Path:
    """Write the report of a backtest.

    Parameters
    ----------
    results
        Results by their schema names; ``breaches`` and ``forecasts`` are needed; what else is missing leaves its
        section out.
    path
        The file to write; one that exists is replaced.
    configuration
        The resolved configuration as text.
    lineage
        Hashes, seed, versions and the like by name; mappings may be nested.
    timings
        Where the time went, as :func:`riskops.report.timing_rows` takes it; its section is left out when None.
    fit_seconds
        The seconds that fitting and forecasting took, by method.
    title
        The page's title; that of the results when None.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    InputError
        When a needed variable is missing.

    Examples
    --------
    >>> import tempfile
    >>> from riskops.report.example import example_backtest
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_backtest_html(
    ...         example_backtest(), path=f"{folder}/report.html", configuration="seed: 1", lineage={"Seed": 1}
    ...     )
    ...     "By the Fissler-Ziegel score right is first of 3" in page.read_text(encoding="utf-8")
    True
    """
    view = BacktestView(validate(results, "breaches", "forecasts"))
    level = view.level()
    drawn = view.main_series()

    def values(elements: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "facts": view.facts() + _as_of(view),
            "level": level,
            "size": view.size,
            "findings": findings(view, level),
            "families": view.families,
            "tests": sections.test_rows(view),
            "rankings": sections.ranking_tables(view, level),
            "ranking": elements.get("ranking", ""),
            "score": view.ranking_score,
            "sets": view.sets,
            "whose_sets": view.whose_sets(),
            "confidence": 1.0 - float(view.attrs.get("confidence_set", 0.25)),
            "lines": [elements[f"lines-{name}"] for name in drawn if f"lines-{name}" in elements],
            "lights": [elements[f"lights-{name}"] for name in drawn if f"lights-{name}" in elements],
            "maps": [elements[f"p-{name}"] for name in drawn if f"p-{name}" in elements],
            "areas": [elements[f"weights-{name}"] for name in drawn if f"weights-{name}" in elements],
            "judged": sections.judged_tables(view, level) if view.tests or view.ranking_score else [],
            "years": view.labels("year"),
            "yearly": sections.yearly_tables(view, level, drawn=drawn),
            "weights": sections.weight_table(view, level),
            "series": view.series,
            "notes": sections.note_rows(view),
            "failures": sections.failure_rows(view),
            "methods": sections.method_rows(view, fit_seconds),
            "simulations": view.attrs.get("simulations"),
            "fitted": fit_seconds is not None,
        }

    text = render(
        "backtest.html.j2",
        title=str(view.attrs.get("title") or "Backtest") if title is None else title,
        styles=["report.css", "backtest.css"],
        drawn=_plots(view, level, drawn),
        configuration=configuration,
        lineage=lineage,
        timings=timings,
        filters={"level": level_text, "percent": percent_text},
        values=values,
    )
    target = Path(path)
    target.write_text(text, encoding="utf-8")
    return target


def _as_of(view: BacktestView) -> list[tuple[str, str]]:
    return [("As of", str(view.attrs["as_of"]))] if "as_of" in view.attrs else []


def _plots(view: BacktestView, level: float, series: list[str]) -> dict[str, Any]:
    """All plots by name; what the results lack is not drawn."""
    results = view.results
    drawn: dict[str, Any] = {}
    if view.ranking_score is not None:
        drawn["ranking"] = _entitled(plots.score_ranking(results, level=level), "")
    for name in series:
        at: dict[str, Any] = {"series": name, "level": level}
        if "realised_loss" in results and "forecast_value_at_risk" in results:
            drawn[f"lines-{name}"] = _entitled(plots.backtest_lines(results, **at), name)
        if "traffic_light_zone" in results and "year" in results.coords:
            drawn[f"lights-{name}"] = _entitled(plots.traffic_light_grid(results, **at), name)
        if "p_value" in results or "simulated_p_value" in results:
            drawn[f"p-{name}"] = _entitled(plots.p_value_map(results, **at), name)
        if "ensemble_weight" in results:
            drawn[f"weights-{name}"] = _entitled(plots.weight_areas(results, **at), name)
    return drawn


def _entitled(plot: Any, series: str) -> Any:
    """Leave in a plot's title what the heading above it does not say."""
    plot.title.text.text = short_name(series)
    return plot
