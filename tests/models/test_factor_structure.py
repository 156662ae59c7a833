"""Correlations by factors: the matrix they stand for, the draws they take, the scenarios that move them, every
arrangement of draws."""

from __future__ import annotations

import json
import pickle
from fractions import Fraction

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.measures import arrange
from riskops.models import GeometricBrownianMotion, from_record, push_towards_one
from riskops.models.factor_structure import FactorStructure, mixing_of
from riskops.scenarios import Scenario
from riskops.simulation import METHODS, SimulationSpec, Workload, plan, simulate
from tests.models.factor_market import market_loadings, names_of
from tests.simulation.examples import book_of, prices_of, spec_of
from tests.simulation.plain_paths import normal

LOADINGS = np.array([[0.7, 0.2], [0.5, -0.4], [-0.3, 0.1]])
ASSETS = ("A", "B", "C")


def model_of(correlation: object = None) -> GeometricBrownianMotion:
    given = FactorStructure(LOADINGS) if correlation is None else correlation
    return GeometricBrownianMotion(ASSETS, [0.08, 0.0, -0.05], [0.2, 0.35, 0.1], given)  # type: ignore[arg-type]


def test_the_matrix_is_that_of_loadings_and_own_variances() -> None:
    structure = market_loadings(30, 4)
    matrix = np.asarray(structure)
    assert np.all(np.diagonal(matrix) == 1.0)
    np.testing.assert_array_equal(matrix, matrix.T)
    exact = [[Fraction(value) for value in row] for row in structure.loadings.tolist()]
    for a in range(30):
        left = 1 - sum(value * value for value in exact[a])
        assert structure.own[a] == pytest.approx(float(left) ** 0.5, rel=1e-15)
        for b in range(a):
            product = sum(x * y for x, y in zip(exact[a], exact[b], strict=True))
            assert matrix[a, b] == pytest.approx(float(product), abs=4e-16)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_what_mixes_the_normals_makes_that_covariance(share: float) -> None:
    structure, scale = FactorStructure(LOADINGS, share), np.array([0.5, 2.0, 1.0])
    mixing = mixing_of(structure, scale)
    assert mixing.shape == (3, structure.normals + 1)
    expected = push_towards_one(np.asarray(FactorStructure(LOADINGS)), share) * np.outer(scale, scale)
    own = np.diag(mixing[:, -1] ** 2)
    np.testing.assert_allclose(mixing[:, :-1] @ mixing[:, :-1].T + own, expected, atol=1e-15)
    np.testing.assert_allclose(np.asarray(structure) * np.outer(scale, scale), expected, atol=1e-15)


def test_correlations_are_moved_towards_one_within_the_structure_exactly() -> None:
    structure = market_loadings(12, 3)
    twice = structure.pushed(0.2).pushed(0.5)
    expected = push_towards_one(push_towards_one(np.asarray(structure), 0.2), 0.5)
    np.testing.assert_allclose(np.asarray(twice), expected, atol=1e-15)
    np.testing.assert_array_equal(twice.loadings, structure.loadings)
    stressed = model_of().shocked(correlation=0.4, volatility=2.0)
    full = model_of(np.asarray(FactorStructure(LOADINGS))).shocked(correlation=0.4, volatility=2.0)
    np.testing.assert_allclose(stressed.covariance_log_growth(1.0), full.covariance_log_growth(1.0), atol=1e-15)


def test_every_draw_is_that_of_its_stream() -> None:
    """Paths from the scalar generator in plain Python: own normals are stream 0, common ones a stream behind."""
    model = model_of(FactorStructure(LOADINGS, 0.25))
    assert [(shock.name, shock.per) for shock in model.shocks] == [("diffusion", "asset"), ("common", "factor")]
    spec = SimulationSpec(model, paths=2048, steps=2, seed=2**35 + 1, dtype="float64")
    growth = simulate(spec)["log_growth"].values[-1]
    tables = model.tables(1 / 252)
    for path in (0, 1023, 1700):
        expected = np.zeros(3)
        for step in (1, 2):
            own = np.array([normal(spec.seed, path, step, a, 0) for a in range(3)])
            common = np.array([normal(spec.seed, path, step, f, 1) for f in range(3)])
            expected += tables["drift"] + tables["mixing"][:, :-1] @ common + tables["mixing"][:, -1] * own
        np.testing.assert_allclose(growth[:, path], expected, rtol=1e-12, atol=1e-15)


def test_a_scenario_has_the_draws_of_the_base_and_leaves_its_paths() -> None:
    up = Scenario("up", correlation=0.5)
    options = {"scenarios": [Scenario("base"), up], "prices": prices_of(ASSETS)}
    both = simulate(spec_of(model_of()), **options)["log_growth"].values
    np.testing.assert_array_equal(both[0], simulate(spec_of(model_of()))["log_growth"].values)
    np.testing.assert_array_equal(both[1], simulate(spec_of(model_of().shocked(correlation=0.5)))["log_growth"].values)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_paths_of_every_arrangement_have_the_exact_moments(method: str) -> None:
    """Arranged by the pilot, against the exact moments with the errors that the groups give."""
    model = model_of(FactorStructure(LOADINGS, 0.1))
    plain = SimulationSpec(model, paths=64 * 1024, steps=3, step_days=20, seed=6)
    spec = arrange(plain, book=book_of([[500.0, 300.0, -200.0]]), method=method, horizon=60.0, dimensions=16)
    assert spec.sampling.method == method
    paths = simulate(spec, times=[20, 60]).compute(scheduler="synchronous")
    growth = paths["log_growth"].values.astype(float)
    ratio = paths["likelihood_ratio"].values if "likelihood_ratio" in paths else np.ones((2, spec.paths))
    group = spec.sampling.groups.of(np.arange(spec.paths))
    for row, days in enumerate((20, 60)):
        mean, covariance = model.mean_log_growth(days / 252), model.covariance_log_growth(days / 252)
        gap = growth[row] - mean[:, None]
        terms = [ratio[row] * gap[a] for a in range(3)]
        terms += [ratio[row] * (gap[a] * gap[b] - covariance[a, b]) for a in range(3) for b in range(a + 1)]
        for term in terms:
            sums = np.bincount(group, term)
            error = sums.std(ddof=1) * np.sqrt(len(sums))
            assert abs(sums.sum()) < 4.5 * error + 1e-7 * spec.paths


