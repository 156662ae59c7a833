"""Filtered historical simulation: its fit held to arch, its one-step law, what it reduces to, moments and scenarios."""

from __future__ import annotations

import dataclasses
import json
from itertools import product

import numpy as np
import pytest
import xarray as xr
from arch.data import sp500
from scipy import stats

from riskops.errors import InputError
from riskops.market import load_prices, log_returns
from riskops.models import FilteredHistorical, calibrate
from riskops.schema import variable
from riskops.simulation import SimulationSpec, simulate

DAY = 1 / 252
RNG = np.random.default_rng(2)
ROWS = RNG.standard_t(5, size=(120, 2)) @ np.array([[0.8, 0.5], [0.0, 0.6]])
PARAMETERS = {
    "assets": ("A", "B"),
    "mean": [3e-4, -1e-4],
    "omega": [2e-6, 4e-6],
    "alpha": [0.03, 0.08],
    "gamma": [0.1, 0.0],
    "beta": [0.85, 0.86],
    "variance": [4e-4, 1.5e-4],
    "days_per_year": 252.0,
    "residuals": (ROWS - ROWS.mean(axis=0)) / ROWS.std(axis=0),
}


def made(**changes) -> FilteredHistorical:
    return FilteredHistorical(**(PARAMETERS | changes))


def growth_of(model, *, steps, paths=65_536, dtype="float64", times=None) -> np.ndarray:
    spec = SimulationSpec(model, paths=paths, steps=steps, seed=9, dtype=dtype)
    return simulate(spec, times=times or [steps])["log_growth"].values


@pytest.fixture(scope="module")
def index() -> xr.Dataset:
    """The simple returns of the S&P 500, 1999 to 2018, that arch's documentation fits."""
    returns = sp500.load()["Adj Close"].pct_change().dropna()
    coords = {"observation": returns.index.to_numpy(), "asset": ["SP500"]}
    return variable("log_return", ("observation", "asset"), returns.to_numpy()[:, None], coords=coords).to_dataset()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"residuals": np.zeros((5, 3))}, r"residuals: shape \(5, 3\) is not \(observations, 2\), at least two"),
        ({"residuals": np.zeros((1, 2))}, r"residuals: shape \(1, 2\) is not \(observations, 2\), at least two"),
        ({"residuals": [[0.0, np.inf], [0.0, 0.0]]}, r"residuals: .*inf.* at index \(0, 1\) is not finite"),
        ({"omega": [0.0, 1e-6]}, "omega of 'A': 0.0 is not above zero"),
        ({"beta": [0.9, 1.5]}, r"beta of 'B': 1.5 is not in \[0, 1\)"),
    ],
)
def test_bad_parameters_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        made(**change)


def test_a_step_is_one_observation():
    text = "simulation.step_days: a step of 10 observations is not one, as model filtered_historical needs"
    with pytest.raises(InputError, match=text):
        made().tables(10 / 252)


# --- the fit -----------------------------------------------------------------------------------------------------


def test_value_at_risk_of_the_documentation_of_arch(index):
    """arch 8.0.0, examples/univariate_volatility_forecasting.ipynb: GARCH(1,1) with skewed t innovations on the S&P 500
    to 2017 in percent; quantiles of its residuals, and from them value at risk with the variances that are forecast at
    the close of the first days of 2018."""
    found = calibrate(
        index.sel(observation=slice(None, "2017-12-31")),
        kind="filtered_historical",
        options={"innovations": "skewed_t", "standardize": False},
    )
    model, n = found.model, found.report["observations"]
    in_percent = found.report["log_likelihood"]["SP500"] - n * np.log(100.0)
    assert in_percent == pytest.approx(-6499.477649053125, abs=0.05)
    assert found.report["estimates"]["SP500"]["degrees_of_freedom"] == pytest.approx(7.143705610752009, abs=0.05)
    assert found.report["estimates"]["SP500"]["skewness"] == pytest.approx(-0.07398200896596374, abs=0.005)
    quantiles = np.quantile(model.residuals[:, 0], [0.01, 0.05])
    np.testing.assert_allclose(quantiles, [-2.6682665663850074, -1.7233429475593416], atol=2e-3)

    published = [  # conditional variance and value at risk at 99 and 95 %, in percent
        (0.2535154819394874, (1.2915263273692208, 0.8157542525931566)),
        (0.26936840558637626, (1.3328949319991907, 0.8424728323398634)),
        (0.26284779974771555, (1.3160307116780432, 0.8315808039635865)),
        (0.2851858765734197, (1.3729745349281777, 0.8683588895722284)),
        (0.26683564794812437, (1.3263689778932999, 0.8382579397477339)),
    ]
    days = index["log_return"].sel(observation=slice("2018-01-01", None)).values[: len(published), 0]
    state = {name: values[:, None].copy() for name, values in model.start().items()}
    for day, (variance, risk) in zip(days, published, strict=True):
        residual = (day - model.mean[0]) / np.sqrt(state["variance"])
        model.advance(state, {"residual": residual}, model.tables(DAY))
        assert state["variance"][0, 0] * 1e4 == pytest.approx(variance, abs=1e-4)
        exact = -100 * (model.mean[0] + np.sqrt(state["variance"][0, 0]) * quantiles)
        np.testing.assert_allclose(exact, risk, atol=2e-3)

    today = dataclasses.replace(model, variance=state["variance"][:, 0])
    losses = -100 * growth_of(today, steps=1, paths=262_144)[0, 0]
    for level, value in zip((0.99, 0.95), published[-1][1], strict=True):
        # the share of losses beyond the published value; the quantile lies anywhere between two rows
        share = np.mean(losses > value)
        assert abs(share - (1 - level)) < 4 * np.sqrt(level * (1 - level) / len(losses)) + 1 / n


