"""Small forecasts for examples and tests: one method that is right, and one whose tail is too thin."""

from __future__ import annotations

import numpy as np
import xarray as xr

from riskops.history.backtests.null_tails import law_quantile, tail_shortfall
from riskops.history.forecasts.simulated import normals
from riskops.schema import variable

__all__ = ["small_forecasts"]


def small_forecasts(*, days: int = 500, series: int = 1, understated: float = 0.6) -> xr.Dataset:
    """Normal losses of scale one in a hundred, forecast by their law, and by a part of it.

    Examples
    --------
    >>> small_forecasts()["forecast_value_at_risk"].sel(level=0.95).values.round(5)[:, 0, 0].tolist()
    [0.01645, 0.00987]
    """
    levels, factors = (0.95, 0.99), (1.0, understated)
    losses = 0.01 * normals(paths=days, days=series, seed=1)
    names = [f"S{i}" for i in range(series)]
    coords = {"method": ["right", "thin"], "asset": names, "level": list(levels), "observation": np.arange(days)}
    dims = ("method", "asset", "level", "observation")
    figures = {
        "forecast_value_at_risk": [float(law_quantile(np.asarray(1.0 - level), np.inf)) for level in levels],
        "forecast_expected_shortfall": [tail_shortfall(level, np.inf) for level in levels],
    }
    shape = (2, series, len(levels), days)
    data = {
        name: variable(
            name,
            dims,
            np.ascontiguousarray(np.broadcast_to(0.01 * np.multiply.outer(factors, of_level)[:, None, :, None], shape)),
            coords=coords,
        )
        for name, of_level in figures.items()
    }
    known = {dim: coords[dim] for dim in ("asset", "observation")}
    data["realised_loss"] = variable("realised_loss", ("asset", "observation"), losses, coords=known)
    return xr.Dataset(data)
