"""Factors of a correlation matrix: loadings that give its off-diagonal entries as well as so many factors can.

It belongs to the calibration, whose outcome is recorded: LAPACK's last bits may differ between machines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.models.factor_structure import FactorStructure
from riskops.threads import pinned_threads

__all__ = ["approximation", "check_factors", "principal_factors"]

Floats = npt.NDArray[np.float64]

#: The largest change of a communality at which the iteration ends, and the most rounds that it takes.
CONVERGED = 1e-10
MOST_ITERATIONS = 500


def check_factors(factors: int, assets: int) -> None:
    """Refuse a number of factors that is not from one to the number of assets less one."""
    check_integer("factors", factors, at_least=1)
    if factors >= assets:
        raise InputError(f"factors: {factors} are not fewer than the {assets} assets")


def principal_factors(correlation: npt.ArrayLike, factors: int) -> tuple[FactorStructure, dict[str, Any]]:
    """Find a correlation by factors that is near a given one.

    Parameters
    ----------
    correlation
        Symmetric ``(asset, asset)`` with a unit diagonal; it may be singular, as that of more assets than observations.
    factors
        How many, from one to the number of assets less one.

    Returns
    -------
    The structure, its factors in the order of the variance that they explain, the largest loading of each above zero;
    and a report: ``method``, ``factors``, ``iterations``, ``last_change`` (of a communality, in the last round), and
    what :func:`approximation` gives.

    Raises
    ------
    InputError
        When there are too many factors for the assets.

    Notes
    -----
    Principal axes (Harman, *Modern Factor Analysis*, 1976, 8; for portfolios Andersen, Sidenius and Basu 2003, *All
    your hedges in one basket*, Risk 16(11)): the leading components of the matrix with the communalities
    ``h_a = sum over f of B_af^2`` on its diagonal, in rounds, from ones, which are plain principal components. A round
    never raises ``|R - diag(1 - h) - B B'|``: it takes the best ``B`` for ``h`` and then the best ``h <= 1`` for ``B``.
    A row whose squares would sum to more than one is scaled to one in the end.

    Examples
    --------
    >>> structure, report = principal_factors([[1.0, 0.48, 0.3], [0.48, 1.0, 0.4], [0.3, 0.4, 1.0]], 1)
    >>> structure.loadings.round(4).tolist(), report["largest_error"] < 1e-9
    ([[0.6], [0.8], [0.5]], True)
    """
    matrix = np.array(correlation, dtype=np.float64)
    assets = len(matrix)
    check_factors(factors, assets)
    communality, loadings, change, rounds = np.ones(assets), np.zeros((assets, factors)), np.inf, 0
    with pinned_threads():
        while change > CONVERGED and rounds < MOST_ITERATIONS:
            np.fill_diagonal(matrix, communality)
            values, vectors = eigh(matrix, subset_by_index=[assets - factors, assets - 1])
            loadings = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1]
            found = np.minimum(np.sum(loadings * loadings, axis=1), 1.0)
            change, communality, rounds = float(np.abs(found - communality).max()), found, rounds + 1
    loadings = loadings / np.sqrt(np.maximum(np.sum(loadings * loadings, axis=1), 1.0))[:, None]
    largest = loadings[np.argmax(np.abs(loadings), axis=0), np.arange(factors)]
    structure = FactorStructure(np.where(largest < 0.0, -loadings, loadings))
    np.fill_diagonal(matrix, 1.0)
    report = {
        "method": "principal axes",
        "factors": factors,
        "iterations": rounds,
        "last_change": change,
        **approximation(structure, matrix),
    }
    return structure, report


def approximation(structure: FactorStructure, correlation: Floats) -> dict[str, Any]:
    """How near a correlation by factors is to a matrix.

    Parameters
    ----------
    structure
        The correlation by factors.
    correlation
        The matrix ``(asset, asset)``.

    Returns
    -------
    ``explained_variance``, the share of the variance of all assets that each factor explains; ``largest_error`` and
    ``root_mean_square_error`` of the correlations off the diagonal, and ``largest_error_at``, the places of the two
    assets.
    """
    difference = np.asarray(structure) - correlation
    np.fill_diagonal(difference, 0.0)
    pairs = max(len(difference) * (len(difference) - 1), 1)
    first, second = np.unravel_index(int(np.abs(difference).argmax()), difference.shape)
    return {
        "explained_variance": np.mean(structure.loadings**2, axis=0).tolist(),
        "largest_error": float(np.abs(difference[first, second])),
        "largest_error_at": [int(first), int(second)],
        "root_mean_square_error": float(np.sqrt(np.sum(difference * difference) / pairs)),
    }
