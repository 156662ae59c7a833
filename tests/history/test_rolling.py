"""The rolling engine against a plain loop over days: what it forecasts, from what and when, and what of failures."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import dask
import dask.array as da
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings

from riskops.errors import InputError
from riskops.history import forecast_notes, rolling_forecasts
from riskops.history.rolled import Rolled
from riskops.history.rolling import rolled
from riskops.schema import describe, validate
from tests.history.examples import Fixed, Span, random_returns, returns_of

FIGURES = [
    "breach",
    "forecast_expected_shortfall",
    "forecast_expected_shortfall_standard_error",
    "forecast_failed",
    "forecast_notes",
    "forecast_probability",
    "forecast_value_at_risk",
    "forecast_value_at_risk_standard_error",
    "realised_loss",
    "refitted",
]


def roll(returns: xr.Dataset, **options: Any) -> xr.Dataset:
    chosen: dict[str, Any] = {"methods": Span(), "level": [0.9, 0.99], "window": 10, "refit_every": 4} | options
    return rolling_forecasts(returns, **chosen).compute(scheduler="synchronous")


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    """To the last bit; the time that it took is no figure."""
    xr.testing.assert_identical(one.drop_vars("fit_seconds"), other.drop_vars("fit_seconds"))


def by_hand(
    returns: Any, *, window: int, refit_every: int, scheme: str, horizon: int
) -> dict[int, tuple[float, float, bool]]:
    """By the row of a loss's last day: the worst loss and the returns that ``Span`` adds, and whether it refitted."""
    found, since, worst = {}, refit_every, 0.0
    for t in range(window, len(returns) - horizon + 1, horizon):
        look_back = returns[t - window : t] if scheme == "rolling" else returns[:t]
        refit = since >= refit_every
        if refit:
            since, worst = 0, horizon * max(-look_back)
        found[t + horizon - 1] = (worst, returns[t - 1] + look_back[0], refit)
        since += horizon
    return found


@given(
    days=st.integers(12, 60),
    window=st.integers(2, 11),
    refit_every=st.integers(1, 9),
    scheme=st.sampled_from(["rolling", "expanding"]),
    horizon=st.sampled_from([1, 2, 5]),
    estimated=st.booleans(),
)
@settings(max_examples=20)
def test_every_forecast_is_that_of_a_plain_loop(
    days: int, window: int, refit_every: int, scheme: str, horizon: int, estimated: bool
) -> None:
    returns = random_returns(max(days, window + horizon), 1, seed=days)
    values = returns["simple_return"].to_numpy()[:, 0]
    every = refit_every if estimated else 10**6  # one that estimates nothing is prepared once
    hand = by_hand(values, window=window, refit_every=every, scheme=scheme, horizon=horizon)
    options = {"window": window, "refit_every": refit_every, "scheme": scheme, "horizon": horizon}
    found = roll(returns, methods=Span(estimated=estimated), level=[0.5, 0.75], **options).isel(method=0, asset=0)
    dates = returns["observation"].to_numpy()
    assert found["observation"].values.tolist() == dates[list(hand)].tolist()
    quantile, loss = found["forecast_value_at_risk"].values, found["realised_loss"].values
    for i, (last, (worst, added, refit)) in enumerate(hand.items()):
        assert loss[i] == pytest.approx(-sum(values[last - horizon + 1 : last + 1]), abs=1e-15)
        assert quantile[:, i] == pytest.approx([0.5 * worst + added, 0.75 * worst + added], abs=1e-15)
        assert found["refitted"].values[i] == refit
    np.testing.assert_array_equal(found["forecast_probability"], loss + 0.5)
    np.testing.assert_array_equal(found["breach"], loss > quantile)
    np.testing.assert_array_equal(found["forecast_expected_shortfall"], quantile + 1.0)
    assert not found["forecast_failed"].any()


