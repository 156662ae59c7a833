"""Geometric Brownian motion: its checks, its fit, its exact moments, its kernel and its scenarios."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.models import GeometricBrownianMotion, calibrate, from_record
from riskops.models.geometric_brownian import _advance, step
from riskops.schema import variable

ASSETS = ("A", "B", "C")
DRIFT = np.array([0.08, -0.02, 0.0])
VOLATILITY = np.array([0.2, 0.35, 0.1])
CORRELATION = np.array([[1.0, 0.5, -0.2], [0.5, 1.0, 0.1], [-0.2, 0.1, 1.0]])


@pytest.fixture
def model() -> GeometricBrownianMotion:
    return GeometricBrownianMotion(ASSETS, DRIFT, VOLATILITY, CORRELATION)


def log_returns(values, assets=ASSETS, start="2020-01-01") -> xr.Dataset:
    days = np.datetime64(start, "ns") + np.arange(len(values)) * np.timedelta64(1, "D")
    coords = {"observation": days, "asset": list(assets)}
    return variable("log_return", ("observation", "asset"), np.asarray(values), coords=coords).to_dataset()


@pytest.fixture
def returns() -> xr.Dataset:
    rng = np.random.default_rng(8)
    lower = np.linalg.cholesky(CORRELATION)
    return log_returns(0.0003 + 0.01 * rng.standard_normal((500, 3)) @ lower.T)


def simulate(model: GeometricBrownianMotion, *, paths: int, steps: int, years: float) -> np.ndarray:
    """Log growth from the model's own tables and kernel, with NumPy's normals."""
    rng = np.random.default_rng(20)
    tables = model.tables(years / steps)
    state = {"log_growth": np.zeros((len(model.assets), paths))}
    for _ in range(steps):
        shock = tables["mixing"] @ rng.standard_normal((len(model.assets), paths))
        model.advance(state, {"diffusion": shock}, tables)
    return state["log_growth"]


# --- the value ---------------------------------------------------------------------------------------------------


def test_parameters_are_copied_frozen_and_read_only(model):
    source = DRIFT.copy()
    made = GeometricBrownianMotion(ASSETS, source, VOLATILITY, CORRELATION)
    source[0] = 9.0
    assert made == model
    for loaded in (made, pickle.loads(pickle.dumps(made))):
        assert loaded == model
        assert loaded.fingerprint() == model.fingerprint()
        for name in ("drift", "volatility", "correlation"):
            array = getattr(loaded, name)
            assert array.dtype == np.float64
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.drift = source


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"assets": ()}, "assets: at least one is needed"),
        ({"assets": ("A", "B", "A")}, "assets: 'A' is given twice"),
        ({"assets": ("A", "B", "")}, "assets: '' is not a name"),
        ({"assets": ("A", "B", 3)}, "assets: 3 is not a name"),
        ({"drift": [0.1, 0.1]}, r"drift: shape \(2,\) is not \(3,\), one number an asset"),
        ({"drift": [0.1, np.inf, 0.1]}, r"drift: .*inf.* at index \(1,\) is not finite"),
        ({"volatility": [[0.1, 0.1, 0.1]]}, r"volatility: shape \(1, 3\) is not \(3,\)"),
        ({"volatility": [0.1, 0.0, 0.1]}, "volatility of 'B': 0.0 is not above zero"),
        ({"volatility": [0.1, 0.2, np.nan]}, r"volatility: .*nan.* at index \(2,\) is not finite"),
        ({"correlation": np.eye(2)}, r"correlation: shape \(2, 2\) is not \(3, 3\)"),
        (
            {"correlation": [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]},
            r"correlation: is not positive definite \(smallest eigenvalue -0\.8\); nearest_correlation",
        ),
    ],
)
def test_bad_parameters_are_refused(change, text):
    parameters = {"assets": ASSETS, "drift": DRIFT, "volatility": VOLATILITY, "correlation": CORRELATION}
    with pytest.raises(InputError, match=text):
        GeometricBrownianMotion(**(parameters | change))


@given(
    drift=st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=2),
    volatility=st.lists(st.floats(1e-300, 1e100), min_size=2, max_size=2),
    correlation=st.floats(-0.999, 0.999),
)
def test_record_survives_json_bit_for_bit(drift, volatility, correlation):
    made = GeometricBrownianMotion(("A", "B"), drift, volatility, [[1, correlation], [correlation, 1]])
    again = from_record(json.loads(json.dumps(made.record())))
    assert isinstance(again, GeometricBrownianMotion)
    assert again == made
    for name in ("drift", "volatility", "correlation"):
        assert getattr(again, name).tobytes() == getattr(made, name).tobytes()


# --- the fit -----------------------------------------------------------------------------------------------------


def test_fit_is_the_sample_of_the_window(returns):
    values = returns["log_return"].values[-300:]
    fitted = GeometricBrownianMotion.fit(returns, window=300, days_per_year=250)
    covariance = np.cov(values.T) * 250
    np.testing.assert_allclose(fitted.volatility, values.std(axis=0, ddof=1) * np.sqrt(250), rtol=1e-13)
    np.testing.assert_allclose(fitted.correlation, np.corrcoef(values.T), rtol=0, atol=1e-13)
    np.testing.assert_allclose(fitted.covariance_log_growth(1.0), covariance, rtol=1e-12)
    np.testing.assert_allclose(fitted.mean_log_growth(1.0), values.mean(axis=0) * 250, rtol=1e-11)
    np.testing.assert_array_equal(fitted.correlation, fitted.correlation.T)
    np.testing.assert_array_equal(np.diagonal(fitted.correlation), 1.0)


def test_fitted_drift_is_zero_or_given_when_asked(returns):
    assert GeometricBrownianMotion.fit(returns, drift="zero").drift.tolist() == [0.0, 0.0, 0.0]
    rates = {"C": 0.03, "A": 0.01, "B": -0.02}
    assert GeometricBrownianMotion.fit(returns, drift=rates).drift.tolist() == [0.01, -0.02, 0.03]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"drift": "momentum"}, "drift: 'momentum' is not 'historical', 'zero' or a mapping"),
        ({"drift": 0.05}, "drift: 0.05 is not 'historical', 'zero' or a mapping"),
        ({"drift": {"A": 0.1, "B": 0.1}}, "drift: 'C' is missing"),
        ({"drift": {"A": 0.1, "B": 0.1, "C": 0.1, "D": 0.1}}, "drift: 'D' is unknown; known are A, B, C"),
        ({"drift": {"A": 0.1, "B": 0.1, "C": float("nan")}}, "drift of 'C': nan is not a finite number"),
        ({"window": 501}, "window: 501 observations were asked for and there are 500"),
        ({"window": 1}, "window: 1 is not an integer >= 2"),
        ({"window": 3}, r"correlation: is not positive definite .*nearest_correlation"),
        ({"days_per_year": 0}, "days_per_year: 0 is not above zero"),
        ({"nearest_correlation": "yes"}, "nearest_correlation: 'yes' is not true or false"),
    ],
)
def test_bad_fit_options_are_refused(returns, options, text):
    with pytest.raises(InputError, match=text):
        GeometricBrownianMotion.fit(returns, **options)


@pytest.mark.parametrize("level", [0.0, 0.001, -0.1 / 3])
def test_a_constant_series_is_named(returns, level):
    values = returns["log_return"].values.copy()
    values[-100:, 1] = level
    with pytest.raises(InputError, match="log_return: the returns of 'B' do not vary over the window"):
        GeometricBrownianMotion.fit(log_returns(values), window=100)


def test_unusable_returns_are_refused(returns):
    values = returns["log_return"].values.copy()
    values[7, 2] = np.nan
    with pytest.raises(InputError, match=r"log_return: .*nan.* at index \(7, 2\) is not finite"):
        GeometricBrownianMotion.fit(log_returns(values))
    with pytest.raises(InputError, match="log_return: 1 observations are too few"):
        GeometricBrownianMotion.fit(log_returns(values[:1]))
    with pytest.raises(InputError, match="variable 'log_return' is missing"):
        GeometricBrownianMotion.fit(returns.rename(log_return="price"))
    with pytest.raises(InputError, match="log_return: the asset coordinate is missing"):
        GeometricBrownianMotion.fit(returns.drop_vars("asset"))


def test_calibration_reports_window_and_options(returns):
    calibration = calibrate(returns, kind="geometric_brownian", options={"window": 60, "drift": "zero"})
    assert calibration.model == GeometricBrownianMotion.fit(returns, window=60, drift="zero")
    assert calibration.report == {
        "observations": 60,
        "window_start": "2021-03-16",
        "window_end": "2021-05-14",
        "days_per_year": 252.0,
        "options": {"drift": "zero", "window": 60, "nearest_correlation": False, "factors": None},
        "nearest_correlation": None,
        "factors": None,
    }


def test_calibration_reports_the_repair(returns):
    calibration = calibrate(returns, kind="geometric_brownian", options={"window": 3, "nearest_correlation": True})
    repair = calibration.report["nearest_correlation"]
    assert repair["frobenius_distance"] > 0.0
    assert repair["eigenvalues_before"][0] < 1e-12 < repair["eigenvalues_after"][0]
    assert json.loads(json.dumps(calibration.report)) == calibration.report


# --- moments and kernel ------------------------------------------------------------------------------------------


def test_exact_moments_agree_with_a_direct_simulation(model):
    paths, years = 200_000, 1.5
    growth = simulate(model, paths=paths, steps=3, years=years)
    for sample, mean, covariance in (
        (growth, model.mean_log_growth(years), model.covariance_log_growth(years)),
        (np.expm1(growth), model.mean_simple_return(years), model.covariance_simple_return(years)),
    ):
        error = sample.std(axis=1) / np.sqrt(paths)
        assert np.all(np.abs(sample.mean(axis=1) - mean) < 4 * error)
        centred = sample - mean[:, None]
        for i in range(3):
            for j in range(3):
                product = centred[i] * centred[j]
                assert abs(product.mean() - covariance[i, j]) < 4 * product.std() / np.sqrt(paths)


def test_tables_are_the_drift_and_factor_of_one_step(model):
    tables = model.tables(1 / 252)
    np.testing.assert_allclose(tables["mixing"] @ tables["mixing"].T, model.covariance_log_growth(1 / 252), rtol=1e-13)
    np.testing.assert_allclose(tables["drift"], model.mean_log_growth(1 / 252), rtol=1e-14)
    with pytest.raises(InputError, match="step_years: 0 is not above zero"):
        model.tables(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernel_runs_as_plain_python_with_the_same_bits(dtype):
    rng = np.random.default_rng(4)
    compiled = rng.standard_normal((3, 7)).astype(dtype)
    plain = compiled.copy()
    shock = rng.standard_normal((3, 7)).astype(dtype)
    drift = rng.standard_normal(3).astype(dtype)
    expected = compiled + (drift[:, None] + shock)
    GeometricBrownianMotion.advance({"log_growth": compiled}, {"diffusion": shock}, {"drift": drift})
    _advance.py_func(plain, shock, drift)
    assert compiled.tobytes() == plain.tobytes() == expected.tobytes()
    assert compiled.dtype == dtype
    assert step(1.0, 0.25, 0.5) == 1.75


def test_model_building_var_of_hull():
    """Hull, *Options, Futures, and Other Derivatives*, 8th edition, section 21.3: Microsoft and AT&T."""
    volatility = np.array([0.02, 0.01]) * np.sqrt(252)
    hull = GeometricBrownianMotion(("MSFT", "T"), [0.0, 0.0], volatility, [[1.0, 0.3], [0.3, 1.0]])
    positions = np.array([10_000_000.0, 5_000_000.0])
    quantile = 2.326  # the value that Hull rounds to

    def deviation(held: np.ndarray, days: int) -> float:
        return float(np.sqrt(held @ hull.covariance_log_growth(days / 252) @ held))

    published = 4e-4  # the book rounds to hundreds
    assert deviation(positions, 1) == pytest.approx(220_227, rel=published)
    assert quantile * deviation(positions, 10) == pytest.approx(1_620_100, rel=published)
    microsoft, telephone = np.array([positions[0], 0.0]), np.array([0.0, positions[1]])
    for held, one_day, ten_days in ((microsoft, 465_300, 1_471_300), (telephone, 116_300, 367_800)):
        assert quantile * deviation(held, 1) == pytest.approx(one_day, rel=published)
        assert quantile * deviation(held, 10) == pytest.approx(ten_days, rel=published)


# --- scenarios ---------------------------------------------------------------------------------------------------


def test_shocked_changes_what_was_asked_for_only(model):
    assert model.shocked() is model
    shocked = model.shocked(volatility=2.0, correlation=0.5, drift=-0.2)
    np.testing.assert_array_equal(shocked.volatility, 2.0 * VOLATILITY)
    np.testing.assert_array_equal(shocked.drift, DRIFT - 0.2)
    np.testing.assert_allclose(shocked.correlation, 0.5 * CORRELATION + 0.5, rtol=1e-15)
    louder = model.shocked(volatility=2.0)
    assert louder.correlation.tobytes() == model.correlation.tobytes()
    np.testing.assert_array_equal(louder.mean_simple_return(1.0), model.mean_simple_return(1.0))


@settings(max_examples=30)
@given(st.floats(0.01, 10.0), st.floats(0.0, 0.999), st.floats(-1.0, 1.0))
def test_shocked_model_is_always_valid(volatility, correlation, drift):
    base = GeometricBrownianMotion(ASSETS, DRIFT, VOLATILITY, CORRELATION)
    assert base.shocked(volatility=volatility, correlation=correlation, drift=drift).tables(0.1)["mixing"].shape == (
        3,
        3,
    )


@pytest.mark.parametrize(
    ("shock", "text"),
    [
        ({"volatility": 0.0}, "volatility shock: 0.0 is not above zero"),
        ({"correlation": 1.0}, r"share: 1.0 is not in \[0, 1\)"),
        ({"correlation": -0.1}, r"share: -0.1 is not in \[0, 1\)"),
        ({"drift": float("inf")}, "drift shock: inf is not a finite number"),
    ],
)
def test_bad_shocks_are_refused(model, shock, text):
    with pytest.raises(InputError, match=text):
        model.shocked(**shock)
