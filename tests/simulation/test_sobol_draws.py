"""Sobol draws: standard normals in the order of a bridge and of components, pseudo-random where dimensions end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from riskops.models import Shock
from riskops.rng import (
    bridge_matrix,
    dimension_order,
    fill_normals,
    fill_sobol_words,
    fill_words,
    normals_of_words,
)
from riskops.simulation import Sampling
from riskops.simulation.draws import Draws
from riskops.simulation.sobol_draws import SobolDraws
from tests.simulation.arranged import SEED, counters_of, drawn

OWN = (Shock("own", mixing="m"), Shock("side", kind="uniform"), Shock("common", per="shared"))
ASSETS = 3
ROTATION = np.linalg.qr(np.random.default_rng(8).normal(size=(ASSETS, ASSETS)))[0]


def sampling_of(steps: int, dimensions: int, *, replicates: int = 2, turned: bool = False) -> Sampling:
    rotation = {"own": tuple(ROTATION.reshape(-1).tolist())} if turned else {}
    return Sampling("sobol", replicates=replicates, dimensions=dimensions, steps=steps, rotation=rotation)


def found_of(sampling: Sampling, tiles: range, *, dtype: str = "float64", seed: int = SEED) -> np.ndarray:
    """Normals ``(step, factor, path)``, the shared one behind those of the assets."""
    found = drawn(
        sampling, counters_of(tiles), dtype=dtype, shocks=OWN, assets=ASSETS, steps=sampling.steps, seed=seed, tables={}
    )
    return np.concatenate([found["own"], found["common"]], axis=1)


def independent_normals(sampling: Sampling, tiles: range, *, dtype: str) -> np.ndarray:
    """The bridge's own normals ``(level, factor, path)``: Sobol's in their order, Philox's of that level beyond."""
    counters, precision = counters_of(tiles), np.dtype(dtype)
    order = dimension_order(sampling.steps, ASSETS + 1, sampling.dimensions)
    out = np.empty((sampling.steps, ASSETS + 1, 4 * len(counters)), precision)
    for level in range(sampling.steps):
        for stream, rows in ((0, slice(0, ASSETS)), (2, slice(ASSETS, ASSETS + 1))):
            count = rows.stop - rows.start
            block = np.empty((count, out.shape[2]), precision)
            fill_normals(block, counters, seed=SEED, step=level + 1, stream=stream)
            low = np.empty((count, out.shape[2]), np.uint32)
            fill_words(low, counters, seed=SEED, step=level + 1, stream=stream)
            out[level, rows] = block
        for factor in range(ASSETS + 1):
            dimension = int(order[level, factor])
            if dimension < 0:
                continue
            words = np.empty((1, out.shape[2]), np.uint32)
            fill_sobol_words(words, counters, seed=SEED, replicates=sampling.replicates, dimensions=[dimension])
            single = np.empty((1, out.shape[2]), np.float32)
            normals_of_words(single, words, None)
            out[level, factor] = single[0]
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("steps", "dimensions"), [(1, 1), (1, 4), (2, 3), (5, 20), (5, 7), (8, 11)])
@pytest.mark.parametrize("turned", [False, True])
def test_steps_are_the_bridge_of_the_levels(dtype: str, steps: int, dimensions: int, turned: bool) -> None:
    sampling = sampling_of(steps, dimensions, turned=turned)
    levels = independent_normals(sampling, range(3), dtype=dtype).astype(float)
    expected = np.einsum("tk,kfn->tfn", bridge_matrix(steps), levels)
    if turned:
        expected[:, :ASSETS] = np.einsum("fj,tjn->tfn", ROTATION, expected[:, :ASSETS])
    found = found_of(sampling, range(3), dtype=dtype)
    assert found.dtype == np.dtype(dtype)
    # The oracle reads Sobol's words in single precision; low words add at most its rounding.
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5)
    if dtype == "float64" and dimensions < steps * (ASSETS + 1):
        philox = np.argwhere(dimension_order(steps, ASSETS + 1, dimensions) < 0)
        plain = np.einsum("tk,tfn->kfn", bridge_matrix(steps), found_of(sampling_of(steps, dimensions), range(3)))
        for level, factor in philox:
            np.testing.assert_allclose(plain[level, factor], levels[level, factor], rtol=0, atol=1e-13)


def test_without_dimensions_left_a_single_step_is_plain() -> None:
    found = found_of(sampling_of(1, 2), range(4))
    plain = drawn(Sampling(), counters_of(range(4)), shocks=OWN, assets=ASSETS, steps=1, tables={})
    np.testing.assert_array_equal(found[:, 2], plain["own"][:, 2])
    np.testing.assert_array_equal(found[:, 3], plain["common"][:, 0])
    assert np.mean(found[:, :2] == plain["own"][:, :2]) < 0.01


@pytest.mark.parametrize("steps", [3, 6])
def test_normals_of_every_step_are_uncorrelated_with_unit_variance(steps: int) -> None:
    tiles = range(32)
    for turned in (False, True):
        z = found_of(sampling_of(steps, 256, turned=turned), tiles).reshape(steps * (ASSETS + 1), -1)
        n = z.shape[1]
        assert np.abs(z.mean(axis=1)).max() < 1 / np.sqrt(n)  # far less than plain draws would leave
        assert np.abs(z @ z.T / n - np.eye(len(z))).max() < 4 / np.sqrt(n)
        assert np.abs(norm.cdf(np.sort(z[0])) - (np.arange(n) + 0.5) / n).max() < 1 / np.sqrt(n)


def test_the_first_dimension_is_where_the_path_ends() -> None:
    """Every tile of a replicate is a net: its 1024 ends of the first component lie one in each stratum."""
    z = found_of(sampling_of(4, 6), range(6), dtype="float32").astype(float)
    end = z[:, 0].sum(axis=0) / 2.0
    for tile in end.reshape(6, 1024):
        strata = np.floor(norm.cdf(tile) * 1024)
        assert len(np.unique(strata)) > 1015  # sums of steps are rounded at the strata's edges


def test_replicates_are_independent_and_each_is_the_law() -> None:
    replicates = 32
    sampling = sampling_of(3, 64, replicates=replicates)
    z = found_of(sampling, range(replicates * 2), dtype="float32").astype(float)
    by_replicate = np.moveaxis(z.reshape(*z.shape[:2], 2, replicates, 1024), 3, 0).reshape(replicates, *z.shape[:2], -1)
    # The points of one place in two replicates may go along or against each other, as their scrambles fall: neither
    # comes more often, over factors, steps and pairs of neighbours.
    together = np.mean(by_replicate[:-1] * by_replicate[1:], axis=-1).reshape(-1)
    assert abs(together.mean()) < 4.5 * together.std() / np.sqrt(together.size)
    means = by_replicate.mean(axis=-1).reshape(replicates, -1)
    assert np.all(np.abs(means.mean(axis=0)) < 4.5 * means.std(axis=0, ddof=1) / np.sqrt(replicates))
    # what Sobol points are for: replicates' means scatter far less than plain means of as many paths
    assert means.std(ddof=1) < 0.2 / np.sqrt(2048)


def test_seeds_scramble_differently() -> None:
    one, other = (found_of(sampling_of(2, 8), range(2), seed=seed) for seed in (1, 2))
    assert np.mean(one == other) < 0.01


def test_a_model_without_a_mixed_shock_is_not_turned() -> None:
    sampling = sampling_of(2, 4)
    draws = SobolDraws(OWN, sampling, seed=1, n=1024, assets=ASSETS, dtype=np.dtype(np.float32), tables={})
    assert isinstance(draws, Draws)
    assert draws.weights is None
