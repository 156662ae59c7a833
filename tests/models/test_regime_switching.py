"""Regime switching: its checks, its law against enumeration and simulation, its scenarios."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats

from riskops.errors import InputError
from riskops.models import GeometricBrownianMotion, RegimeSwitching
from riskops.models.markov_chain import expected_duration, powers, stationary_distribution, step_outcomes
from riskops.simulation import SimulationSpec, simulate
from tests.models.examples.regime_switching import MODEL

DAY = 1 / 252
THREE = np.array([[0.90, 0.08, 0.02], [0.10, 0.85, 0.05], [0.05, 0.25, 0.70]])


def three_regimes() -> RegimeSwitching:
    return RegimeSwitching(
        ("A",),
        drift=[[0.2], [0.0], [-3.0]],
        volatility=[[0.1], [0.2], [0.6]],
        correlation=np.ones((3, 1, 1)),
        transition=THREE,
        initial_probability=[0.2, 0.3, 0.5],
    )


# --- the value ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"transition": [[0.9, 0.2], [0.1, 0.9]]}, r"transition from regime 0: \[0.9, 0.2\] are not probabilities"),
        ({"transition": [[1.1, -0.1], [0.1, 0.9]]}, r"transition from regime 0: \[1.1, -0.1\] are not probabilities"),
        ({"transition": [[1.0]]}, r"transition: shape \(1, 1\) is not that of a square matrix of two regimes or more"),
        ({"initial_probability": [1.0]}, r"initial_probability: shape \(1,\) is not \(2,\), one probability a regime"),
        ({"initial_probability": [0.5, 0.4]}, r"initial_probability: \[0.5, 0.4\] are not probabilities that sum"),
        ({"drift": [0.1, 0.2]}, r"drift: shape \(2,\) is not \(2, 2\), as the regimes and assets ask for"),
        ({"drift": [[0.1, np.nan], [0.1, 0.1]]}, r"drift: .*nan.* at index \(0, 1\) is not finite"),
        ({"volatility": [[0.1, 0.1], [0.0, 0.1]]}, "volatility of 'A' in regime 1: 0.0 is not above zero"),
        ({"correlation": [np.eye(2), np.ones((2, 2))]}, "correlation of regime 1: is not positive definite"),
        ({"correlation": np.eye(2)}, r"correlation: shape \(2, 2\) is not \(2, 2, 2\)"),
        ({"days_per_year": -1}, "days_per_year: -1 is not above zero"),
    ],
)
def test_bad_parameters_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        dataclasses.replace(MODEL, **change)


def test_parameters_are_copied_and_read_only():
    source = np.array([[0.8, 0.2], [0.4, 0.6]])
    made = dataclasses.replace(MODEL, transition=source)
    source[0] = 0.5
    assert made == MODEL
    with pytest.raises(ValueError, match="read-only"):
        made.transition[0, 0] = 1.0


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0.5, "step_years: 0.5 days are not a whole number .*simulation.step_days, at 252 days a year"),
        (2.5, "step_years: 2.5 days are not a whole number of them"),
        (600, "simulation.step_days: a step of 600 days through 2 regimes has 1200 outcomes, more than 1024"),
    ],
)
def test_steps_that_the_chain_cannot_take_are_refused(days, text):
    with pytest.raises(InputError, match=text):
        MODEL.tables(days / 252)


# --- the chain ---------------------------------------------------------------------------------------------------


def test_stationary_distribution_and_durations():
    p = stationary_distribution(THREE)
    np.testing.assert_allclose(p @ THREE, p, rtol=1e-13)
    np.testing.assert_allclose(p, np.linalg.matrix_power(THREE, 500)[0], rtol=1e-12)
    np.testing.assert_allclose(expected_duration(THREE), [10.0, 1 / 0.15, 1 / 0.3], rtol=1e-13)
    absorbing = [[0.9, 0.1], [0.0, 1.0]]
    np.testing.assert_allclose(stationary_distribution(absorbing), [0.0, 1.0], atol=1e-15)
    assert expected_duration(absorbing)[1] == np.inf
    with pytest.raises(InputError, match="has more than one stationary distribution"):
        stationary_distribution(np.eye(2))


def test_regime_probability_is_the_power_of_the_matrix():
    model = three_regimes()
    for days in (0, 1, 7):
        expected = model.initial_probability @ np.linalg.matrix_power(THREE, days)
        np.testing.assert_allclose(model.regime_probability(days), expected, rtol=1e-13)
    np.testing.assert_array_equal(model.persistence(), [0.9, 0.85, 0.7])
    np.testing.assert_allclose(model.expected_duration(), expected_duration(THREE))
    np.testing.assert_allclose(model.stationary_distribution(), stationary_distribution(THREE))


@pytest.mark.parametrize("days", [1, 2, 4])
def test_outcomes_of_a_step_are_those_of_all_paths_of_the_chain(days):
    """Enumeration of every path of the chain, by hand."""
    start = np.array([0.2, 0.3, 0.5])
    outcomes = step_outcomes(THREE, start, days)
    rows = {(*counts.tolist(), int(last)): n for n, (counts, last) in enumerate(zip(*outcomes[:2], strict=True))}
    assert len(rows) == len(outcomes.last)
    for found, first_day in [(outcomes.first, start), *zip(outcomes.following, THREE, strict=True)]:
        expected = np.zeros(len(rows))
        for path in itertools.product(range(3), repeat=days):
            probability = first_day[path[0]] * np.prod([THREE[i, j] for i, j in itertools.pairwise(path)])
            expected[rows[path.count(0), path.count(1), path.count(2), path[-1]]] += probability
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=0)
        np.testing.assert_allclose(found.sum(), 1.0, rtol=1e-14)


def test_outcomes_of_a_day_are_the_regimes():
    outcomes = step_outcomes(THREE, [0.2, 0.3, 0.5], 1)
    np.testing.assert_array_equal(outcomes.days, np.eye(3))
    np.testing.assert_array_equal(outcomes.last, [0, 1, 2])
    np.testing.assert_array_equal(outcomes.following, THREE)


@pytest.mark.parametrize("days", [1, 3])
def test_regimes_come_as_often_as_their_thresholds_say(days):
    model, paths, steps = three_regimes(), 200_000, 6
    rng = np.random.default_rng(5)
    tables = model.tables(days * DAY)
    state = {"log_growth": np.zeros((1, paths)), "regime": np.zeros((1, paths), np.int32)}
    law = powers(THREE, model.initial_probability, days * steps)
    for step in range(steps):
        words = rng.integers(0, 2**32, (1, paths), dtype=np.uint32)
        shocks = {"diffusion": np.zeros((1, paths)), "switch": words}
        (model.begin if step == 0 else model.advance)(state, shocks, tables)
        counts = np.bincount(tables["last"][state["regime"][0]], minlength=3)
        p = law[(step + 1) * days - 1]  # the last day of the step that is about to be taken
        assert np.all(np.abs(counts / paths - p) < 4 * np.sqrt(p * (1 - p) / paths))


# --- moments -----------------------------------------------------------------------------------------------------


def growth_of(model, *, steps, step_days, paths=262_144) -> np.ndarray:
    spec = SimulationSpec(model, paths=paths, steps=steps, step_days=step_days, seed=17, dtype="float64")
    return simulate(spec, times=[steps * step_days])["log_growth"].values[0]


@pytest.mark.parametrize(("steps", "step_days"), [(10, 1), (2, 5), (1, 10)])
def test_simulated_moments_are_the_exact_ones_for_steps_of_any_length(steps, step_days):
    growth, years = growth_of(MODEL, steps=steps, step_days=step_days), 10 * DAY
    paths = growth.shape[1]
    for sample, mean, covariance in (
        (growth, MODEL.mean_log_growth(years), MODEL.covariance_log_growth(years)),
        (np.expm1(growth), MODEL.mean_simple_return(years), MODEL.covariance_simple_return(years)),
    ):
        error = sample.std(axis=1) / np.sqrt(paths)
        assert np.all(np.abs(sample.mean(axis=1) - mean) < 4 * error)
        centred = sample - mean[:, None]
        for i, j in ((0, 0), (0, 1), (1, 1)):
            product = centred[i] * centred[j]
            assert abs(product.mean() - covariance[i, j]) < 4 * product.std() / np.sqrt(paths)


def test_a_long_step_has_the_law_of_short_ones():
    """Beyond the moments: tails of ten days in one step and in ten, which a fixed regime over the step would fatten."""
    short, long = growth_of(MODEL, steps=10, step_days=1)[0], growth_of(MODEL, steps=1, step_days=10)[0]
    assert stats.ks_2samp(short, long).pvalue > 0.01
    kurtosis = [stats.kurtosis(part) for part in np.array_split(short, 64)]
    error = np.std(kurtosis) / np.sqrt(32)  # of the difference of two such
    assert abs(stats.kurtosis(short) - stats.kurtosis(long)) < 4 * error
    variance, p = MODEL.volatility[:, 0] ** 2, MODEL.initial_probability
    frozen = 3 * (p @ variance**2) / (p @ variance) ** 2 - 3
    assert frozen - stats.kurtosis(long) > 20 * error


def test_covariance_is_that_of_all_paths_of_the_chain():
    """Enumeration of the regimes of four days; the switching means carry much of the variance here."""
    model, days = three_regimes(), 4
    mean, covariance = model.daily_moments()
    first = second = 0.0
    for path in itertools.product(range(3), repeat=days):
        steps = [THREE[i, j] for i, j in itertools.pairwise(path)]
        probability = model.initial_probability[path[0]] * np.prod(steps)
        total = sum(mean[k, 0] for k in path)
        first += probability * total
        second += probability * (sum(covariance[k, 0, 0] for k in path) + total**2)
    np.testing.assert_allclose(model.mean_log_growth(days * DAY), first, rtol=1e-13)
    np.testing.assert_allclose(model.covariance_log_growth(days * DAY), second - first**2, rtol=1e-12)
    with pytest.raises(InputError, match=r"years: 2\.5 days are not a whole number of them"):
        model.mean_log_growth(2.5 * DAY)


def test_equal_regimes_are_geometric_brownian_motion():
    matrix = [[1.0, 0.3], [0.3, 1.0]]
    plain = GeometricBrownianMotion(("A", "B"), [0.1, -0.2], [0.2, 0.4], matrix)
    chain = ([[0.7, 0.3], [0.1, 0.9]], [0.4, 0.6])
    twice = RegimeSwitching(("A", "B"), [[0.1, -0.2]] * 2, [[0.2, 0.4]] * 2, [matrix] * 2, *chain)
    years = 21 * DAY
    for name in ("mean_log_growth", "covariance_log_growth", "mean_simple_return", "covariance_simple_return"):
        np.testing.assert_allclose(getattr(twice, name)(years), getattr(plain, name)(years), rtol=1e-11)
    np.testing.assert_allclose(twice.stationary_shape(), 0.0, atol=1e-12)


def test_shape_in_the_long_run_is_that_of_the_simulated_days():
    model = dataclasses.replace(MODEL, initial_probability=MODEL.stationary_distribution())
    skewness, kurtosis = model.stationary_shape()
    sample = growth_of(model, steps=1, step_days=1, paths=1_048_576)
    for asset in range(2):
        parts = np.array_split(sample[asset], 64)
        for measured, exact in ((stats.skew, skewness[asset]), (stats.kurtosis, kurtosis[asset])):
            error = np.std([measured(part) for part in parts]) / 8
            assert abs(measured(sample[asset]) - exact) < 4 * error
            assert abs(exact) > 4 * error  # it is told from that of a normal


def test_shape_agrees_with_integration():
    mean, covariance = three_regimes().daily_moments()
    p = stationary_distribution(THREE)
    normals = [stats.norm(m, np.sqrt(v)) for m, v in zip(mean[:, 0], covariance[:, 0, 0], strict=True)]
    raw = [sum(w * n.moment(k) for w, n in zip(p, normals, strict=True)) for k in range(5)]
    second = raw[2] - raw[1] ** 2
    third = raw[3] - 3 * raw[1] * raw[2] + 2 * raw[1] ** 3
    fourth = raw[4] - 4 * raw[1] * raw[3] + 6 * raw[1] ** 2 * raw[2] - 3 * raw[1] ** 4
    skewness, kurtosis = three_regimes().stationary_shape()
    np.testing.assert_allclose(skewness, third / second**1.5, rtol=1e-10)
    np.testing.assert_allclose(kurtosis, fourth / second**2 - 3, rtol=1e-10)


# --- scenarios ---------------------------------------------------------------------------------------------------


def test_shocked_changes_every_regime_and_leaves_the_chain():
    assert MODEL.shocked() is MODEL
    shocked = MODEL.shocked(volatility=2.0, correlation=0.5, drift=-0.2)
    np.testing.assert_array_equal(shocked.volatility, 2.0 * MODEL.volatility)
    np.testing.assert_array_equal(shocked.drift, MODEL.drift - 0.2)
    np.testing.assert_allclose(shocked.correlation, 0.5 * MODEL.correlation + 0.5, rtol=1e-15)
    for name in ("transition", "initial_probability"):
        np.testing.assert_array_equal(getattr(shocked, name), getattr(MODEL, name))
    louder = MODEL.shocked(volatility=2.0)
    assert louder.correlation.tobytes() == MODEL.correlation.tobytes()
    np.testing.assert_array_equal(louder.mean_simple_return(5 * DAY), MODEL.mean_simple_return(5 * DAY))


@pytest.mark.parametrize(
    ("shock", "text"),
    [
        ({"volatility": 0.0}, "volatility shock: 0.0 is not above zero"),
        ({"correlation": 1.0}, r"share: 1.0 is not in \[0, 1\)"),
        ({"drift": float("inf")}, "drift shock: inf is not a finite number"),
    ],
)
def test_bad_shocks_are_refused(shock, text):
    with pytest.raises(InputError, match=text):
        MODEL.shocked(**shock)
