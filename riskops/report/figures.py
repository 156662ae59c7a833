"""The list of all figures of a run: one flat record a figure, and the same as CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from riskops import schema
from riskops.errors import InputError

__all__ = ["COLUMNS", "figures", "figures_csv"]

#: The keys of a record, in the order of the columns of ``figures.csv``.
COLUMNS = (
    "portfolio",
    "scenario",
    "horizon",
    "measure",
    "level",
    "asset",
    "other_asset",
    "value",
    "standard_error",
    "low",
    "high",
    "effective_paths",
    "variance_reduction",
    "unit",
)

_PAIRWISE = ("covariance", "correlation")
_NOT_SIMULATED = ("historical_value_at_risk", "historical_expected_shortfall", "stress_loss", "stress_drawdown")
#: Where a measure's effective sample size stands when the draws are arranged.
_SAMPLE_SIZES = {
    "expected_shortfall": "effective_sample_size",
    "value_at_risk": "value_at_risk_effective_sample_size",
}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def figures(results: xr.Dataset) -> list[dict[str, Any]]:
    """List every figure of the results as a flat record.

    The order is that of ``schema.MEASURES``, and within a measure that of its coordinates. The base row of a change is
    left out, and so is what symmetry repeats: a covariance's lower triangle, and of a correlation the diagonal too.

    Parameters
    ----------
    results
        Measures by their schema names, with ``_standard_error``, ``_low`` and ``_high`` beside them; the attribute
        ``paths`` is the number of simulated paths. A historical measure may carry the attribute
        ``effective_observations``, one number a horizon.

    Returns
    -------
    list of dict
        Records with the keys of ``COLUMNS``; what does not apply is None. ``unit`` is the currency for money, else 1.

    Raises
    ------
    InputError
        When a variable has unregistered dims, or a value is infinite.

    Notes
    -----
    A NaN value means that the figure does not apply and gives no record; a NaN or infinite error becomes None.

    Examples
    --------
    >>> import xarray as xr
    >>> results = xr.Dataset({"mean_loss": ("portfolio", [1.5])}, {"portfolio": ["growth"]}, {"paths": 1024})
    >>> [(r["measure"], r["portfolio"], r["scenario"], r["value"]) for r in figures(results)]
    [('mean_loss', 'growth', 'base', 1.5)]
    """
    return [record for name in schema.MEASURES if name in results for record in _records(results, name)]


def _records(results: xr.Dataset, name: str) -> Iterable[dict[str, Any]]:
    spec = schema.describe(name)
    schema.validate(results, name)
    array = results[name]
    dims = [str(dim) for dim in array.dims]
    values = np.asarray(array.values, dtype=np.float64)
    if np.isinf(values).any():
        where = tuple(int(i) for i in np.argwhere(np.isinf(values))[0])
        labels = ", ".join(f"{dim} {_labels(results, dim)[i]!r}" for dim, i in zip(dims, where, strict=True))
        raise InputError(f"{name}: {float(values[where])!r} for {labels or 'the only entry'} is not finite")
    unit = results.attrs.get("currency", spec.unit) if spec.unit == schema.MONEY else spec.unit
    keep = _kept(results, name, dims, values)
    columns: dict[str, Sequence[Any]] = {
        dim: np.array(_labels(results, dim), dtype=object)[index].tolist()
        for dim, index in zip(dims, np.nonzero(keep), strict=True)
    }
    columns["value"] = values[keep].tolist()
    for suffix in schema.ERROR_SUFFIXES:
        if name + suffix in results:
            error = np.asarray(results[name + suffix].transpose(*dims).values, dtype=np.float64)[keep].tolist()
            columns[suffix[1:]] = [number if math.isfinite(number) else None for number in error]
    columns["effective_paths"] = _effective(results, name, dims, keep)
    if name in _SAMPLE_SIZES and _SAMPLE_SIZES[name] in results:
        columns |= _reduced(results, name, dims, keep)
    constant = dict.fromkeys(COLUMNS) | {"measure": name, "scenario": "base", "unit": unit}
    names = tuple(columns)
    for row in zip(*columns.values(), strict=True):
        yield constant | dict(zip(names, row, strict=True))


def _labels(results: xr.Dataset, dim: str) -> list[Any]:
    if dim not in results.coords:
        raise InputError(f"{dim}: the results have no coordinate of this name")
    values = results[dim].values.tolist()
    return [float(value) for value in values] if dim in ("horizon", "level") else [str(value) for value in values]


def _kept(results: xr.Dataset, name: str, dims: list[str], values: np.ndarray) -> np.ndarray:
    keep = ~np.isnan(values)
    if name in _PAIRWISE:
        keep &= np.triu(np.ones(values.shape[-2:], dtype=bool), k=1 if name == "correlation" else 0)
    if name.endswith("_change") and "scenario" in dims:
        base = np.array(_labels(results, "scenario")) == "base"
        keep[(slice(None),) * dims.index("scenario") + (base,)] = False
    return keep


def _effective(results: xr.Dataset, name: str, dims: list[str], keep: np.ndarray) -> list[float | int | None]:
    """The number of paths of a simulated figure, of independent observations of a historical one, else None."""
    kept = int(keep.sum())
    if name not in _NOT_SIMULATED:
        paths = results.attrs.get("paths")
        return [None if paths is None else int(paths)] * kept
    given = results[name].attrs.get("effective_observations")
    if given is None or "horizon" not in dims:
        return [None] * kept
    by_horizon = [float(number) for number in np.atleast_1d(given)]
    if len(by_horizon) != results.sizes["horizon"]:
        raise InputError(f"{name}: {len(by_horizon)} effective_observations are not one for each horizon")
    return [by_horizon[i] for i in np.nonzero(keep)[dims.index("horizon")]]


def _reduced(results: xr.Dataset, name: str, dims: list[str], keep: np.ndarray) -> dict[str, Sequence[Any]]:
    """The effective sample size of arranged draws, and over the number of paths the variance reduction."""
    sizes = results[_SAMPLE_SIZES[name]].transpose(*dims).values[keep].tolist()
    paths = int(results.attrs["paths"])
    known = [size if math.isfinite(size) else None for size in sizes]
    return {"effective_paths": known, "variance_reduction": [None if k is None else k / paths for k in known]}


def figures_csv(figures: Iterable[Mapping[str, Any]], *, columns: Sequence[str] = COLUMNS) -> str:
    """Write figures as CSV with stable columns and full precision.

    A name that a spreadsheet would take for a formula (it begins with ``=``, ``+``, ``-`` or ``@``) gets a leading
    apostrophe; what does not apply is an empty field.

    Parameters
    ----------
    figures
        Records as :func:`figures` returns them.
    columns
        The keys of a record, in the order of the columns.

    Returns
    -------
    str
        The table, one line a record after the line of column names.

    Examples
    --------
    >>> print(figures_csv([{"portfolio": "=growth", "measure": "mean_loss", "value": 0.1}]).splitlines()[1])
    '=growth,,,mean_loss,,,,0.1,,,,,,
    """
    lines = [",".join(columns)]
    lines += [",".join([_field(record.get(column)) for column in columns]) for record in figures]
    return "\n".join(lines) + "\n"


def _field(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value)
    text = "'" + value if value.startswith(_FORMULA_STARTS) else value
    # The csv module leaves a lone carriage return unquoted, which its reader then takes for the end of a line.
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text
