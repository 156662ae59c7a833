"""A dated window of observed prices: where it begins and ends, and how prices moved along it."""

from __future__ import annotations

import datetime

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.errors import InputError
from riskops.schema import validate

__all__ = ["Window", "cumulated_returns", "observed_assets", "parse_window"]

Window = tuple[datetime.date, datetime.date]


def _parse_day(name: str, value: object) -> datetime.date:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    if isinstance(value, str) and len(value) == len("2020-01-31"):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            pass
    raise InputError(f"{name}: {value!r} is not a date (YYYY-MM-DD)")


def parse_window(name: str, value: object) -> Window:
    """A pair of dates (``datetime.date`` or ISO text), the first before the second."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise InputError(f"{name}: {value!r} is not a pair of dates, start and end")
    start, end = _parse_day(f"{name}.start", value[0]), _parse_day(f"{name}.end", value[1])
    if not start < end:
        raise InputError(f"{name}: {start} to {end} does not end after it starts")
    return start, end


def observed_assets(prices: xr.Dataset) -> tuple[str, ...]:
    """The assets of a price Dataset, in order."""
    validate(prices, "price")
    return tuple(str(asset) for asset in prices["asset"].to_numpy())


def cumulated_returns(prices: xr.Dataset, window: Window) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float64]]:
    """The dates along a window and the simple returns since its start ``(observation, asset)``; the first row is zero.

    The window runs from the last price on or before its first date to the last price on or before its last date: what
    was known on the evenings of both. Both dates must lie within the data.
    """
    validate(prices, "price")
    dates = prices["observation"].to_numpy()
    days = dates.astype("datetime64[D]")
    start, end = (np.datetime64(day, "D") for day in window)
    if start < days[0] or end > days[-1]:
        raise InputError(f"replay: {start} to {end} is not within the prices, which run from {days[0]} to {days[-1]}")
    first = int(np.searchsorted(days, start, side="right")) - 1
    last = int(np.searchsorted(days, end, side="right")) - 1
    if first == last:
        raise InputError(f"replay: {start} to {end} holds no price after that of {days[first]}")
    values = prices["price"].to_numpy()[first : last + 1].astype(np.float64)
    bad = np.argwhere(~(np.isfinite(values) & (values > 0.0)))
    if len(bad):
        row, column = (int(k) for k in bad[0])
        asset, day = observed_assets(prices)[column], days[first + row]
        raise InputError(
            f"replay: the prices of {asset!r} do not cover {start} to {end}: {values[row, column]} on {day}"
        )
    return dates[first : last + 1], values / values[0] - 1.0
