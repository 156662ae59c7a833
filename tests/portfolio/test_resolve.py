"""Portfolios resolved against prices: units, cash, order of assets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from riskops.errors import InputError
from riskops.market import load_prices
from riskops.portfolio import Portfolio, Position, book

PRICES = load_prices(
    pd.DataFrame(
        {"A": [1.0, 10.0], "B": [1.0, 20.0], "C": [5.0, 40.0]}, index=pd.to_datetime(["2020-01-01", "2020-01-02"])
    )
)


def test_units_and_cash() -> None:
    mixed = (Position("C", "weight", 0.5), Position("B", "shares", -3), Position("A", "money", 70))
    resolved = book(
        (
            Portfolio("cash", mixed, 15, 1000),
            Portfolio("remainder", mixed, "remainder", 1000),
            Portfolio("equal", capital=90, equal_weights=True),
            Portfolio("borrowed", (Position("A", "shares", 2),), -5),
        ),
        prices=PRICES,
    )
    assert resolved["exposure"].dims == ("portfolio", "asset")
    assert resolved["exposure"].sel(portfolio="cash").values.tolist() == [70.0, -60.0, 500.0]
    assert resolved["exposure"].sel(portfolio="equal").values.tolist() == [30.0, 30.0, 30.0]
    assert resolved["portfolio_value"].values.tolist() == [525.0, 1000.0, 90.0, 15.0]
    assert resolved["asset"].values.tolist() == ["A", "B", "C"]
    assert resolved.attrs == {"as_of": "2020-01-02"}


def test_one_portfolio_needs_no_list() -> None:
    one = Portfolio("p", (Position("A", "shares", 1),))
    xr.testing.assert_identical(book(one, prices=PRICES), book([one], prices=PRICES))


@pytest.mark.parametrize(
    ("portfolios", "message"),
    [
        ((), "portfolios: none is given"),
        ((Portfolio("p", (Position("A", "shares", 1),)),) * 2, "portfolios: 'p' is given twice"),
        (
            Portfolio("p", (Position("D", "shares", 1),)),
            "portfolio 'p': asset 'D' has no prices; known are A, B, C",
        ),
        (
            Portfolio("p", (Position("C", "shares", 1e308),)),
            "portfolio 'p': 1e+308 shares of 'C' is too large",
        ),
        (
            Portfolio("p", (Position("A", "money", 1e308), Position("C", "money", 1e308))),
            "portfolio 'p': 1e+308 money of 'A' is too large",
        ),
        (Portfolio("p", (Position("A", "money", -1e200),)), "portfolio 'p': -1e+200 money of 'A' is too large"),
        (Portfolio("p", (Position("A", "money", 1),), -1e200), "portfolio 'p': cash -1e+200 is too large"),
        (Portfolio("p", capital=1e200, equal_weights=True), "portfolio 'p': capital 1e+200 is too large"),
    ],
)
def test_refused(portfolios: Portfolio | tuple[Portfolio, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        book(portfolios, prices=PRICES)
    assert str(caught.value) == message


def test_a_last_price_that_is_none_is_refused() -> None:
    prices = PRICES.copy(deep=True)
    prices["price"][-1, 1] = np.nan
    with pytest.raises(InputError, match="price: asset 'B': last price nan is not positive and finite"):
        book(Portfolio("p", (Position("A", "shares", 1),)), prices=prices)
