"""The quality of the draws: accuracy against SciPy, distribution, independence, and discrete outcomes."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from scipy import stats
from scipy.special import ndtri

from riskops import rng
from riskops.rng import draws


@njit(error_model="numpy")
def _normals_f32(words, out):
    for i in range(words.size):
        out[i] = draws.normal_f32(words[i])


@njit(error_model="numpy")
def _normals_f64(high, low, out, p):
    for i in range(high.size):
        out[i] = draws.normal_f64(high[i], low[i])
        p[i] = draws.folded_f64(high[i], low[i])


def _blocks() -> np.ndarray:
    """Words of the lower side: all of the far tail and the last ones before the centre, dense runs in between."""
    starts = np.unique((2.0 ** np.linspace(17, 31, 300)).astype(np.int64))
    runs = (starts[:, None] + np.arange(4096)).ravel()
    words = np.concatenate([np.arange(2**17), runs[runs < 2**31], np.arange(2**31 - 2**16, 2**31)])
    return words.astype(np.uint32)


def test_single_precision_normal_is_within_2e6_everywhere_and_antisymmetric():
    words = _blocks()
    lower, upper = np.empty(words.size, np.float32), np.empty(words.size, np.float32)
    _normals_f32(words, lower)
    _normals_f32(~words, upper)
    exact = ndtri((words + 0.5) / 2.0**32)
    assert np.abs(lower - exact).max() < 1.5e-6
    assert np.array_equal(lower, -upper)
    assert np.isfinite(lower).all()
    assert lower[0] == lower.min()
    assert lower.max() == 0.0


def test_double_precision_normal_is_within_1e13_relative_and_antisymmetric():
    source = np.random.default_rng(2)
    n = 200_000
    high = np.concatenate([
        source.integers(0, 2**31, n), source.integers(0, 2**31, n) >> source.integers(0, 31, n),
        np.zeros(n, np.int64), np.full(n, 2**31 - 1),
    ]).astype(np.uint32)  # fmt: skip
    low = source.integers(0, 2**32, high.size).astype(np.uint32)
    low[2 * n : 3 * n] >>= source.integers(0, 32, n).astype(np.uint32)
    low[2 * n], low[-1] = 0, 0xFFFFFFFF
    lower, upper, p, same_p = (np.empty(high.size) for _ in range(4))
    _normals_f64(high, low, lower, p)
    _normals_f64(~high, ~low, upper, same_p)
    exact = ndtri(p)
    centre = exact == 0
    assert np.abs(lower[~centre] / exact[~centre] - 1).max() < 1e-14
    assert np.all(lower[centre] == 0)
    assert np.array_equal(lower, -upper)
    assert np.array_equal(p, same_p)
    assert p.min() == 2.0**-65
    assert p.max() == 0.5


def test_single_and_double_precision_draw_the_same_normals():
    counters = rng.tile_counters(0, 4096)
    single, double = np.empty((4, 4096), np.float32), np.empty((4, 4096))
    for out in (single, double):
        rng.fill_normals(out, counters, seed=1, step=2, stream=3)
    np.testing.assert_allclose(single, double, rtol=0, atol=4e-6)


@njit(error_model="numpy")
def _tally(z, edges, counts, sums):
    """Count into tail bins, and add up powers and lagged products of one block."""
    for k in range(z.size):
        x = float(z[k])
        sums[0] += x
        sums[1] += x * x
        sums[2] += x * x * x
        sums[3] += x * x * x * x
        if abs(x) > edges[0]:
            j = 0
            while j + 1 < edges.size and abs(x) > edges[j + 1]:
                j += 1
            counts[j, 0 if x < 0 else 1] += 1


def test_tails_and_moments_of_1e8_draws():
    paths, rows = 1 << 18, 4
    total = 96 * paths * rows  # 100,663,296
    edges = np.array([2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0])
    counts, sums = np.zeros((edges.size, 2), np.int64), np.zeros(4)
    counters = rng.tile_counters(0, paths)
    block = np.empty((rows, paths), np.float32)
    for step in range(96):
        rng.fill_normals(block, counters, seed=2024, step=step, stream=0)
        _tally(block.reshape(-1), edges, counts, sums)
    beyond = stats.norm.sf(edges)
    expected = total * (beyond - np.append(beyond[1:], 0.0))[:, None]
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert 1e-4 < stats.chi2.sf(statistic, counts.size) < 1 - 1e-4
    moments = sums / total
    errors = np.sqrt(np.array([1.0, 2.0, 15.0, 96.0]) / total)
    assert np.all(np.abs(moments - [0, 1, 0, 3]) < 4 * errors)


@pytest.fixture(scope="module")
def normals() -> np.ndarray:
    out = np.empty((8, 1 << 17), np.float32)
    rng.fill_normals(out, rng.tile_counters(1 << 20, 1 << 17), seed=99, step=0, stream=0)
    return out.astype(np.float64)


def test_kolmogorov_smirnov(normals):
    assert all(stats.kstest(row, "norm").pvalue > 1e-3 for row in normals)
    uniforms = np.empty((1, 1 << 17), np.float32)
    rng.fill_uniforms(uniforms, rng.tile_counters(0, 1 << 17), seed=5, step=1, stream=0)
    unfolded = np.where(uniforms[0] > 0, uniforms[0], 1.0 + uniforms[0].astype(np.float64))
    assert stats.kstest(unfolded, "uniform").pvalue > 1e-3


def test_serial_correlation_at_the_lags_of_the_layout(normals):
    n = normals.shape[1]
    for lag in (1, 2, 255, 256, 257, 512, 768, 1024):
        correlation = (normals[:, lag:] * normals[:, :-lag]).mean(axis=1)
        assert np.all(np.abs(correlation) < 4.5 / np.sqrt(n - lag)), lag


def test_factors_steps_streams_and_seeds_are_uncorrelated(normals):
    n = normals.shape[1]
    rows = [*normals]
    base = {"seed": 99, "step": 0, "stream": 0}
    for other in ({"step": 1}, {"stream": 1}, {"seed": 100}, {"seed": 99 + 2**32}):
        out = np.empty((1, n), np.float32)
        rng.fill_normals(out, rng.tile_counters(1 << 20, n), **base | other)
        rows.append(out[0].astype(np.float64))
    table = np.corrcoef(np.array(rows))
    squares = np.corrcoef(np.array(rows) ** 2)
    off = ~np.eye(len(rows), dtype=bool)
    assert np.abs(table[off]).max() < 4.5 / np.sqrt(n)
    assert np.abs(squares[off]).max() < 4.5 / np.sqrt(n)
