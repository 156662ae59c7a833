"""The fit of regime switching and the inference about regimes, held to statsmodels, to Stata and to simulated truth."""

from __future__ import annotations

import ast
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from statsmodels.tsa.regime_switching import markov_regression
from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

from riskops.errors import InputError
from riskops.market import load_prices, log_returns
from riskops.models import GeometricBrownianMotion, RegimeSwitching, calibrate
from riskops.models.markov_chain import stationary_distribution
from riskops.models.regime_filter import infer
from riskops.models.regime_history import regime_probabilities
from riskops.schema import validate, variable

WINDOW = 2520


@pytest.fixture(scope="module")
def index() -> xr.Dataset:
    return log_returns(load_prices("sp500_index"))


@pytest.fixture(scope="module")
def stocks() -> xr.Dataset:
    return log_returns(load_prices("sp500"))


@pytest.fixture(scope="module")
def fitted(index):
    return RegimeSwitching.calibrate(index, window=WINDOW)


def table_of(values: np.ndarray, assets: tuple[str, ...]) -> xr.Dataset:
    return variable("log_return", ("observation", "asset"), values, coords={"asset": list(assets)}).to_dataset()


def peer(index: xr.Dataset, model: RegimeSwitching) -> tuple[MarkovRegression, np.ndarray]:
    """The same model in statsmodels, which starts from the stationary distribution, and its parameters in percent."""
    percent = 100.0 * index["log_return"].values[-WINDOW:, 0]
    mean, covariance = model.daily_moments()
    own = [*model.transition[:, :-1].T.ravel(), *(100 * mean[:, 0]), *(1e4 * covariance[:, 0, 0])]
    return MarkovRegression(percent, k_regimes=len(model.transition), switching_variance=True), np.array(own)


# --- other programs ----------------------------------------------------------------------------------------------


