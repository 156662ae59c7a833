"""Covariance and correlation of the assets' simulated simple returns, with batch errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.errors import InputError
from riskops.measures.lazy import lazy_variables
from riskops.reductions import INDEPENDENT, CoMoments, groups_of, reduce_paths
from riskops.schema import ERROR_SUFFIXES, validate

__all__ = ["base_growth", "comoments_reduction", "dependence_from", "return_dependence"]

WEIGHT = "likelihood_ratio"
NAMES = ("covariance", "correlation")


def base_growth(paths: xr.Dataset, *, horizons: Sequence[float] | None = None) -> xr.Dataset:
    """The paths of the base scenario (the first one) at some horizons, as ``(time, asset, path)``, with their
    likelihood ratios where they have any, and the attribute that says which of them are independent."""
    names = ["log_growth", *([WEIGHT] if WEIGHT in paths else [])]
    growth = validate(paths, *names)[names]
    if "scenario" in growth.dims:
        growth = growth.isel(scenario=0, drop=True)
    if horizons is not None:
        missing = [h for h in horizons if h not in growth["time"].values]
        if missing:
            raise InputError(f"horizons: {missing[0]!r} days are not among the times kept")
        growth = growth.sel(time=list(horizons))
    kept = {name: value for name, value in paths.attrs.items() if name == INDEPENDENT}
    return growth.drop_attrs(deep=False).assign_attrs(kept)


def comoments_reduction(growth: xr.Dataset) -> CoMoments:
    """The reduction that suits these paths: weighted where they are, by the groups that their attributes name."""
    return CoMoments(weight=WEIGHT if WEIGHT in growth else None, groups=groups_of(growth.attrs))


def return_dependence(paths: xr.Dataset, *, horizons: Sequence[float] | None = None) -> xr.Dataset:
    """Covariance and correlation of simple returns over each horizon, under the base scenario; lazy.

    Parameters
    ----------
    paths
        ``log_growth`` ``([scenario,] time, asset, path)``, and ``likelihood_ratio`` ``(time, path)`` where paths were
        drawn under another law.
    horizons
        Horizons in days among the times kept; None takes all of them.

    Returns
    -------
    Dataset
        ``covariance`` and ``correlation`` ``(horizon, asset, other_asset)``, ddof=1, each with ``_standard_error``,
        ``_low`` and ``_high``.

    Raises
    ------
    InputError
        A horizon that was not kept.

    Notes
    -----
    Errors are batch-means errors over tiles of 1024 paths, free of an assumption on the distribution; with fewer
    than two whole tiles they are NaN. At time 0 returns have no variance and correlations are NaN. Where paths are
    weighted or depend on each other (attribute ``independent``), batches are tiles or replicates, and intervals reach
    as far as Student's t for their number.

    Examples
    --------
    >>> import numpy as np
    >>> from riskops.models import GeometricBrownianMotion
    >>> from riskops.simulation import SimulationSpec, simulate
    >>> model = GeometricBrownianMotion(("A", "B"), np.zeros(2), np.array([0.2, 0.3]), np.array([[1, 0.5], [0.5, 1]]))
    >>> paths = simulate(SimulationSpec(model, paths=8192, seed=1), times=[1])
    >>> abs(float(return_dependence(paths)["correlation"][0, 0, 1]) - 0.5) < 0.05
    True
    """
    growth = base_growth(paths, horizons=horizons)
    return dependence_from(reduce_paths(growth, comoments_reduction(growth)), growth)


def dependence_from(result: Any, growth: xr.Dataset) -> xr.Dataset:
    """Covariance and correlation from a reduction that is already part of the graph."""
    array = growth["log_growth"]
    assets = array["asset"].values
    return lazy_variables(
        result,
        dependence_figures,
        outputs={
            name + suffix: ("horizon", "asset", "other_asset") for name in NAMES for suffix in ("", *ERROR_SUFFIXES)
        },
        coords={"horizon": array["time"].values, "asset": assets, "other_asset": assets},
        sizes={"horizon": array.sizes["time"], "asset": len(assets), "other_asset": len(assets)},
        stage="dependence",
    )


def dependence_figures(result: Mapping[str, Any]) -> dict[str, npt.NDArray[np.float64]]:
    """Name the matrices as measures and add their 95 % intervals; those of correlations end at -1 and 1."""
    out = {}
    for name in NAMES:
        value, error = result[name], result[f"{name}_standard_error"]
        low, high = value - result["reach"] * error, value + result["reach"] * error
        if name == "correlation":
            low, high = np.maximum(low, -1.0), np.minimum(high, 1.0)
        for suffix, array in zip(("", *ERROR_SUFFIXES), (value, error, low, high), strict=True):
            out[name + suffix] = array
    return out
