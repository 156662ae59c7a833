"""Draws in every arrangement: functions of the path's number alone, of the law they state, arranged as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from riskops.errors import InputError
from riskops.models import Shock
from riskops.rng import tile_counters
from riskops.simulation import Sampling
from riskops.simulation.draws import outcome_ends, tilted_ends
from riskops.tables import poisson_thresholds, thresholds
from tests.simulation.arranged import (
    ASSETS,
    DIRECTION,
    SAMPLINGS,
    SEED,
    SHIFT,
    SHOCKS,
    STEPS,
    TABLES,
    counters_of,
    drawn,
)

methods = pytest.mark.parametrize("method", SAMPLINGS)
precisions = pytest.mark.parametrize("dtype", ["float32", "float64"])
ONE_BY_ONE = [name for name, sampling in SAMPLINGS.items() if not sampling.whole_tiles]
TILES = 32


def lanes(array: np.ndarray) -> np.ndarray:
    """``(..., lane, tile, 256)`` of paths in whole tiles."""
    return np.moveaxis(array.reshape(*array.shape[:-1], -1, 4, 256), -2, -3)


# C1: what is drawn depends on the path's number, whatever else is drawn beside it


@given(
    method=st.sampled_from(sorted(SAMPLINGS)),
    dtype=st.sampled_from(["float32", "float64"]),
    first=st.sampled_from([0, 5, 2**24 - 70]),
    cuts=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
@settings(max_examples=25)
def test_draws_do_not_depend_on_the_cut(method: str, dtype: str, first: int, cuts: list[int]) -> None:
    tiles = range(first, first + sum(cuts))
    whole = drawn(SAMPLINGS[method], counters_of(tiles), dtype=dtype)
    place = 0
    for size in cuts:
        part = drawn(SAMPLINGS[method], counters_of(tiles[place : place + size]), dtype=dtype)
        for name, array in part.items():
            assert array.tobytes() == whole[name][..., 1024 * place : 1024 * (place + size)].tobytes(), name
        place += size


@given(
    method=st.sampled_from(sorted(SAMPLINGS)),
    dtype=st.sampled_from(["float32", "float64"]),
    tiles=st.permutations(range(4)),
)
@settings(max_examples=15)
def test_tiles_are_drawn_in_any_order(method: str, dtype: str, tiles: list[int]) -> None:
    whole = drawn(SAMPLINGS[method], counters_of(range(4)), dtype=dtype)
    other = drawn(SAMPLINGS[method], counters_of(tiles), dtype=dtype)
    for name, array in other.items():
        by_tile = array.reshape(*array.shape[:-1], 4, 1024)
        expected = whole[name].reshape(by_tile.shape)[..., tiles, :]
        np.testing.assert_array_equal(by_tile, expected, err_msg=name)


@given(
    method=st.sampled_from(sorted(ONE_BY_ONE)),
    dtype=st.sampled_from(["float32", "float64"]),
    chosen=st.lists(st.integers(0, 6 * 256 - 1), min_size=1, max_size=300, unique=True),
)
@settings(max_examples=20)
def test_single_counters_of_many_tiles_give_the_same_paths(method: str, dtype: str, chosen: list[int]) -> None:
    """Attribution draws the counters of tail paths again, padded to whole groups of 256."""
    used = np.array(sorted(chosen), np.uint32)
    padded = np.concatenate([used, np.repeat(used[-1:], -len(used) % 256)])
    whole = drawn(SAMPLINGS[method], counters_of(range(6)), dtype=dtype)
    again = drawn(SAMPLINGS[method], padded, dtype=dtype)
    place = np.arange(len(used))
    for lane in range(4):
        path = used.astype(np.int64) // 256 * 1024 + lane * 256 + used % 256
        column = place // 256 * 1024 + lane * 256 + place % 256
        for name, array in again.items():
            np.testing.assert_array_equal(array[..., column], whole[name][..., path], err_msg=name)


@methods
def test_seeds_and_steps_differ(method: str) -> None:
    one, other = (drawn(SAMPLINGS[method], counters_of([3]), seed=seed) for seed in (SEED, SEED + 1))
    for name in ("own", "common", "count", "word"):
        assert np.mean(one[name] == other[name]) < 0.01
        assert np.mean(one[name][0] == one[name][1]) < 0.01


@pytest.mark.parametrize("method", ["moment_matching", "sobol", "stratified"])
def test_what_is_no_normal_stays_plain(method: str) -> None:
    plain, other = (drawn(SAMPLINGS[m], counters_of(range(4))) for m in ("plain", method))
    for name in ("side", "count", "day", "word"):
        np.testing.assert_array_equal(other[name], plain[name])


@pytest.mark.parametrize("method", ["sobol", "stratified"])
def test_steps_beyond_the_arranged_ones_are_plain(method: str) -> None:
    plain, other = (drawn(SAMPLINGS[m], counters_of(range(4))) for m in ("plain", method))
    for name in ("own", "common"):
        np.testing.assert_array_equal(other[name][STEPS - 1], plain[name][STEPS - 1])
        assert np.mean(other[name][: STEPS - 1] == plain[name][: STEPS - 1]) < 0.01


# The marginal law: normals of every step, by weight where they have one


@methods
@precisions
def test_normals_have_mean_zero_deviation_one_and_no_correlation(method: str, dtype: str) -> None:
    found = drawn(SAMPLINGS[method], counters_of(range(TILES)), dtype=dtype)
    weights = found["weights"][-1]
    z = np.concatenate([found["own"], found["common"]], axis=1).astype(float).reshape(STEPS * (ASSETS + 1), -1)
    n = z.shape[1]
    error = np.sqrt((weights**2).mean() / n)  # about: of a weighted mean
    assert np.abs((weights * z).mean(axis=1)).max() < 4.5 * error
    second = (weights * z) @ z.T / n
    assert np.abs(second - np.eye(len(z))).max() < 6.5 * np.sqrt(2) * error
    if not SAMPLINGS[method].weighted:
        for row in (z[1], z[-1]):
            assert stats.kstest(row, "norm").pvalue > 1e-4


# Antithetic


@precisions
def test_two_lanes_are_exactly_opposite(dtype: str) -> None:
    plain, found = (drawn(SAMPLINGS[m], counters_of([0, 9, 10]), dtype=dtype) for m in ("plain", "antithetic"))
    for shock in SHOCKS:
        drawn_, first = lanes(found[shock.name]), lanes(plain[shock.name])
        np.testing.assert_array_equal(drawn_[..., :2, :, :], first[..., :2, :, :])  # lanes 0 and 1 as they come
        opposite = ~drawn_[..., :2, :, :] if shock.kind in ("outcome", "rows", "word") else -drawn_[..., :2, :, :]
        np.testing.assert_array_equal(drawn_[..., 2:, :, :], opposite)
        assert drawn_.dtype == (np.uint32 if shock.kind in ("outcome", "rows", "word") else np.dtype(dtype))


# Moment matching


@precisions
def test_every_tile_has_mean_zero_and_mean_square_one(dtype: str) -> None:
    plain, found = (drawn(SAMPLINGS[m], counters_of(range(3)), dtype=dtype) for m in ("plain", "moment_matching"))
    rounding = 1e-7 if dtype == "float32" else 1e-14
    for name in ("own", "common"):
        z = found[name].astype(float).reshape(STEPS, -1, 3, 1024)
        assert np.abs(z.mean(axis=-1)).max() < rounding
        assert np.abs((z**2).mean(axis=-1) - 1).max() < 4 * rounding
        before = plain[name].astype(float).reshape(z.shape)
        standard = (before - before.mean(axis=-1, keepdims=True)) / before.std(axis=-1, keepdims=True)
        np.testing.assert_allclose(z, standard, rtol=0, atol=10 * rounding)


# Stratified


def along(found: dict[str, np.ndarray], direction: dict[str, tuple[float, ...]] = DIRECTION) -> np.ndarray:
    """``(step, path)``: the draws of each step along the direction."""
    return sum(np.einsum("f,sfn->sn", vector, found[name].astype(float)) for name, vector in direction.items())


@precisions
def test_every_tile_has_each_stratum_once(dtype: str) -> None:
    found = drawn(SAMPLINGS["stratified"], counters_of([0, 1, 700]), dtype=dtype)
    total = along(found)[: STEPS - 1].sum(axis=0) / np.sqrt(STEPS - 1)
    # The sum is a quantile of a word whose top ten bits are the stratum; single precision may cross its edge, where
    # steps and their sum are rounded.
    place = stats.norm.cdf(total) * 1024
    stratum = np.tile(np.arange(1024), 3)  # the place in the tile
    slack = 2e-3 if dtype == "float32" else 1e-9
    assert np.all((place > stratum - slack) & (place < stratum + 1 + slack))
    inside = place % 1  # uniform inside the strata
    assert stats.kstest(inside, "uniform").pvalue > 1e-3


def test_all_but_the_direction_is_untouched() -> None:
    plain, found = (drawn(SAMPLINGS[m], counters_of(range(8))) for m in ("plain", "stratified"))
    unit = np.array([*DIRECTION["own"], *DIRECTION["common"]])
    assert unit @ unit == pytest.approx(1.0, abs=1e-12)
    aside = np.eye(4) - np.outer(unit, unit)
    before, after = (np.concatenate([f["own"], f["common"]], axis=1) for f in (plain, found))
    np.testing.assert_allclose(aside @ after, aside @ before, rtol=0, atol=1e-13)
    sums = along(found)[: STEPS - 1]
    rest = (aside @ after)[: STEPS - 1].reshape(-1, sums.shape[1])
    assert np.abs(np.corrcoef(np.vstack([sums, rest]))[: STEPS - 1, STEPS - 1 :]).max() < 4.5 / np.sqrt(8 * 1024)


def test_the_sum_is_normal_and_the_steps_are_its_bridge() -> None:
    found = drawn(SAMPLINGS["stratified"], counters_of(range(TILES)))
    steps = along(found)[: STEPS - 1]
    n = steps.shape[1]
    total = steps.sum(axis=0) / np.sqrt(STEPS - 1)
    assert stats.kstest(total, "norm").statistic < 1.5 / 1024  # strata of 1/1024 each hold their share in every tile
    assert total.mean() == pytest.approx(0.0, abs=1e-3)
    covariance = steps @ steps.T / n
    np.testing.assert_allclose(covariance, np.eye(STEPS - 1), atol=6 / np.sqrt(n))


def test_one_step_is_stratified_itself() -> None:
    sampling = Sampling("stratified", steps=1, direction={"z": (1.0,)})
    found = drawn(sampling, counters_of([2]), shocks=(Shock("z", per="shared"),), steps=2)
    assert np.floor(stats.norm.cdf(found["z"][0, 0]) * 1024).tolist() == list(range(1024))


# Importance


def log_ratio(found: dict[str, np.ndarray], step: int) -> np.ndarray:
    """The logarithm of the shifted and tilted density over the plain one after some steps, by brute force."""
    total = np.zeros(found["own"].shape[-1])
    for name, vector in SHIFT.items():
        theta = np.array(vector)
        total += np.einsum("f,sfn->n", theta, found[name][:step]) - 0.5 * step * theta @ theta
    limits, tilt = TABLES["limits"], np.array(SAMPLINGS["importance"].tilt["count"]).reshape(ASSETS, -1)
    for a in range(ASSETS - 1):  # the last asset never jumps, whatever it is tilted to
        own = np.diff(np.concatenate([[0], limits[a], [2**32]]).astype(float)) / 2**32
        count = np.searchsorted(limits[a], found["count"][:step, a], side="right")
        total += np.log(tilt[a][count] / own[count]).sum(axis=0)
    return total


@precisions
def test_weights_are_those_of_the_mixture(dtype: str) -> None:
    found = drawn(SAMPLINGS["importance"], counters_of(range(4)), dtype=dtype)
    rtol = 2e-4 if dtype == "float32" else 1e-5  # rare counts have few words, which the probabilities are rounded to
    for step in range(1, STEPS + 1):
        expected = 1 / (0.25 + 0.75 * np.exp(log_ratio(found, step)))
        np.testing.assert_allclose(found["weights"][step - 1], expected, rtol=rtol)


@precisions
def test_the_plain_lane_is_plain_and_the_others_are_moved(dtype: str) -> None:
    plain, found = (drawn(SAMPLINGS[m], counters_of(range(4)), dtype=dtype) for m in ("plain", "importance"))
    for name in ("own", "side", "count", "common", "day", "word"):
        np.testing.assert_array_equal(lanes(found[name])[..., 3, :, :], lanes(plain[name])[..., 3, :, :])
    for name, vector in SHIFT.items():
        moved = lanes(found[name])[..., :3, :, :] - lanes(plain[name])[..., :3, :, :]
        np.testing.assert_allclose(moved, np.array(vector)[None, :, None, None, None] * np.ones_like(moved), atol=1e-6)
    for name in ("side", "day", "word"):
        np.testing.assert_array_equal(found[name], plain[name])


@precisions
def test_weights_average_to_one_and_are_never_above_four(dtype: str) -> None:
    found = drawn(SAMPLINGS["importance"], counters_of(range(TILES)), dtype=dtype)
    weights = found["weights"]
    assert weights.min() > 0
    assert weights.max() <= 4.0
    groups = lanes(weights).mean(axis=-3).reshape(STEPS, -1)  # the lanes of a counter are the group
    error = groups.std(axis=1, ddof=1) / np.sqrt(groups.shape[1])
    assert np.all(np.abs(groups.mean(axis=1) - 1) < 4 * error)
    assert np.all(error < 0.02)


def test_no_weight_is_above_four_however_far_the_shift() -> None:
    sampling = Sampling("importance", shift={"own": (40.0, -40.0, 30.0)})
    for dtype in ("float32", "float64"):
        weights = drawn(sampling, counters_of([0]), dtype=dtype)["weights"]
        assert np.all(np.isfinite(weights))
        assert np.all((weights >= 0) & (weights <= 4.0))
        assert np.all(lanes(weights)[..., 3, :, :] == 4.0)


def test_weighted_moments_are_the_plain_ones() -> None:
    found = drawn(SAMPLINGS["importance"], counters_of(range(TILES)))
    weights = found["weights"][-1]
    counts = np.stack([np.searchsorted(TABLES["limits"][1], row, side="right") for row in found["count"][:, 1]])
    for values, mean in (
        (found["own"][0, 0], 0.0),
        (found["own"][2, 1] ** 2, 1.0),
        (np.exp(found["common"][:, 0].sum(axis=0) * 0.3), np.exp(STEPS * 0.09 / 2)),
        (counts.sum(axis=0), 1.5 * STEPS),
        ((counts[0] == 0), np.exp(-1.5)),
        (found["word"][0, 0] / 2.0**32, 0.5),
    ):
        groups = lanes((weights * values)[None]).mean(axis=-3).reshape(-1)
        assert abs(groups.mean() - mean) < 4 * groups.std(ddof=1) / np.sqrt(len(groups))


def test_tilted_outcomes_come_as_often_as_asked_and_evenly_inside() -> None:
    found = drawn(SAMPLINGS["importance"], counters_of(range(TILES)))
    tilt = np.array(SAMPLINGS["importance"].tilt["count"]).reshape(ASSETS, -1)
    words = lanes(found["count"])[..., :3, :, :]
    for a in range(ASSETS):
        mine = words[:, a].reshape(-1)
        count = np.searchsorted(TABLES["limits"][a], mine, side="right")
        seen = np.bincount(count, minlength=tilt.shape[1])
        wide = tilt[a] if a < 2 else np.eye(tilt.shape[1])[0]  # an asset that never jumps has one outcome
        expected = wide * len(mine)
        assert np.all(np.abs(seen - expected) <= 4.5 * np.sqrt(expected) + 1e-3)
        ends = np.concatenate([[0], TABLES["limits"][a], [2**32]]).astype(float)
        inside = (mine - ends[count]) / (ends[count + 1] - ends[count])
        frequent = count <= 1
        assert stats.kstest(inside[frequent], "uniform").pvalue > 1e-4


@given(
    means=st.lists(st.sampled_from([0.0, 1e-9, 0.05, 0.7, 5.0, 40.0]), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40)
def test_likelihood_ratios_are_exact(means: list[float], seed: int) -> None:
    limits = poisson_thresholds(means)
    plain = outcome_ends(limits, len(means))
    width = np.diff(plain.astype(np.int64), axis=1)
    assert np.all(width.sum(axis=1) == 2**32)
    asked = np.random.default_rng(seed).dirichlet(np.ones(width.shape[1]), len(means))
    tilted, logs = tilted_ends(plain, asked.reshape(-1).tolist())
    new = np.diff(tilted.astype(np.int64), axis=1)
    assert np.all(new.sum(axis=1) == 2**32)
    assert np.array_equal(new > 0, width > 0), "what can happen still can, and nothing else does"
    # Sum over outcomes of the tilted probability times the ratio: the plain total, one.
    ratio = np.where(width > 0, np.exp(-logs), 0.0)  # plain over tilted
    np.testing.assert_allclose((new / 2.0**32 * ratio).sum(axis=1), 1.0, rtol=1e-12)
    possible = np.where(width > 0, asked, 0.0)
    top = np.argmax(new, axis=1)
    for row in range(len(means)):
        off = np.abs(new[row] - np.floor(possible[row] * 2.0**32))
        off[top[row]] = 0  # takes what the impossible ones had, and the rounding
        assert off.max() <= 1


def test_a_tilt_of_another_number_of_outcomes_is_refused() -> None:
    plain = outcome_ends(thresholds([[0.5, 0.5]]), 1)
    with pytest.raises(InputError) as caught:
        tilted_ends(plain, [0.2, 0.3, 0.5])
    assert str(caught.value) == "sampling.tilt: 3 probabilities are not the 2 of the model"


def test_tilting_to_the_same_probabilities_moves_no_word() -> None:
    limits = thresholds([[0.25, 0.5, 0.25]])
    sampling = Sampling("importance", tilt={"regime": (0.25, 0.5, 0.25)})
    shocks = (Shock("regime", kind="outcome", per="shared", table="limits"),)
    plain, found = (
        drawn(s, tile_counters(0, 2048), shocks=shocks, tables={"limits": limits}) for s in (Sampling(), sampling)
    )
    np.testing.assert_array_equal(found["regime"], plain["regime"])
    assert np.all(found["weights"] == 1.0)
