"""The shape of the loss distribution: moments with batch errors, and a histogram with fixed edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.measures.lazy import lazy_variables
from riskops.reductions import Histogram, Moments, groups_of, reduce_paths
from riskops.schema import ERROR_SUFFIXES, validate, variable

__all__ = [
    "histogram_dataset",
    "histogram_reduction",
    "loss_histogram",
    "loss_moments",
    "moments_from",
    "moments_reduction",
]

WEIGHT = "loss_weight"

NAMES = {
    "mean_loss": "mean",
    "loss_standard_deviation": "standard_deviation",
    "loss_skewness": "skewness",
    "loss_excess_kurtosis": "excess_kurtosis",
}


def loss_moments(losses: xr.Dataset) -> xr.Dataset:
    """Mean, standard deviation, skewness and excess kurtosis of the loss; lazy.

    Parameters
    ----------
    losses
        ``loss`` ``([scenario, portfolio, horizon,] path)``, and ``loss_weight`` ``(horizon, path)`` where paths were
        drawn under another law.

    Returns
    -------
    Dataset
        ``mean_loss`` and ``loss_standard_deviation`` (money, ddof=1), ``loss_skewness`` (m3 / m2^1.5) and
        ``loss_excess_kurtosis`` (m4 / m2^2 - 3), each with ``_standard_error``, ``_low`` and ``_high``.

    Raises
    ------
    InputError
        ``loss`` is missing or has other dims.

    Notes
    -----
    Errors of the mean are sd / sqrt(n); the others are batch-means errors over tiles of 1024 paths and NaN with
    fewer than two whole tiles. A row without variance has no skewness: NaN. A NaN loss gives NaN moments. Where paths
    are weighted or depend on each other (attribute ``independent``), every error is one of batch means, over tiles or
    replicates, and intervals reach as far as Student's t for their number.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> losses = xr.Dataset({"loss": ("path", np.arange(1.0, 4097.0))}).chunk(path=2048)
    >>> float(loss_moments(losses)["mean_loss"].compute().item())
    2048.5
    """
    validate(losses, "loss")
    return moments_from(reduce_paths(losses, moments_reduction(losses)), losses)


def moments_reduction(losses: xr.Dataset) -> Moments:
    """The reduction that suits these losses: weighted where they are, by the groups that their attributes name."""
    return Moments(weight=WEIGHT if WEIGHT in losses else None, groups=groups_of(losses.attrs))


def histogram_reduction(losses: xr.Dataset) -> Histogram:
    """The reduction that counts these losses, by their weights where they have any."""
    return Histogram(weight=WEIGHT if WEIGHT in losses else None)


def moments_from(result: Any, losses: xr.Dataset, *, key: str | None = None) -> xr.Dataset:
    """The moments from a (fused) reduction that is already part of the graph."""
    loss = losses["loss"]
    lead = tuple(str(d) for d in loss.dims[:-1])
    return lazy_variables(
        result,
        moment_figures,
        outputs={name + suffix: lead for name in NAMES for suffix in ("", *ERROR_SUFFIXES)},
        coords={d: loss[d] for d in lead if d in loss.coords},
        sizes={d: loss.sizes[d] for d in lead},
        stage="moments",
        key=key,
    )


def moment_figures(result: Mapping[str, Any], *, key: str | None) -> dict[str, npt.NDArray[np.float64]]:
    """Name the moments as measures and add their 95 % intervals."""
    moments = result if key is None else result[key]
    out = {}
    for name, statistic in NAMES.items():
        value, error = moments[statistic], moments[f"{statistic}_standard_error"]
        reach = moments["reach"] * error
        for suffix, array in zip(("", *ERROR_SUFFIXES), (value, error, value - reach, value + reach), strict=True):
            out[name + suffix] = np.asarray(array, dtype=np.float64)
    return out


def loss_histogram(losses: xr.Dataset) -> da.Array:
    """Histogram of the loss with fixed edges; lazy, as one object that holds a Dataset, since bins are known only then.

    Parameters
    ----------
    losses
        ``loss`` ``([scenario, portfolio, horizon,] path)``, and ``loss_weight`` ``(horizon, path)`` where paths were
        drawn under another law.

    Returns
    -------
    Array
        0-d object array, so that it shares the paths with what it is computed beside. Its ``.compute().item()`` is a
        Dataset with ``loss_histogram`` ``(..., bin)``, integer counts of paths (or sums of their weights, in floating
        point), and the coordinates ``bin_low`` and ``bin_high`` in money.

    Raises
    ------
    InputError
        ``loss`` is missing or has other dims.

    Notes
    -----
    An edge is a float64 whose mantissa has six bits, so a bin is at most 1/64 of its distance from zero wide, and
    the same edges serve every sample: histograms of different runs can be added. Only bins that hold a path are listed.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> losses = xr.Dataset({"loss": ("path", np.arange(1.0, 4097.0))}).chunk(path=2048)
    >>> int(loss_histogram(losses).compute().item()["loss_histogram"].sum())
    4096
    """
    validate(losses, "loss")
    result = reduce_paths(losses, histogram_reduction(losses))
    coords = _template(losses)
    name = f"histogram-{tokenize(result.name, coords)}"
    return da.map_blocks(_boxed_histogram, result, coords=coords, dtype=object, meta=np.empty((), object), name=name)


def _boxed_histogram(result: npt.NDArray[Any], coords: xr.Dataset) -> npt.NDArray[Any]:
    boxed = np.empty((), object)
    boxed[()] = histogram_dataset(result, coords, key=None)
    return boxed


def _template(losses: xr.Dataset) -> xr.Dataset:
    """The leading dims and coordinates of the losses, without the losses."""
    return losses["loss"].isel(path=0, drop=True).coords.to_dataset()


def histogram_dataset(result: Any, coords: xr.Dataset, *, key: str | None) -> xr.Dataset:
    """The histogram of a computed (fused) reduction, as a Dataset; ``coords`` holds the leading dims in order."""
    found = result.item() if isinstance(result, np.ndarray) else result
    histogram = found if key is None else found[key]
    lead = tuple(d for d in ("scenario", "portfolio", "horizon") if d in coords.coords)
    named = {d: coords[d] for d in lead}
    counts = variable("loss_histogram", (*lead, "bin"), histogram["counts"], coords=named)
    edges = {name: ("bin", histogram[name], {"units": "money"}) for name in ("bin_low", "bin_high")}
    return counts.to_dataset().assign_coords(edges)
