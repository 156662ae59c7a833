"""The lazy layers of forecasts: one task a method and group of series, and the variables read off what it made.

Methods, names, dates and returns enter a task as chunks of their own, so that a graph holds each of them once; the
layers stay symbolic however many series there are. A task makes one object a series; a variable is a part of each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from riskops.history.forecasts.base import Forecaster
from riskops.history.series import Series
from riskops.schema import variable

__all__ = ["Picked", "method_tasks", "picked", "series_task"]


def method_tasks(
    function: Callable[..., Any],
    series: Series,
    chosen: Sequence[Forecaster],
    settings: Any,
    *,
    stage: str,
    **unnamed: Any,
) -> da.Array:
    """Objects ``(method, series)`` of ``function(methods, values, names, dates, settings=...)``, one task a group.

    ``unnamed`` arguments change no figure, and do not enter the names of the tasks.
    """
    members = np.empty(len(chosen), object)
    members[:] = chosen
    records = [(type(one).__qualname__, one.record()) for one in chosen]
    token = tokenize(series.values.name, series.names, series.dates, records, settings)
    return da.blockwise(
        function,
        "ms",
        da.from_array(members, chunks=1, name=f"methods-{stage}-{token}", meta=np.empty(0, object)),
        "m",
        series.values,
        "ts",
        da.from_array(np.array(series.names), chunks=(series.values.chunks[1],), name=f"series-{stage}-{token}"),
        "s",
        da.from_array(series.dates, chunks=-1, name=f"dates-{stage}-{token}"),
        "t",
        settings=settings,
        **unnamed,
        concatenate=True,
        align_arrays=False,  # they are cut alike; Dask would warn that there are more blocks than inputs
        dtype=object,
        meta=np.empty((0, 0), object),
        name=f"forecast-{stage}-{token}",
    )


def series_task(
    function: Callable[..., Any], series: Series, settings: Any, *, stage: str, dtype: Any, days: int | None = None
) -> da.Array:
    """What ``function(values, settings=...)`` makes of each group of series: ``(series,)``, or ``(series, days)``."""
    return da.blockwise(
        function,
        "s" if days is None else "so",
        series.values,
        "ts",
        settings=settings,
        concatenate=True,
        new_axes={} if days is None else {"o": days},
        dtype=dtype,
        meta=np.empty((0,) if days is None else (0, 0), dtype),
        name=f"forecast-{stage}-{tokenize(series.values.name, settings)}",
    )


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
