"""From prices to returns: simple, logarithmic, and over several days."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.market.table import date_text
from riskops.schema import validate, variable

__all__ = ["log_returns", "returns_over", "simple_returns"]


def simple_returns(prices: xr.Dataset) -> xr.Dataset:
    """Simple returns from one observation to the next: ``p(t) / p(t-1) - 1``.

    Parameters
    ----------
    prices
        ``price`` (observation, asset), as :func:`load_prices` gives it.

    Returns
    -------
    Dataset
        ``simple_return`` (observation, asset), dimensionless, dated by the later price; the attributes of ``prices``.

    Raises
    ------
    InputError
        Fewer than two observations, or a price that is NaN (the NaN rule), infinite, zero or negative.

    Examples
    --------
    >>> from riskops.market import load_prices
    >>> prices = load_prices("sp500", assets=["AAPL"], end="1990-01-04")
    >>> simple_returns(prices)["simple_return"].values.round(4).tolist()
    [[0.0076], [0.0038]]
    """
    return returns_over(prices, days=1)


def log_returns(prices: xr.Dataset) -> xr.Dataset:
    """Logarithmic returns from one observation to the next: ``log(p(t) / p(t-1))``.

    Parameters
    ----------
    prices
        ``price`` (observation, asset), as :func:`load_prices` gives it.

    Returns
    -------
    Dataset
        ``log_return`` (observation, asset), dimensionless, dated by the later price, and that ``price`` beside it; the
        attributes of ``prices``.

    Raises
    ------
    InputError
        Fewer than two observations, or a price that is NaN (the NaN rule), infinite, zero or negative.

    Examples
    --------
    >>> from riskops.market import load_prices
    >>> prices = load_prices("sp500", assets=["AAPL"], end="1990-01-04")
    >>> log_returns(prices)["log_return"].values.round(4).tolist()
    [[0.0075], [0.0038]]
    """
    ratio = _growth(prices, 1)
    returns = _dated(prices, "log_return", np.log(ratio), 1)
    # the level beside the move, for models whose dynamics it enters; it stays beside it in any selection
    later = prices["price"].to_numpy()[1:].astype(np.float64)
    return returns.assign(price=variable("price", ("observation", "asset"), later))


def returns_over(prices: xr.Dataset, *, days: int) -> xr.Dataset:
    """Simple returns over ``days`` observations, one ending on every date: ``p(t) / p(t-days) - 1``.

    The windows overlap, so neighbouring returns share ``days - 1`` days and are not independent.

    Parameters
    ----------
    prices
        ``price`` (observation, asset), as :func:`load_prices` gives it.
    days
        The number of observations that each return spans, at least 1.

    Returns
    -------
    Dataset
        ``simple_return`` (observation, asset), dimensionless, dated by the later price; ``days`` observations fewer
        than ``prices``; the attributes of ``prices``.

    Raises
    ------
    InputError
        ``days`` is not a whole number from 1 to the number of observations less one, or a price is NaN (the NaN rule),
        infinite, zero or negative.

    Examples
    --------
    >>> from riskops.market import load_prices
    >>> prices = load_prices("sp500", assets=["AAPL"], end="1990-01-05")
    >>> returns_over(prices, days=2)["simple_return"].values.round(4).tolist()
    [[0.0114], [0.0075]]
    """
    return _dated(prices, "simple_return", _growth(prices, days) - 1.0, days)


def _growth(prices: xr.Dataset, days: int) -> npt.NDArray[np.float64]:
    validate(prices, "price")
    check_integer("days", days, at_least=1)
    price = prices["price"].to_numpy().astype(np.float64)
    if len(price) <= days:
        raise InputError(f"days: returns over {days} days need more than {len(price)} observations of prices")
    bad = np.argwhere(~(np.isfinite(price) & (price > 0.0)))
    if len(bad):
        row, column = bad[0]
        asset = str(prices["asset"].to_numpy()[column])
        date = date_text(prices["observation"].to_numpy()[row])
        raise InputError(f"price: asset {asset!r} on {date}: {float(price[row, column])!r} is not positive and finite")
    return price[days:] / price[:-days]


def _dated(prices: xr.Dataset, name: str, values: npt.NDArray[np.float64], days: int) -> xr.Dataset:
    coords = {"observation": prices["observation"].to_numpy()[days:], "asset": prices["asset"].to_numpy()}
    returns = variable(name, ("observation", "asset"), values, coords=coords)
    return xr.Dataset({name: returns}, attrs=dict(prices.attrs))
