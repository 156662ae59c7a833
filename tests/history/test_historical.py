"""Historical simulation: published values, the definition, the errors and the refusals."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings

from riskops.errors import InputError
from riskops.history import historical_losses, historical_value_at_risk
from riskops.market import load_prices, returns_over
from riskops.measures.tail_risk import tail_risk
from riskops.portfolio import Portfolio, Position, book


def whole(prices: xr.Dataset, asset: str = "AAPL", capital: float = 1.0) -> xr.Dataset:
    return book(Portfolio("all", (Position(asset, "weight", 1.0),), capital=capital), prices=prices)


@pytest.fixture(scope="module")
def aapl() -> xr.Dataset:
    return load_prices("sp500", assets=["AAPL"])


def value(ds: xr.Dataset, name: str) -> float:
    return float(ds[f"historical_{name}"].item())


def test_published_values_of_aapl_1990_2022(aapl: xr.Dataset) -> None:
    # skfolio tests/test_measures/test_measures.py @c06db84 (BSD-3): simple returns of AAPL, 8312 rows, tolerance 2e-7.
    risk = historical_value_at_risk(aapl, book=whole(aapl), level=0.95)
    assert value(risk, "value_at_risk") == pytest.approx(0.039568345, abs=2e-7)
    assert value(risk, "expected_shortfall") == pytest.approx(0.059240073, abs=2e-7)
    losses = historical_losses(aapl, book=whole(aapl), days=1)["historical_loss"]
    assert losses.sizes["observation"] == 8312
    assert float(losses.max()) == pytest.approx(0.5184729, abs=2e-7)


def test_two_libraries_on_aapl_2018_2022(aapl: xr.Dataset) -> None:
    # riskfolio-lib 7.4.0 VaR_Hist/CVaR_Hist (alpha 0.05) and skfolio 1.12.2 value_at_risk/cvar: the last 1257 returns.
    risk = historical_value_at_risk(aapl, book=whole(aapl), level=0.95, window=1257)
    assert value(risk, "value_at_risk") == pytest.approx(0.03243958060642038, abs=1e-9)
    assert value(risk, "expected_shortfall") == pytest.approx(0.04785105430097365, abs=1e-9)
    assert risk.attrs["window_observations"] == 1257
    assert (risk.attrs["window_start"], risk.attrs["window_end"]) == ("2017-12-29", "2022-12-28")


def test_losses_of_many_assets_and_days() -> None:
    prices = load_prices("sp500", start="2022-01-03")
    held = book(
        (
            Portfolio("mixed", (Position("AAPL", "money", 100), Position("XOM", "money", -40)), cash=1e6),
            Portfolio("equal", capital=1e6, equal_weights=True),
        ),
        prices=prices,
    )
    losses = historical_losses(prices, book=held, days=10, window=200)["historical_loss"]
    assert losses.dims == ("portfolio", "observation")
    assert losses.sizes["observation"] == 191
    returns = returns_over(prices, days=10)["simple_return"].isel(observation=slice(-191, None))
    expected = -(held["exposure"].values @ returns.values.T)
    np.testing.assert_allclose(losses.values, expected, rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(losses["observation"], returns["observation"])


def test_assets_are_matched_by_name() -> None:
    prices = load_prices("sp500", start="2022-06-01", assets=["XOM", "AAPL", "GE"])
    held = whole(load_prices("sp500", start="2022-06-01", assets=["AAPL", "GE"]))
    alone = load_prices("sp500", start="2022-06-01", assets=["AAPL"])
    np.testing.assert_array_equal(
        historical_losses(prices, book=held, days=1)["historical_loss"],
        historical_losses(alone, book=whole(alone), days=1)["historical_loss"],
    )


def test_shape_coordinates_and_attributes(aapl: xr.Dataset) -> None:
    risk = historical_value_at_risk(aapl, book=whole(aapl), level=(0.99, 0.95), horizons=(1.0, 10.0))
    for name in ("historical_value_at_risk", "historical_expected_shortfall"):
        for suffix in ("", "_standard_error", "_low", "_high"):
            assert risk[name + suffix].dims == ("portfolio", "horizon", "level")
    assert risk["level"].values.tolist() == [0.95, 0.99]
    assert risk["horizon"].values.tolist() == [1.0, 10.0]
    assert risk.attrs["effective_observations"] == [8312.0, 830.3]


def test_errors_are_consistent(aapl: xr.Dataset) -> None:
    risk = historical_value_at_risk(aapl, book=whole(aapl), level=(0.9, 0.99), horizons=(1, 5))
    for name in ("historical_value_at_risk", "historical_expected_shortfall"):
        low, high, error = (risk[name + suffix] for suffix in ("_low", "_high", "_standard_error"))
        assert bool(((low < risk[name]) & (risk[name] < high)).all())
        np.testing.assert_allclose((high - low) / (2 * 1.96), error, rtol=1e-4)


@pytest.mark.parametrize(("days", "lowest", "highest"), [(1, 0.85, 1.15), (10, 0.8, 1.6)])
def test_standard_errors_match_the_spread_between_histories(days: int, lowest: float, highest: float) -> None:
    # 200 independent histories of 2000 normal returns, an asset and a portfolio each: the mean stated error against the
    # estimates' spread (whose own relative error is 1 / sqrt(400), 5 %). Overlapping windows, were they counted as
    # independent, would give about 1 / sqrt(10) of it.
    names = [f"A{i}" for i in range(200)]
    returns = np.random.default_rng(11).normal(0.0, 0.01, (2001, len(names)))
    dates = pd.date_range("2000-01-01", periods=len(returns))
    prices = load_prices(pd.DataFrame(np.cumprod(1.0 + returns, axis=0), index=dates, columns=names))
    held = book([Portfolio(name, (Position(name, "money", 1.0),)) for name in names], prices=prices)
    risk = historical_value_at_risk(prices, book=held, level=0.9, horizons=(days,))
    for name in ("historical_value_at_risk", "historical_expected_shortfall"):
        stated = float(risk[name + "_standard_error"].mean())
        assert lowest < stated / float(risk[name].std(ddof=1)) < highest


def test_one_day_figures_are_those_of_the_measures_on_the_same_losses(aapl: xr.Dataset) -> None:
    losses = historical_losses(aapl, book=whole(aapl), days=1)["historical_loss"].values
    simulated = xr.Dataset({"loss": (("portfolio", "path"), losses)}, coords={"portfolio": ["all"]}).chunk(path=1024)
    measured = tail_risk(simulated, level=(0.95, 0.99)).compute(scheduler="synchronous")
    history = historical_value_at_risk(aapl, book=whole(aapl), level=(0.95, 0.99))
    # the interval of ES is symmetric where losses may overlap, and corrected for skewness where paths are independent
    for name in set(measured) - {"expected_shortfall_low", "expected_shortfall_high"}:
        np.testing.assert_array_equal(history[f"historical_{name}"].isel(horizon=0), measured[name])


def test_too_few_observations_carry_no_error_but_the_figure() -> None:
    prices = load_prices("sp500", assets=["AAPL"], start="2022-12-01")
    risk = historical_value_at_risk(prices, book=whole(prices), level=0.99)
    worst = float(historical_losses(prices, book=whole(prices), days=1)["historical_loss"].max())
    assert value(risk, "value_at_risk") == value(risk, "expected_shortfall") == worst
    for name in ("value_at_risk", "expected_shortfall"):
        for suffix in ("_standard_error", "_low", "_high"):
            assert math.isnan(value(risk, name + suffix))


def test_overlap_can_leave_too_few_independent_observations(aapl: xr.Dataset) -> None:
    risk = historical_value_at_risk(aapl, book=whole(aapl), level=0.99, horizons=(1, 60), window=2500)
    assert not math.isnan(float(risk["historical_value_at_risk_standard_error"].sel(horizon=1.0).item()))
    assert math.isnan(float(risk["historical_value_at_risk_standard_error"].sel(horizon=60.0).item()))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from([0.5, 0.9, 0.95]), st.integers(1, 3), st.floats(0.1, 1e6))
def test_homogeneous_and_coherent(seed: int, level: float, days: int, capital: float) -> None:
    steps = np.random.default_rng(seed).normal(0.0, 0.02, 120)
    prices = load_prices(
        pd.DataFrame({"A": np.exp(np.cumsum(steps))}, index=pd.date_range("2020-01-01", periods=len(steps)))
    )
    one = historical_value_at_risk(prices, book=whole(prices, "A"), level=level, horizons=(days,))
    many = historical_value_at_risk(prices, book=whole(prices, "A", capital), level=level, horizons=(days,))
    for name in one:
        np.testing.assert_allclose(many[name], one[name] * capital, rtol=1e-9)
    assert value(one, "expected_shortfall") >= value(one, "value_at_risk")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizons": (0.5,)}, "horizons: 0.5 is not a whole number of days, as observed returns need"),
        ({"horizons": (0,)}, "horizons: 0 is not a whole number of days, as observed returns need"),
        ({"horizons": (1, 1)}, "horizons: 1.0 is given twice"),
        ({"horizons": ()}, "horizons: at least one is needed"),
        ({"horizons": (9000,)}, "days: 9000 days are longer than the window of 8312 daily returns"),
        ({"window": 9000}, "window: 9000 daily returns are more than the 8312 that the prices give"),
        ({"window": 0}, "window: 0 is not an integer >= 1"),
        ({"level": 99}, "level: 99 is not a confidence level between 0 and 1; did you mean 0.99?"),
    ],
)
def test_refused_options(aapl: xr.Dataset, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        historical_value_at_risk(aapl, book=whole(aapl), **options)
    assert str(caught.value) == message


def test_refused_data(aapl: xr.Dataset) -> None:
    other = load_prices("sp500", assets=["XOM"])
    with pytest.raises(InputError, match="book: 'XOM' is unknown; known are AAPL"):
        historical_losses(aapl, book=whole(other, "XOM"), days=1)
    broken = aapl.isel(observation=slice(-5, None)).copy(deep=True)
    broken["price"][2, 0] = np.nan
    with pytest.raises(InputError, match="price: asset 'AAPL' on 2022-12-23: nan is not positive and finite"):
        historical_losses(broken, book=whole(aapl), days=1)
    held = whole(aapl)
    held["exposure"][0, 0] = np.inf
    with pytest.raises(InputError, match=r"book\.exposure: .*inf.* at index \(0, 0\) is not finite"):
        historical_losses(aapl, book=held, days=1)
