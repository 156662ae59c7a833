"""Gap policies: what each does, what it says it did, and what it never does."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from riskops.errors import InputError
from riskops.market import load_prices

NAN = float("nan")


def frame(columns: dict[str, list[float]]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.date_range("2020-01-01", periods=n))


GAPPY = frame({"A": [1.0, 2.0, 3.0, 4.0], "B": [1.0, NAN, NAN, 4.0], "C": [1.0, 2.0, NAN, 4.0]})


def test_drop_assets() -> None:
    prices = load_prices(GAPPY, gaps="drop_assets")
    assert prices["asset"].values.tolist() == ["A"]
    assert prices.attrs["adjustments"] == [
        "asset 'B' dropped: 2 of 4 prices missing, first on 2020-01-02",
        "asset 'C' dropped: 1 of 4 prices missing, first on 2020-01-03",
    ]


def test_drop_dates() -> None:
    prices = load_prices(GAPPY, gaps="drop_dates")
    assert prices["price"].sel(asset="A").values.tolist() == [1.0, 4.0]
    assert prices.attrs["adjustments"] == ["2 of 4 dates dropped: 2020-01-02, 2020-01-03"]


def test_drop_dates_lists_ten_of_many() -> None:
    prices = load_prices(frame({"A": [1.0] * 2 + [NAN] * 12 + [2.0]}), gaps="drop_dates")
    (line,) = prices.attrs["adjustments"]
    assert line.startswith("12 of 15 dates dropped: 2020-01-03, ")
    assert line.endswith("2020-01-12 and 2 more")


def test_forward_fill() -> None:
    prices = load_prices(GAPPY, gaps={"forward_fill": 2})
    assert prices["price"].sel(asset="B").values.tolist() == [1.0, 1.0, 1.0, 4.0]
    assert prices["price"].sel(asset="C").values.tolist() == [1.0, 2.0, 2.0, 4.0]
    assert prices.attrs["adjustments"] == [
        "asset 'B': 2 of 4 prices filled forward, first on 2020-01-02",
        "asset 'C': 1 of 4 prices filled forward, first on 2020-01-03",
    ]
    whole = load_prices(GAPPY, gaps={"forward_fill": 2}, assets=["A"])
    assert whole.attrs["adjustments"] == []


@pytest.mark.parametrize(
    ("table", "gaps", "message"),
    [
        (GAPPY, {"forward_fill": 1}, "asset 'B' on 2020-01-03 is missing for more than forward_fill: 1 dates"),
        (
            frame({"A": [1.0, 2.0, 3.0], "B": [NAN, 1.0, 2.0]}),
            {"forward_fill": 9},
            "asset 'B' on 2020-01-01 has no earlier price in the window to fill from",
        ),
        (frame({"A": [NAN, 1.0, 2.0]}), "drop_assets", "drop_assets leaves no asset; every one has a gap"),
        (
            frame({"A": [NAN, 1.0, 2.0], "B": [1.0, NAN, 2.0]}),
            "drop_dates",
            "drop_dates leaves 1 rows of prices; at least 2 are needed",
        ),
    ],
)
def test_what_a_policy_cannot_do(table: pd.DataFrame, gaps: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_prices(table, gaps=gaps)
    assert str(caught.value) == f"frame: gaps: {message}"


tables = st.integers(2, 8).flatmap(
    lambda n: st.lists(st.lists(st.sampled_from([NAN, 1.0, 2.5, 7.0]), min_size=n, max_size=n), min_size=1, max_size=4)
)


@given(tables, st.integers(1, 4))
def test_forward_fill_agrees_with_pandas_or_is_refused(columns: list[list[float]], limit: int) -> None:
    table = frame({f"A{i}": column for i, column in enumerate(columns)})
    filled = table.ffill(limit=limit)
    if filled.isna().any(axis=None):
        with pytest.raises(InputError, match="gaps: asset"):
            load_prices(table, gaps={"forward_fill": limit})
    else:
        prices = load_prices(table, gaps={"forward_fill": limit})
        np.testing.assert_array_equal(prices["price"].values, filled.to_numpy())
        assert len(prices.attrs["adjustments"]) == int(table.isna().any().sum())


@given(tables)
def test_dropping_keeps_exactly_what_is_whole(columns: list[list[float]]) -> None:
    table = frame({f"A{i}": column for i, column in enumerate(columns)})
    for gaps, expected in (("drop_assets", table.dropna(axis=1)), ("drop_dates", table.dropna(axis=0))):
        if expected.shape[0] < 2 or expected.shape[1] < 1:
            with pytest.raises(InputError, match=f"gaps: {gaps} leaves"):
                load_prices(table, gaps=gaps)
        else:
            prices = load_prices(table, gaps=gaps)
            np.testing.assert_array_equal(prices["price"].values, expected.to_numpy())
            assert prices["asset"].values.tolist() == list(expected.columns)
            assert bool(prices.attrs["adjustments"]) == bool(table.isna().any(axis=None))
