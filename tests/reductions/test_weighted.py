"""Weighted and grouped reductions against NumPy's weighted formulas, and their errors against what groups say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import stdtrit

from riskops.reductions import CoMoments, Groups, Histogram, Moments, batches, comoments, histogram, histogram_quantile
from riskops.reductions.comoments import _tile_weighted_comoments
from riskops.reductions.histogram import KEYS, _count_weighted
from riskops.reductions.moments import _tile_weighted_moments
from riskops.scalar import exact_fma

NAMES = ("mean", "standard_deviation", "skewness", "excess_kurtosis")
TILES = 8
PATHS = TILES * 1024
GENERATOR = np.random.default_rng(31)
LOSSES = GENERATOR.gamma(3.0, 2.0, (2, 2, PATHS)) + 5.0
#: One row of weights a horizon, the last of the leading dims.
WEIGHTS = 4.0 * GENERATOR.random((2, PATHS))
GROWTH = 0.02 * GENERATOR.standard_normal((2, 2, 3, PATHS)) + 0.01 * GENERATOR.standard_normal((2, 2, 1, PATHS))


def moments(
    losses: np.ndarray, weights: np.ndarray | None = None, groups: Groups | None = None
) -> dict[str, np.ndarray]:
    reduction = Moments(weight=None if weights is None else "loss_weight", groups=groups or Groups())
    block = {"loss": losses} | ({} if weights is None else {"loss_weight": weights})
    return reduction.finalize(reduction.chunk(block, first_path=0))


def dependence(growth: np.ndarray, weights: np.ndarray | None = None, **options: object) -> dict[str, np.ndarray]:
    reduction = CoMoments(weight=None if weights is None else "likelihood_ratio", transform="none", **options)  # type: ignore[arg-type]
    block = {"log_growth": growth} | ({} if weights is None else {"likelihood_ratio": weights})
    return reduction.finalize(reduction.chunk(block, first_path=0))


def statistics_of(x: np.ndarray, w: np.ndarray) -> tuple[float, ...]:
    """Mean, deviation, skewness and excess kurtosis by weighted averages."""
    mean = np.average(x, weights=w)
    m2, m3, m4 = (np.average((x - mean) ** k, weights=w) for k in (2, 3, 4))
    return float(mean), math.sqrt(m2 * len(x) / (len(x) - 1)), float(m3 / m2**1.5), float(m4 / m2**2 - 3)


@pytest.mark.parametrize("paths", [2, 1000, 1025, PATHS])
def test_weighted_moments_are_those_of_numpy(paths: int) -> None:
    found = moments(LOSSES[..., :paths], WEIGHTS[:, :paths])
    assert found["count"] == paths
    for p, h in np.ndindex(2, 2):
        expected = statistics_of(LOSSES[p, h, :paths], WEIGHTS[h, :paths])
        for name, value in zip(NAMES, expected, strict=True):
            assert found[name][p, h] == pytest.approx(value, rel=1e-9, abs=1e-9), name


def test_weighted_errors_are_the_batches_of_tiles() -> None:
    found = moments(LOSSES, WEIGHTS, Groups("quadruple"))
    assert found["batches"] == TILES
    assert found["reach"] == pytest.approx(stats.t.ppf(0.975, TILES - 1), rel=1e-12)
    tiles = [
        statistics_of(x, w)
        for x, w in zip(LOSSES[1, 0].reshape(TILES, 1024), WEIGHTS[0].reshape(TILES, 1024), strict=True)
    ]
    for name, batch in zip(NAMES, np.array(tiles).T, strict=True):
        assert found[f"{name}_standard_error"][1, 0] == pytest.approx(stats.sem(batch), rel=1e-9), name


@pytest.mark.parametrize("groups", [Groups(), Groups("tile"), Groups("replicate", 4)], ids=lambda g: g.text)
def test_weights_of_one_change_nothing_but_rounding(groups: Groups) -> None:
    ones = np.ones((2, PATHS))
    weighted, plain = moments(LOSSES, ones, groups), moments(LOSSES, None, groups)
    alike = dependence(GROWTH, ones, groups=groups), dependence(GROWTH, groups=groups)
    for one, other, names in ((weighted, plain, NAMES), (*alike, ("mean", "covariance", "correlation"))):
        for name in names:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-11, atol=1e-14)
            if groups.unit != "path" and name != "mean":
                error = f"{name}_standard_error"
                np.testing.assert_allclose(one[error], other[error], rtol=1e-8, atol=1e-14)


def test_weights_scale_away() -> None:
    one, other = moments(LOSSES, WEIGHTS), moments(LOSSES, WEIGHTS * 0.25)
    for name in NAMES:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_replicates_are_the_batches(weighted: bool) -> None:
    """Each replicate's own figures, from all of its tiles together; also where stretches are cut through it."""
    weights, groups = WEIGHTS if weighted else None, Groups("replicate", 4)
    found = moments(LOSSES, weights, groups)
    assert found["batches"] == 4
    assert found["reach"] == pytest.approx(float(stdtrit(3, 0.975)), rel=1e-12)
    own = np.arange(PATHS) // 1024 % 4
    used = np.ones(PATHS) if weights is None else weights[1]
    each = np.array([statistics_of(LOSSES[0, 1, own == r], used[own == r]) for r in range(4)]).T
    for name, batch in zip(NAMES, each, strict=True):
        assert found[f"{name}_standard_error"][0, 1] == pytest.approx(stats.sem(batch), rel=1e-9), name


