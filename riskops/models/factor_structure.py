"""A correlation by factors: a few normals that all assets share and one that each has to itself.

With loadings ``B`` ``(asset, factor)`` and ``d_a^2 = 1 - sum over f of B_af^2`` the correlation is
``B B' + diag(d^2)``: positive semidefinite, with a unit diagonal, for any loadings whose squares sum to one at most.
A step of ``A`` assets then takes ``A (F + 2)`` multiply-adds where the Cholesky factor of a full matrix takes
``A^2 / 2``, and what is kept is ``A F`` numbers where a matrix has ``A^2``.

A model takes the structure wherever it takes a correlation matrix; the functions here do for both what it needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.checks import check_finite, check_number
from riskops.errors import InputError
from riskops.models.base import Shock
from riskops.models.correlation import check_correlation, cholesky, push_towards_one
from riskops.models.parameters import frozen

__all__ = [
    "COMMON",
    "Correlation",
    "FactorStructure",
    "check_structure",
    "correlation_matrix",
    "mixing_of",
    "push",
    "with_factors",
]

Floats = npt.NDArray[np.float64]

#: The shock that the common normals are.
COMMON = "common"

#: How far the squares of an asset's loadings may sum beyond one by rounding; nothing is then left to the asset alone.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class FactorStructure:
    """A correlation by factors.

    Parameters
    ----------
    loadings
        ``(asset, factor)``: correlations of each asset with each factor; the squares of an asset's sum to one at most.
    towards_one
        The share in [0, 1) of its way to one that every correlation was moved, as scenarios do.

    Raises
    ------
    InputError
        When the loadings are no finite table, have no factor, or the squares of a row sum to more than one; when the
        share is outside [0, 1).

    Notes
    -----
    With the share ``w`` the correlation is ``(1 - w) (B B' + diag(d^2)) + w 11'``, exactly what
    :func:`riskops.models.push_towards_one` makes of the matrix: the second part is one more factor, on which every
    asset has the loading ``sqrt(w)``. Its normal is drawn in any case, so that a scenario has the draws of the base.

    Examples
    --------
    >>> structure = FactorStructure([[0.6], [0.8]])
    >>> structure.own.round(4).tolist(), np.asarray(structure).round(4).tolist()
    ([0.8, 0.6], [[1.0, 0.48], [0.48, 1.0]])
    >>> np.asarray(structure.pushed(0.5)).round(4).tolist()
    [[1.0, 0.74], [0.74, 1.0]]
    """

    loadings: Floats
    towards_one: float = 0.0

    def __post_init__(self) -> None:
        loadings = check_finite("correlation.loadings", self.loadings)
        if loadings.ndim != 2 or not loadings.size:
            raise InputError(f"correlation.loadings: shape {loadings.shape} is not (asset, factor)")
        share = check_number("correlation.towards_one", self.towards_one)
        if not 0.0 <= share < 1.0:
            raise InputError(f"correlation.towards_one: {share!r} is not in [0, 1)")
        object.__setattr__(self, "loadings", frozen(loadings))
        object.__setattr__(self, "towards_one", share)
        row = next((row for row, left in enumerate(self._left) if left < -ROUNDING), None)
        if row is not None:
            total = 1.0 - self._left[row]
            raise InputError(f"correlation.loadings: the squares of row {row} sum to {total:.6g}, which is above 1")

    def __reduce__(self) -> tuple[Any, ...]:
        return FactorStructure, (self.loadings, self.towards_one)  # made again, so that its arrays can't be written to

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """The correlation matrix ``(asset, asset)``, summed in the order of the factors, its diagonal exactly one."""
        matrix = np.zeros((self.assets, self.assets))
        for column in self.loadings.T:
            matrix += column[:, None] * column[None, :]
        np.fill_diagonal(matrix, 1.0)
        if self.towards_one:
            matrix = push_towards_one(matrix, self.towards_one)
        return matrix if dtype is None else matrix.astype(dtype)

    @property
    def assets(self) -> int:
        """How many assets it has."""
        return len(self.loadings)

    @property
    def normals(self) -> int:
        """How many common normals it takes: one a factor, and one that correlations are moved towards one by."""
        return self.loadings.shape[1] + 1

    @cached_property
    def _left(self) -> list[float]:
        """What each asset's loadings leave of its variance; a hair below zero where rounding does."""
        return [1.0 - math.fsum(b * b for b in row) for row in self.loadings.tolist()]

    @cached_property
    def own(self) -> Floats:
        """``d`` ``(asset,)``: the weight of each asset's own normal, before any move towards one."""
        return frozen(np.sqrt(np.maximum(self._left, 0.0)))

    def mixing(self, scale: Floats) -> Floats:
        """The table ``(asset, normals + 1)`` that the common normals, and last the asset's own, are multiplied with;
        row ``a`` is multiplied by ``scale[a]``."""
        kept, moved = math.sqrt(1.0 - self.towards_one), np.full(self.assets, math.sqrt(self.towards_one))
        return np.column_stack([kept * self.loadings, moved, kept * self.own]) * scale[:, None]

    def pushed(self, share: float) -> FactorStructure:
        """The structure with every correlation moved the given share of its way to one."""
        return replace(self, towards_one=self.towards_one + share * (1.0 - self.towards_one))

    def record(self) -> dict[str, Any]:
        """The structure as JSON holds it exactly; a model takes it back in the place of a correlation."""
        return {"loadings": self.loadings.tolist(), "towards_one": self.towards_one}


#: What a model keeps of its correlation, and what it may be given.
Correlation = Floats | FactorStructure


def check_structure(name: str, given: object, *, assets: Sequence[str]) -> Correlation:
    """Return a correlation matrix, checked and frozen, or a structure: as it is, or from its record.

    A mapping is the record of a structure.
    """
    if isinstance(given, Mapping):
        if set(given) != {"loadings", "towards_one"}:
            raise InputError(f"{name}: keys {sorted(map(str, given))} are not loadings and towards_one")
        given = FactorStructure(given["loadings"], given["towards_one"])
    if not isinstance(given, FactorStructure):
        return frozen(check_correlation(name, given, size=len(assets)))  # type: ignore[arg-type]  # it checks
    if given.assets != len(assets):
        raise InputError(f"{name}: loadings of {given.assets} assets are not for {len(assets)}")
    return given


def correlation_matrix(correlation: Correlation) -> Floats:
    """The matrix ``(asset, asset)``, of either."""
    return np.asarray(correlation)


def mixing_of(correlation: Correlation, scale: Floats) -> Floats:
    """What makes correlated normals, row ``a`` multiplied by ``scale[a]``: the Cholesky factor, or the loadings."""
    if isinstance(correlation, FactorStructure):
        return correlation.mixing(scale)
    return cholesky(correlation) * scale[:, None]


def push(correlation: Correlation, share: float) -> Correlation:
    """Move every correlation the given share of its way to one; a share of zero gives back the very same."""
    if not share:
        return correlation
    if isinstance(correlation, FactorStructure):
        return correlation.pushed(share)
    return push_towards_one(correlation, share)


def with_factors(shocks: Sequence[Shock], correlation: Correlation) -> tuple[Shock, ...]:
    """The shocks of a model with this correlation, from those that its class declares.

    Under factors the mixed shock becomes each asset's own and takes the common one, which comes last: every stream is
    the one that it is without factors.
    """
    if not isinstance(correlation, FactorStructure):
        return tuple(shocks)
    mixed = [replace(shock, common=COMMON) if shock.mixing is not None else shock for shock in shocks]
    return (*mixed, Shock(COMMON, per="factor", factors=correlation.normals))
