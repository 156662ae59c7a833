"""The ensemble: weights from what was known, and from nothing later."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from riskops.errors import InputError
from riskops.history.ensemble import ensemble

LEVELS = (0.95, 0.99)
DIMS = ("method", "asset", "level", "observation")
#: The volatility that each member believes in, and the true one of the second asset after half of the days.
BELIEFS = {"low": 0.7, "right": 1.0, "high": 1.5}
DAYS = 600


def _forecasts(*, seed: int = 1, days: int = DAYS, assets: int = 2) -> xr.Dataset:
    losses = np.random.default_rng(seed).normal(0.0, 1.0, (assets, days))
    losses[1:, days // 2 :] *= 1.5
    quantile, shortfall = (np.empty((len(BELIEFS), assets, len(LEVELS), days)) for _ in range(2))
    for m, belief in enumerate(BELIEFS.values()):
        for i, level in enumerate(LEVELS):
            z = stats.norm.ppf(level)
            quantile[m, :, i] = belief * z
            shortfall[m, :, i] = belief * stats.norm.pdf(z) / (1.0 - level)
    return xr.Dataset(
        {
            "forecast_value_at_risk": (DIMS, quantile),
            "forecast_expected_shortfall": (DIMS, shortfall),
            "realised_loss": (("asset", "observation"), losses),
        },
        coords={
            "method": list(BELIEFS),
            "asset": [f"A{i}" for i in range(assets)],
            "level": list(LEVELS),
            "observation": np.datetime64("2001-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D"),
        },
    )


@pytest.fixture(scope="module")
def held() -> xr.Dataset:
    return _forecasts()


def _score(kind: str, loss: Any, v: Any, e: Any, level: float) -> Any:
    """The scores, written out for one forecast."""
    if kind == "tick":
        return (loss - v) * (level - (loss < v))
    return np.maximum(loss - v, 0.0) / ((1.0 - level) * e) + v / e + np.log(e) - 1.0


def _past_scores(held: xr.Dataset, kind: str, asset: int, level: int, days: slice) -> Any:
    """The scores ``(member, day)`` of some days."""
    past = held.isel(asset=asset, level=level, observation=days)
    v, e = past["forecast_value_at_risk"].values, past["forecast_expected_shortfall"].values
    return np.stack([_score(kind, past["realised_loss"].values, v[m], e[m], LEVELS[level]) for m in range(len(v))])


@pytest.mark.parametrize("kind", ["fissler_ziegel", "tick"])
def test_weights_are_the_formula_on_the_losses_before(held: xr.Dataset, kind: Any) -> None:
    found = ensemble(held, score=kind, window=120, learning_rate=0.5, minimum_weight=0.05).compute()
    day, i = 333, 1
    scores = _past_scores(held, kind, 1, i, slice(day - 120, day))
    shown = found["member_score"].isel(asset=1, level=i, observation=day).values
    # an additive constant of the score is no matter
    assert shown - shown[0] == pytest.approx(scores.mean(axis=1) - scores.mean(axis=1)[0], rel=1e-9, abs=1e-12)
    sums = scores.sum(axis=1) / (scores.mean() if kind == "tick" else 1.0)
    raw = np.exp(-0.5 * (sums - sums.min()))
    expected = 0.05 + 0.85 * raw / raw.sum()
    weights = found["ensemble_weight"].isel(asset=1, level=i, observation=day).values
    assert weights == pytest.approx(expected, rel=1e-9)
    for name in ("forecast_value_at_risk", "forecast_expected_shortfall"):
        member = held[name].isel(asset=1, level=i, observation=day).values
        assert found[name].isel(method=0, asset=1, level=i, observation=day).item() == pytest.approx(
            float(np.sum(weights * member)), rel=1e-12
        )


@pytest.mark.parametrize("lag", [1, 10])
def test_the_future_changes_nothing_before_it(held: xr.Dataset, lag: int) -> None:
    """From a day on every loss and forecast is another: all before is the same to the last bit."""
    day = 400
    changed = held.copy(deep=True)
    changed["realised_loss"][:, day:] = 50.0
    for name in ("forecast_value_at_risk", "forecast_expected_shortfall"):
        changed[name][:, :, :, day + 1 :] *= np.array([3.0, 0.2, 7.0])[:, None, None, None]
    options: dict[str, Any] = {"window": 100, "confidence_set": 0.75, "update_every": 80, "lag": lag}
    one, two = (ensemble(ds, **options).compute() for ds in (held, changed))
    # the day's own loss is not known when its forecast is made, nor are those of the lag before the next
    known = {"ensemble_weight": lag, "member_score": lag, "forecast_value_at_risk": 1, "forecast_expected_shortfall": 1}
    for name, days in known.items():
        before = slice(0, day + days)
        xr.testing.assert_identical(one[name].isel(observation=before), two[name].isel(observation=before))
    after = slice(day + 80 + lag, None)
    assert not np.array_equal(one["member_score"].isel(observation=after), two["member_score"].isel(observation=after))


def test_yesterday_counts_today(held: xr.Dataset) -> None:
    """The last known loss does enter: a weight of day t moves with the loss of day t - lag."""
    for lag in (1, 3):
        changed = held.copy(deep=True)
        changed["realised_loss"][0, 300] = 9.0
        one, two = (ensemble(ds, lag=lag)["ensemble_weight"].isel(asset=0, level=0).compute() for ds in (held, changed))
        moved = np.flatnonzero((one.values != two.values).any(axis=0))
        assert moved[0] == 300 + lag
        assert moved[-1] == 300 + lag + 249


def test_it_finds_the_member_that_is_right(held: xr.Dataset) -> None:
    found = ensemble(held, minimum_weight=0.02, learning_rate=1.0).compute()
    weights = found["ensemble_weight"].sel(level=0.95)
    assert weights.sel(asset="A0").isel(observation=slice(300, None)).mean("observation").idxmax("member") == "right"
    assert float(weights.sel(asset="A0", member="right").isel(observation=slice(300, None)).mean()) > 0.8
    # the second asset's volatility rose by half in the middle
    assert weights.sel(asset="A1").isel(observation=-1).idxmax("member") == "high"
    assert np.allclose(found["ensemble_weight"].sum("member"), 1.0, rtol=0.0, atol=1e-12)
    assert float(found["ensemble_weight"].min()) >= 0.02
    assert float(found["ensemble_weight"].min()) == pytest.approx(0.02, rel=1e-3)
    assert bool((found["forecast_expected_shortfall"] > found["forecast_value_at_risk"]).all())
    beyond = held["realised_loss"] > found["forecast_value_at_risk"].isel(method=0)
    assert np.array_equal(found["breach"].isel(method=0), beyond.transpose("asset", "level", "observation"))


def test_weights_are_equal_until_there_is_enough_to_go_by(held: xr.Dataset) -> None:
    weights = ensemble(held, minimum_history=80)["ensemble_weight"].compute()
    assert np.allclose(weights.isel(observation=slice(0, 80)), 1.0 / 3.0, rtol=1e-15)
    assert not np.any(np.isclose(weights.isel(observation=80), 1.0 / 3.0, rtol=1e-6))
    equal = ensemble(held, learning_rate=0.0)
    assert np.allclose(
        equal["forecast_value_at_risk"].isel(method=0), held["forecast_value_at_risk"].mean("method"), rtol=1e-14
    )


def test_a_member_without_a_forecast_has_no_weight_and_no_blame(held: xr.Dataset) -> None:
    gaps = held.copy(deep=True)
    gaps["forecast_value_at_risk"][1, :, :, 200:260] = np.nan
    gaps["forecast_expected_shortfall"][1, :, :, 200:260] = np.nan
    gaps["forecast_value_at_risk"][:, 0, :, 250] = np.nan
    gaps["realised_loss"][:, 500] = np.nan
    found = ensemble(gaps, minimum_weight=0.1).compute()
    weights = found["ensemble_weight"].isel(level=0)
    assert np.all(weights.isel(asset=1, member=1, observation=slice(200, 260)) == 0.0)
    assert np.allclose(weights.isel(asset=1).sum("member"), 1.0, rtol=0.0, atol=1e-12)
    assert float(weights.isel(asset=1, observation=slice(200, 260)).sel(member=["low", "high"]).min()) >= 0.1
    # the member that was right comes back with the weight that it had earned before
    assert weights.isel(asset=0, observation=260).idxmax("member") == "right"
    assert np.all(np.isnan(weights.isel(asset=0, observation=250)))
    assert np.all(np.isnan(found["forecast_value_at_risk"].isel(asset=0, observation=250)))
    assert not np.any(found["breach"].isel(asset=0, observation=250))
    assert not np.any(found["breach"].isel(observation=500))


def test_the_confidence_set_is_that_of_arch_on_the_window(held: xr.Dataset) -> None:
    from arch.bootstrap import MCS

    found = ensemble(held, window=200, confidence_set=0.9, update_every=50, minimum_weight=0.1).compute()
    weights = found["ensemble_weight"].isel(level=0).sel(asset="A0")
    scores = _past_scores(held, "fissler_ziegel", 0, 0, slice(350, 550))
    test = MCS(scores.T, size=0.1, reps=2000, seed=5)
    test.compute()
    kept = {list(BELIEFS)[i] for i in test.included}
    shown = weights.isel(observation=slice(550, 600))
    assert {str(m) for m in weights["member"].values if float(shown.sel(member=m).max()) > 0.0} == kept
    assert kept == {"right"}
    assert np.array_equal(shown, np.broadcast_to(shown[:, :1], shown.shape))  # kept until the next update


def test_equal_members_share_a_verdict(held: xr.Dataset) -> None:
    twice = held.isel(method=[1, 0, 1]).assign_coords(method=["right", "low", "again"])
    weights = ensemble(twice, learning_rate=1.0, confidence_set=0.75, update_every=150)["ensemble_weight"].compute()
    assert np.array_equal(weights.sel(member="right"), weights.sel(member="again"))
    assert float(weights.sel(member="again").isel(observation=-1, level=0, asset=0)) == pytest.approx(0.5)


@pytest.mark.parametrize("score", ["fissler_ziegel", "tick"])
def test_the_rate_of_a_day_follows_how_far_apart_the_scores_were(held: xr.Dataset, score: str) -> None:
    found = ensemble(held, score=score, window=200)["ensemble_weight"].isel(level=0).sel(asset="A0").compute()
    for day in (260, 500):
        past = _past_scores(held, score, 0, 0, slice(day - 200, day))
        excess = past - past.mean(axis=0)
        variance, widest = np.var(past, axis=0).sum(), np.ptp(past, axis=0).max()
        constant = np.sqrt(2.0 * (np.sqrt(2.0) - 1.0) / (np.e - 2.0))
        rate = min(1.0 / widest, constant * np.sqrt(np.log(3.0) / variance))
        expected = np.exp(-rate * excess.sum(axis=1))
        assert np.allclose(found.isel(observation=day), expected / expected.sum(), rtol=1e-10)
    right = ensemble(held, score=score)["ensemble_weight"].sel(asset="A0", member="right").isel(level=0).compute()
    assert float(right.isel(observation=slice(300, None)).mean()) > 0.45


def test_members_that_never_differ_share_the_weight(held: xr.Dataset) -> None:
    same = held.isel(method=[1, 1]).assign_coords(method=["one", "other"])
    assert np.array_equal(ensemble(same)["ensemble_weight"], np.full((2, 2, 2, held.sizes["observation"]), 0.5))


def test_it_is_lazy_a_task_a_series_and_the_same_for_all_chunks(held: xr.Dataset) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        lazy = ensemble(held.chunk(asset=1, method=2, observation=100))
    assert lazy["forecast_value_at_risk"].chunks[1] == (1, 1)
    one = ensemble(held).compute(scheduler="synchronous")
    xr.testing.assert_identical(lazy.compute(), one)
    alone = ensemble(held.isel(asset=[1])).compute()
    xr.testing.assert_identical(alone, one.isel(asset=[1]))
    single = ensemble(held.isel(asset=1)).compute()
    assert single["ensemble_weight"].dims == ("member", "level", "observation")
    assert np.array_equal(single["ensemble_weight"], one["ensemble_weight"].isel(asset=1))


def test_it_stands_beside_its_members(held: xr.Dataset) -> None:
    both = xr.concat([held["forecast_value_at_risk"], ensemble(held)["forecast_value_at_risk"]], "method")
    assert list(both["method"].values) == ["low", "right", "high", "ensemble"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"score": "brier"}, r"score: 'brier' is not one of fissler_ziegel, tick"),
        (
            {"minimum_weight": 0.4},
            r"minimum_weight: 0.4 for each of 3 members is more than one in all; at most 0.333333",
        ),
        ({"minimum_weight": -0.1}, r"minimum_weight: -0.1 is not above zero"),
        ({"confidence_set": 75}, r"confidence_set: 75 is not .* did you mean 0.75"),
        ({"window": 20}, r"minimum_history: 50 is more than the window of 20"),
        ({"name": "low"}, r"method: 'low' is given twice"),
        ({"lag": 0}, r"lag: 0 is not an integer >= 1"),
    ],
)
def test_what_it_refuses(held: xr.Dataset, options: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        ensemble(held, **options)


def test_what_it_refuses_of_the_forecasts(held: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"forecasts: 1 method makes no ensemble"):
        ensemble(held.isel(method=[0]))
    with pytest.raises(InputError, match=r"it has no dim 'level'"):
        ensemble(held.isel(level=0))
    with pytest.raises(InputError, match=r"variable 'realised_loss' is missing"):
        ensemble(held.drop_vars("realised_loss"))
    negative = held.copy(deep=True)
    negative["forecast_expected_shortfall"][1, 0, 0, 7] = -1.0
    with pytest.raises(InputError, match=r"that of member 1, forecast 7, is -1.0; use score='tick'"):
        ensemble(negative).compute(scheduler="synchronous")
    assert ensemble(negative, score="tick").compute(scheduler="synchronous")
