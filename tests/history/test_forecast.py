"""The forecast after the last observation: the same as the engine's, at every horizon, each with its rule."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from riskops.errors import InputError
from riskops.history import forecast, forecast_notes, rolling_forecasts
from riskops.schema import validate
from tests.history.examples import Fixed, Span, random_returns, returns_of


def ask(returns: xr.Dataset, **options: Any) -> xr.Dataset:
    chosen: dict[str, Any] = {"method": Span(), "level": [0.9, 0.99]} | options
    return forecast(returns, **chosen).compute(scheduler="synchronous")


def test_it_is_what_the_method_says_after_the_last_day() -> None:
    returns = random_returns(50, 2)
    found = ask(returns, horizon=(1, 5), window=20)
    values = returns["simple_return"].to_numpy()
    for s in range(2):
        for h, days in enumerate((1, 5)):
            worst, added = days * -values[30:, s].min(), values[49, s] + values[30, s]
            expected = [0.9 * worst + added, 0.99 * worst + added]
            assert found["forecast_value_at_risk"].values[0, s, h] == pytest.approx(expected, abs=1e-15)
            assert found["forecast_expected_shortfall"].values[0, s, h] == pytest.approx(
                np.add(expected, 1.0), abs=1e-15
            )
    assert found["forecast_value_at_risk"].dims == ("method", "asset", "horizon", "level")
    assert found["horizon"].values.tolist() == [1.0, 5.0]
    assert found["horizon_rule"].values.tolist() == [["one day", "sums of days"]]
    assert found["window_observations"].values.tolist() == [20, 20]
    assert found.attrs == {
        "window_end": "2020-02-19",
        "window_start": "2020-01-31",
        "missing": "error",
        "failures": "error",
        "returns": "simple_return",
    }


@pytest.mark.parametrize("method", ["student_t", "ewma", "cornish_fisher", Span()])
@pytest.mark.parametrize("horizon", [1, 5])
def test_the_engine_forecasts_the_same_for_the_day_after(method: Any, horizon: int) -> None:
    returns = random_returns(140 + horizon, 1)
    known = returns.isel(observation=slice(0, 140))
    latest = ask(known, method=method, window=100, horizon=horizon).squeeze("horizon")
    options: dict[str, Any] = {"level": [0.9, 0.99], "window": 100, "refit_every": 1, "horizon": horizon}
    start = returns["observation"].values[140]
    rolled = rolling_forecasts(returns, methods=method, start=start, **options).compute(scheduler="synchronous")
    assert rolled.sizes["observation"] == 1
    for name in ("forecast_value_at_risk", "forecast_expected_shortfall"):
        np.testing.assert_array_equal(rolled[name].isel(observation=0), latest[name])


def test_all_returns_are_used_by_default() -> None:
    returns = random_returns(30, 1)
    xr.testing.assert_identical(ask(returns).drop_vars("fit_seconds"), ask(returns, window=30).drop_vars("fit_seconds"))


def test_a_graph_is_built_without_computing_and_stays_symbolic(refuse_compute: None) -> None:
    many = returns_of(np.zeros((30, 3))).chunk({"asset": 1})
    found = forecast(many, method=[Span(), Span(name="twin")], horizon=[1, 10])
    for name, array in found.items():
        assert isinstance(array.data, da.Array)
        validate(found, str(name))
        for key, layer in array.data.dask.layers.items():
            assert not (key.startswith("forecast-") and layer.is_materialized())


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_figures_do_not_depend_on_grouping_scheduler_or_chunks(scheduler: str) -> None:
    returns = random_returns(60, 5)
    methods = ["student_t", Span(note="told")]
    base = ask(returns, method=methods, horizon=[1, 2])
    for ds in (returns, returns.chunk({"observation": 7})):
        found = forecast(ds, method=methods, level=[0.9, 0.99], horizon=[1, 2], series_per_task=2)
        found = found.compute(scheduler=scheduler)
        xr.testing.assert_identical(found.drop_vars("fit_seconds"), base.drop_vars("fit_seconds"))


def test_series_with_gaps_use_their_own_days_and_those_that_ended_have_none() -> None:
    returns = random_returns(40, 3)
    own = returns.isel(asset=[0], observation=[i for i in range(40) if i not in (3, 38)])
    returns["simple_return"][[3, 38], 0] = np.nan
    returns["simple_return"][39, 1] = np.nan
    returns["simple_return"][:25, 2] = np.nan
    found = ask(returns, missing="skip", window=20)
    quantile = found["forecast_value_at_risk"]
    np.testing.assert_array_equal(quantile.values[:, :1], ask(own, window=20)["forecast_value_at_risk"])
    assert quantile.isel(asset=[1, 2]).isnull().all()
    assert found["window_observations"].values.tolist() == [20, 0, 0]
    assert "window_start" not in found.attrs
    assert forecast_notes(found) == [
        ("span", "B", "no forecast: the series has no return on the last day", 1),
        ("span", "C", "no forecast: the series has 15 returns, fewer than the window of 20", 1),
    ]


def test_a_method_without_a_way_to_a_horizon_is_an_error_or_a_note() -> None:
    returns = random_returns(40, 1)
    with pytest.raises(InputError, match="horizon: 20 days are more than the 10 that span reaches"):
        forecast(returns, method=Span(), horizon=[1, 20])
    found = ask(returns, horizon=[1, 20], failures="nan")
    assert found["forecast_value_at_risk"].isnull().all("level").values.ravel().tolist() == [False, True]
    assert found["horizon_rule"].values[0, 1] == "none: horizon: 20 days are more than the 10 that span reaches"
    text = "no forecast at horizon 20: horizon: 20 days are more than the 10 that span reaches"
    assert forecast_notes(found) == [("span", "A", text, 1)]


def test_failures_are_errors_that_say_where_or_notes() -> None:
    returns = random_returns(40, 2)
    returns["simple_return"][0, 1] = 0.5
    method = Span(refuses_above=0.4)
    with pytest.raises(InputError, match=r"span: series 'B', horizon 1: span: the first return 0.5 is above 0.4; fail"):
        ask(returns, method=method)
    found = ask(returns, method=method, failures="nan")
    assert found["forecast_value_at_risk"].isnull().all("level").values.ravel().tolist() == [False, True]
    with pytest.raises(InputError, match="window: 40 returns are fewer than the 50 that span needs"):
        ask(returns, method=Span(least=50))
    short = ask(returns, method=Fixed(quantile=np.nan), failures="nan")
    assert {note for _, _, note, _ in forecast_notes(short)} == {
        "no forecast at horizon 1: fixed: value_at_risk at 0.9 is nan, not finite"
    }


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"horizon": []}, "horizon: at least one is needed"),
        ({"horizon": 1.5}, "horizon: 1.5 is not an integer >= 1"),
        ({"horizon": [5, 5]}, "horizon: 5 is given twice"),
        ({"window": 41}, "window: 41 returns are more than the 40 that there are"),
        ({"window": 1}, "window: 1 is not an integer >= 2"),
        ({"method": "best"}, "method: 'best' is not one of"),
        ({"failures": "skip"}, "failures: 'skip' is not one of error, nan"),
        ({"level": 0.0}, "level: 0.0 is not a confidence level"),
    ],
)
def test_what_can_not_be_asked_is_said_at_once(options: Any, text: str, refuse_compute: None) -> None:
    with pytest.raises(InputError, match=text):
        forecast(random_returns(40, 1), **({"method": Span()} | options))


# The ensemble


def test_the_ensemble_is_weighed_by_the_days_before_and_by_nothing_else() -> None:
    returns = random_returns(300, 2)
    members = ["normal", "historical", "ewma"]
    found = ask(returns, method=[*members, "ensemble"], window=120, ensemble_days=80)
    assert found["method"].values.tolist() == [*members, "ensemble"]
    weight = found["ensemble_weight"]
    assert weight.dims == ("member", "asset", "horizon", "level")
    np.testing.assert_allclose(weight.sum("member"), 1.0, rtol=1e-12)
    assert float(weight.max()) > 0.335
    plain = ask(returns, method=members, window=120)
    for name in ("forecast_value_at_risk", "forecast_expected_shortfall"):
        np.testing.assert_array_equal(found[name].values[:3], plain[name].values)
        np.testing.assert_allclose(found[name].values[3], (weight.values * plain[name].values).sum(axis=0), rtol=1e-12)
    # the weights are those that the last 80 losses give, each forecast from what came before the 80 days and it
    past = rolling_forecasts(
        returns,
        methods=members,
        level=[0.9, 0.99],
        window=120,
        refit_every=80,
        start=returns["observation"].values[220],
    ).compute(scheduler="synchronous")
    for s, a in np.ndindex(2, 2):
        level = (0.9, 0.99)[a]
        quantile, shortfall = (past[f"forecast_{n}"].values[:, s, a] for n in ("value_at_risk", "expected_shortfall"))
        loss = past["realised_loss"].values[s]
        score = np.maximum(loss - quantile, 0.0) / ((1.0 - level) * shortfall) + quantile / shortfall
        score = score + np.log(shortfall) - 1.0
        constant = 2.0 * (np.sqrt(2.0) - 1.0) / (np.e - 2.0)
        rate = min(1.0 / np.ptp(score, axis=0).max(), np.sqrt(constant * np.log(3.0) / score.var(axis=0).sum()))
        share = np.exp(-rate * (score - score.mean(axis=0)).sum(axis=1))
        np.testing.assert_allclose(weight.values[:, s, 0, a], share / share.sum(), rtol=1e-9)


def test_an_ensemble_alone_is_of_all_methods_and_its_graph_is_lazy(refuse_compute: None) -> None:
    found = forecast(random_returns(900, 1), method="ensemble")
    assert found["method"].values.tolist() == ["ensemble"]
    assert found.sizes["member"] > 20
    for name, array in found.items():
        assert isinstance(array.data, da.Array)
        validate(found, str(name))


def test_with_few_forecasts_of_the_past_the_weights_are_equal_and_a_note_says_so() -> None:
    found = ask(random_returns(300, 1), method=["normal", "ewma", "ensemble"], horizon=[1, 5], ensemble_days=104)
    weight = found["ensemble_weight"].values[:, 0, :, 0]
    assert weight[:, 1].tolist() == [0.5, 0.5]
    assert weight[:, 0].tolist() != [0.5, 0.5]
    text = "horizon 5: equal weights; 20 forecasts of the past are fewer than 50"
    assert ("ensemble", "A", text, 1) in forecast_notes(found)
    assert found["horizon_rule"].values[-1].tolist() == ["weighted mean of the members"] * 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": ["ensemble", "normal", "ensemble"]}, "method: 'ensemble' is given twice"),
        (
            {"method": ["normal", "ensemble"], "ensemble_days": 60},
            "1 method makes no ensemble; at least two",
        ),
        (
            {"method": ["normal", "ewma", "ensemble"], "window": 100, "ensemble_days": 60},
            "ensemble_days: 60 of the 150 returns leave 90 before them, fewer than the 100",
        ),
        ({"method": ["normal", "ewma", "ensemble"], "ensemble_days": 0}, "ensemble_days: 0 is not an integer >= 1"),
    ],
)
def test_an_ensemble_that_can_not_be_judged_is_refused(options: Any, text: str, refuse_compute: None) -> None:
    with pytest.raises(InputError, match=text):
        forecast(random_returns(150, 1), **options)