@given(
    change=st.integers(11, 49),
    horizon=st.sampled_from([1, 3]),
    scheme=st.sampled_from(["rolling", "expanding"]),
    estimated=st.booleans(),
    shift=st.sampled_from([-0.5, 1e-9, 0.5, 1e6]),
)
@settings(max_examples=15)
def test_changing_the_future_changes_nothing(
    change: int, horizon: int, scheme: str, estimated: bool, shift: float
) -> None:
    returns = random_returns(50, 2)
    other = returns.copy(deep=True)
    other["simple_return"][change:] += shift
    methods = [Span(estimated=estimated), Span(name="twin", estimated=not estimated)]
    one, two = (roll(ds, methods=methods, horizon=horizon, scheme=scheme) for ds in (returns, other))
    # a forecast dated by the last of its days was made before the first of them
    made = np.searchsorted(returns["observation"], one["observation"]) - horizon + 1
    before, after = np.flatnonzero(made <= change), np.flatnonzero(made > change + horizon)
    for name in ("forecast_value_at_risk", "forecast_expected_shortfall", "refitted"):
        np.testing.assert_array_equal(one[name].isel(observation=before), two[name].isel(observation=before))
    if len(after):  # and the change is seen at all
        name = "forecast_value_at_risk"
        assert (one[name].isel(observation=after) != two[name].isel(observation=after)).any()


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("series_per_task", [1, 3])
def test_figures_do_not_depend_on_the_grouping_the_scheduler_or_the_chunks(
    scheduler: str, series_per_task: int
) -> None:
    returns = random_returns(60, 7)
    methods = ["student_t", Span(note="told"), Span(name="twin", estimated=False)]
    base = roll(returns, methods=methods, window=30, horizon=2, refit_every=10)
    lazy = returns.chunk({"observation": 13, "asset": 2})
    for ds in (returns, lazy):
        found = rolling_forecasts(
            ds,
            methods=methods,
            level=[0.9, 0.99],
            window=30,
            refit_every=10,
            horizon=2,
            series_per_task=series_per_task,
        ).compute(scheduler=scheduler)
        assert_same(found, base)


def test_other_processes_give_the_same() -> None:
    returns = random_returns(60, 2)
    graph = rolling_forecasts(returns, methods=["student_t", Span()], level=0.9, window=40)
    assert_same(graph.compute(scheduler="processes", num_workers=1), graph.compute(scheduler="synchronous"))


def test_a_series_alone_and_among_others_is_the_same() -> None:
    returns = random_returns(40, 4)
    one = roll(returns.isel(asset=[2]))
    assert_same(roll(returns, series_per_task=4).isel(asset=[2]), one)


def test_a_computation_fits_once_though_many_variables_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: Counter[str] = Counter()
    lock, fit = threading.Lock(), Span.fit

    def counted(self: Span, *args: Any, **options: Any) -> Any:
        with lock:
            fits[self.name] += 1
        return fit(self, *args, **options)

    monkeypatch.setattr(Span, "fit", counted)
    roll(random_returns(50, 3), methods=[Span(), Span(name="once", estimated=False)])
    assert fits == {"span": 3 * 10, "once": 3}  # 40 days, refitted every 4th
    fits.clear()
    (found,) = dask.compute(rolling_forecasts(random_returns(50, 3), methods=Span(), window=10), scheduler="sync")
    assert fits == {"span": 3 * 2}
    assert found["breach"].dtype == bool


def test_a_graph_is_built_without_computing_and_stays_symbolic(refuse_compute: None) -> None:
    many = xr.Dataset(
        {"simple_return": (("observation", "asset"), da.zeros((40, 5000), chunks=(40, 1)))},
        coords={"observation": np.arange(40), "asset": [str(i) for i in range(5000)]},
    )
    found = rolling_forecasts(many, methods=[Span(), Span(name="twin")], window=20)
    assert set(found) == {*FIGURES, "fit_seconds"}
    stages = set()
    for name, array in found.items():
        assert isinstance(array.data, da.Array)
        describe(str(name))
        validate(found, str(name))
        for key, layer in array.data.dask.layers.items():
            if key.startswith("forecast-"):
                stages.add("-".join(key.split("-")[:2]))
                assert not layer.is_materialized()
    assert {"forecast-roll", "forecast-losses", "forecast-value", "forecast-notes"} <= stages


def test_the_same_question_has_the_same_task_names_and_another_has_not() -> None:
    returns = random_returns(30, 2)
    name = "forecast_value_at_risk"
    base: dict[str, Any] = {"methods": Span(), "window": 10}

    def key(ds: xr.Dataset = returns, **options: Any) -> str:
        return str(rolling_forecasts(ds, **(base | options))[name].data.name)

    assert key() == key()
    others = [
        key(returns + 1e-9),
        key(methods=Span(refuses_above=1.0)),
        key(window=11),
        key(refit_every=7),
        key(level=0.9),
        key(horizon=2),
        key(scheme="expanding"),
        key(start="2020-01-20"),
        key(returns.assign_coords(asset=["A", "C"])),
    ]
    assert len({key(), *others}) == 1 + len(others)


# Days that were not observed


def test_a_series_with_gaps_is_forecast_from_its_own_days() -> None:
    full = random_returns(60, 2)
    gaps = np.zeros((60, 2), bool)
    gaps[[0, 1, 2, 15, 31, 32, 40, 58, 59], 1] = True
    returns = full.where(~xr.DataArray(gaps, dims=("observation", "asset")))
    found = roll(returns, missing="skip")
    own = roll(returns.isel(asset=[1]).dropna("observation"))  # the series without the days that it lacks
    second = found.sel(asset=["B"])
    there = np.isin(second["observation"], own["observation"])
    for name in ("forecast_value_at_risk", "forecast_probability", "realised_loss", "breach", "refitted"):
        np.testing.assert_array_equal(second[name].isel(observation=there), own[name])
        rest = second[name].isel(observation=~there)
        if name == "realised_loss":  # there is one wherever there is a return, before the first forecast too
            continue
        assert rest.isnull().all() if rest.dtype == float else not rest.any()
    assert_same(found.sel(asset=["A"]), roll(full.isel(asset=[0])).assign_attrs(missing="skip"))


