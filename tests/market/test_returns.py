"""Returns: their definitions, their dates and their refusals."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given

from riskops.errors import InputError
from riskops.market import load_prices, log_returns, returns_over, simple_returns


def prices_of(*columns: list[float]) -> xr.Dataset:
    dates = pd.date_range("2020-01-01", periods=len(columns[0]))
    return load_prices(pd.DataFrame({f"A{i}": c for i, c in enumerate(columns)}, index=dates))


def test_definitions_dates_and_attributes() -> None:
    prices = prices_of([1.0, 2.0, 3.0], [4.0, 2.0, 2.0])
    simple = simple_returns(prices)
    assert simple["simple_return"].values.tolist() == [[1.0, -0.5], [0.5, 0.0]]
    assert [str(d)[:10] for d in simple["observation"].values] == ["2020-01-02", "2020-01-03"]
    assert simple.attrs == prices.attrs
    assert simple["simple_return"].attrs["units"] == "1"
    np.testing.assert_allclose(log_returns(prices)["log_return"], np.log1p(simple["simple_return"]), rtol=1e-15)
    over = returns_over(prices, days=2)
    assert over["simple_return"].values.tolist() == [[2.0, -0.5]]
    assert over["asset"].values.tolist() == ["A0", "A1"]


def test_log_returns_keep_the_later_price_beside_them() -> None:
    prices = prices_of([1.0, 2.0, 3.0], [4.0, 2.0, 5.0])
    returns = log_returns(prices)
    np.testing.assert_array_equal(returns["price"].values, prices["price"].values[1:])
    assert returns["price"].attrs["units"] == "money"
    assert returns.isel(observation=[0])["price"].values.tolist() == [[2.0, 2.0]]
    assert returns.attrs == prices.attrs


@given(st.lists(st.floats(0.01, 1e6), min_size=3, max_size=30), st.integers(1, 2))
def test_returns_over_days_compound(values: list[float], days: int) -> None:
    prices = prices_of(values)
    daily = 1.0 + simple_returns(prices)["simple_return"].values[:, 0]
    expected = [np.prod(daily[i : i + days]) - 1.0 for i in range(len(daily) - days + 1)]
    np.testing.assert_allclose(
        returns_over(prices, days=days)["simple_return"].values[:, 0], expected, atol=1e-6, rtol=1e-9
    )


def test_reference_moments_of_aapl() -> None:
    # skfolio tests/test_measures/test_measures.py (BSD-3): simple returns of AAPL in the bundled data, 8312 rows.
    returns = simple_returns(load_prices("sp500", assets=["AAPL"]))["simple_return"].values[:, 0]
    assert len(returns) == 8312
    assert returns.mean() == pytest.approx(0.0011233, abs=2e-7)
    assert np.abs(returns - returns.mean()).mean() == pytest.approx(0.0186077, abs=2e-7)
    assert -returns.min() == pytest.approx(0.5184729, abs=2e-7)


@pytest.mark.parametrize(
    ("days", "message"),
    [
        (0, "days: 0 is not an integer >= 1"),
        (1.0, "days: 1.0 is not an integer >= 1"),
        (3, "days: returns over 3 days need more than 3 observations of prices"),
    ],
)
def test_refused_days(days: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        returns_over(prices_of([1.0, 2.0, 3.0]), days=days)
    assert str(caught.value) == message


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf])
def test_refused_prices(bad: float) -> None:
    prices = prices_of([1.0, 2.0, 3.0])
    prices["price"][1, 0] = bad
    for function in (simple_returns, log_returns):
        with pytest.raises(InputError, match=r"price: asset 'A0' on 2020-01-02: .* is not positive and finite"):
            function(prices)


def test_a_dataset_without_prices_is_refused() -> None:
    with pytest.raises(InputError, match="dataset: variable 'price' is missing"):
        simple_returns(xr.Dataset())
