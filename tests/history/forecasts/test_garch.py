"""GARCH forecasts: a published case, coverage on data of their own model, and days that depend on their past alone."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from arch.data import sp500
from scipy.stats import binom

from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, losses_ahead
from riskops.history.forecasts.garch import GarchForecaster, ScaledFit
from riskops.history.forecasts.laws import NormalLaw, SkewedTLaw, StudentTLaw
from riskops.history.forecasts.recursion import Recursion
from riskops.history.forecasts.registry import METHODS, forecaster
from riskops.history.forecasts.simulated import uniforms
from riskops.models import Garch
from riskops.schema import variable

PRICES = sp500.load()["Adj Close"]
RETURNS = PRICES.pct_change().dropna().to_numpy()
RECURSIONS = {
    "garch": Recursion(False, 0.0005, 2e-6, 0.08, 0.0, 0.9),
    "gjr": Recursion(False, 0.0005, 2e-6, 0.02, 0.12, 0.9),
    "egarch": Recursion(True, 0.0005, -0.27, 0.12, -0.1, 0.97),
}
LAWS = {"normal": NormalLaw(), "student_t": StudentTLaw(6.0), "skewed_t": SkewedTLaw(6.0, 0.2)}


def simulated_returns(volatility: str, innovations: str, *, days: int, seed: int) -> Floats:
    """Returns of a model whose losses have the law; written apart from the kernels."""
    _, mean, omega, alpha, gamma, beta = RECURSIONS[volatility]
    z = -LAWS[innovations].quantile(uniforms(paths=days, days=1, seed=seed)[0])
    h, out = 1e-4, np.empty(days)
    for t in range(days):
        e = math.sqrt(h) * z[t]
        out[t] = mean + e
        if volatility == "egarch":
            h = math.exp(omega + alpha * (abs(z[t]) - math.sqrt(2.0 / math.pi)) + gamma * z[t] + beta * math.log(h))
        else:
            h = omega + (alpha + gamma * (e < 0.0)) * e * e + beta * h
    return out


def test_the_published_forecasts() -> None:
    # arch 8.0.0, examples/univariate_volatility_forecasting.ipynb: skewed t GARCH(1,1) of the S&P 500 to the end of
    # 2017, and its one-day VaR told at the close of the first days of 2018 (for the days after), all in percent
    known = int((PRICES.index[1:] <= "2017-12-31").sum())
    fit = GarchForecaster("garch", "skewed_t").fit(RETURNS[:known], levels=(0.99, 0.95), days=1)
    told = fit.predict(RETURNS, np.arange(known + 1, known + 6), window=None)
    published = {
        "mean": 0.0519545e-2,
        "omega": 0.0076680e-4,
        "alpha": 0.0937401,
        "beta": 0.9044747,
        "degrees_of_freedom": 7.143706,
        "skewness": -0.073982,
    }
    for name, value in published.items():
        assert fit.parameters[name] == pytest.approx(value, rel=5e-3), name
    quantiles = fit.law.quantile(np.array([0.99, 0.95]))
    assert quantiles == pytest.approx([2.6448700, 1.6496584], abs=1e-3)
    first_days = [
        [1.2797461, 1.3207520, 1.3040356, 1.3604801, 1.3142832],
        [0.7786539, 0.8042301, 0.7938037, 0.8290093, 0.8001954],
    ]
    assert 100.0 * told.value_at_risk == pytest.approx(np.array(first_days), abs=2e-3)
    variances = ((100.0 * told.value_at_risk[0] + 0.0519545) / quantiles[0]) ** 2
    assert variances == pytest.approx([0.2535155, 0.2693684, 0.2628478, 0.2851859, 0.2668356], rel=2e-3)


@pytest.mark.parametrize(("volatility", "innovations"), list(product(RECURSIONS, LAWS)))
def test_nominal_coverage_on_data_of_the_own_model(volatility: str, innovations: str) -> None:
    returns = simulated_returns(volatility, innovations, days=9000, seed=11)
    fit = GarchForecaster(volatility, innovations).fit(returns[:3000], levels=(0.95, 0.99), days=1)
    told = fit.predict(returns, np.arange(3000, 9000), window=None)
    breaches = (-returns[3000:] > told.value_at_risk).sum(axis=1)
    for count, level in zip(breaches, (0.95, 0.99), strict=True):
        low, high = binom.ppf([0.0005, 0.9995], 6000, 1.0 - level)
        assert low <= count <= high
    assert told.probability is not None
    uniform = told.probability(-returns[3000:])
    assert uniform.mean() == pytest.approx(0.5, abs=4.0 * math.sqrt(1.0 / 12.0 / 6000))
    # the ES of the days that breach, in units of the forecast, is 1 on average
    beyond = -returns[3000:] > told.value_at_risk[0]
    ratio = (-returns[3000:] / told.expected_shortfall[0])[beyond]
    assert ratio.mean() == pytest.approx(1.0, abs=4.0 * ratio.std() / math.sqrt(beyond.sum()) + 0.02)


@pytest.mark.parametrize("method", ["garch_normal", "gjr_student_t", "egarch_normal"])
def test_nominal_coverage_over_several_days(method: str) -> None:
    volatility, _, innovations = method.partition("_")
    returns = simulated_returns(volatility, innovations, days=8000, seed=5)
    fit = forecaster({"kind": method, "paths": 4096}).fit(returns[:3000], levels=(0.95, 0.99), days=5)
    ends = np.arange(3000, 7995, 5)
    told = fit.predict(returns, ends, window=1000)
    losses = losses_ahead(returns, days=5)[ends]
    for row, level in zip(told.value_at_risk, (0.95, 0.99), strict=True):
        low, high = binom.ppf([0.0005, 0.9995], len(ends), 1.0 - level)
        assert low <= (losses > row).sum() <= high
    assert np.all(told.expected_shortfall > told.value_at_risk)
    assert told.probability is not None
    inside = told.probability(losses)
    # the mean return of 3,000 days errs by 0.04 deviations of five days, which moves probabilities by 0.016
    assert inside.mean() == pytest.approx(0.5, abs=4.0 * math.hypot(math.sqrt(1.0 / 12.0 / len(ends)), 0.016))
    assert ((inside > 0.0) & (inside < 1.0)).all()
    # a loss at the 99 % forecast has that probability
    assert told.probability(told.value_at_risk[1]) == pytest.approx(0.99, abs=2.0 / 4096)


def test_the_error_over_several_days_is_the_spread_over_seeds() -> None:
    rows = []
    for seed in range(40):
        one = GarchForecaster("garch", "student_t", paths=2048, seed=seed)
        fit = one.fit(RETURNS[:1000], levels=(0.95,), days=5)
        told = fit.predict(RETURNS[:1000], np.array([1000]), window=None)
        assert told.value_at_risk_error is not None
        assert told.expected_shortfall_error is not None
        rows.append(
            [
                told.value_at_risk[0, 0],
                told.value_at_risk_error[0, 0],
                told.expected_shortfall[0, 0],
                told.expected_shortfall_error[0, 0],
            ]
        )
    value_at_risk, error, shortfall, shortfall_error = np.array(rows).T
    assert value_at_risk.std(ddof=1) == pytest.approx(error.mean(), rel=0.35)
    assert shortfall.std(ddof=1) == pytest.approx(shortfall_error.mean(), rel=0.35)


def _fit(days: int) -> ScaledFit:
    return GarchForecaster("gjr", "student_t", paths=1024).fit(RETURNS[:500], levels=(0.975, 0.99), days=days)


@pytest.mark.parametrize("days", [1, 3])
@pytest.mark.parametrize("window", [None, 400])
def test_a_day_depends_on_its_own_past_alone(days: int, window: int | None) -> None:
    fit, ends = _fit(days), np.array([500, 510, 530])
    together = fit.predict(RETURNS[:530], ends, window=window)
    other = RETURNS[:530].copy()
    other[510:] = 0.2
    alone = fit.predict(other, ends[1:2], window=window)
    assert alone.value_at_risk[:, 0].tolist() == together.value_at_risk[:, 1].tolist()
    assert alone.expected_shortfall[:, 0].tolist() == together.expected_shortfall[:, 1].tolist()
    if window is not None:
        other[: 510 - window] = 0.5
        assert fit.predict(other, ends[1:2], window=window).value_at_risk.tolist() == alone.value_at_risk.tolist()


def test_the_variance_of_the_refit_day_is_that_of_the_models_garch() -> None:
    fit = GarchForecaster("gjr", "normal").fit(RETURNS[:1000], levels=(0.99,), days=1)
    table = variable("log_return", ("observation", "asset"), RETURNS[:1000, None], coords={"asset": ["A"]})
    model = Garch.fit(table.to_dataset(), asymmetry=True)
    for name in ("mean", "omega", "alpha", "gamma", "beta"):
        assert fit.parameters[name] == getattr(model, name)[0], name
    assert fit.volatility.variances(RETURNS[:1000])[-1] == pytest.approx(model.variance[0], rel=1e-12)


def test_expected_shortfall_that_is_infinite_in_the_population_is_noted() -> None:
    one = GarchForecaster("egarch", "student_t", paths=1024)
    assert not one.fit(RETURNS[:1000], levels=(0.99,), days=1).notes
    (note,) = one.fit(RETURNS[:1000], levels=(0.99,), days=5).notes
    assert note.startswith("over several days the population's expected shortfall")


def test_names_rules_and_records() -> None:
    for name in METHODS:
        if METHODS[name][0] == "garch":
            one = forecaster(name)
            assert one.name == name
            assert one.record()["kind"] == name
            assert forecaster(one.record()) == one
            assert one.estimated
            assert one.least == 100
    changed = forecaster({"kind": "gjr_normal", "mean": "zero", "paths": 4096, "seed": 2})
    assert changed.name == "gjr_normal_zero_mean_4096_paths_seed_2"
    assert forecaster(changed.record()) == changed
    assert changed.horizon_rule(1) == "one day ahead"
    assert changed.horizon_rule(10) == "simulated from the day's variance, with common random numbers"
    assert changed.fit(RETURNS[:300], levels=(0.99,), days=1).parameters["mean"] == 0.0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mean": "ar"}, "mean: 'ar'"),
        ({"paths": 0}, "paths: 0"),
        ({"seed": -1}, "seed: -1"),
        ({"volatility": "garch"}, "method: garch_normal has no setting 'volatility'"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, object], text: str) -> None:
    with pytest.raises(InputError) as caught:
        forecaster({"kind": "garch_normal", **settings})
    assert str(caught.value).startswith(text)
