"""Reading the series that are forecast, and the returns of portfolios of fixed weights."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from riskops.errors import InputError
from riskops.history import portfolio_returns
from riskops.history.series import day_text, read_series
from riskops.market import load_prices, log_returns, simple_returns
from riskops.portfolio import Portfolio, Position, book
from tests.history.examples import random_returns, returns_of


def read(returns: xr.Dataset, **options: Any) -> Any:
    return read_series(returns, **{"missing": "error", "series_per_task": 2} | options)


@pytest.mark.parametrize("variable", ["simple_return", "log_return", "portfolio_return"])
def test_a_series_is_an_asset_or_a_portfolio(variable: str) -> None:
    values = [[0.1, 0.2, 0.3], [0.0, -0.1, -0.2]]
    series = read(returns_of(values, variable=variable))
    assert series.variable == variable
    assert series.dim == ("portfolio" if variable == "portfolio_return" else "asset")
    assert series.names == ("A", "B", "C")
    assert series.values.chunks == ((2,), (2, 1))
    np.testing.assert_array_equal(series.values.compute(), values)


def test_log_returns_bring_their_prices_along() -> None:
    prices = load_prices("sp500", assets=["AAPL"], end="1990-02-01")
    assert read(log_returns(prices)).variable == "log_return"


def test_lazy_returns_stay_lazy_and_are_cut_by_series(refuse_compute: None) -> None:
    data = da.zeros((6, 5), chunks=(2, 5), dtype=np.float32)
    lazy = returns_of(np.zeros((6, 5))).assign(simple_return=(("observation", "asset"), data))
    series = read(lazy)
    assert series.values.chunks == ((6,), (2, 2, 1))
    assert series.values.dtype == np.float64


@pytest.mark.parametrize(
    ("returns", "text"),
    [
        (xr.Dataset(), "returns: one of simple_return, log_return or portfolio_return is needed; there is none of"),
        (
            xr.merge([returns_of([0.1, 0.2]), returns_of([0.1, 0.2], variable="log_return")]),
            "there is simple_return and log_return",
        ),
        (returns_of([0.1]), "returns: 1 observations are too few"),
        (returns_of([0.1, 0.2]).drop_vars("asset"), "returns: simple_return has no coordinate 'asset'"),
        (returns_of([[0.1, 0.2]] * 2).assign_coords(asset=["A", "A"]), "returns.asset: 'A' is given twice"),
        (returns_of([0.1, 0.2]).isel(observation=[1, 0]), "2020-01-01 follows 2020-01-02; dates must ascend"),
        (returns_of([0.1, 0.2]).isel(observation=[0, 0]), "2020-01-01 follows 2020-01-01; dates must ascend"),
        (returns_of([0.1, 0.2]).assign_coords(observation=["a", "b"]), "are neither dates nor numbers"),
        (returns_of([[0.1, 0.2], [0.1, np.nan]]), "returns: 'B' on 2020-01-02 is nan, not finite; missing=\"skip\""),
        (returns_of([[0.1, -np.inf], [0.1, 0.0]]), "returns: 'B' on 2020-01-01 is -inf, not finite$"),
    ],
)
def test_what_can_not_be_read_is_said(returns: xr.Dataset, text: str) -> None:
    with pytest.raises(InputError, match=text):
        read(returns)


def test_missing_days_may_be_skipped_and_infinite_ones_not() -> None:
    assert read(returns_of([[0.1, np.nan], [0.1, 0.2]]), missing="skip").names == ("A", "B")
    with pytest.raises(InputError, match=r"'A' on 2020-01-02 is inf, not finite$"):
        read(returns_of([[np.nan], [np.inf]]), missing="skip")
    with pytest.raises(InputError, match="missing: 'fill' is not one of error, skip"):
        read(returns_of([0.1, 0.2]), missing="fill")


def test_dates_are_found_and_written_as_people_do() -> None:
    series = read(random_returns(5, 1))
    assert [series.rows_before(d) for d in ("2019-01-01", "2020-01-01", "2020-01-03", "2021-01-01")] == [0, 0, 2, 5]
    numbered = read(random_returns(5, 1).assign_coords(observation=[10, 20, 30, 40, 50]))
    assert [numbered.rows_before(n) for n in (5, 20, 21)] == [0, 1, 2]
    with pytest.raises(InputError, match="start: '2020-01-01' is a date; the observations are numbered"):
        numbered.rows_before("2020-01-01")
    with pytest.raises(InputError, match="start: 'soon' is not a date"):
        series.rows_before("soon")
    assert day_text(np.datetime64("2020-01-02T10:30", "ns")) == "2020-01-02T10:30:00"
    assert day_text(np.int64(7)) == "7"


# Portfolios


def test_a_portfolio_return_is_the_weighted_sum_and_compounds_to_a_rebalanced_account() -> None:
    returns = random_returns(40, 3)
    weights = {"A": 0.5, "B": 0.7, "C": -0.4}
    made = portfolio_returns(returns, weights={"p": weights})["portfolio_return"].to_numpy()[:, 0]
    account = 1.0
    moves = returns["simple_return"].to_numpy()
    for row, expected in zip(moves, np.cumprod(1.0 + made), strict=True):
        held = account * np.array(list(weights.values()))  # brought back to the weights every day; 0.2 is cash
        account = float((held * (1.0 + row)).sum()) + 0.2 * account
        assert account == pytest.approx(expected, rel=1e-12)


def test_lazy_and_eager_portfolios_agree_to_the_bit(refuse_compute: None) -> None:
    returns = random_returns(30, 4)
    lazy = returns.chunk({"observation": 7, "asset": 1})
    weights: Any = {"even": "equal", "some": {"D": 2.0, "A": -1.0}}
    eager = portfolio_returns(returns, weights=weights)["portfolio_return"]
    graph = portfolio_returns(lazy, weights=weights)["portfolio_return"]
    assert isinstance(graph.data, da.Array)
    assert eager.dims == graph.dims == ("observation", "portfolio")
    assert eager["portfolio"].values.tolist() == ["even", "some"]
    np.testing.assert_array_equal(da.Array.compute(graph.data, scheduler="sync"), eager)


def test_a_book_gives_its_weights() -> None:
    prices = load_prices("sp500", assets=["AAPL", "KO"], start="2022-11-01")
    held = book(
        Portfolio("p", (Position("KO", "money", 30.0), Position("AAPL", "money", 50.0)), cash=20.0), prices=prices
    )
    returns = simple_returns(prices)
    made = portfolio_returns(returns, book=held)["portfolio_return"]
    moves = returns["simple_return"]
    np.testing.assert_allclose(
        made.values[:, 0], 0.5 * moves.sel(asset="AAPL").values + 0.3 * moves.sel(asset="KO").values, rtol=1e-13
    )
    short = book(Portfolio("s", (Position("KO", "money", -30.0),)), prices=prices)
    with pytest.raises(InputError, match=r"book: portfolio 's' is worth -30.0; a return needs a value above zero"):
        portfolio_returns(returns, book=short)


def test_missing_returns_of_a_portfolio_follow_the_policy() -> None:
    returns = returns_of([[0.1, np.nan, np.nan], [0.2, 0.4, np.nan]])
    weights = {"p": {"A": 0.5, "B": 0.5}}  # C is not held and not read
    with pytest.raises(InputError, match="returns: 'B' on 2020-01-01 is nan"):
        portfolio_returns(returns, weights=weights)
    made = portfolio_returns(returns, weights=weights, missing="skip")["portfolio_return"].values[:, 0]
    assert np.isnan(made[0])
    assert made[1] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "weights: give either weights or book"),
        ({"weights": {}}, "weights: at least one portfolio is needed"),
        ({"weights": {"p": "even"}}, "weights.p: 'even' is neither a mapping of assets to weights nor 'equal'"),
        ({"weights": {"p": {"Z": 1.0}}}, "weights.p: 'Z' is unknown; known are A"),
        ({"weights": {"p": {"A": np.nan}}}, "weights.p.A: nan is not a finite number"),
    ],
)
def test_weights_that_are_none_are_refused(options: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        portfolio_returns(returns_of([0.1, 0.2]), **options)


def test_logarithmic_returns_make_no_portfolio() -> None:
    with pytest.raises(InputError, match="portfolios are made of simple_return"):
        portfolio_returns(returns_of([0.1, 0.2], variable="log_return"), weights={"p": "equal"})