def test_a_horizon_with_a_gap_has_no_forecast_and_a_short_series_has_none_at_all() -> None:
    returns = random_returns(32, 2)
    returns["simple_return"][14, 0] = np.nan
    returns["simple_return"][:25, 1] = np.nan
    found = roll(returns, missing="skip", horizon=3)
    quantile = found["forecast_value_at_risk"].sel({"method": "span", "level": 0.9})
    # losses end on rows 12, 15, 18, ...; the second of them spans rows 13 to 15
    assert quantile.sel(asset="A").isnull().values.tolist() == [False, True, *[False] * 5]
    assert found["realised_loss"].sel(asset="A").isnull().values.tolist() == [False, True, *[False] * 5]
    assert quantile.sel(asset="B").isnull().all()
    assert not found["breach"].sel(asset="B").any()


def test_a_missing_return_in_lazy_data_is_found_by_the_task() -> None:
    returns = random_returns(30, 2)
    returns["simple_return"][17, 1] = np.nan
    graph = rolling_forecasts(returns.chunk(), methods=Span(), window=10)
    with pytest.raises(InputError, match="returns: 'B' on 2020-01-18 is nan, not finite"):
        graph.compute(scheduler="synchronous")


# Failures


def failing() -> xr.Dataset:
    """Returns of which the window before the 21st begins with a large one; the refits are on days 11, 15, 19, ..."""
    returns = random_returns(40, 2)
    returns["simple_return"][8, 1] = 0.5
    return returns


def test_a_method_that_can_not_be_fitted_is_an_error_that_says_where() -> None:
    with pytest.raises(InputError, match=r"span: series 'B', forecasts from 2020-01-19 on: span: the first return 0.5"):
        roll(failing(), methods=Span(refuses_above=0.4))


def test_or_its_days_are_empty_counted_and_explained() -> None:
    found = roll(failing(), methods=[Span(refuses_above=0.4), Span(name="twin", note="told")], failures="nan")
    failed = found["forecast_failed"].sel({"method": "span", "asset": "B"})
    assert failed["observation"].values[failed].astype("datetime64[D]").astype(str).tolist() == [
        "2020-01-19",
        "2020-01-20",
        "2020-01-21",
        "2020-01-22",
    ]
    quantile = found["forecast_value_at_risk"].sel({"method": "span", "asset": "B"})
    np.testing.assert_array_equal(quantile.isnull().any("level"), failed)
    assert not found["breach"].sel({"method": "span", "asset": "B"}).where(failed, False).any()
    assert int(found["forecast_failed"].sum()) == 4
    assert forecast_notes(found) == [
        ("span", "B", "no forecast: span: the first return 0.5 is above 0.4", 1),
        ("twin", "A", "told", 8),
        ("twin", "B", "told", 8),
    ]


def test_a_method_without_parameters_fails_on_the_days_concerned_only() -> None:
    span = Span(estimated=False, refused_days=(21,))
    found = roll(random_returns(40, 1), methods=span, failures="nan").squeeze()
    # stretches of refits begin on 10, 14, 18, 22: the one from 18 to 21 fails, all others are as without the failure
    assert np.flatnonzero(found["forecast_failed"]).tolist() == [8, 9, 10, 11]
    plain = roll(random_returns(40, 1), methods=Span(estimated=False)).squeeze()["forecast_value_at_risk"]
    np.testing.assert_array_equal(
        found["forecast_value_at_risk"], plain.where(~found["forecast_failed"]).transpose("level", ...)
    )
    late = Span(estimated=False, refuses_above=0.4)
    returns = random_returns(40, 1)
    returns["simple_return"][0] = 0.5
    found = roll(returns, methods=late, failures="nan").squeeze()
    assert np.flatnonzero(found["forecast_failed"]).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(found["refitted"]).tolist() == [0, 4]


