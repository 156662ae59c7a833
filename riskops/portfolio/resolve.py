"""Portfolios resolved against prices: what each of them has in each asset today, in money."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_unique
from riskops.errors import InputError
from riskops.portfolio.positions import REMAINDER, Portfolio
from riskops.schema import validate, variable

__all__ = ["book"]

#: The largest amount of money, either way: the fourth powers of losses must stay finite, and so must their sums.
LARGEST = 1e60


def book(portfolios: Portfolio | Sequence[Portfolio], *, prices: xr.Dataset) -> xr.Dataset:
    """Resolve portfolios against the last price of every asset.

    A position in shares is worth ``shares * price``, one in money what it says, one in weights ``weight * capital``,
    and equal weights ``capital / number of assets`` in each. The portfolio's value is the sum of its positions and its
    cash; cash ``"remainder"`` makes it the capital.

    Parameters
    ----------
    portfolios
        One or several, as :func:`load_portfolios` gives them; their names must differ.
    prices
        ``price`` (observation, asset); the last observation counts as today.

    Returns
    -------
    Dataset
        ``exposure`` (portfolio, asset), money, short below zero, assets in the order of ``prices``, and
        ``portfolio_value`` (portfolio), money, cash included; attribute ``as_of``, the date of the last price.

    Raises
    ------
    InputError
        No portfolio, two of one name, an asset without prices, an amount of money above 1e60, or a last price that is
        NaN (the NaN rule), infinite, zero or negative.

    Examples
    --------
    >>> from riskops.market import load_prices
    >>> from riskops.portfolio import Position
    >>> portfolio = Portfolio("tech", (Position("AAPL", "shares", 100), Position("MSFT", "money", -5_000)), cash=1_000)
    >>> resolved = book(portfolio, prices=load_prices("sp500", assets=["AAPL", "MSFT"]))
    >>> resolved["exposure"].values.round(2).tolist()
    [[12567.4, -5000.0]]
    >>> resolved.attrs["as_of"]
    '2022-12-28'
    """
    validate(prices, "price")
    several = (portfolios,) if isinstance(portfolios, Portfolio) else tuple(portfolios)
    if not several:
        raise InputError("portfolios: none is given")
    names = [portfolio.name for portfolio in several]
    check_unique("portfolios", names)
    assets = [str(name) for name in prices["asset"].to_numpy()]
    last = prices["price"].isel(observation=-1).to_numpy().astype(np.float64)
    for asset, price in zip(assets, last, strict=True):
        if not (math.isfinite(price) and price > 0.0):
            raise InputError(f"price: asset {asset!r}: last price {float(price)!r} is not positive and finite")
    exposure = np.stack([_exposure(portfolio, assets, last) for portfolio in several])
    value = np.array([_value(p, row) for p, row in zip(several, exposure, strict=True)])
    coords = {"portfolio": names, "asset": assets}
    as_of = str(prices["observation"].to_numpy()[-1].astype("datetime64[D]"))
    return xr.Dataset(
        {
            "exposure": variable("exposure", ("portfolio", "asset"), exposure, coords=coords),
            "portfolio_value": variable("portfolio_value", ("portfolio",), value, coords={"portfolio": names}),
        },
        attrs={"as_of": as_of},
    )


def _exposure(portfolio: Portfolio, assets: list[str], last: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    capital = 0.0 if portfolio.capital is None else portfolio.capital
    if capital > LARGEST:
        raise InputError(f"portfolio {portfolio.name!r}: capital {capital!r} is too large")
    if portfolio.equal_weights:
        return np.full(len(assets), capital / len(assets))
    row = np.zeros(len(assets))
    for position in portfolio.positions:
        if position.asset not in assets:
            shown = ", ".join(assets[:30]) + (", ..." if len(assets) > 30 else "")
            raise InputError(f"portfolio {portfolio.name!r}: asset {position.asset!r} has no prices; known are {shown}")
        a = assets.index(position.asset)
        one = {"shares": float(last[a]), "money": 1.0, "weight": capital}[position.unit]
        row[a] = position.amount * one
        if abs(row[a]) > LARGEST:
            raise InputError(
                f"portfolio {portfolio.name!r}: {position.amount!r} {position.unit} of {position.asset!r} is too large"
            )
    return row


def _value(portfolio: Portfolio, exposure: npt.NDArray[np.float64]) -> float:
    if portfolio.cash == REMAINDER and portfolio.capital is not None:
        return portfolio.capital
    cash = float(portfolio.cash)
    if abs(cash) > LARGEST:
        raise InputError(f"portfolio {portfolio.name!r}: cash {cash!r} is too large")
    return math.fsum([*exposure.tolist(), cash])
