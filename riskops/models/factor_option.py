"""The options ``nearest_correlation`` and ``factors`` of a fit: what is made of the correlation that was estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError
from riskops.models.correlation import nearest_correlation
from riskops.models.factor_analysis import approximation, check_factors, principal_factors
from riskops.models.factor_loadings import given_loadings
from riskops.models.factor_structure import Correlation

__all__ = ["Factors", "check_correlation_options", "estimate_correlation", "plain_factors"]

#: A number of factors, the path of a file of loadings, asset to list of loadings, or None for the full correlation.
Factors = int | str | Mapping[str, Sequence[float]] | None


def estimate_correlation(
    estimate: npt.NDArray[np.float64], *, assets: Sequence[str], nearest: bool = False, factors: Factors = None
) -> tuple[Correlation, dict[str, Any]]:
    """The correlation that a model takes, and the report's ``nearest_correlation`` and ``factors``.

    Parameters
    ----------
    estimate
        The correlation ``(asset, asset)`` that the fit found, positive definite or not.
    assets
        The names of the assets.
    nearest
        Whether it is replaced by the nearest one that is positive definite.
    factors
        A number of factors, or given loadings, in the place of the full correlation.

    Returns
    -------
    The correlation, a matrix or a structure, and both parts of the report, None where nothing was replaced.

    Raises
    ------
    InputError
        When both options are given, or one is not what it may be.
    """
    check_correlation_options(assets, nearest=nearest, factors=factors)
    if factors is None:
        if not nearest:
            return estimate, {"nearest_correlation": None, "factors": None}
        repaired, repair = nearest_correlation(estimate)
        return repaired, {"nearest_correlation": repair, "factors": None}
    if isinstance(factors, int):
        structure, report = principal_factors(estimate, factors)
    else:
        structure = given_loadings(factors, assets=assets)
        report = {"method": "given loadings", "factors": structure.loadings.shape[1]}
        report |= approximation(structure, estimate)
    report["largest_error_at"] = [assets[place] for place in report["largest_error_at"]]
    return structure, {"nearest_correlation": None, "factors": report}


def check_correlation_options(assets: Sequence[str], *, nearest: bool, factors: Factors) -> None:
    """Refuse what :func:`estimate_correlation` would refuse, before a fit that takes long."""
    if not isinstance(nearest, bool):
        raise InputError(f"nearest_correlation: {nearest!r} is not true or false")
    if factors is None:
        return
    if nearest:
        raise InputError("nearest_correlation: is true, and factors need no repair; leave one of them out")
    if isinstance(factors, str | Path | Mapping):
        given_loadings(factors, assets=assets)
    elif isinstance(factors, int) and not isinstance(factors, bool):
        check_factors(factors, len(assets))
    else:
        raise InputError(f"factors: {factors!r} is not a number of factors, a path or asset to list of loadings")


def plain_factors(factors: Factors) -> Any:
    """The option as JSON holds it."""
    if isinstance(factors, Mapping):
        return {str(asset): [float(value) for value in row] for asset, row in factors.items()}
    return factors if factors is None or isinstance(factors, int) else str(factors)