def test_residuals_are_standardized_unless_they_are_to_be_left():
    returns = log_returns(load_prices("sp500", assets=["AAPL", "XOM", "JPM"]))
    options = {"window": 1008, "asymmetry": True}
    found = calibrate(returns, kind="filtered_historical", options=options)
    raw = calibrate(returns, kind="filtered_historical", options=options | {"standardize": False})
    model, left = found.model, raw.model
    assert model.residuals.shape == (1008, 3)
    np.testing.assert_allclose(model.residuals.mean(axis=0), 0.0, atol=1e-14)
    np.testing.assert_allclose(model.residuals.std(axis=0), 1.0, rtol=1e-12)
    centre, deviation = (list(found.report[name].values()) for name in ("residual_mean", "residual_deviation"))
    np.testing.assert_allclose(left.residuals, model.residuals * deviation + centre, rtol=1e-9, atol=1e-12)
    assert np.all(np.abs(np.array(deviation) - 1.0) < 0.05)
    np.testing.assert_array_equal(left.omega, model.omega)
    garch = calibrate(returns, kind="garch", options=options).model
    for name in ("mean", "omega", "alpha", "gamma", "beta", "variance"):
        np.testing.assert_array_equal(getattr(model, name), getattr(garch, name))
    np.testing.assert_allclose(model.innovation_correlation(), garch.correlation, atol=1e-12)
    # the last residual, with its deviation, is the last return
    h = (model.variance - model.omega) - (model.alpha + model.gamma * (left.residuals[-1] < 0)) * (
        returns["log_return"].values[-1] - model.mean
    ) ** 2
    np.testing.assert_allclose(
        model.mean + np.sqrt(h / model.beta) * left.residuals[-1], returns["log_return"].values[-1], rtol=1e-9
    )
    assert json.loads(json.dumps(found.report, allow_nan=False)) == found.report


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"standardize": 1}, "standardize: 1 is not true or false"),
        ({"innovations": "laplace"}, "innovations: 'laplace' is not one of normal, student_t, skewed_t"),
        ({"asymmetry": "yes"}, "asymmetry: 'yes' is not true or false"),
        ({"drift": 0.1}, "drift: 0.1 is not 'fitted', 'historical', 'zero' or a mapping"),
        ({"window": 60}, "log_return: 60 observations are too few; a GARCH fit needs 100"),
    ],
)
def test_bad_fit_options_are_refused(index, options, text):
    with pytest.raises(InputError, match=text):
        FilteredHistorical.fit(index, **options)


# --- the paths ---------------------------------------------------------------------------------------------------


def test_one_step_is_a_row_rescaled_for_all_assets_at_once():
    model = made()
    growth = growth_of(model, steps=1)[0].T
    rows = model.mean + np.sqrt(model.variance) * model.residuals
    order = np.argsort(rows[:, 0])
    place = np.searchsorted(rows[order, 0], growth[:, 0] - 1e-12)
    np.testing.assert_allclose(growth, rows[order[place]], rtol=1e-12, atol=1e-17)
    counts = np.bincount(place, minlength=len(rows))
    assert stats.chisquare(counts).pvalue > 0.001
    sample = np.corrcoef(growth.T)[0, 1]
    exact = model.innovation_correlation()[0, 1]
    standard = model.residuals - model.residuals.mean(axis=0)
    u, v = (standard / standard.std(axis=0)).T
    influence = u * v - exact * (u * u + v * v) / 2  # of a sample correlation
    assert exact == pytest.approx(np.corrcoef(model.residuals.T)[0, 1], rel=1e-12)
    assert abs(sample - exact) < 4 * influence.std() / np.sqrt(len(growth))