@pytest.mark.parametrize(
    ("method", "text"),
    [
        (Fixed(quantile=np.nan), "fixed: value_at_risk at 0.9 is nan, not finite"),
        (Fixed(shortfall=np.inf), "fixed: expected_shortfall at 0.9 is inf, not finite"),
        (Fixed(quantile=3.0), "fixed: expected_shortfall 2.0 is below value_at_risk 3.0 at 0.9"),
    ],
)
def test_what_is_no_forecast_is_a_failure(method: Fixed, text: str) -> None:
    with pytest.raises(InputError, match=text):
        roll(random_returns(20, 1), methods=method)
    found = roll(random_returns(20, 1), methods=method, failures="nan")
    assert found["forecast_failed"].all()
    assert {note for _, _, note, _ in forecast_notes(found)} == {f"no forecast: {text}"}


def test_a_broken_forecaster_is_no_failure_of_the_data() -> None:
    with pytest.raises(
        TypeError, match=r"fixed: value_at_risk has the shape \(1, 1\), not \(level, day\) = \(2, 4\)"
    ) as e:
        roll(random_returns(20, 1), methods=Fixed(shape=(1, 1)), failures="nan")
    assert e.value.__notes__[0] == "fixed: series 'A', at 2020-01-11"


# What is refused before anything is built


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"methods": []}, "methods: at least one is needed"),
        ({"methods": [Span(), Span()]}, "methods: 'span' is given twice"),
        ({"methods": "best"}, "method: 'best' is not one of"),
        ({"methods": Span(least=11)}, "window: 10 returns are fewer than the 11 that span needs"),
        ({"horizon": 11}, "horizon: 11 days are more than the 10 that span reaches"),
        ({"horizon": 0}, "horizon: 0 is not an integer >= 1"),
        ({"window": 40}, "window: 40 returns before the first forecast leave none of the 40 observations"),
        ({"window": 36, "horizon": 5}, "leave none of the 40 observations for a horizon of 5"),
        ({"window": 1}, "window: 1 is not an integer >= 2"),
        ({"refit_every": 0}, "refit_every: 0 is not an integer >= 1"),
        ({"scheme": "growing"}, "scheme: 'growing' is not one of expanding, rolling"),
        ({"failures": "skip"}, "failures: 'skip' is not one of error, nan"),
        ({"series_per_task": 0}, "series_per_task: 0 is not an integer >= 1"),
        ({"level": 99}, "level: 99 is not a confidence level between 0 and 1; did you mean 0.99"),
        ({"start": "2020-01-10"}, "start: 9 observations before 2020-01-10 are fewer than the window of 10"),
    ],
)
def test_what_can_not_be_asked_is_said_at_once(options: Any, text: str, refuse_compute: None) -> None:
    with pytest.raises(InputError, match=text):
        rolling_forecasts(random_returns(40, 1), **({"methods": Span(), "window": 10} | options))


def test_a_later_start_leaves_the_earlier_days_out() -> None:
    returns = random_returns(40, 1)
    found = roll(returns, start="2020-01-15", refit_every=1)
    assert found["observation"].values[0] == np.datetime64("2020-01-15")
    everything = roll(returns, refit_every=1)
    np.testing.assert_array_equal(
        found["forecast_value_at_risk"], everything["forecast_value_at_risk"].isel(observation=slice(4, None))
    )


def test_the_coordinates_and_attributes_say_what_was_done() -> None:
    found = roll(returns_of(np.linspace(-0.1, 0.1, 30), variable="portfolio_return"), horizon=2, scheme="expanding")
    assert found["horizon_rule"].values.tolist() == ["sums of days"]
    assert found["level"].values.tolist() == [0.9, 0.99]
    assert found["forecast_value_at_risk"].dims == ("method", "portfolio", "level", "observation")
    assert found.attrs == {
        "window": 10,
        "refit_every": 4,
        "scheme": "expanding",
        "horizon": 2,
        "missing": "error",
        "failures": "error",
        "returns": "portfolio_return",
    }
    assert float(found["fit_seconds"].item()) > 0.0


def test_notes_need_their_variable() -> None:
    with pytest.raises(InputError, match="variable 'forecast_notes' is missing"):
        forecast_notes(xr.Dataset())


class Shelf(dict[str, Rolled]):
    """A memory in a dictionary."""

    recall = dict.get
    keep = dict.__setitem__


def test_what_was_kept_is_not_forecast_again(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {
        "methods": Span(),
        "level": 0.9,
        "horizon": 1,
        "window": 10,
        "refit_every": 4,
        "scheme": "rolling",
        "start": None,
        "failures": "error",
    }
    returns, shelf = random_returns(30, 2), Shelf()
    memory: Any = shelf
    first = rolled(returns, memory=memory, **options).compute(scheduler="synchronous")
    assert len(shelf) == 2
    monkeypatch.setattr(Span, "fit", None)  # nothing is fitted from here on
    again = rolled(returns, memory=memory, **options).compute(scheduler="synchronous")
    xr.testing.assert_identical(first, again)
    with pytest.raises(TypeError):
        rolled(returns + 1e-9, memory=memory, **options).compute(scheduler="synchronous")
