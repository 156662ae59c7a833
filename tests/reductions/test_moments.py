"""Moments against NumPy and SciPy, and their errors against their own spread over many samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from riskops.reductions import Moments
from riskops.reductions.lanes import LANES, _lane_product, _lane_sum, tile_product, tile_sum
from riskops.reductions.moments import _tile_moments

NAMES = ("mean", "standard_deviation", "skewness", "excess_kurtosis")


def reduce(losses: np.ndarray) -> dict[str, np.ndarray]:
    return Moments().finalize(Moments().chunk({"loss": losses}, first_path=0))


@pytest.mark.parametrize("paths", [2, 3, 1000, 1024, 1025, 10_000, 65_536])
def test_equals_numpy_and_scipy(paths: int) -> None:
    losses = np.random.default_rng(paths).gamma(2.0, 3.0, (2, 2, paths)) + 5.0
    result = reduce(losses)
    assert result["count"] == paths
    assert result["batches"] == paths // 1024
    np.testing.assert_allclose(result["mean"], losses.mean(axis=-1), rtol=1e-13)
    np.testing.assert_allclose(result["standard_deviation"], losses.std(axis=-1, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(result["skewness"], stats.skew(losses, axis=-1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(result["excess_kurtosis"], stats.kurtosis(losses, axis=-1), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(result["mean_standard_error"], result["standard_deviation"] / math.sqrt(paths))


def test_a_large_mean_does_not_cancel() -> None:
    losses = np.random.default_rng(3).standard_normal(20_000)
    near, far = reduce(losses), reduce(losses + 1e9)
    np.testing.assert_allclose(far["standard_deviation"], near["standard_deviation"], rtol=1e-6)
    np.testing.assert_allclose(far["excess_kurtosis"], near["excess_kurtosis"], atol=1e-5)


def test_single_precision_is_summed_in_double() -> None:
    losses = np.random.default_rng(4).standard_normal((3, 5000)).astype(np.float32)
    np.testing.assert_array_equal(reduce(losses)["mean"], reduce(losses.astype(np.float64))["mean"])


def test_errors_are_the_spread_over_samples() -> None:
    """The standard error of each figure agrees with the figure's deviation over 400 independent samples."""
    losses = np.random.default_rng(5).gamma(4.0, 1.0, (400, 32 * 1024))
    result = reduce(losses)
    for name in NAMES:
        spread = result[name].std(ddof=1)
        typical = np.sqrt(np.mean(result[f"{name}_standard_error"] ** 2))
        assert 0.85 < typical / spread < 1.15, name


def test_batches_are_the_whole_tiles() -> None:
    losses = np.random.default_rng(6).standard_normal(3 * 1024 + 7)
    tiles = losses[: 3 * 1024].reshape(3, 1024)
    result = reduce(losses)
    assert result["batches"] == 3
    expected = stats.sem(tiles.std(axis=1, ddof=1)), stats.sem(stats.skew(tiles, axis=1))
    np.testing.assert_allclose(result["standard_deviation_standard_error"], expected[0], rtol=1e-10)
    np.testing.assert_allclose(result["skewness_standard_error"], expected[1], rtol=1e-10)


def test_what_does_not_exist_is_nan_without_a_warning() -> None:
    constant = reduce(np.full(5000, 3.0))
    assert (constant["mean"], constant["standard_deviation"]) == (3.0, 0.0)
    assert np.isnan(constant["skewness"])
    assert np.isnan(constant["excess_kurtosis"])
    one = reduce(np.array([2.0]))
    assert one["mean"] == 2.0
    assert np.isnan(one["standard_deviation"])
    few = reduce(np.arange(1500.0))
    assert few["batches"] == 1
    assert np.isnan(few["standard_deviation_standard_error"])
    assert few["mean_standard_error"] > 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_stays_in_its_row(bad: float) -> None:
    losses = np.random.default_rng(7).standard_normal((2, 5000))
    clean = reduce(losses)
    losses[1, 4000] = bad
    result = reduce(losses)
    for name in NAMES:
        assert result[name][0] == clean[name][0]
    assert np.isnan(result["standard_deviation"][1])


def test_lane_sums_are_the_stated_order() -> None:
    """64 lanes of 16 terms in order, then the lanes pairwise: replayed with plain additions."""
    x = np.random.default_rng(8).standard_normal(1024)
    lanes = [0.0] * LANES
    for j in range(LANES):
        lanes[j] = float(x[j])
        for k in range(1, 16):
            lanes[j] += float(x[j + 64 * k])
        assert _lane_sum(x, j) == lanes[j]
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [a + b for a, b in zip(lanes[:half], lanes[half:], strict=True)]
    scratch = np.empty(LANES)
    assert tile_sum(x, scratch) == lanes[0]
    assert tile_sum.py_func(x, scratch) == lanes[0]


def test_products_are_summed_with_one_rounding_each() -> None:
    x = np.arange(1024.0)
    scratch = np.empty(LANES)
    assert tile_product(x, x, scratch) == float(np.arange(1024, dtype=np.int64) @ np.arange(1024, dtype=np.int64))
    a = np.zeros(1024)
    a[0], a[64] = 1.0 + 2.0**-30, 1.0
    b = a.copy()
    b[64] = -1.0
    # a product rounded before the sum would lose the last term of (1 + e)^2 - 1 = 2 e + e^2
    assert _lane_product(b[::-1][::-1].copy(), a, 0) == pytest.approx(2.0**-29, rel=1e-8)


def test_kernel_as_plain_python() -> None:
    losses = np.random.default_rng(9).standard_normal((2, 1500))
    compiled, plain = np.empty((2, 2, 4)), np.empty((2, 2, 4))
    _tile_moments(losses, compiled)
    _tile_moments.py_func(losses, plain)
    np.testing.assert_array_equal(compiled, plain)
