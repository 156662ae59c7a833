"""From a reduction's result, one object at the end of the graph, to the lazy variables of a Dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.schema import variable

__all__ = ["Figures", "lazy_variables"]

#: What a finishing function returns: the arrays of the variables, by name.
Figures = Mapping[str, npt.NDArray[Any]]


def _finish(result: npt.NDArray[Any], function: Callable[..., Figures], options: Mapping[str, Any]) -> npt.NDArray[Any]:
    boxed = np.empty((), object)
    boxed[()] = function(result.item(), **options)
    return boxed


def _pick(figures: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    return np.asarray(figures.item()[name])


def lazy_variables(
    result: da.Array,
    function: Callable[..., Figures],
    *,
    outputs: Mapping[str, Sequence[str]],
    coords: Mapping[str, Any],
    sizes: Mapping[str, int],
    stage: str,
    **options: Any,
) -> xr.Dataset:
    """Apply ``function(result, **options)`` at the end of the graph and name what it returns.

    Parameters
    ----------
    result
        0-d object array: what a reduction finalises to.
    function
        Module-level function that returns the arrays by name; it runs once for all of them.
    outputs
        The registered variables and the dims of each.
    coords, sizes
        Coordinates and sizes by dim.
    stage
        The name that the dashboard and the progress bar show.
    options
        Further arguments of ``function``.
    """
    token = tokenize(result.name, function, options)
    figures = da.map_blocks(
        _finish,
        result,
        function=function,
        options=options,
        dtype=object,
        meta=np.empty((), object),
        name=f"{stage}-{token}",
    )
    arrays = {}
    for name, dims in outputs.items():
        shape = tuple(sizes[d] for d in dims)
        data = da.map_blocks(
            _pick,
            figures,
            name,
            name=f"figures-{tokenize(token, name)}",
            new_axis=list(range(len(shape))) or None,
            chunks=tuple((size,) for size in shape),
            dtype=np.float64,
            meta=np.empty((0,) * len(shape)),
        )
        arrays[name] = variable(name, tuple(dims), data, coords={d: coords[d] for d in dims if d in coords})
    return xr.Dataset(arrays)
