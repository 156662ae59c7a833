"""The figures of a backtest: one flat record a number, for ``results.json`` and ``figures.csv``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

__all__ = ["COLUMNS", "backtest_figures"]

#: The keys of a record, in the order of the columns of ``figures.csv``.
COLUMNS = ("measure", "test", "method", "asset", "horizon", "level", "year", "value")

#: Flags that go by p-values: where there is none, there is nothing to say.
_P_VALUES = {"rejected": ("p_value", "simulated_p_value"), "in_confidence_set": ("confidence_set_p_value",)}


def backtest_figures(results: xr.Dataset) -> list[dict[str, Any]]:
    """List every figure that judges the forecasts as a flat record; the forecasts of each day are in the store.

    What has no value (a test that a method has no forecast for) gives no record. A statistic that is infinite is the
    text ``inf``, as JSON has no number for it.

    Examples
    --------
    >>> found = xr.Dataset({"breaches": (("method", "level"), [[3.0]])}, {"method": ["normal"], "level": [0.99]})
    >>> backtest_figures(found)[0]["value"]
    3.0
    """
    records = []
    for name in map(str, results.data_vars):
        array = results[name]
        if "observation" in array.dims or array.dtype.kind not in "fib":
            continue
        labels = [results[dim].values.tolist() for dim in array.dims]
        values = np.asarray(array.values)
        known = ~np.isnan(values.astype(np.float64))
        if name in _P_VALUES:
            known &= np.any([~np.isnan(results[p].values) for p in _P_VALUES[name] if p in results], axis=0)
        for index in np.argwhere(known).tolist():
            value = values[tuple(index)].item()
            where = {_column(str(dim)): labels[k][i] for k, (dim, i) in enumerate(zip(array.dims, index, strict=True))}
            measure = name
            if "score_name" in where:
                measure = f"{where.pop('score_name')}_{name}"
            shown = value if math.isfinite(value) else str(value)
            records.append(dict.fromkeys(COLUMNS) | {"measure": measure, "value": shown} | where)
    return records


def _column(dim: str) -> str:
    return "asset" if dim == "portfolio" else dim
