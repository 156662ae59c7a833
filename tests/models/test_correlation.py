"""Correlation matrices: the fixed-order factor, the repair, the push towards one, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.models import cholesky, is_positive_definite, nearest_correlation, push_towards_one
from riskops.models.correlation import EIGENVALUE_FLOOR, check_correlation

HIGHAM = [[2, -1, 0, 0], [-1, 2, -1, 0], [0, -1, 2, -1], [0, 0, -1, 2]]
HIGHAM_NEAREST = [
    [1.0, -0.8084, 0.1916, 0.1068],
    [-0.8084, 1.0, -0.6562, 0.1916],
    [0.1916, -0.6562, 1.0, -0.8084],
    [0.1068, 0.1916, -0.8084, 1.0],
]


@st.composite
def correlations(draw, at_most: int = 8):
    """Positive definite correlations of several sizes, from nearly the identity to nearly singular."""
    size = draw(st.integers(1, at_most))
    factors = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loads = rng.standard_normal((size, factors))
    covariance = loads @ loads.T + draw(st.floats(1e-4, 3.0)) * np.eye(size)
    scale = np.sqrt(np.diagonal(covariance))
    matrix = covariance / np.outer(scale, scale)
    matrix = (matrix + matrix.T) / 2.0
    np.fill_diagonal(matrix, 1.0)
    return matrix


def scalar_cholesky(matrix: np.ndarray) -> np.ndarray:
    """The textbook elimination, one number at a time."""
    size = len(matrix)
    lower = np.zeros((size, size))
    for row in range(size):
        for column in range(row + 1):
            rest = float(matrix[row, column])
            for k in range(column):
                rest -= lower[row, k] * lower[column, k]
            lower[row, column] = math.sqrt(rest) if row == column else rest / lower[column, column]
    return lower


@given(correlations())
def test_factor_has_the_bits_of_the_scalar_elimination_and_gives_the_matrix_back(matrix):
    lower = cholesky(matrix)
    assert lower.tobytes() == scalar_cholesky(matrix).tobytes()
    np.testing.assert_allclose(lower @ lower.T, matrix, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(lower, np.tril(lower))


def test_factor_agrees_with_the_library():
    matrix = [[1.0, 0.5, -0.3], [0.5, 1.0, 0.1], [-0.3, 0.1, 1.0]]
    np.testing.assert_allclose(cholesky(matrix), np.linalg.cholesky(matrix), rtol=1e-14)


def test_factor_of_a_singular_matrix_is_refused():
    with pytest.raises(InputError, match=r"correlation: is not positive definite \(smallest eigenvalue"):
        cholesky([[1.0, 1.0], [1.0, 1.0]])


def test_sample_correlation_of_a_short_window_is_singular():
    sample = np.random.default_rng(3).standard_normal((10, 20))
    assert not is_positive_definite(np.corrcoef(sample.T))
    longer = np.random.default_rng(3).standard_normal((40, 20))
    assert is_positive_definite(np.corrcoef(longer.T))


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        ([[1.0, 0.2]], r"c: shape \(1, 2\) is not that of a square matrix"),
        (np.zeros((0, 0)), r"c: shape \(0, 0\) is not that of a square matrix"),
        ([[1.0, np.nan], [0.2, 1.0]], r"c: .*nan.* at index \(0, 1\) is not finite"),
        ([[1.0, 0.2], [0.3, 1.0]], r"c: .*0\.2.* at \(0, 1\) and .*0\.3.* at \(1, 0\) are not symmetric"),
        ([[1.0, 0.2], [0.2, 0.9]], r"c: .*0\.9.* at \(1, 1\) is not one"),
        (np.eye(3), r"c: shape \(3, 3\) is not \(2, 2\)"),
        ([[1.0, 1.5], [1.5, 1.0]], r"c: is not positive definite \(smallest eigenvalue -0\.5\); nearest_correlation"),
    ],
)
def test_bad_correlation_is_refused(matrix, text):
    with pytest.raises(InputError, match=text):
        check_correlation("c", matrix, size=2)


def test_rounding_of_a_library_correlation_passes_and_is_kept():
    matrix = np.corrcoef(np.random.default_rng(1).standard_normal((5, 100)))
    assert check_correlation("c", matrix, size=5).tobytes() == matrix.tobytes()


def test_nearest_correlation_of_higham():
    matrix, report = nearest_correlation(HIGHAM)
    np.testing.assert_allclose(matrix, HIGHAM_NEAREST, rtol=0, atol=5e-5)
    assert report["frobenius_distance"] == pytest.approx(2.1337, abs=1e-4)
    assert report["largest_change"] == 1.0
    assert report["eigenvalues_before"][0] == pytest.approx(0.381966, abs=1e-6)
    assert report["iterations"] > 1


def test_nearest_correlation_keeps_what_is_one():
    given_matrix = np.array([[1.0, 0.3], [0.3, 1.0]])
    matrix, report = nearest_correlation(given_matrix)
    assert matrix.tobytes() == given_matrix.tobytes()
    assert (report["iterations"], report["frobenius_distance"]) == (0, 0.0)


@settings(max_examples=40)
@given(size=st.integers(2, 9), seed=st.integers(0, 2**32 - 1))
def test_nearest_correlation_is_one_and_beats_clipping(size, seed):
    rng = np.random.default_rng(seed)
    given_matrix = rng.uniform(-1.0, 1.0, (size, size))
    given_matrix = (given_matrix + given_matrix.T) / 2.0
    np.fill_diagonal(given_matrix, 1.0)
    matrix, report = nearest_correlation(given_matrix)
    np.testing.assert_array_equal(np.diagonal(matrix), 1.0)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert is_positive_definite(matrix)
    assert report["eigenvalues_after"][0] >= min(EIGENVALUE_FLOOR, report["eigenvalues_before"][0]) * (1 - 1e-6)
    values, vectors = np.linalg.eigh(given_matrix)
    clipped = (vectors * np.maximum(values, EIGENVALUE_FLOOR)) @ vectors.T
    scale = np.sqrt(np.diagonal(clipped))
    clipped = clipped / np.outer(scale, scale)
    assert report["frobenius_distance"] <= np.linalg.norm(clipped - given_matrix) + 1e-7
    again, _ = nearest_correlation(matrix)
    np.testing.assert_allclose(again, matrix, rtol=0, atol=1e-9)


@pytest.mark.parametrize("floor", [0.0, 1.0, -1e-3])
def test_floor_outside_its_range_is_refused(floor):
    with pytest.raises(InputError, match=r"floor: .* is not in \(0, 1\)"):
        nearest_correlation(np.eye(2), floor=floor)


@given(correlations(), st.floats(0.0, 0.99))
def test_pushed_correlations_stay_positive_definite(matrix, share):
    pushed = push_towards_one(matrix, share)
    np.testing.assert_array_equal(np.diagonal(pushed), 1.0)
    np.testing.assert_array_equal(pushed, pushed.T)
    np.testing.assert_allclose(pushed, (1 - share) * matrix + share, rtol=0, atol=1e-15)
    bound = (1 - share) * np.linalg.eigvalsh(matrix)[0]
    assert np.linalg.eigvalsh(pushed)[0] >= bound - 1e-12
    assert is_positive_definite(pushed)


@pytest.mark.parametrize("share", [1.0, -0.1, np.nan, 2])
def test_share_outside_its_range_is_refused(share):
    with pytest.raises(InputError, match="share: "):
        push_towards_one(np.eye(2), share)
