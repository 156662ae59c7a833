"""Sampling as a part of the spec: what it records, what it refuses, and paths that it leaves unbiased."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.measures.tail_sums import TailSums
from riskops.models import GeometricBrownianMotion, MertonJumpDiffusion
from riskops.rng import MAX_PATHS, tile_counters
from riskops.simulation import METHODS, Sampling, SimulationSpec, path_job, paths_of, simulate, stretch
from tests.models.toy_models import example_models
from tests.simulation.arranged import SAMPLINGS
from tests.simulation.examples import ASSETS, brownian, spec_of

UNIT = {"diffusion": (0.6, 0.0, -0.8)}
ROTATION = {"diffusion": tuple(np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0].reshape(-1).tolist())}
#: Every arrangement, for the model of the examples over three steps.
ARRANGED = {
    "plain": Sampling(),
    "antithetic": Sampling("antithetic"),
    "control_variate": Sampling("control_variate"),
    "importance": Sampling("importance", shift={"diffusion": (-0.5, -0.2, 0.1)}),
    "moment_matching": Sampling("moment_matching"),
    "sobol": Sampling("sobol", replicates=4, dimensions=7, steps=3, rotation=ROTATION),
    "stratified": Sampling("stratified", steps=3, direction=UNIT),
}


@pytest.mark.parametrize("method", METHODS)
def test_records_make_the_arrangement_again(method: str) -> None:
    for sampling in (ARRANGED[method], SAMPLINGS[method]):
        again = Sampling.from_record(json.loads(json.dumps(sampling.record(), allow_nan=False)))
        assert again == sampling
        assert hash(again) == hash(sampling)
        assert again.record() == sampling.record()
    spec = spec_of(steps=3, sampling=ARRANGED[method])
    again_spec = SimulationSpec.from_record(json.loads(json.dumps(spec.record())), chunk_paths=1024)
    assert again_spec == spec
    assert again_spec.fingerprint() == spec.fingerprint()
    assert (spec.fingerprint() == spec_of(steps=3).fingerprint()) == (method == "plain")


def test_plain_records_nothing_but_its_name() -> None:
    assert Sampling().record() == {"method": "plain"}


@pytest.mark.parametrize(
    ("method", "text", "weighted", "whole"),
    [
        ("plain", "path", False, False),
        ("antithetic", "pair", False, False),
        ("control_variate", "path", False, False),
        ("importance", "quadruple", True, False),
        ("moment_matching", "tile", False, True),
        ("sobol", "replicate 4", False, True),
        ("stratified", "tile", False, False),
    ],
)
def test_groups_weights_and_tiles(method: str, text: str, weighted: bool, whole: bool) -> None:
    sampling = ARRANGED[method]
    assert (sampling.groups.text, sampling.weighted, sampling.whole_tiles) == (text, weighted, whole)
    paths = simulate(spec_of(steps=3, sampling=sampling), times=[1, 3])
    assert paths.attrs["independent"] == text
    assert ("likelihood_ratio" in paths) == weighted


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"method": "quasi"}, "sampling.method: 'quasi' is not "),
        ({"method": "sobol", "dimensions": 3, "steps": 1}, "sampling.replicates: 0 is not an integer >= 2 and < 257"),
        (
            {"method": "sobol", "replicates": 257, "dimensions": 3, "steps": 1},
            "sampling.replicates: 257 is not an integer >= 2 and < 257",
        ),
        ({"method": "sobol", "replicates": 2, "steps": 1}, "sampling.dimensions: 0 is not an integer >= 1"),
        ({"method": "sobol", "replicates": 2, "dimensions": 3}, "sampling.steps: 0 is not an integer >= 1"),
        ({"method": "stratified", "direction": UNIT}, "sampling.steps: 0 is not an integer >= 1"),
        ({"method": "stratified", "steps": 1}, "sampling.direction: stratified draws need one"),
        ({"method": "importance"}, "sampling.shift: importance sampling needs a shift or a tilt"),
        ({"method": "importance", "shift": {"a": (float("nan"),)}}, "sampling.shift.a: "),
        (
            {"method": "stratified", "steps": 1, "direction": {"a": (1.0, 1.0)}},
            "sampling.direction: its length is 1.41421, not one",
        ),
        (
            {"method": "sobol", "replicates": 2, "dimensions": 1, "steps": 1, "rotation": {"a": (1.0, 0.1, 0.0, 1.0)}},
            "sampling.rotation.a: its 4 numbers are not an orthogonal matrix, row by row",
        ),
        (
            {"method": "sobol", "replicates": 2, "dimensions": 1, "steps": 1, "rotation": {"a": (1.0, 0.0)}},
            "sampling.rotation.a: its 2 numbers are not an orthogonal matrix, row by row",
        ),
    ],
)
def test_what_an_arrangement_refuses(options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as caught:
        Sampling(**options)
    assert str(caught.value).startswith(line)


MERTON = MertonJumpDiffusion(
    ("A", "B"), [0.0, 0.0], [0.2, 0.3], np.eye(2), [1.0, 5.0], jump_mean=[-0.05, -0.02], jump_deviation=[0.05, 0.04]
)


@pytest.mark.parametrize(
    ("options", "sampling", "line"),
    [
        (
            {"paths": 4097},
            ARRANGED["antithetic"],
            "simulation.paths: 4097 are not a multiple of 1024, which groups by pair need, "
            "by sampling.method antithetic",
        ),
        (
            {"paths": 5 * 1024},
            ARRANGED["sobol"],
            "simulation.paths: 5120 are not a multiple of 4096, which groups by replicate 4 need, "
            "by sampling.method sobol",
        ),
        (
            {"paths": MAX_PATHS - 1024},
            ARRANGED["moment_matching"],
            f"simulation.paths: {MAX_PATHS - 1024} leave no paths to the pilot of sampling.method moment_matching",
        ),
        ({"steps": 2}, ARRANGED["stratified"], "sampling.steps: 3 are more than simulation.steps, 2"),
        ({"steps": 2}, ARRANGED["sobol"], "sampling.steps: 3 are more than simulation.steps, 2"),
        (
            {"model": example_models()["toy_row_bootstrap"]},
            ARRANGED["moment_matching"],
            "sampling.method: moment_matching arranges normals, and model toy_row_bootstrap draws none; "
            "antithetic serves it",
        ),
        (
            {},
            Sampling("stratified", steps=1, direction={"jump": (1.0,)}),
            "sampling.direction: model geometric_brownian has no normal shock 'jump'",
        ),
        (
            {},
            Sampling("importance", tilt={"diffusion": (0.5, 0.5)}),
            "sampling.tilt: model geometric_brownian has no outcome shock 'diffusion'",
        ),
        (
            {},
            Sampling("importance", shift={"diffusion": (0.5, 0.5)}),
            "sampling.shift.diffusion: 2 numbers are not for 3 factors",
        ),
        (
            {},
            Sampling("stratified", steps=1, direction={"diffusion": (0.5, 0.5, 0.5, 0.5)}),
            "sampling.direction.diffusion: 4 numbers are not for 3 factors",
        ),
        (
            {},
            Sampling("sobol", replicates=2, dimensions=1, steps=1, rotation={"diffusion": (1.0, 0.0, 0.0, 1.0)}),
            "sampling.rotation.diffusion: 4 numbers are not for 3 factors",
        ),
    ],
)
def test_what_a_spec_refuses(options: dict[str, Any], sampling: Sampling, line: str) -> None:
    settings = {"steps": 3} | options
    model = settings.pop("model", None)
    with pytest.raises(InputError) as caught:
        spec_of(model, sampling=sampling, **settings)
    assert str(caught.value) == line


def test_tilts_are_probabilities_of_the_models_outcomes() -> None:
    shock = "count"
    for tilt, line in (
        ((0.5, 0.5, 0.5), f"sampling.tilt.{shock}: 3 numbers are not for 2 factors"),
        ((), f"sampling.tilt.{shock}: 0 numbers are not for 2 factors"),
        ((0.5, 0.5, 0.5, 0.6), f"sampling.tilt.{shock}: [0.5, 0.6] are not the probabilities of outcomes, "),
        ((0.5, 0.5, 1.5, -0.5), f"sampling.tilt.{shock}: [1.5, -0.5] are not the probabilities of outcomes, "),
    ):
        with pytest.raises(InputError) as caught:
            spec_of(MERTON, sampling=Sampling("importance", tilt={shock: tilt}))
        assert str(caught.value).startswith(line)


def test_part_of_a_tile_is_not_drawn() -> None:
    job = path_job(spec_of(steps=3, sampling=ARRANGED["antithetic"]))
    with pytest.raises(InputError) as caught:
        job.block(tile_counters(0, 1500), 1500)
    assert str(caught.value) == "n: 1500 paths are not whole tiles, which sampling.method antithetic draws"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_length_of_stretches_does_not_matter(method: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = path_job(spec_of(paths=8192, steps=4, dtype=dtype, sampling=ARRANGED[method]), times=[2, 4])
    whole = job.block(tile_counters(0, 8192), 8192)
    for tiles in (0, 1, 3, 5):
        monkeypatch.setattr(stretch, "STRETCH_NUMBERS", max(1, tiles * 1024 * 3))
        assert job.block(tile_counters(0, 8192), 8192).tobytes() == whole.tobytes()


@given(
    method=st.sampled_from(sorted(METHODS)),
    dtype=st.sampled_from(["float32", "float64"]),
    chosen=st.lists(st.integers(0, 16 * 1024 - 1), min_size=1, max_size=200, unique=True),
)
@settings(max_examples=25)
def test_paths_that_are_drawn_again_are_the_same(method: str, dtype: str, chosen: list[int]) -> None:
    """As the attribution draws them: single paths of many tiles at once."""
    job = path_job(spec_of(paths=16 * 1024, steps=3, dtype=dtype, sampling=ARRANGED[method]), times=[1, 3])
    whole = job.block(tile_counters(0, 16 * 1024), 16 * 1024)
    path = np.array(sorted(chosen))
    growth, column = TailSums(job, np.ones((1, 3)), (0.9,))._draw_again(path)
    np.testing.assert_array_equal(growth[..., column], whole[:, :, :3][..., path])


@pytest.mark.parametrize("method", [name for name in METHODS if name != "plain"])
def test_paths_keep_their_mean_and_covariance(method: str) -> None:
    """Against the exact moments, with the errors that the groups give."""
    model = brownian()
    spec = SimulationSpec(model, paths=64 * 1024, steps=3, step_days=20, seed=6, sampling=ARRANGED[method])
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
            assert abs(sums.sum()) < 4.5 * error + 1e-7 * spec.paths  # matched moments may have next to no error
    assert np.all(ratio <= 4.0)


def test_likelihood_ratios_are_those_of_every_horizon() -> None:
    shift = np.array(ARRANGED["importance"].shift["diffusion"])
    spec = spec_of(GeometricBrownianMotion(ASSETS, np.zeros(3), np.full(3, 0.2), np.eye(3)), steps=3)
    paths = simulate(replace(spec, sampling=ARRANGED["importance"]), times=[1, 2, 3]).compute(scheduler="synchronous")
    deviation = 0.2 / np.sqrt(252)
    growth = paths["log_growth"].values.astype(float)
    for row in range(3):
        sums = (growth[row] + 0.5 * (row + 1) * deviation**2) / deviation  # of the normals so far
        log_ratio = shift @ sums - 0.5 * (row + 1) * shift @ shift
        expected = 1 / (0.25 + 0.75 * np.exp(log_ratio))
        np.testing.assert_allclose(paths["likelihood_ratio"].values[row], expected, rtol=1e-3)


def test_matched_and_stratified_draws_need_fewer_paths() -> None:
    """The mean of a sum along the direction: what the arrangements are for."""
    model = GeometricBrownianMotion(ASSETS, np.zeros(3), np.full(3, 0.2), np.eye(3))
    means = {}
    for method in ("plain", "antithetic", "moment_matching", "sobol", "stratified"):
        sampling = replace(ARRANGED[method], rotation={})
        spec = SimulationSpec(model, paths=64 * 1024, steps=3, seed=2, dtype="float64", sampling=sampling)
        growth = paths_of(path_job(spec, times=[3]))["log_growth"].values[0, 0]
        along = np.einsum("a,an->n", UNIT["diffusion"], growth)
        if method == "sobol":
            means[method] = np.abs(
                [along[spec.sampling.groups.of(np.arange(along.size)) == r].mean() for r in range(4)]
            )
        else:
            means[method] = along.reshape(-1, 1024).mean(axis=1)
    exact = -np.sum(UNIT["diffusion"]) * 0.5 * 3 * 0.04 / 252
    spread = {name: np.sqrt(np.mean((np.abs(values) - abs(exact)) ** 2)) for name, values in means.items()}
    assert spread["plain"] > 1e-4
    assert spread["antithetic"] < 1e-14
    assert spread["moment_matching"] < 1e-14
    assert spread["sobol"] < spread["plain"] / 100
    assert spread["stratified"] < spread["plain"] / 20
