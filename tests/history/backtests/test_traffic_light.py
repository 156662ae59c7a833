"""Basel's zones, probabilities and multipliers against the published tables."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from riskops.errors import InputError
from riskops.history.backtests.base import Outcomes
from riskops.history.backtests.registry import backtests
from riskops.history.backtests.traffic_light import breaches_by_year, traffic_light, traffic_light_table

# BCBS (January 1996), Supervisory framework for the use of backtesting, tables 1 and 2; Basel framework MAR99
CUMULATIVE = (0.0811, 0.2858, 0.5432, 0.7581, 0.8922, 0.9588, 0.9863, 0.9960, 0.9989, 0.9997, 0.9999)
OLD = (3, 3, 3, 3, 3, 3.4, 3.5, 3.65, 3.75, 3.85, 4.0)
CURRENT = (1.5, 1.5, 1.5, 1.5, 1.5, 1.7, 1.76, 1.83, 1.88, 1.92, 2.0)


def forecasts(losses: np.ndarray, *, level: float = 0.99, start: str = "2019-01-01") -> xr.Dataset:
    """One method whose VaR is 1 on every day; ``losses`` (asset, observation)."""
    days = np.datetime64(start, "ns") + np.arange(losses.shape[1]) * np.timedelta64(1, "D")
    return xr.Dataset(
        {
            "realised_loss": (("asset", "observation"), losses),
            "forecast_value_at_risk": (
                ("method", "asset", "level", "observation"),
                np.ones((1, len(losses), 1, losses.shape[1])),
            ),
        },
        coords={"method": ["m"], "asset": [f"A{i}" for i in range(len(losses))], "level": [level], "observation": days},
    )


def test_the_table_is_basels() -> None:
    table = traffic_light_table()
    assert table["number"].values.tolist() == list(range(11))
    assert table["breach_probability"].values == pytest.approx(CUMULATIVE, abs=5.1e-5)
    assert table["traffic_light_zone"].values.tolist() == ["green"] * 5 + ["yellow"] * 5 + ["red"]
    assert table["multiplier_1996"].values.tolist() == pytest.approx(OLD, abs=1e-12)
    assert table["multiplier"].values.tolist() == pytest.approx(CURRENT, abs=1e-12)


def test_the_rule_of_other_cases_comes_near_the_published_figures() -> None:
    """251 days have almost the multipliers of 250: the rule is the one that the published figures round."""
    table = traffic_light_table(n=251).sel(number=slice(5, 9))
    assert table["multiplier_1996"].values == pytest.approx(OLD[5:10], abs=0.04)
    assert table["multiplier"].values == pytest.approx(CURRENT[5:10], abs=0.02)


@pytest.mark.parametrize(("n", "level"), [(10, 0.5), (250, 0.95), (500, 0.975), (1043, 0.95), (4, 0.999)])
def test_zones_of_any_length_and_level_follow_the_probabilities(n: int, level: float) -> None:
    table = traffic_light_table(n=n, level=level)
    probability = stats.binom.cdf(table["number"], n, 1 - level)
    assert table["breach_probability"].values == pytest.approx(probability, rel=1e-9)
    zone = np.where(probability >= 0.9999, "red", np.where(probability >= 0.95, "yellow", "green"))
    zone[0] = "green"
    assert table["traffic_light_zone"].values.tolist() == zone.tolist()
    for name, low in (("multiplier", 1.5), ("multiplier_1996", 3.0)):
        values = table[name].values
        assert (np.diff(values) >= 0).all()
        assert values[0] == low
        assert values[-1] == pytest.approx(4 / 3 * low)
        assert np.isfinite(values).all()


def test_the_last_days_count_and_only_those_with_an_outcome() -> None:
    losses = np.zeros((2, 400))
    losses[:, :100] = 2.0  # long ago
    losses[0, [200, 250, 300, 350, 399]] = 2.0
    losses[1, 395:] = np.nan
    losses[1, 394] = 2.0
    found = traffic_light(forecasts(losses))
    assert found["forecasts"].values.ravel().tolist() == [250, 250]
    assert found["breaches"].values.ravel().tolist() == [5, 1]
    assert found["traffic_light_zone"].values.ravel().tolist() == ["yellow", "green"]
    assert found["multiplier"].values.ravel().tolist() == [1.7, 1.5]
    assert found["breaches"].dims == ("method", "asset", "level")
    short = traffic_light(forecasts(losses[:, :50]))
    assert short["forecasts"].values.ravel().tolist() == [50, 50]
    assert short["traffic_light_zone"].values.ravel().tolist() == ["red", "red"]


def test_every_year_has_its_zone_and_an_empty_one_none(refuse_compute: None) -> None:
    losses = np.zeros((2, 1096))  # 2019, 2020, 2021
    losses[0, 365 + np.arange(9) * 10] = 2.0
    losses[1, 731:] = np.nan
    eager = breaches_by_year(forecasts(losses))
    assert eager["year"].values.tolist() == [2019, 2020, 2021]
    assert eager["forecasts"].values[0, :, 0].tolist() == [[365, 366, 365], [365, 366, 0]]
    assert eager["breaches"].values[0, :, 0].tolist() == [[0, 9, 0], [0, 0, 0]]
    assert eager["traffic_light_zone"].values[0, :, 0].tolist() == [
        ["green", "yellow", "green"],
        ["green", "green", "none"],
    ]
    assert np.isnan(eager["multiplier"].values[0, 1, 0, 2])
    lazy = breaches_by_year(forecasts(losses).chunk(observation=100, asset=1))
    assert all(array.chunks is not None for array in lazy.values())


def test_lazy_and_eager_agree() -> None:
    losses = np.random.default_rng(1).normal(size=(3, 800))
    given = forecasts(losses)
    for function in (traffic_light, breaches_by_year):
        xr.testing.assert_identical(function(given.chunk(observation=100, asset=1)).compute(), function(given))


def test_years_need_dates() -> None:
    with pytest.raises(InputError, match="have no dates"):
        breaches_by_year(forecasts(np.zeros((1, 10))).drop_vars("observation"))


def test_as_a_test_it_gives_the_documented_output_of_matlab() -> None:
    """MathWorks Risk Management Toolbox, varbacktest.tl, 57 failures in 1043 days at 95 %: 0.77913 and 0.26396."""
    losses = np.where(np.arange(1043) < 57, 2.0, 0.0)
    nan = np.full(1043, np.nan)
    (test,) = backtests("traffic_light")
    assert test.run(Outcomes(losses, np.ones(1043), nan, nan, 0.95)) == pytest.approx((0.77913, 0.26396), abs=5.1e-6)
