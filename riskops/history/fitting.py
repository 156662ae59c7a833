"""The steps that every forecast of a series goes through, whichever method makes it: chosen, fitted, checked.

What a method says is held to its contract here, so that nothing that is not a forecast reaches a result: figures of
the wrong shape, one that is not finite, or an expected shortfall below its value at risk count as a failure.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from riskops.checks import check_one_of, check_unique
from riskops.errors import InputError
from riskops.history.forecasts.base import Fit, Floats, Forecaster, Integers, Prediction
from riskops.history.forecasts.registry import METHODS, forecaster
from riskops.schema import variable

__all__ = ["FAILURES", "Failures", "Method", "Methods", "Unfit", "choose_methods", "forecast_notes", "picked", "said"]

Failures = Literal["error", "nan"]
FAILURES = ("error", "nan")

#: One method or several: names, mappings of ``kind`` and settings, forecasters; ``"all"`` is every method there is.
Method = str | Mapping[str, Any] | Forecaster
Methods = Method | Sequence[Method]

#: Rounding may leave an expected shortfall this much, relative to its value at risk, below it.
_ROUNDING = 1e-9


class Unfit(InputError):
    """A method has no forecast for some days: its sample can't carry it, or what it said is no forecast."""


def choose_methods(methods: Methods) -> tuple[Forecaster, ...]:
    """The forecasters that were asked for, in that order; their names tell them apart."""
    listed: list[Method]
    if isinstance(methods, str) and methods == "all":
        listed = list(METHODS)
    elif isinstance(methods, str | Mapping) or not isinstance(methods, Sequence):
        listed = [methods]
    else:
        listed = list(methods)
    if not listed:
        raise InputError("methods: at least one is needed")
    chosen = tuple(forecaster(method) for method in listed)
    check_unique("methods", [one.name for one in chosen])
    return chosen


def said(
    fit: Fit, name: str, returns: Floats, ends: Integers, *, window: int | None, levels: Sequence[float]
) -> Prediction:
    """What a fit forecasts from ``returns[:end]``, checked; nothing after the last end is shown to it."""
    try:
        found = fit.predict(returns[: ends[-1]], ends, window=window)
    except InputError as error:
        raise Unfit(str(error)) from error
    shape = (len(levels), len(ends))
    errors = []
    for what in ("value_at_risk", "expected_shortfall", "value_at_risk_error", "expected_shortfall_error"):
        given = getattr(found, what)
        if given is None and what.endswith("error"):
            errors.append(np.full(shape, np.nan))
            continue
        if np.shape(given) != shape:
            raise TypeError(f"{name}: {what} has the shape {np.shape(given)}, not (level, day) = {shape}")
        bad = np.flatnonzero(~np.isfinite(given).ravel())
        if len(bad) and not what.endswith("error"):
            row, column = np.unravel_index(bad[0], shape)
            text = f"{what} at {levels[row]} is {float(given[row, column])!r}, not finite"
            raise Unfit(f"{name}: {text}")
        if what.endswith("error"):
            errors.append(given)
    quantile, shortfall = found.value_at_risk, found.expected_shortfall
    below = np.argwhere(shortfall < quantile - _ROUNDING * np.abs(quantile))
    if len(below):
        row, column = below[0]
        raise Unfit(
            f"{name}: expected_shortfall {float(shortfall[row, column])!r} is below value_at_risk "
            f"{float(quantile[row, column])!r} at {levels[row]}"
        )
    return replace(found, value_at_risk_error=errors[0], expected_shortfall_error=errors[1])


@dataclass(frozen=True)
class Picked:
    """One variable of the results: its name, its dims after method and series, its type, and its part of a task."""

    name: str
    dims: tuple[str, ...]
    dtype: Any
    part: str


def picked(
    results: da.Array, wanted: Sequence[Picked], *, dim: str, coords: Mapping[str, Any], sizes: Mapping[str, int]
) -> dict[str, xr.DataArray]:
    """Lazy variables from the objects that tasks made, ``(method, series)``: each reads its part of every object."""
    arrays = {}
    for one in wanted:
        inner = "".join(chr(ord("a") + i) for i in range(len(one.dims)))
        data = da.blockwise(
            _pick,
            f"ms{inner}",
            results,
            "ms",
            part=one.part,
            shape=tuple(sizes[d] for d in one.dims),
            to=one.dtype,
            new_axes={letter: sizes[d] for letter, d in zip(inner, one.dims, strict=True)},
            dtype=one.dtype,
            meta=np.empty((0,) * (2 + len(one.dims)), one.dtype),
            name=f"forecast-{one.part.replace('_', '-')}-{tokenize(results.name, one.part)}",
        )
        used = {d: coords[d] for d in ("method", dim, *one.dims)}
        arrays[one.name] = variable(one.name, ("method", dim, *one.dims), data, coords=used)
    return arrays


def _pick(block: Any, *, part: str, shape: tuple[int, ...], to: Any) -> Any:
    out = np.empty(block.shape + shape, to)
    for index in np.ndindex(block.shape):
        value = getattr(block[index], part)
        out[index] = json.dumps(value, sort_keys=True) if isinstance(value, dict) else value
    return out


def forecast_notes(forecasts: xr.Dataset) -> list[tuple[str, str, str, int]]:
    """What the methods had to tell, as rows of method, series, note and the number of fits that it was said of.

    Parameters
    ----------
    forecasts
        As :func:`rolling_forecasts` or :func:`forecast` gives it, computed: ``forecast_notes`` (method, series).

    Returns
    -------
    list of tuple
        ``(method, series, note, fits)``, in the order of the methods and series, the most frequent note first. Days
        that have no forecast because a method failed are told by notes that begin with ``no forecast``.

    Raises
    ------
    InputError
        There is no ``forecast_notes``.

    Examples
    --------
    >>> import xarray as xr
    >>> notes = xr.DataArray([['{"shape at its bound": 3}']], dims=("method", "asset"))
    >>> held = xr.Dataset({"forecast_notes": notes}, coords={"method": ["normal"], "asset": ["A"]})
    >>> forecast_notes(held)
    [('normal', 'A', 'shape at its bound', 3)]
    """
    if "forecast_notes" not in forecasts:
        raise InputError("dataset: variable 'forecast_notes' is missing")
    notes = forecasts["forecast_notes"]
    _, dim = notes.dims
    rows = []
    for m, method in enumerate(notes["method"].to_numpy()):
        for s, series in enumerate(notes[dim].to_numpy()):
            counts = Counter(json.loads(str(notes.to_numpy()[m, s])))
            rows += [(str(method), str(series), note, int(fits)) for note, fits in counts.most_common()]
    return rows


def check_failures(failures: str) -> None:
    """Refuse a policy that there is not."""
    check_one_of("failures", failures, FAILURES)
