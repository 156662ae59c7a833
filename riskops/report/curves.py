"""A curve of losses as records, and as a table of some of its levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from rich.console import Group
from rich.text import Text

from riskops.report.figures import COLUMNS
from riskops.report.formatting import Figure, Money, level_text
from riskops.report.tables import open_table
from riskops.schema import ERROR_SUFFIXES, validate

__all__ = ["curve_records", "curve_table"]

NAME = "loss_quantile"
#: Levels that the table shows.
MOST = 25


def curve_records(curve: xr.Dataset) -> list[dict[str, Any]]:
    """The quantiles of a curve, one record a level with the keys of ``figures.csv``.

    Parameters
    ----------
    curve
        ``loss_quantile`` ``(level,)`` and its errors for one scenario, portfolio and horizon, as scalar coordinates.

    Returns
    -------
    list of dict
        Levels ascending; :func:`riskops.report.figures_csv` writes them.

    Examples
    --------
    >>> from riskops.schema import variable
    >>> curve = variable("loss_quantile", ("level",), [1.0, 9.0], coords={"level": [0.5, 0.9]}).to_dataset()
    >>> [(record["level"], record["value"]) for record in curve_records(curve)]
    [(0.5, 1.0), (0.9, 9.0)]
    """
    validate(curve, NAME)
    where = {name: curve[name].item() for name in ("portfolio", "scenario", "horizon") if name in curve.coords}
    constant = dict.fromkeys(COLUMNS) | {"measure": NAME, "scenario": "base"} | where
    constant |= {
        "unit": curve.attrs.get("currency", curve[NAME].attrs["units"]),
        "effective_paths": curve.attrs.get("paths"),
    }
    figures = {"level": curve["level"], "value": curve[NAME]}
    figures |= {suffix[1:]: curve[NAME + suffix] for suffix in ERROR_SUFFIXES if NAME + suffix in curve}
    rows = zip(*(array.values.tolist() for array in figures.values()), strict=True)
    return [constant | dict(zip(figures, row, strict=True)) for row in rows]


def curve_table(records: Sequence[dict[str, Any]], *, title: str) -> Group:
    """Lay out a curve; of many levels 25, the first and the last among them.

    Parameters
    ----------
    records
        As :func:`curve_records` returns them.
    title
        What stands above.

    Returns
    -------
    rich.console.Group
        Level, loss with its standard error, 95 % interval, and how many levels are left out.

    Examples
    --------
    >>> from riskops.report import as_text
    >>> one = {"level": 0.5, "value": 1.0, "standard_error": 0.1, "low": 0.8, "high": 1.2, "unit": "USD"}
    >>> "0.80000 to 1.20000" in as_text(curve_table([one], title="a"))
    True
    """
    money = Money.fit(str(records[0]["unit"]), scale=max(abs(record["value"]) for record in records))
    shown = np.unique(np.linspace(0, len(records) - 1, min(MOST, len(records))).round().astype(int)).tolist()
    rows = []
    for record in (records[k] for k in shown):
        figure = Figure(*(record.get(key) for key in ("value", "standard_error", "low", "high")))
        rows.append((level_text(record["level"]), money.with_error(figure), money.interval(figure)))
    columns = ("Level", f"Loss ({money.unit})", "95 % interval")
    table = open_table(title, columns, rows, names=0)
    left = f"{len(shown)} of {len(records):,} levels; --csv and --json have all." if len(shown) < len(records) else ""
    return Group(table, Text(left, style="dim")) if left else Group(table)