def test_slots_of_replicates_are_filled_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = moments(LOSSES, WEIGHTS, Groups("replicate", 4))
    monkeypatch.setattr(batches, "LEAF_NUMBERS", 300)
    for name, array in moments(LOSSES, WEIGHTS, Groups("replicate", 4)).items():
        np.testing.assert_array_equal(array, whole[name])


def test_the_error_of_the_mean_is_that_of_the_groups() -> None:
    """Antithetic-like pairs, stratified-like tiles and Sobol-like replicates: Groups' own formula over all paths."""
    rng = np.random.default_rng(7)
    paths, spread = 512 * 1024, {}
    z = rng.standard_normal(paths).reshape(-1, 4, 256)
    pairs = np.concatenate([z[:, :2], -z[:, :2]], axis=1).reshape(-1)
    tiles = z.reshape(-1, 1024) - z.reshape(-1, 1024).mean(axis=1, keepdims=True)
    shared = rng.standard_normal(16)[np.arange(paths) // 1024 % 16]
    samples = {
        Groups("pair"): pairs + 0.1 * pairs**2,
        Groups("tile"): (tiles + 0.2 * tiles**2).reshape(-1),
        Groups("replicate", 16): z.reshape(-1) + 0.01 * shared,
    }
    for groups, losses in samples.items():
        found = moments(losses, None, groups)
        (sums,) = groups.sums(np.arange(paths), losses)
        exact = math.sqrt(groups.covariance(float(sums @ sums), sums.sum(), sums.sum(), paths))
        # pairs: batches of tiles estimate the same error from fewer groups, hence only nearly so
        rel = 0.1 if groups.unit == "pair" else 1e-9
        assert found["mean_standard_error"] == pytest.approx(exact, rel=rel), groups.text
        spread[groups.unit] = float(found["mean_standard_error"] / (losses.std() / math.sqrt(paths)))
    assert spread["pair"] < 0.25
    assert spread["tile"] < 0.4
    assert spread["replicate"] > 2.0


def test_too_few_batches_have_no_error() -> None:
    found = moments(LOSSES[..., :1024], None, Groups("pair"))
    assert np.isnan(found["mean_standard_error"]).all()
    assert np.isnan(found["reach"])


def test_weights_must_fit() -> None:
    for call in (lambda w: moments(LOSSES, w), lambda w: dependence(GROWTH, w)):
        with pytest.raises(ValueError, match=r"3 rows do not weight the 4 of"):
            call(np.ones((3, PATHS)))


def test_tiles_without_weight_do_not_spoil_the_rest() -> None:
    weights = WEIGHTS.copy()
    weights[:, 2048:3072] = 0.0
    kept = np.r_[0:2048, 3072:PATHS]
    found = moments(LOSSES, weights)
    assert found["mean"][0, 0] == pytest.approx(np.average(LOSSES[0, 0, kept], weights=WEIGHTS[0, kept]), rel=1e-12)
    growth = dependence(GROWTH, weights)
    expected = np.cov(GROWTH[1, 1][:, kept], aweights=WEIGHTS[1, kept], ddof=0) * PATHS / (PATHS - 1)
    np.testing.assert_allclose(growth["covariance"][1, 1], expected, rtol=1e-10)


# The histogram


def weighted_histogram(losses: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    reduction = Histogram(weight="loss_weight")
    return reduction.finalize(reduction.chunk({"loss": losses, "loss_weight": weights}, first_path=0))


def test_weighted_counts_are_sums_of_weights() -> None:
    found = weighted_histogram(LOSSES, WEIGHTS)
    edges = np.append(found["bin_low"], found["bin_high"][-1])
    assert found["counts"].dtype == np.float64
    for p, h in np.ndindex(2, 2):
        expected = np.histogram(LOSSES[p, h], edges, weights=np.round(WEIGHTS[h] * 2**24) / 2**24)[0]
        np.testing.assert_allclose(found["counts"][p, h], expected, rtol=1e-12)
        assert found["counts"][p, h].sum() == pytest.approx(WEIGHTS[h].sum(), abs=PATHS * 2.0**-25)


def test_weights_of_one_count_paths() -> None:
    found, plain = weighted_histogram(LOSSES, np.ones((2, PATHS))), Histogram()
    expected = plain.finalize(plain.chunk({"loss": LOSSES}, first_path=0))
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_weighted_quantiles_lie_in_the_bins_found() -> None:
    found = weighted_histogram(LOSSES[:1], WEIGHTS)
    probabilities = [0.0, 0.05, 0.5, 0.99, 1.0]
    low, high = histogram_quantile(found["counts"], found["bin_low"], found["bin_high"], probabilities)
    for h in range(2):
        exact = np.quantile(LOSSES[0, h], probabilities, weights=WEIGHTS[h], method="inverted_cdf")
        assert ((low[0, h] <= exact) & (exact < high[0, h])).all()
    with pytest.raises(ValueError, match="counts: a row without counts"):
        histogram_quantile(np.array([0.0]), np.array([0.0]), np.array([1.0]), [0.5])


@pytest.mark.parametrize("bad", [-0.1, 17.0, math.nan, math.inf])
def test_weights_out_of_range_are_an_error(bad: float) -> None:
    weights = np.ones((2, PATHS))
    weights[1, 77] = bad
    with pytest.raises(ValueError, match=r"^loss_weight: path 77 of row 1 is .*, not a weight from 0 to 16$"):
        weighted_histogram(LOSSES, weights)


def test_a_weighted_loss_must_be_finite_and_nothing_weighs_nothing() -> None:
    losses = LOSSES.copy()
    losses[1, 0, 5] = math.nan
    with pytest.raises(ValueError, match=r"^loss: path 5 of row \(1, 0\) is nan, not a finite number$"):
        weighted_histogram(losses, WEIGHTS)
    nothing, reduction = np.zeros((2, PATHS)), Histogram(weight="loss_weight")
    state = reduction.chunk({"loss": LOSSES, "loss_weight": nothing}, first_path=0)
    assert reduction.finalize(reduction.combine([state, state]))["counts"].shape == (2, 2, 0)


# Covariances


@pytest.mark.parametrize("paths", [2, 1025, PATHS])
def test_weighted_matrices_are_those_of_numpy(paths: int) -> None:
    found = dependence(GROWTH[..., :paths], WEIGHTS[:, :paths])
    for s, t in np.ndindex(2, 2):
        x, w = GROWTH[s, t, :, :paths], WEIGHTS[t, :paths]
        covariance = np.cov(x, aweights=w, ddof=0) * paths / (paths - 1)
        deviation = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(found["mean"][s, t], np.average(x, axis=1, weights=w), rtol=1e-10)
        np.testing.assert_allclose(found["covariance"][s, t], covariance, rtol=1e-10)
        np.testing.assert_allclose(found["correlation"][s, t], covariance / np.outer(deviation, deviation), rtol=1e-10)


def test_weights_follow_the_rows_that_are_selected() -> None:
    whole = dependence(GROWTH, WEIGHTS)
    for select in ((1,), (1, 1)):
        part = dependence(GROWTH, WEIGHTS, select=select)
        for name in ("mean", "covariance", "covariance_standard_error"):
            np.testing.assert_array_equal(part[name], whole[name][select])


def test_matrices_of_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, own = Groups("replicate", 4), np.arange(PATHS) // 1024 % 4
    found = dependence(GROWTH, groups=groups)
    each = [np.cov(GROWTH[1, 0][:, own == r])[0, 1] for r in range(4)]
    assert found["batches"] == 4
    assert found["covariance_standard_error"][1, 0, 0, 1] == pytest.approx(stats.sem(each), rel=1e-9)
    monkeypatch.setattr(comoments, "SLOT_NUMBERS", 100)  # too many numbers: tiles are the batches
    many = dependence(GROWTH, groups=groups)
    assert many["batches"] == TILES
    np.testing.assert_array_equal(many["covariance"], found["covariance"])


def test_kernels_as_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    losses, weights = LOSSES[0, :, :1030], WEIGHTS[:, :1030]
    outs = [np.empty((2, 2, 5)) for _ in range(2)]
    for kernel, out in zip((_tile_weighted_moments, _tile_weighted_moments.py_func), outs, strict=True):
        kernel(losses, weights, out)
    np.testing.assert_array_equal(*outs)
    growth, found = np.ascontiguousarray(GROWTH[0, :1, :2, :1030]), []
    for kernel in (_tile_weighted_comoments, _tile_weighted_comoments.py_func):
        arrays = np.empty((2, 1)), np.empty((2, 1, 2)), np.empty((2, 1, 3))
        kernel(growth, weights[:1], False, *arrays)
        found.append(arrays)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    monkeypatch.setattr(histogram, "fma", exact_fma)
    counted = []
    for kernel in (_count_weighted, _count_weighted.py_func):
        counts, keys = np.zeros(KEYS, dtype=np.int64), np.zeros(4, dtype=np.int64)
        with np.errstate(over="ignore"):
            assert kernel(np.array([1.0, -2.5, 1.0, 0.0]), np.array([0.5, 1.5, 3.0, 0.0]), counts, keys) == (2, -1)
        counted.append((keys.tolist(), counts[keys].tolist()))
    assert counted[0] == counted[1]