def test_two_steps_follow_the_variance_that_the_first_row_leaves():
    """Every pair of rows, by the formula: the exact law of two steps, against the simulated one."""
    model = made()
    growth = growth_of(model, steps=2, paths=131_072)[0]
    z = model.residuals
    for asset in range(2):
        mean, h = model.mean[asset], model.variance[asset]
        first = np.sqrt(h) * z[:, asset]
        news = model.alpha[asset] + model.gamma[asset] * (first < 0)
        later = model.omega[asset] + news * first**2 + model.beta[asset] * h
        exact = np.sort((2 * mean + first[:, None] + np.sqrt(later)[:, None] * z[None, :, asset]).ravel())
        assert _distance(growth[asset], exact) < 1.95 / np.sqrt(growth.shape[1])  # p = 0.001


def test_without_clustering_it_is_the_plain_historical_bootstrap():
    none = [0.0, 0.0]
    model = made(alpha=none, gamma=none, beta=none, variance=PARAMETERS["omega"])
    growth = growth_of(model, steps=2, paths=131_072)[0]
    returns = model.mean + np.sqrt(model.omega) * model.residuals
    sums = np.array([a + b for a, b in product(returns, returns)]).T
    for asset in range(2):
        assert _distance(growth[asset], np.sort(sums[asset])) < 1.95 / np.sqrt(growth.shape[1])
    np.testing.assert_allclose(model.covariance_log_growth(DAY), np.cov(returns.T, ddof=0), rtol=1e-10)


def _distance(sample: np.ndarray, exact: np.ndarray) -> float:
    """The largest distance of two distribution functions, between the values that the exact one takes."""
    between = (exact[1:] + exact[:-1])[np.diff(exact) > 1e-12] / 2
    found, true = (np.searchsorted(np.sort(values), between) / len(values) for values in (sample, exact))
    return float(np.abs(found - true).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_moments_agree_with_the_simulation(dtype):
    model = made()
    growth = growth_of(model, steps=10, paths=131_072, dtype=dtype)[0].astype(np.float64)
    count = np.sqrt(growth.shape[1])
    mean = model.mean_log_growth(10 * DAY)
    assert np.all(np.abs(growth.mean(axis=1) - mean) < 4 * growth.std(axis=1) / count)
    squares = (growth - mean[:, None]) ** 2
    assert np.all(np.abs(squares.mean(axis=1) - model.variance_log_growth(10 * DAY)) < 4 * squares.std(axis=1) / count)
    below = (model.residuals**2 * (model.residuals < 0)).mean(axis=0)
    np.testing.assert_allclose(model.persistence(), model.alpha + model.gamma * below + model.beta, rtol=1e-12)
    np.testing.assert_allclose(model.unconditional_variance(), model.omega / (1 - model.persistence()), rtol=1e-9)


def test_residuals_off_centre_have_moments_of_one_step_only():
    model = made(residuals=PARAMETERS["residuals"] + 0.01)
    np.testing.assert_allclose(
        model.mean_log_growth(DAY), model.mean + np.sqrt(model.variance) * model.residuals.mean(axis=0), rtol=1e-12
    )
    rows = np.sqrt(model.variance) * model.residuals
    np.testing.assert_allclose(model.covariance_log_growth(DAY), np.cov(rows.T, ddof=0), rtol=1e-10)
    with pytest.raises(
        InputError, match=r"known in closed form for innovations of mean zero only; here a mean is 0\.01"
    ):
        model.mean_log_growth(2 * DAY)


# --- scenarios ---------------------------------------------------------------------------------------------------


def test_shocked_changes_what_was_asked_for_only():
    model = made()
    assert model.shocked() is model
    louder = model.shocked(volatility=1.5, drift=0.252)
    np.testing.assert_allclose(louder.mean, model.mean + 1e-3, rtol=1e-12)
    plain, loud = (growth_of(m, steps=5, paths=1024)[0] - 5 * m.mean[:, None] for m in (model, louder))
    np.testing.assert_allclose(loud, 1.5 * plain, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(louder.residuals, model.residuals)
    with pytest.raises(InputError, match="a correlation shock does not apply to it: whole days of residuals are drawn"):
        model.shocked(correlation=0.5)
    with pytest.raises(InputError, match=r"volatility shock: -1\.0 is not above zero"):
        model.shocked(volatility=-1.0)
