"""Five days of two prices, small enough to reckon by hand."""

from __future__ import annotations

import numpy as np
import xarray as xr

from riskops.schema import variable

__all__ = ["DAYS", "PRICES", "make_prices"]

DAYS = ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08"]
PRICES = [[100.0, 50.0], [110.0, 45.0], [99.0, 40.0], [88.0, 44.0], [90.0, 60.0]]


def make_prices(values=PRICES, days=DAYS, assets=("A", "B")) -> xr.Dataset:
    coords = {"observation": np.array(days, dtype="datetime64[ns]"), "asset": list(assets)}
    return variable("price", ("observation", "asset"), np.array(values), coords=coords).to_dataset()
