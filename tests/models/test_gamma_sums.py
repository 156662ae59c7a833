"""Sums of exponential jumps: the tables against SciPy's gamma law, in both tails and for every count."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from scipy import special, stats

from riskops.models.gamma_sums import KNOTS, _log_tail, exponential_sum, gamma_tables, gamma_values
from riskops.tables.monotone import REACH, interpolate


def quantile(shape: int, z: np.ndarray) -> np.ndarray:
    upper = special.gammainccinv(shape, special.ndtr(-z))
    return np.where(z > 0.0, upper, special.gammaincinv(shape, special.ndtr(z)))


@pytest.mark.parametrize("shape", [1, 2, 3, 8, 30, 130])
def test_values_at_the_knots_are_the_quantiles_of_the_gamma_law(shape):
    z = np.linspace(-REACH, REACH, KNOTS)
    np.testing.assert_allclose(gamma_values(shape), quantile(shape, z), rtol=5e-14)
    assert np.all(np.diff(gamma_values(shape)) > 0.0)


@pytest.mark.parametrize("shape", [1, 2, 5, 20])
def test_the_cubics_between_the_knots_keep_the_stated_error(shape):
    z = np.linspace(-6.4, 6.4, 20_001)
    true = quantile(shape, z)
    low, high = quantile(shape, np.array([-1.0, 1.0]))
    error = np.abs(interpolate(gamma_tables(shape)[shape], z) - true) / (true + (high - low) / 2.0)
    assert error.max() < 2e-8


def test_no_jumps_sum_to_zero():
    assert np.all(interpolate(gamma_tables(3)[0], np.linspace(-10.0, 10.0, 101)) == 0.0)


def test_tail_of_the_normal_is_that_of_scipy():
    t = np.linspace(0.0, REACH, 4001)
    np.testing.assert_allclose(_log_tail(t), special.log_ndtr(-t), rtol=1e-14)


@njit
def _sums(tables, counts, normals, out):
    for i in range(len(out)):
        out[i] = exponential_sum(tables, counts[i], normals[i])


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 2e-7), (np.float32, 1e-5)])
def test_the_count_picks_the_table(dtype, rtol):
    counts = np.array([0, 1, 1, 2, 4], dtype=np.int32)
    normals = np.array([0.3, 0.0, 2.5, -1.0, 1.5], dtype=dtype)
    out = np.empty(5, dtype=dtype)
    _sums(gamma_tables(4).astype(dtype), counts, normals, out)
    assert out[0] == 0.0
    np.testing.assert_allclose(out[1:], stats.gamma.ppf(stats.norm.cdf(normals[1:]), counts[1:]), rtol=rtol)