def test_sobol_points_go_to_the_common_normals_first() -> None:
    """The components of the loadings, and the end of the path: a portfolio along the first needs far fewer paths."""
    structure = market_loadings(60, 3)
    model = GeometricBrownianMotion(tuple(names_of(60)), np.zeros(60), np.full(60, 0.2), structure)
    exposure = book_of([np.ones(60)], names_of(60))
    spread = {}
    for method in ("plain", "sobol"):
        losses = []
        for seed in range(12):
            plain = SimulationSpec(model, paths=8192, steps=2, seed=seed)
            spec = arrange(plain, book=exposure, method=method, replicates=2, dimensions=8)
            losses.append(np.exp(simulate(spec, times=[2])["log_growth"].values[0]).sum(axis=0).mean())
        spread[method] = np.var(losses)
    assert spread["plain"] > 20.0 * spread["sobol"]


def test_two_thousand_assets_have_their_correlations() -> None:
    """Every one of two million correlations within its Monte-Carlo error, in arrays of a few tiles."""
    structure, names, paths = market_loadings(2000, 20), tuple(names_of(2000)), 8192
    model = GeometricBrownianMotion(names, np.zeros(2000), np.linspace(0.1, 0.5, 2000), structure)
    growth = simulate(SimulationSpec(model, paths=paths, seed=4), times=[1])["log_growth"].values[0].astype(float)
    np.testing.assert_allclose(growth.std(axis=1), model.volatility / np.sqrt(252), rtol=0.05)
    pairs = np.triu_indices(2000, 1)
    exact = np.asarray(structure)[pairs]
    scores = (np.corrcoef(growth)[pairs] - exact) * np.sqrt(paths) / (1.0 - exact * exact)
    # two million scores, but not independent ones: the 20 common normals are in all of them
    assert abs(np.sqrt(np.mean(scores * scores)) - 1.0) < 0.15
    assert np.abs(scores).max() < 6.0


def test_the_plan_counts_the_common_normals_and_the_shorter_mixing() -> None:
    names, structure = tuple(names_of(200)), market_loadings(200, 4)
    planned = []
    for correlation in (structure, np.asarray(structure)):
        model = GeometricBrownianMotion(names, np.zeros(200), np.ones(200), correlation)
        planned.append(plan(SimulationSpec(model, paths=4096, steps=3, chunk_paths=4096), work=Workload()))
    assert [p.numbers_drawn for p in planned] == [4096 * 3 * (200 + 4 + 1), 4096 * 3 * 200]
    assert planned[0].task_seconds < planned[1].task_seconds


def test_a_record_holds_the_loadings_and_no_matrix() -> None:
    model = GeometricBrownianMotion(tuple(names_of(50)), np.zeros(50), np.ones(50), market_loadings(50, 2).pushed(0.1))
    record = json.loads(json.dumps(model.record()))
    assert set(record["parameters"]["correlation"]) == {"loadings", "towards_one"}
    assert np.shape(record["parameters"]["correlation"]["loadings"]) == (50, 2)
    for again in (from_record(record), pickle.loads(pickle.dumps(model))):
        assert again == model
        assert again.shocks == model.shocks
        np.testing.assert_array_equal(again.tables(0.01)["mixing"], model.tables(0.01)["mixing"])
        with pytest.raises(ValueError, match="read-only"):
            again.correlation.loadings[0] = 1.0  # type: ignore[attr-defined]
    assert GeometricBrownianMotion.shocks[0].common is None


@pytest.mark.parametrize(
    ("correlation", "text"),
    [
        ({"loadings": [[0.5]]}, r"correlation: keys \['loadings'\] are not loadings and towards_one"),
        (FactorStructure([[0.5], [0.5]]), "correlation: loadings of 2 assets are not for 3"),
    ],
)
def test_a_structure_that_does_not_fit_is_refused(correlation: object, text: str) -> None:
    with pytest.raises(InputError, match=text):
        model_of(correlation)


@pytest.mark.parametrize(
    ("loadings", "share", "text"),
    [
        ([0.5, 0.5], 0.0, r"correlation.loadings: shape \(2,\) is not \(asset, factor\)"),
        ([[], []], 0.0, r"correlation.loadings: shape \(2, 0\) is not \(asset, factor\)"),
        ([[0.5], [np.nan]], 0.0, r"correlation.loadings: .*nan.* at index \(1, 0\) is not finite"),
        ([[0.6, 0.8], [0.8, 0.7]], 0.0, "correlation.loadings: the squares of row 1 sum to 1.13, which is above 1"),
        ([[0.6]], 1.0, r"correlation.towards_one: 1.0 is not in \[0, 1\)"),
    ],
)
def test_bad_loadings_are_refused(loadings: object, share: float, text: str) -> None:
    with pytest.raises(InputError, match=text):
        FactorStructure(loadings, share)  # type: ignore[arg-type]
    assert FactorStructure([[0.6, 0.8]]).own[0] == pytest.approx(0.0, abs=1e-7)
