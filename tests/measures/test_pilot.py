"""The pilot: it finds where the losses come from, the same every time, and what it finds serves."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.measures import arrange, tail_risk
from riskops.models import GeometricBrownianMotion, MertonJumpDiffusion
from riskops.portfolio import portfolio_loss
from riskops.scenarios import BASE, Scenario
from riskops.simulation import METHODS, Sampling, SimulationSpec, path_job, paths_of, simulate
from tests.models.toy_models import example_models
from tests.simulation.examples import ASSETS, Pegged, book_of, brownian, prices_of, spec_of

BOOK = book_of([[1e3, 500.0, -800.0], [0.0, 250.0, 250.0]])
MERTON = MertonJumpDiffusion(
    ("A", "B"),
    [0.0, 0.0],
    [0.1, 0.1],
    np.eye(2),
    [20.0, 20.0],
    jump_mean=[-0.08, 0.08],
    jump_deviation=[0.02, 0.02],
)


def steepest(model: GeometricBrownianMotion, exposure: np.ndarray) -> np.ndarray:
    """The direction of steepest loss in the normals, for small moves: ``-L' exposure``."""
    lower = np.linalg.cholesky(model.covariance_log_growth(1.0))
    slope = -lower.T @ exposure
    return slope / np.linalg.norm(slope)


@pytest.mark.parametrize("portfolio", ["p0", "p1"])
@pytest.mark.parametrize("steps", [1, 4])
def test_the_direction_is_the_analytic_one(portfolio: str, steps: int) -> None:
    model = brownian()
    found = arrange(spec_of(model, steps=steps), book=BOOK, method="stratified", portfolio=portfolio).sampling
    assert (found.method, found.steps) == ("stratified", steps)
    direction = np.array(found.direction["diffusion"])
    assert direction @ direction == pytest.approx(1.0, abs=1e-12)
    exact = steepest(model, BOOK["exposure"].sel(portfolio=portfolio).values)
    np.testing.assert_allclose(direction, exact, atol=0.01)


def test_the_shift_is_the_mean_in_the_tail() -> None:
    model = GeometricBrownianMotion(ASSETS, np.zeros(3), brownian().volatility, brownian().correlation)
    for steps, level, beyond in ((1, 0.99, 2.665), (4, 0.95, 2.063)):  # E[Z | Z > its quantile] of a standard normal
        found = arrange(spec_of(model, steps=steps), book=BOOK, method="importance", level=level).sampling
        exact = steepest(model, BOOK["exposure"].values[0]) * beyond / np.sqrt(steps)
        np.testing.assert_allclose(found.shift["diffusion"], exact, atol=0.12 / np.sqrt(steps))
        assert not found.tilt


def test_outcomes_are_tilted_to_the_losses_and_keep_half_their_own() -> None:
    book = book_of([[1.0, 0.0]], "AB")
    spec = spec_of(MERTON, steps=5)
    found = arrange(spec, book=book, method="importance").sampling
    assert set(found.tilt) == {shock.name for shock in MERTON.shocks if shock.kind == "outcome"}
    held, other = np.array(found.tilt["count"]).reshape(2, -1)
    limits = MERTON.tables(spec.step_years)["count_thresholds"]
    own = np.diff(np.concatenate([[0], limits[0], [2**32]]).astype(float)) / 2**32
    assert np.all(held >= 0.5 * own)
    assert held[1] > 1.5 * own[1], "losses come from jumps of A"
    np.testing.assert_allclose(other, own, atol=0.02)
    assert held.sum() == pytest.approx(1.0, abs=1e-12)
    assert found.shift["diffusion"][0] < -0.02


def test_shifted_and_tilted_jumps_keep_their_law() -> None:
    """The weighted mean return and the weighted tail are those of the model, under a scenario as well."""
    spec = arrange(
        spec_of(MERTON, paths=64 * 1024, steps=3, seed=4), book=book_of([[1.0, -0.5]], "AB"), method="importance"
    )
    scenarios = (BASE, Scenario("doubled", volatility=2.0))
    job = path_job(spec, times=[3], scenarios=scenarios, prices=prices_of("AB"))
    paths = paths_of(job).compute(scheduler="synchronous")
    growth = paths["log_growth"].values[:, 0].astype(float)
    ratio, group = paths["likelihood_ratio"].values[0], spec.sampling.groups.of(np.arange(spec.paths))
    for s, m in enumerate(job.model_of):
        terms = [np.expm1(growth[s, a]) - job.models[m].mean_simple_return(3 / 252)[a] for a in range(2)]
        for weighted in (ratio * terms[0], ratio * terms[1], ratio - 1.0):
            sums = np.bincount(group, weighted)
            assert abs(sums.sum()) < 4.5 * sums.std(ddof=1) * np.sqrt(len(sums))
    assert ratio.max() <= 4.0
    assert np.mean(ratio < 0.5) > 0.2, "paths were moved"


@pytest.mark.parametrize("method", METHODS)
def test_what_is_found_is_recorded_and_the_same_every_time(method: str) -> None:
    spec = spec_of(paths=8192, steps=3)
    one, two = (arrange(spec, book=BOOK, method=method, replicates=4) for _ in range(2))
    assert one == two
    again = SimulationSpec.from_record(json.loads(json.dumps(one.record(), allow_nan=False)), chunk_paths=1024)
    assert again.fingerprint() == two.fingerprint()
    assert one.sampling.method == method
    assert replace(one, sampling=Sampling()) == spec
    # from a spec that is arranged already, cut otherwise, with other paths: the same arrangement
    other = arrange(replace(one, chunk_paths=2048, paths=16_384), book=BOOK, method=method, replicates=4)
    assert other.sampling == one.sampling


