"""Correlation matrices: checked, factored in a fixed order, repaired only when asked, pushed towards one.

The Cholesky factor feeds the simulated paths, so it must not depend on the machine: LAPACK's last bits differ between
CPUs and thread counts. Here it is an elimination by elementwise NumPy operations (product, difference, quotient, square
root), each correctly rounded and in one order. The repair uses LAPACK's eigenvalues: it belongs to the
calibration, whose outcome is recorded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.checks import check_finite, check_number
from riskops.errors import InputError

__all__ = [
    "EIGENVALUE_FLOOR",
    "SMALLEST_PIVOT",
    "check_correlation",
    "cholesky",
    "is_positive_definite",
    "nearest_correlation",
    "push_towards_one",
]

Matrix = npt.NDArray[np.float64]

#: A correlation counts as positive definite when every pivot of its elimination is above this: the share of an asset's
#: variance that the assets before it leave unexplained. Rounding leaves about 1e-15 where the truth is zero.
SMALLEST_PIVOT = 1e-12

#: The smallest eigenvalue of a repaired correlation.
EIGENVALUE_FLOOR = 1e-8

#: How far a diagonal may be from one, and a matrix from symmetric, as ``numpy.corrcoef`` leaves them by rounding.
ROUNDING = 1e-12

_CONVERGED = 1e-11
_MOST_ITERATIONS = 20_000


def _square(name: str, matrix: npt.ArrayLike) -> Matrix:
    array = check_finite(name, matrix)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise InputError(f"{name}: shape {array.shape} is not that of a square matrix")
    difference = np.abs(array - array.T)
    if difference.max() > ROUNDING * max(1.0, float(np.abs(array).max())):
        i, j = (int(k) for k in np.unravel_index(int(difference.argmax()), array.shape))
        raise InputError(f"{name}: {array[i, j]!r} at ({i}, {j}) and {array[j, i]!r} at ({j}, {i}) are not symmetric")
    return array


def _eliminate(matrix: Matrix) -> tuple[Matrix, float]:
    """The lower factor and its smallest pivot; the factor is complete only when the pivot is above the bound."""
    rest = np.array(matrix, dtype=np.float64)
    lower = np.zeros_like(rest)
    smallest = np.inf
    for k in range(len(rest)):
        pivot = float(rest[k, k])
        smallest = min(smallest, pivot)
        if pivot <= SMALLEST_PIVOT:
            break
        lower[k, k] = np.sqrt(pivot)
        column = rest[k + 1 :, k] / lower[k, k]
        lower[k + 1 :, k] = column
        rest[k + 1 :, k + 1 :] -= column[:, None] * column[None, :]
    return lower, smallest


def cholesky(correlation: npt.ArrayLike) -> Matrix:
    """The lower triangular factor ``L`` of a correlation matrix, ``L L' = correlation``, with the same bits everywhere.

    Parameters
    ----------
    correlation
        Symmetric positive definite matrix ``(asset, asset)`` of order-one entries; finite, or it is an error.

    Returns
    -------
    The factor ``(asset, asset)``, zero above the diagonal, without unit.

    Raises
    ------
    InputError
        When the matrix is not square, symmetric and finite, or a pivot is not above ``SMALLEST_PIVOT``.

    Notes
    -----
    Outer-product elimination (Golub and Van Loan, *Matrix Computations*, 4.2): column ``k`` of the remaining matrix
    over the root of its pivot, whose outer product is then taken off the rest.

    Examples
    --------
    >>> cholesky([[1.0, 0.6], [0.6, 1.0]])
    array([[1. , 0. ],
           [0.6, 0.8]])
    """
    matrix = _square("correlation", correlation)
    lower, smallest = _eliminate(matrix)
    if smallest <= SMALLEST_PIVOT:
        raise InputError(f"correlation: is not positive definite (smallest eigenvalue {_smallest_eigenvalue(matrix)})")
    return lower


def is_positive_definite(correlation: npt.ArrayLike) -> bool:
    """Whether a correlation matrix is positive definite beyond rounding.

    Parameters
    ----------
    correlation
        Symmetric matrix ``(asset, asset)``; finite, or it is an error.

    Returns
    -------
    bool
        Whether every pivot of the elimination is above ``SMALLEST_PIVOT``.

    Raises
    ------
    InputError
        When the matrix is not square, symmetric and finite.

    Examples
    --------
    >>> is_positive_definite([[1.0, 0.9], [0.9, 1.0]]), is_positive_definite([[1.0, 1.0], [1.0, 1.0]])
    (True, False)
    """
    return _eliminate(_square("correlation", correlation))[1] > SMALLEST_PIVOT


def _smallest_eigenvalue(matrix: Matrix) -> str:
    return f"{np.linalg.eigvalsh(matrix)[0]:.3g}"


def check_correlation(name: str, correlation: npt.ArrayLike, *, size: int) -> Matrix:
    """Return a correlation matrix of ``size`` assets as float64: symmetric, unit diagonal, positive definite.

    Rounding up to 1e-12 is let pass and kept. What is not positive definite is an error that states the smallest
    eigenvalue; nothing is repaired here.

    Examples
    --------
    >>> check_correlation("correlation", [[1, 0.5], [0.5, 1]], size=2)
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    matrix = _square(name, correlation)
    if matrix.shape != (size, size):
        raise InputError(f"{name}: shape {matrix.shape} is not {(size, size)}")
    diagonal = np.abs(np.diagonal(matrix) - 1.0)
    if diagonal.max() > ROUNDING:
        i = int(diagonal.argmax())
        raise InputError(f"{name}: {matrix[i, i]!r} at ({i}, {i}) is not one, as the diagonal of a correlation is")
    if not is_positive_definite(matrix):
        raise InputError(
            f"{name}: is not positive definite (smallest eigenvalue {_smallest_eigenvalue(matrix)}); "
            "nearest_correlation gives the nearest matrix that is"
        )
    return matrix


