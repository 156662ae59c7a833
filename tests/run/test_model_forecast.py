"""The registered models as forecasters: closed forms, the engine's own paths, and the state of the forecast's day."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from arch.data import sp500

from riskops.errors import InputError
from riskops.history.forecasts.laws import NormalLaw
from riskops.history.forecasts.registry import forecaster
from riskops.models import calibrate
from riskops.models.built_in import BUILT_IN
from riskops.run.model_forecast import FittedModel, RegisteredModel, model_forecaster
from riskops.schema import variable
from riskops.simulation import SimulationSpec, simulate

RETURNS = np.diff(np.log(sp500.load()["Adj Close"].to_numpy()))
SAMPLE = RETURNS[:1000]
LEVELS = (0.95, 0.99)


def _table(values: np.ndarray) -> xr.Dataset:
    return variable("log_return", ("observation", "asset"), values[:, None], coords={"asset": ["A"]}).to_dataset()


def test_geometric_brownian_motion_has_the_normal_tail() -> None:
    fit = model_forecaster("geometric_brownian").fit(SAMPLE, levels=LEVELS, days=10)
    told = fit.predict(SAMPLE, np.array([1000]), window=None)
    law, mean, deviation = NormalLaw(), -10.0 * SAMPLE.mean(), math.sqrt(10.0) * SAMPLE.std(ddof=1)
    assert told.value_at_risk_error is not None
    assert told.expected_shortfall_error is not None
    for i, level in enumerate(LEVELS):
        gap = told.value_at_risk[i, 0] - mean - deviation * float(law.quantile(np.array(level)))
        assert abs(gap) < 4.0 * told.value_at_risk_error[i, 0]
        gap = told.expected_shortfall[i, 0] - mean - deviation * law.shortfall(level)
        assert abs(gap) < 4.0 * told.expected_shortfall_error[i, 0]


def test_a_garch_says_what_the_garch_forecaster_says_in_closed_form() -> None:
    ends = np.array([1000, 1005, 1020])
    fit = model_forecaster("garch").fit(SAMPLE, levels=LEVELS, days=1)
    told = fit.predict(RETURNS[:1020], ends, window=1000)
    closed = forecaster("garch_normal").fit(SAMPLE, levels=LEVELS, days=1).predict(RETURNS[:1020], ends, window=1000)
    assert told.value_at_risk_error is not None
    assert np.all(np.abs(told.value_at_risk - closed.value_at_risk) < 4.0 * told.value_at_risk_error)
    # the draws of all days are the same, so what is left is one factor
    scaled = (told.value_at_risk + fit.parameters["mean"]) / (closed.value_at_risk + fit.parameters["mean"])
    assert scaled == pytest.approx(np.repeat(scaled[:, :1], 3, axis=1), rel=1e-12)


def test_filtered_historical_simulation_is_that_of_the_forecaster() -> None:
    fit = model_forecaster("filtered_historical", options={"standardize": False}).fit(SAMPLE, levels=LEVELS, days=5)
    told = fit.predict(SAMPLE, np.array([1000]), window=1000)
    other = forecaster("filtered_historical").fit(SAMPLE, levels=LEVELS, days=5)
    same = other.predict(SAMPLE, np.array([1000]), window=1000)
    assert told.value_at_risk_error is not None
    assert same.value_at_risk_error is not None
    error = np.hypot(told.value_at_risk_error, same.value_at_risk_error)
    assert np.all(np.abs(told.value_at_risk - same.value_at_risk) < 4.0 * error)


def test_draws_are_those_of_the_engine() -> None:
    fit = model_forecaster("student_t", paths=3000, seed=8).fit(SAMPLE, levels=LEVELS, days=5)
    told = fit.predict(SAMPLE, np.array([1000]), window=None)
    model = calibrate(_table(SAMPLE), kind="student_t").model
    spec = SimulationSpec(model, paths=3000, steps=5, seed=8, dtype="float64")
    growth = simulate(spec, times=[5.0])["log_growth"].values[0, 0]
    assert told.value_at_risk[1, 0] == np.sort(-growth)[2969]


@pytest.mark.parametrize("kind", sorted(set(BUILT_IN) - {"pegged"}))
def test_every_model_forecasts_and_starts_where_its_calibration_does(kind: str) -> None:
    one = RegisteredModel(kind)
    fitted = one.fit(SAMPLE)
    assert isinstance(fitted, FittedModel)
    assert fitted.parameters
    if fitted.follow is not None:
        # filtered to the end of the sample it is the calibrated model; two returns later it is not
        at_end, later = fitted.follow(SAMPLE), fitted.follow(RETURNS[:1002])
        for name, value in fitted.model.parameters().items():
            if value is not None:
                assert np.asarray(getattr(at_end, name), float) == pytest.approx(np.asarray(value, float), rel=1e-9)
        assert later != fitted.model
    losses = fitted.losses(SAMPLE, days=2, paths=2048, seed=1)
    assert losses.shape == (2048,)
    assert losses.tolist() == fitted.losses(SAMPLE, days=2, paths=2048, seed=1).tolist()
    # in no window of turmoil: a two-day deviation of one to three per cent
    assert 0.01 < losses.std() < 0.03
    assert fitted.follows == (kind in ("garch", "filtered_historical", "heston", "regime_switching"))


def test_a_given_initial_variance_is_not_followed() -> None:
    fitted = RegisteredModel("heston", {"initial_variance": 0.04}).fit(SAMPLE)
    assert not fitted.follows
    assert fitted.notes[-1] == "the initial variance is given, so that forecasts do not follow the returns"


def test_a_model_that_is_not_known_to_be_without_a_state_is_calibrated_every_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import riskops.run.model_forecast as module

    monkeypatch.setattr(module, "_STATELESS", ())
    fitted = RegisteredModel("geometric_brownian").fit(SAMPLE)
    assert fitted.follow is not None
    again = calibrate(_table(RETURNS[500:1400]), kind="geometric_brownian").model
    assert fitted.follow(RETURNS[500:1400]).parameters() == again.parameters()


def test_names_records_and_refusals() -> None:
    one = model_forecaster("garch", options={"innovations": "student_t", "asymmetry": True}, paths=2048)
    assert one.name == "monte_carlo_garch_asymmetry_true_innovations_student_t_2048_paths"
    assert one.record()["model"] == {"kind": "garch", "options": {"innovations": "student_t", "asymmetry": True}}
    assert model_forecaster("heston").least == 250
    for kind, options, text in (
        ("pegged", {}, "model.kind: pegged needs the price itself"),
        ("hull_white", {}, "model.kind: 'hull_white' is unknown"),
        ("garch", {"window": 500}, "model.window: is no option of garch here"),
        ("garch", {"lags": 2}, "model.lags: is no option of garch here"),
    ):
        with pytest.raises(InputError) as caught:
            model_forecaster(kind, options=options)
        assert str(caught.value).startswith(text)
