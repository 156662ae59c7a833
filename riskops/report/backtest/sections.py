"""What the page of a backtest shows, section by section, as plain rows of text: the template only lays them out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from riskops.report.backtest_view import BacktestView, family_of, score_text
from riskops.report.formatting import DASH, percent_text
from riskops.report.plots.p_values import p_value_text
from riskops.report.plots.traffic_lights import yearly

__all__ = [
    "Cell",
    "failure_rows",
    "judged_tables",
    "method_rows",
    "note_rows",
    "ranking_tables",
    "test_rows",
    "weight_table",
    "yearly_tables",
]

#: Series that a note names; of more it counts the others.
_NAMED = 6


class Cell(NamedTuple):
    """A cell of a table of p-values: simulated, asymptotic, and whether the test rejects."""

    simulated: str
    asymptotic: str
    rejected: bool


def ranking_tables(view: BacktestView, level: float) -> list[dict[str, Any]]:
    """A table of all methods for each level, the given one first."""
    tables = []
    for one in [level, *(other for other in view.levels if other != level)]:
        rows = [
            {
                "rank": DASH if row.rank is None else str(row.rank),
                "method": row.method,
                "rate": percent_text(row.breach_rate, digits=2),
                "families": [percent_text(row.rejected.get(family), digits=0) for family in view.families],
                "all": percent_text(row.all_rejected, digits=0),
                "score": score_text(row.score, view.ranking_score),
                "sets": view.set_text(row, between=" of "),
            }
            for row in view.rows(one)
        ]
        tables.append({"level": one, "expected": percent_text(1 - one, digits=2), "rows": rows})
    return tables


def judged_tables(view: BacktestView, level: float) -> list[dict[str, Any]]:
    """For each level, the given one first, a table a series: breaches, score, confidence set and all p-values."""
    whole = ("method", "series")
    by_series = "in_confidence_set" in view.results and view.series_dim in view.results["in_confidence_set"].dims
    found = []
    for one in [level, *(other for other in view.levels if other != level)]:
        breaches, days = (view.values(name, whole, level=one) for name in ("breaches", "forecasts"))
        both = [view.p_values(("method", "series", "test"), kind=k, level=one) for k in ("simulated", "asymptotic")]
        rejected = view.values("rejected", ("method", "series", "test"), level=one) if view.tests else None
        ranked = view.ranking_score is not None
        score = view.values("score", whole, level=one, score_name=view.ranking_score) if ranked else None
        inside = view.values("in_confidence_set", whole, level=one) if by_series else None
        tables = []
        for s, series in enumerate(view.series):
            rows = []
            for method in view.order(one, series=series):
                m = view.methods.index(method)
                cells = [
                    Cell(p_value_text(both[0][m, s, t]), p_value_text(both[1][m, s, t]), bool(rejected[m, s, t]))
                    for t in range(len(view.tests))
                    if rejected is not None
                ]
                rows.append(
                    {
                        "method": method,
                        "breaches": f"{int(breaches[m, s]):,}" if days[m, s] else DASH,
                        "score": None if score is None else score_text(float(score[m, s]), view.ranking_score),
                        "inside": None if inside is None else bool(inside[m, s]),
                        "cells": cells,
                    }
                )
            expected = (1.0 - one) * int(days[:, s].max(initial=0))
            tables.append({"series": series, "expected": f"{expected:.3g}", "rows": rows})
        found.append({"level": one, "tables": tables})
    return found


def yearly_tables(view: BacktestView, level: float, *, drawn: list[str]) -> list[dict[str, Any]]:
    """The breaches of each year and their zones, of the series that are not drawn."""
    if "traffic_light_zone" not in view.results or "year" not in view.results.coords:
        return []
    tables = []
    for series in (name for name in view.series if name not in drawn):
        zones, counts, days = yearly(view, series, level)
        rows = [
            {
                "method": method,
                "cells": [
                    (str(zone), str(count) if n else DASH)
                    for zone, count, n in zip(zones[m].tolist(), counts[m].tolist(), days[m].tolist(), strict=True)
                ],
            }
            for m, method in enumerate(view.methods)
        ]
        tables.append({"series": series, "rows": rows})
    return tables


def weight_table(view: BacktestView, level: float) -> list[tuple[str, list[str]]]:
    """The mean weight of each member in each series, the largest first; none without an ensemble."""
    if "ensemble_weight" not in view.results:
        return []
    weights = view.values("ensemble_weight", ("member", "series", "observation"), level=level)
    known = np.isfinite(weights)
    mean = np.where(known, weights, 0.0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    names = [str(name) for name in view.labels("member")]
    order = np.argsort(-mean.mean(axis=1), kind="stable").tolist()
    return [(names[m], [percent_text(float(share)) for share in mean[m]]) for m in order]


def note_rows(view: BacktestView) -> list[dict[str, Any]]:
    """What the methods had to tell, the same words of several series in one row."""
    from riskops.history.notes import forecast_notes  # here, as all of history comes with it

    if "forecast_notes" not in view.results:
        return []
    said: dict[tuple[str, str], dict[str, int]] = {}
    for method, series, note, fits in forecast_notes(view.results[["forecast_notes"]].load()):
        said.setdefault((method, note), {})[series] = fits
    return [
        {"method": method, "note": note, "series": _named(list(fits), view.series), "fits": f"{sum(fits.values()):,}"}
        for (method, note), fits in said.items()
    ]


def _named(names: list[str], every: list[str]) -> str:
    if len(names) == len(every) > 1:
        return f"all {len(every)}"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def failure_rows(view: BacktestView) -> list[dict[str, Any]]:
    """Days on which a method has no forecast because it failed, by method and series."""
    if "forecast_failed" not in view.results:
        return []
    failed = view.values("forecast_failed", ("method", "series", "observation"))
    counts = failed.sum(axis=-1)
    return [
        {
            "method": view.methods[m],
            "series": view.series[s],
            "days": f"{counts[m, s]:,}",
            "of": f"{failed.shape[-1]:,}",
        }
        for m, s in np.argwhere(counts).tolist()
    ]


def test_rows(view: BacktestView) -> list[dict[str, str]]:
    """Each test with its family and null hypothesis."""
    return [{"test": test, "family": family_of(test), "null": view.nulls.get(test, DASH)} for test in view.tests]


def method_rows(view: BacktestView, fit_seconds: Mapping[str, float] | None) -> list[dict[str, str]]:
    """Each method with a line about it, its settings, how it reaches the horizon and the seconds that it took."""
    from riskops.history.forecasts import list_forecasters

    records = json.loads(str(view.attrs.get("methods", "[]")))
    members = [method for method in view.methods if method != view.ensemble()]
    settings = dict(zip(members, records, strict=True)) if len(records) == len(members) else {}
    rules = dict(zip(view.methods, map(str, view.labels("horizon_rule")), strict=False))
    about = list_forecasters()
    rows = []
    for method in view.methods:
        record = dict(settings.get(method, {}))
        kind = str(record.pop("kind", method))
        if method == view.ensemble():
            record = _mapping(view.attrs.get("ensemble"))
        seconds = (fit_seconds or {}).get(method)
        rows.append(
            {
                "method": method,
                "about": about.get(kind, "The other methods, weighted." if method == view.ensemble() else kind),
                "settings": ", ".join(f"{name} {_plain(value)}" for name, value in record.items()) or DASH,
                "rule": rules.get(method, DASH),
                "seconds": DASH if seconds is None else f"{seconds:,.1f}",
            }
        )
    return rows


def _mapping(text: Any) -> dict[str, Any]:
    return dict(json.loads(text)) if isinstance(text, str) and text.startswith("{") else {}


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)