def test_sobol_turns_components_into_the_mixed_normals() -> None:
    spec = arrange(spec_of(paths=8192, steps=3), book=BOOK, method="sobol", replicates=8, dimensions=5)
    assert (spec.sampling.replicates, spec.sampling.dimensions, spec.sampling.steps) == (8, 5, 3)
    turn = np.array(spec.sampling.rotation["diffusion"]).reshape(3, 3)
    lower = spec.model.tables(spec.step_years)["mixing"]
    components = lower @ turn
    gram = components.T @ components
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-12 * gram.max())
    assert np.all(np.diff(np.diag(gram)) < 0), "the largest comes first"
    chosen = example_models()["toy_two_regimes"]
    assert not arrange(
        spec_of(chosen, paths=8192), book=book_of([[1.0, 1.0]], "AB"), method="sobol", replicates=2
    ).sampling.rotation


def test_the_horizon_that_is_asked_for() -> None:
    spec = spec_of(steps=4, step_days=5)
    for method in ("stratified", "sobol"):
        found = arrange(spec, book=BOOK, method=method, horizon=10.0, replicates=2).sampling
        assert found.steps == 2


@pytest.mark.parametrize("method", ["importance", "stratified"])
def test_the_tail_gets_surer_by_what_is_found(method: str) -> None:
    spec = arrange(spec_of(paths=32 * 1024, steps=2), book=BOOK, method=method)
    book = BOOK.isel(portfolio=[0])
    found, plain = (
        tail_risk(portfolio_loss(simulate(s, times=[2]), book=book), level=0.99).compute(scheduler="synchronous")
        for s in (spec, replace(spec, sampling=Sampling()))
    )
    for name in ("value_at_risk", "expected_shortfall"):
        one, other = (ds[f"{name}_standard_error"].item() for ds in (found, plain))
        assert one < 0.6 * other
        assert abs(found[name].item() - plain[name].item()) < 4 * np.hypot(one, other)


def test_the_pilot_draws_paths_of_its_own() -> None:
    """The last ones that can be numbered: no run reaches them."""
    job = path_job(spec_of())
    pilot = paths_of(job, first_path=2**34 - 65_536, stop_path=2**34)["log_growth"]
    run = paths_of(job)["log_growth"]
    assert pilot.sizes["path"] == 65_536
    assert not np.isin(run.values[0, -1, 0], pilot.values[0, -1, 0]).mean() > 0.05


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"method": "quasi"}, "sampling.method: 'quasi' is not "),
        ({"method": "stratified", "portfolio": "p7"}, "sampling.portfolio: 'p7' is not among p0, p1, nothing"),
        (
            {"method": "stratified", "portfolio": "nothing"},
            "sampling.portfolio: its loss depends on no normal",
        ),
        ({"method": "importance", "portfolio": "nothing"}, "sampling.portfolio: its loss depends on no draw"),
        ({"method": "importance", "level": 1.5}, "level: 1.5 is not a confidence level between 0 and 1"),
        (
            {"method": "importance", "level": 0.999999},
            "sampling.level: no path of the pilot, of 65536, lies beyond 0.999999",
        ),
        ({"method": "stratified", "horizon": 1.5}, "sampling.horizon: 1.5 days is not a multiple of step_days=1 "),
        ({"method": "sobol", "horizon": 0.0}, "sampling.horizon: 0.0 days is before the first step"),
        (
            {"method": "sobol", "replicates": 32},
            "simulation.paths: 4096 are not a multiple of 32768, which groups by replicate 32 need, "
            "by sampling.method sobol",
        ),
    ],
)
def test_refusals(options: dict, line: str) -> None:
    book = book_of([[1e3, 500.0, -800.0], [0.0, 250.0, 250.0], [0.0, 0.0, 0.0]])
    book = book.assign_coords(portfolio=["p0", "p1", "nothing"])
    with pytest.raises(InputError) as caught:
        arrange(spec_of(steps=2), book=book, **options)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("kind", "method", "line"),
    [
        (
            "toy_row_bootstrap",
            "stratified",
            "sampling.method: stratified arranges normals, and model toy_row_bootstrap draws none; "
            "antithetic serves it",
        ),
        (
            "toy_uniform",
            "importance",
            "sampling.method: importance moves normals and outcomes, and model toy_uniform draws none; "
            "antithetic serves it",
        ),
        (
            "toy_uniform",
            "moment_matching",
            "sampling.method: moment_matching arranges normals, and model toy_uniform draws none; antithetic serves it",
        ),
        (
            "toy_pegged",
            "control_variate",
            "sampling.method: control_variate needs known means, and model toy_pegged has none",
        ),
    ],
)
def test_models_that_a_method_does_not_serve(kind: str, method: str, line: str) -> None:
    model = (example_models() | {"toy_pegged": Pegged(("A", "B"))})[kind]
    with pytest.raises(InputError) as caught:
        arrange(spec_of(model), book=book_of([[1.0, 1.0]], "AB"), method=method)
    assert str(caught.value) == line
