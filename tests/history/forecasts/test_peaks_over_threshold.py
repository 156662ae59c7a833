"""Peaks over threshold: the published formula, the body, thresholds, sums over days, and nominal coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Prediction
from riskops.history.forecasts.pareto import fit_pareto
from riskops.history.forecasts.peaks_over_threshold import PeaksOverThreshold
from riskops.history.forecasts.registry import forecaster
from riskops.history.forecasts.thresholds import moment_shapes, stable_exceedances

LEVELS = (0.95, 0.975, 0.99, 0.997)


def returns(n: int, seed: int, degrees: float = 4.0) -> Floats:
    return 0.01 * np.random.default_rng(seed).standard_t(degrees, n)


def forecast(method: PeaksOverThreshold, sample: Floats, *, days: int = 1) -> Prediction:
    fit = method.fit(sample, levels=LEVELS, days=days)
    return fit.predict(sample, np.array([len(sample), len(sample)]), window=None)


def test_the_formula_of_mcneil_and_frey() -> None:
    sample = returns(1000, 1)
    found = forecast(PeaksOverThreshold(), sample)
    losses = np.sort(-sample)
    u = losses[899]  # the 101st largest: 100 of 1000 lie above it
    fit = fit_pareto(-sample, threshold=u)
    assert fit.exceedances == 100
    for i, level in enumerate(LEVELS):
        quantile = u + fit.scale / fit.shape * ((1000 / 100 * (1 - level)) ** -fit.shape - 1)
        shortfall = quantile / (1 - fit.shape) + (fit.scale - fit.shape * u) / (1 - fit.shape)
        assert found.value_at_risk[i] == pytest.approx([quantile, quantile], rel=1e-12)
        assert found.expected_shortfall[i] == pytest.approx([shortfall, shortfall], rel=1e-12)
    assert found.value_at_risk_error is None
    assert found.probability is not None
    assert found.probability(found.value_at_risk[2]) == pytest.approx([0.99, 0.99], rel=1e-9)


def test_a_level_below_the_threshold_is_an_order_statistic_and_a_note() -> None:
    sample = returns(1000, 2)
    fit = PeaksOverThreshold(fraction=0.02).fit(sample, levels=(0.95, 0.99), days=1)
    found = fit.predict(sample, np.array([1000]), window=None)
    assert found.value_at_risk[0, 0] == np.sort(-sample)[949]
    assert fit.notes == (
        "level 0.95: below the threshold, above which are 20 of 1000 losses; the value at risk is an order statistic "
        "of the sample",
    )
    assert not PeaksOverThreshold().fit(sample, levels=(0.9, 0.99), days=1).notes


def test_a_number_is_the_threshold_itself() -> None:
    sample = returns(500, 3)
    fit = PeaksOverThreshold(threshold=0.015).fit(sample, levels=LEVELS, days=1)
    assert fit.parameters["threshold"] == 0.015
    assert fit.parameters["exceedances"] == (-sample > 0.015).sum()


def test_the_stable_threshold_is_the_least_distance_of_reiss_and_thomas() -> None:
    ordered = np.sort(-returns(600, 4))
    shapes = {k: fit_pareto(ordered, exceedances=k, estimator="moments").shape for k in range(30, 151)}
    assert moment_shapes(ordered, 150)[29:] == pytest.approx(list(shapes.values()), rel=1e-9)
    distances = {}
    for k in range(39, 151):
        part = np.array([shapes[i] for i in range(30, k + 1)])
        middle = np.sort(part)[(len(part) - 1) // 2]
        distances[k] = np.mean(np.arange(30.0, k + 1) ** 0.25 * np.abs(part - middle))
    chosen = min(distances, key=lambda k: distances[k])
    assert stable_exceedances(ordered) == chosen
    fit = PeaksOverThreshold(threshold="stability").fit(-ordered, levels=LEVELS, days=1)
    assert fit.parameters["exceedances"] == chosen


def test_sums_over_days_are_simulated_from_both_tails() -> None:
    sample = returns(1000, 5)
    method = PeaksOverThreshold(paths=32_768)
    assert method.horizon_rule(1) == "fitted tail"
    assert method.horizon_rule(10) == "simulated sums of independent days"
    fit = method.fit(sample, levels=LEVELS, days=5)
    found = fit.predict(sample, np.array([1000]), window=None)
    assert {"shape", "lower_shape", "lower_scale"} <= set(fit.parameters)
    # the same law drawn by another generator
    draws = fit.law.quantile(np.random.default_rng(0).random((5, 400_000))).sum(axis=0)
    errors = found.value_at_risk_error
    assert errors is not None
    for i, level in enumerate(LEVELS):
        quantile = np.quantile(draws, level, method="inverted_cdf")
        assert abs(found.value_at_risk[i, 0] - quantile) < 4.0 * errors[i, 0]
        shortfall = draws[draws > quantile].mean()
        assert found.expected_shortfall_error is not None
        assert abs(found.expected_shortfall[i, 0] - shortfall) < 4.0 * found.expected_shortfall_error[i, 0]
    again = method.fit(sample, levels=LEVELS, days=5).predict(sample, np.array([1000]), window=None)
    assert np.array_equal(found.value_at_risk, again.value_at_risk)
    assert found.probability is not None
    assert found.probability(np.array([-9.0, 9.0])) == pytest.approx([0.0, 1.0], abs=1e-4)


@pytest.mark.parametrize("estimator", ["likelihood", "moments"])
@pytest.mark.parametrize("threshold", ["fraction", "stability"])
def test_coverage_on_a_pareto_tail(estimator: str, threshold: str) -> None:
    # symmetric about zero, the tails generalised Pareto from 0 on: its own model above any threshold
    rng = np.random.default_rng(6)
    method = PeaksOverThreshold(threshold=threshold, estimator=estimator)
    breached, trials = np.zeros(4), 60
    for _ in range(trials):
        size = stats.genpareto.rvs(0.25, scale=0.01, size=1000, random_state=rng)
        found = forecast(method, size * rng.choice([-1.0, 1.0], 1000)).value_at_risk[:, 0]
        breached += 0.5 * stats.genpareto.sf(found, 0.25, scale=0.01)
    # the mean of 60 probabilities, each with the relative error of an order statistic of 1,000
    expected = 1.0 - np.array(LEVELS)
    error = np.sqrt(expected / 1000 / trials)
    assert (np.abs(breached / trials - expected) < 4.0 * error + 0.05 * expected).all()


def test_an_infinite_shortfall_is_refused() -> None:
    sample = -stats.genpareto.rvs(1.6, size=400, random_state=np.random.default_rng(7))
    with pytest.raises(InputError, match="is not below 1, so its expected shortfall is infinite"):
        forecast(PeaksOverThreshold(), sample)
    assert np.isfinite(forecast(PeaksOverThreshold(estimator="moments"), sample).expected_shortfall).all()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"fraction": 0.5}, "fraction: 0.5 is not between 0 and 0.5"),
        ({"threshold": "eye"}, "threshold: 'eye' is not one of fraction, stability, nor a loss"),
        ({"threshold": 0.02, "fraction": 0.2}, "fraction: 0.2 is not used by threshold 0.02; leave it out"),
        ({"estimator": "bayes"}, "estimator: 'bayes' is not one of likelihood, moments"),
        ({"paths": 0}, "paths: 0 is not an integer >= 1"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text.replace(".", r"\.")):
        PeaksOverThreshold(**settings)  # type: ignore[arg-type]


def test_short_samples_are_refused() -> None:
    method = PeaksOverThreshold()
    assert (method.least, PeaksOverThreshold(fraction=0.05).least) == (100, 200)
    with pytest.raises(InputError, match="peaks_over_threshold: 99 returns are too few; at least 100 are needed"):
        forecast(method, returns(99, 8))
    assert np.isfinite(forecast(PeaksOverThreshold(estimator="moments"), returns(100, 8)).value_at_risk).all()
    stability = PeaksOverThreshold(threshold="stability")
    assert np.isfinite(forecast(stability, returns(stability.least, 8)).value_at_risk).all()
    with pytest.raises(InputError, match=r"threshold: 0.5 leaves|threshold: 0 of 500 losses are above 0.5"):
        forecast(PeaksOverThreshold(threshold=0.5), returns(500, 8))


def test_names_and_records_make_the_same_forecaster() -> None:
    for method, name in (
        (PeaksOverThreshold(), "peaks_over_threshold"),
        (PeaksOverThreshold(fraction=0.05), "peaks_over_threshold_fraction_0.05"),
        (PeaksOverThreshold(threshold="stability", estimator="moments"), "peaks_over_threshold_stability_moments"),
        (PeaksOverThreshold(threshold=0.02), "peaks_over_threshold_above_0.02"),
        (PeaksOverThreshold(paths=1000, seed=2), "peaks_over_threshold_1000_paths_seed_2"),
    ):
        assert method.name == name
        assert forecaster(method.record()) == method