def test_filter_reproduces_the_likelihood_that_stata_publishes():
    """Stata 14 manual, [TS] mswitch: absolute S&P 500 returns with a switching mean, lag and variance."""
    # the data stand in statsmodels' own tests, which pytest may not import
    source = Path(markov_regression.__file__).with_name("tests") / "test_markov_regression.py"
    lists = {
        node.targets[0].id: node.value
        for node in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    y = np.array(ast.literal_eval(lists["areturns"]))
    transition = np.array([[0.7530865, 1 - 0.7530865], [0.6825357, 1 - 0.6825357]])
    constant, lag = np.array([0.7641424, 1.972771]), np.array([0.0790744, 0.527953])
    density = stats.norm.logpdf(y[1:, None], constant + lag * y[:-1, None], [0.5895792, 1.605333])
    found = infer(density, transition, stationary_distribution(transition))
    assert found.log_likelihood == pytest.approx(-745.7977, abs=5e-5)


def test_inference_agrees_with_statsmodels(index, fitted):
    found = regime_probabilities(index.isel(observation=slice(-WINDOW, None)), model=fitted.model)
    other, parameters = peer(index, fitted.model)
    expected = other.smooth(parameters)
    likelihood = expected.llf + WINDOW * np.log(100.0)
    assert found.attrs["log_likelihood"] == pytest.approx(likelihood, rel=1e-11)
    for name, probabilities in (
        ("filtered_regime_probability", expected.filtered_marginal_probabilities),
        ("smoothed_regime_probability", expected.smoothed_marginal_probabilities),
    ):
        np.testing.assert_allclose(found[name].values, probabilities, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found[name].sum("state"), 1.0, rtol=1e-12)
    validate(found, "filtered_regime_probability", "smoothed_regime_probability")


def test_fit_agrees_with_statsmodels(index, fitted):
    """Both maximise the same likelihood but for the first day, whose law is free here and stationary there."""
    other, own = peer(index, fitted.model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = other.fit(disp=False)
    assert 0.0 <= found.llf - other.loglike(own) < 0.02
    assert np.all(np.abs(own - found.params) < 0.15 * found.bse)
    assert fitted.report["log_likelihood"] - WINDOW * np.log(100.0) == pytest.approx(found.llf, abs=1.5)
    errors = fitted.report["standard_errors"]
    np.testing.assert_allclose(np.array(errors["transition"])[:, 0], found.bse[:2], rtol=0.01)
    np.testing.assert_allclose(100 / 252 * np.array(errors["mean_log_return"])[:, 0], found.bse[2:4], rtol=0.01)
    deviation = 100 / np.sqrt(252) * fitted.model.volatility[:, 0]
    error = 2 * deviation * 100 / np.sqrt(252) * np.array(errors["volatility"])[:, 0]
    np.testing.assert_allclose(error, found.bse[4:], rtol=0.01)


def test_no_direction_leads_up_from_the_fit(index, fitted):
    """The derivatives of the likelihood that the fit maximises vanish there, in units of standard errors."""
    returns = index["log_return"].values[-WINDOW:]
    mean, covariance = fitted.model.daily_moments()
    first, errors = np.array(fitted.report["smoothed_probability_at_start"]), fitted.report["standard_errors"]
    at = np.array([*fitted.model.transition[:, 0], *mean[:, 0], *np.sqrt(covariance[:, 0, 0])])
    deviation = np.array(errors["volatility"])[:, 0] / np.sqrt(252)
    unit = np.array([*np.array(errors["transition"])[:, 0], *(np.array(errors["mean_log_return"])[:, 0] / 252)])
    unit = np.append(unit, deviation)

    def likelihood(x: np.ndarray) -> float:
        transition = np.column_stack([x[:2], 1 - x[:2]])
        return infer(stats.norm.logpdf(returns, x[2:4], x[4:]), transition, first).log_likelihood

    assert likelihood(at) == pytest.approx(fitted.report["log_likelihood"], rel=1e-11)
    for step in np.diag(unit):
        slope = (likelihood(at + 0.01 * step) - likelihood(at - 0.01 * step)) / 0.02
        assert abs(slope) < 2e-3
        assert likelihood(at + step) < likelihood(at) - 0.3
        assert likelihood(at - step) < likelihood(at) - 0.3


def test_three_regimes_are_as_likely_as_statsmodels_finds_them(index):
    calibration = RegimeSwitching.calibrate(index, window=WINDOW, regimes=3)
    other, own = peer(index, calibration.model)
    start = own.copy()
    start[:6] = np.clip(start[:6], 1e-4, 1 - 1e-3)  # its optimiser works on logarithms of the odds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = other.fit(start_params=start, em_iter=0, disp=False, maxiter=20)
    assert other.loglike(own) > found.llf - 0.05
    two = RegimeSwitching.calibrate(index, window=WINDOW).report
    assert calibration.report["log_likelihood"] > two["log_likelihood"] + 50
    assert np.all(np.diff(calibration.model.volatility[:, 0]) > 0)


def test_crises_are_found_where_they_were(index):
    model = RegimeSwitching.fit(index)
    turbulent = regime_probabilities(index, model=model)["smoothed_regime_probability"].sel(state=1)
    for day, expected in (("2008-10-15", 1.0), ("2020-03-16", 1.0), ("1995-06-15", 0.0), ("2017-07-05", 0.0)):
        assert float(turbulent.sel(observation=day)) == pytest.approx(expected, abs=0.01)


# --- known truth -------------------------------------------------------------------------------------------------

TRUTH = RegimeSwitching(
    ("A", "B"),
    drift=[[0.15, 0.1], [-0.3, -0.2]],
    volatility=[[0.12, 0.2], [0.35, 0.5]],
    correlation=[[[1.0, 0.2], [0.2, 1.0]], [[1.0, 0.8], [0.8, 1.0]]],
    transition=[[0.98, 0.02], [0.06, 0.94]],
    initial_probability=[1.0, 0.0],
)


def history(model: RegimeSwitching, days: int, seed: int) -> tuple[xr.Dataset, np.ndarray]:
    """Returns of the model and the regimes behind them, from NumPy alone."""
    rng = np.random.default_rng(seed)
    mean, covariance = model.daily_moments()
    regime = np.empty(days, int)
    regime[0] = rng.choice(len(mean), p=model.initial_probability)
    for t in range(1, days):
        regime[t] = rng.choice(len(mean), p=model.transition[regime[t - 1]])
    lower = np.linalg.cholesky(covariance)
    values = mean[regime] + np.einsum("tij,tj->ti", lower[regime], rng.standard_normal((days, len(model.assets))))
    return table_of(values, model.assets), regime


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fit_recovers_known_parameters_within_its_errors(seed):
    returns, regime = history(TRUTH, 4000, seed)
    calibration = RegimeSwitching.calibrate(returns)
    found, errors = calibration.model, calibration.report["standard_errors"]
    true_mean = TRUTH.daily_moments()[0] * 252
    for value, error, truth in (
        (calibration.report["mean_log_return"], errors["mean_log_return"], true_mean),
        (found.volatility, errors["volatility"], TRUTH.volatility),
        (found.transition, errors["transition"], TRUTH.transition),
    ):
        distance = (np.array(value) - truth) / np.array(error)
        assert np.all(np.abs(distance) < 4)
        assert np.abs(distance).max() > 0.1  # errors of the right order: not so wide that all would pass
    own = 4 * (1 - TRUTH.correlation[:, 0, 1] ** 2) / np.sqrt(calibration.report["observations_by_regime"])
    assert np.all(np.abs(found.correlation - TRUTH.correlation)[:, 0, 1] < own)
    best, own = (
        np.mean(regime_probabilities(returns, model=m)["smoothed_regime_probability"].values.argmax(axis=1) == regime)
        for m in (TRUTH, found)
    )
    assert own > best - 0.005 > 0.95


def test_one_mean_for_all_regimes(index):
    calibration = RegimeSwitching.calibrate(index, window=WINDOW, drift="common")
    mean = calibration.model.daily_moments()[0]
    np.testing.assert_allclose(mean[0], mean[1], rtol=1e-9)
    percent = 100.0 * index["log_return"].values[-WINDOW:, 0]
    other = MarkovRegression(percent, k_regimes=2, switching_trend=False, switching_variance=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = other.fit(disp=False)
    model = calibration.model
    own = [*model.transition[:, 0], 100 * mean[0, 0], *(1e4 * model.daily_moments()[1][:, 0, 0])]
    assert np.all(np.abs(own - found.params) < 0.15 * found.bse)


def test_given_drifts_replace_those_of_the_fit(index, fitted):
    zero = RegimeSwitching.fit(index, window=WINDOW, drift="zero")
    assert zero.drift.tolist() == [[0.0], [0.0]]
    given = RegimeSwitching.fit(index, window=WINDOW, drift={"SP500": 0.04})
    assert given.drift.tolist() == [[0.04], [0.04]]
    for model in (zero, given):
        np.testing.assert_array_equal(model.volatility, fitted.model.volatility)
        np.testing.assert_array_equal(model.transition, fitted.model.transition)


# --- many assets -------------------------------------------------------------------------------------------------


def test_twenty_assets_over_four_years(stocks):
    calibration = calibrate(stocks, kind="regime_switching", options={"window": 1008})
    model, report = calibration.model, calibration.report
    assert isinstance(model, RegimeSwitching)
    one = GeometricBrownianMotion.fit(stocks, window=1008)
    sample = stocks["log_return"].values[-1008:]
    centred = stats.multivariate_normal(sample.mean(axis=0), np.cov(sample.T, ddof=0)).logpdf(sample).sum()
    assert report["log_likelihood_of_one_regime"] == pytest.approx(centred, rel=1e-10)
    assert report["log_likelihood"] > centred + 1000
    assert np.all(model.volatility[0] < one.volatility)
    assert np.all(model.volatility[1] > one.volatility)
    assert np.sum(report["observations_by_regime"]) == pytest.approx(1008, rel=1e-10)
    assert report["parameters_estimated"] == 2 * (20 + 210) + 3
    assert report["bayes_information_criterion"] == pytest.approx(463 * np.log(1008) - 2 * report["log_likelihood"])
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    weights = np.array(report["observations_by_regime"]) / 1008
    within = (weights[:, None, None] * model.daily_moments()[1]).sum(axis=0)
    between = (weights[:, None] * (np.array(report["mean_log_return"]) / 252 - sample.mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(np.diagonal(within) + between, sample.var(axis=0), rtol=1e-3)


def test_fit_has_the_same_bits_again_and_knows_assets_by_name(stocks):
    few = stocks.isel(asset=slice(0, 3))
    first = RegimeSwitching.fit(few, window=600)
    assert RegimeSwitching.fit(few, window=600).fingerprint() == first.fingerprint()
    turned = few.isel(asset=slice(None, None, -1))
    np.testing.assert_allclose(RegimeSwitching.fit(turned, window=600).volatility, first.volatility[:, ::-1], rtol=1e-3)
    one, other = regime_probabilities(few, model=first), regime_probabilities(turned, model=first)
    xr.testing.assert_identical(one, other)


def test_initial_probability_is_that_of_the_day_after_the_last(index, fitted):
    filtered = regime_probabilities(index.isel(observation=slice(-WINDOW, None)), model=fitted.model)
    last = filtered["filtered_regime_probability"].values[-1]
    np.testing.assert_allclose(fitted.model.initial_probability, last @ fitted.model.transition, atol=1e-9)
    np.testing.assert_allclose(fitted.report["filtered_probability_at_end"], last, atol=1e-9)


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"regimes": 1}, "regimes: 1 is not an integer >= 2 and < 9"),
        ({"regimes": 2.0}, "regimes: 2.0 is not an integer >= 2"),
        ({"drift": "momentum"}, "drift: 'momentum' is not 'historical', 'common', 'zero' or a mapping"),
        ({"drift": {"B": 0.1}}, "drift: 'B' is unknown; known are SP500"),
        ({"drift": {}}, "drift: 'SP500' is missing"),
        ({"window": 21}, "window: 21 observations are too few for 2 regimes of 1 assets; at least 22 are needed"),
        ({"max_iterations": 3}, "max_iterations: 3 iterations are too few, the log-likelihood still gains"),
        ({"tolerance": 0.0}, "tolerance: 0.0 is not above zero"),
        ({"days_per_year": 0}, "days_per_year: 0 is not above zero"),
    ],
)
def test_bad_options_are_refused(index, options, text):
    with pytest.raises(InputError, match=text):
        RegimeSwitching.fit(index, **({"window": 252} | options))


def test_regimes_that_do_not_show_are_refused():
    """Sixty nearly equal returns leave some regime without observations from every start."""
    values = np.where(np.arange(60) % 2 == 0, 0.01, -0.01)[:, None] + 1e-4 * np.sin(np.arange(60))[:, None]
    with pytest.raises(InputError, match=r"regimes: 4 do not show in these returns, every climb ended in a regime of"):
        RegimeSwitching.fit(table_of(values, ("A",)), regimes=4)


def test_a_singular_covariance_is_refused(index):
    values = np.repeat(index["log_return"].values[-500:], 2, axis=1)
    with pytest.raises(InputError, match=r"regimes: 2 do not show .* every climb ended in a singular covariance"):
        RegimeSwitching.fit(table_of(values, ("A", "B")))


def test_a_constant_series_is_named():
    values = np.random.default_rng(3).standard_normal((100, 2)) * 0.01
    values[:, 1] = 0.001
    with pytest.raises(InputError, match="log_return: the returns of 'B' do not vary over the window"):
        RegimeSwitching.fit(table_of(values, ("A", "B")))


def test_inference_refuses_what_does_not_fit(index, stocks, fitted):
    with pytest.raises(InputError, match=r"returns: assets AAPL, .* are not those of the model, SP500"):
        regime_probabilities(stocks, model=fitted.model)
    with pytest.raises(InputError, match=r"model: .* is not a regime-switching model"):
        regime_probabilities(index, model=GeometricBrownianMotion.fit(index))
