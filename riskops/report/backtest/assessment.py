"""What ``riskops var`` prints: each method's VaR and ES of the days ahead, and its record of the days before."""

from __future__ import annotations

import json
import math
from typing import Any

import xarray as xr
from rich.console import Group, RenderableType
from rich.text import Text

from riskops.report.formatting import DASH, horizon_text, level_text, percent_text
from riskops.report.tables import open_table
from riskops.schema import validate

__all__ = ["assessment_records", "assessment_table"]

_PERCENT = 3  # digits of a loss in per cent of the value


def assessment_records(found: xr.Dataset) -> list[dict[str, Any]]:
    """List what :func:`riskops.assess` found, one record a series, level and method.

    Parameters
    ----------
    found
        As :func:`riskops.assess` gives it, computed.

    Returns
    -------
    list of dict
        ``series``, ``level``, ``method``, ``value_at_risk``, ``expected_shortfall`` (per unit of value, loss positive),
        their ``_standard_error``, ``horizon_rule``, ``breaches``, ``judged_forecasts``, ``p_value`` of each test,
        ``ensemble_weight`` and ``notes``; what does not apply is None.

    Raises
    ------
    InputError
        A variable is missing.

    Examples
    --------
    >>> from riskops.report.example import example_assessment
    >>> [record["method"] for record in assessment_records(example_assessment())]
    ['historical', 'ewma', 'ensemble']
    """
    validate(found, "forecast_value_at_risk", "forecast_expected_shortfall", "forecasts", "breaches")
    dim = _series_dim(found)
    records = []
    for series in found[dim].to_numpy().tolist():
        for level in found["level"].to_numpy().tolist():
            one = found.sel({dim: series, "level": level})
            records += [_record(one, method, series, level) for method in found["method"].to_numpy().tolist()]
    return records


def _series_dim(found: xr.Dataset) -> str:
    return "portfolio" if "portfolio" in found["forecast_value_at_risk"].dims else "asset"


def _record(one: xr.Dataset, method: str, series: str, level: float) -> dict[str, Any]:
    here = one.sel({"method": method})

    def number(name: str) -> float | None:
        value = float(here[name]) if name in here else math.nan
        return value if math.isfinite(value) else None

    tests = here["test"].to_numpy().tolist() if "test" in here.coords else []
    weights = one.get("ensemble_weight")
    weighted = weights is not None and method in weights["member"].to_numpy()
    notes = here["forecast_notes"].item() if "forecast_notes" in here else None
    return {
        "series": series,
        "level": level,
        "method": method,
        "value_at_risk": number("forecast_value_at_risk"),
        "expected_shortfall": number("forecast_expected_shortfall"),
        "value_at_risk_standard_error": number("forecast_value_at_risk_standard_error"),
        "expected_shortfall_standard_error": number("forecast_expected_shortfall_standard_error"),
        "horizon_rule": str(here["horizon_rule"].item()),
        "breaches": int(here["breaches"]),
        "judged_forecasts": int(here["forecasts"]),
        "p_values": {test: _finite(here["simulated_p_value"].sel(test=test)) for test in tests},
        "ensemble_weight": _finite(weights.sel(member=method)) if weights is not None and weighted else None,
        "notes": list(json.loads(notes)) if isinstance(notes, str) and notes else [],
    }


def _finite(value: xr.DataArray) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def assessment_table(found: xr.Dataset, *, notes: bool = True) -> Group:
    """Lay out what :func:`riskops.assess` found.

    Parameters
    ----------
    found
        As :func:`riskops.assess` gives it, computed.
    notes
        Whether to list what the methods had to tell.

    Returns
    -------
    rich.console.Group
        A table for each series and level: VaR and ES of the days ahead in per cent of the value, breaches on the judged
        days and whether they are too many or too few (Kupiec), or come together (Christoffersen), by simulated
        p-values, and the weight in the ensemble.

    Raises
    ------
    InputError
        A variable is missing.

    Examples
    --------
    >>> from riskops.report import as_text
    >>> from riskops.report.example import example_assessment
    >>> text = as_text(assessment_table(example_assessment()))
    >>> next(line.split() for line in text.splitlines() if "historical" in line)
    ['historical', '1.800', '±', '0.100', '2.600', '3', '0.520', '0.780', '70.0', '%']
    """
    records = assessment_records(found)
    parts: list[RenderableType] = []
    days = horizon_text(float(found.attrs.get("horizon", 1)))
    for series, level in dict.fromkeys((record["series"], record["level"]) for record in records):
        rows = [record for record in records if (record["series"], record["level"]) == (series, level)]
        judged = max(row["judged_forecasts"] for row in rows)
        expected = (1.0 - level) * judged
        title = f"{series}: loss over {days} at {level_text(level)}, per cent of the value"
        columns = ("Method", "VaR", "ES", f"Breaches of {judged}", "Coverage p", "Independence p", "Weight")
        parts.append(open_table(title, columns, [_cells(row) for row in rows], names=1))
        parts.append(Text(f"{expected:.3g} breaches are expected; small p: too many or too few, or in clusters."))
    rules: dict[str, list[str]] = {rule: [] for rule in dict.fromkeys(record["horizon_rule"] for record in records)}
    for record in records:
        if record["method"] not in rules[record["horizon_rule"]]:
            rules[record["horizon_rule"]].append(record["method"])
    if found.attrs.get("horizon", 1) != 1:
        parts += [Text(f"{days} by {rule}: {', '.join(names)}") for rule, names in rules.items()]
    if notes:
        said: dict[str, list[str]] = {}
        for record in records:
            for note in record["notes"]:
                if record["method"] not in said.setdefault(note, []):
                    said[note].append(record["method"])
        parts += [Text(f"{', '.join(names)}: {note}", style="dim") for note, names in said.items()]
    return Group(*parts)


def _cells(record: dict[str, Any]) -> list[str]:
    def share(name: str) -> str:
        value, error = record[name], record[f"{name}_standard_error"]
        if value is None:
            return DASH
        text = f"{100 * value:.{_PERCENT}f}"
        return text if error is None else f"{text} ± {100 * error:.{_PERCENT}f}"

    def chance(test: str) -> str:
        value = record["p_values"].get(test)
        return DASH if value is None else f"{value:.3f}"

    judged = bool(record["judged_forecasts"])
    return [
        record["method"],
        share("value_at_risk"),
        share("expected_shortfall"),
        str(record["breaches"]) if judged else DASH,
        chance("kupiec"),
        chance("independence"),
        percent_text(record["ensemble_weight"]),
    ]