def push_towards_one(correlation: npt.ArrayLike, share: float) -> Matrix:
    """Move every correlation the given share of its way to one.

    Parameters
    ----------
    correlation
        Correlation matrix ``(asset, asset)``; finite, or it is an error.
    share
        From 0 (unchanged) to below 1.

    Returns
    -------
    The matrix ``(asset, asset)``, without unit.

    Raises
    ------
    InputError
        When the share is outside ``[0, 1)`` or the matrix is not square, symmetric and finite.

    Notes
    -----
    ``R + share (11' - R) = (1 - share) R + share 11'``: positive definite for a positive definite ``R``, because
    ``11'`` is positive semidefinite. The form on the left keeps the diagonal exactly one.

    Examples
    --------
    >>> push_towards_one([[1.0, 0.2], [0.2, 1.0]], 0.5)
    array([[1. , 0.6],
           [0.6, 1. ]])
    """
    check_number("share", share)
    if not 0.0 <= share < 1.0:
        raise InputError(f"share: {share!r} is not in [0, 1)")
    matrix = _square("correlation", correlation)
    return matrix + share * (1.0 - matrix)


def _raise_eigenvalues(matrix: Matrix, floor: float) -> Matrix:
    """The nearest symmetric matrix with no eigenvalue below ``floor``."""
    values, vectors = np.linalg.eigh(matrix)
    raised = (vectors * np.maximum(values, floor)) @ vectors.T
    return (raised + raised.T) / 2.0


def nearest_correlation(matrix: npt.ArrayLike, *, floor: float = EIGENVALUE_FLOOR) -> tuple[Matrix, dict[str, Any]]:
    """Find the positive definite correlation matrix nearest to a symmetric one in the Frobenius norm.

    Parameters
    ----------
    matrix
        Symmetric matrix ``(asset, asset)``; finite, or it is an error.
    floor
        Smallest eigenvalue that the answer may have, in (0, 1).

    Returns
    -------
    The matrix, without unit, and a report: ``method``, ``eigenvalue_floor``, ``iterations``, ``frobenius_distance``,
    ``largest_change``, ``eigenvalues_before`` and ``eigenvalues_after`` (ascending). A correlation matrix
    that keeps the floor comes back unchanged, at distance zero.

    Raises
    ------
    InputError
        When the matrix is not square, symmetric and finite, or the projections do not converge.

    Notes
    -----
    Higham (2002), *Computing the nearest correlation matrix - a problem from finance*, IMA J. Numer. Anal. 22:
    projections in turn on the matrices with eigenvalues of at least ``floor`` and on those with a unit diagonal, with
    Dykstra's correction for the former. The last projection may leave an eigenvalue a little below the floor;
    ``(1 - t) R + t I`` with the smallest sufficient ``t`` then restores it.

    Examples
    --------
    >>> repaired, report = nearest_correlation([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    >>> repaired.round(4).tolist()
    [[1.0, 0.7607, 0.1573], [0.7607, 1.0, 0.7607], [0.1573, 0.7607, 1.0]]
    >>> round(report["frobenius_distance"], 4)
    0.5278
    """
    check_number("floor", floor)
    if not 0.0 < floor < 1.0:
        raise InputError(f"floor: {floor!r} is not in (0, 1)")
    given = _square("correlation", matrix)
    answer = (given + given.T) / 2.0
    before = np.linalg.eigvalsh(answer)
    iterations = 0
    if before[0] < floor or np.any(np.diagonal(given) != 1.0):
        answer, iterations = _project(answer, floor)
    else:
        answer = given.copy()
    report = {
        "method": "Higham (2002), alternating projections",
        "eigenvalue_floor": floor,
        "iterations": iterations,
        "frobenius_distance": float(np.sqrt(np.sum((answer - given) ** 2))),
        "largest_change": float(np.abs(answer - given).max()),
        "eigenvalues_before": before.tolist(),
        "eigenvalues_after": np.linalg.eigvalsh(answer).tolist(),
    }
    return answer, report


def _project(matrix: Matrix, floor: float) -> tuple[Matrix, int]:
    correction = np.zeros_like(matrix)
    current = matrix
    for iteration in range(1, _MOST_ITERATIONS + 1):
        uncorrected = current - correction
        raised = _raise_eigenvalues(uncorrected, floor)
        correction = raised - uncorrected
        following = raised.copy()
        np.fill_diagonal(following, 1.0)
        moved = float(np.abs(following - current).max())
        current = following
        if moved <= _CONVERGED and float(np.abs(raised - following).max()) <= _CONVERGED:
            return _blend(current, floor), iteration
    raise InputError(f"correlation: the nearest one was not reached in {_MOST_ITERATIONS} projections")


def _blend(matrix: Matrix, floor: float) -> Matrix:
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    if smallest < floor:
        matrix = matrix - (floor - smallest) / (1.0 - smallest) * matrix
        np.fill_diagonal(matrix, 1.0)
    return matrix
