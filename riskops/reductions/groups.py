"""Which paths depend on each other: the groups whose sums are independent, from which every error is made.

Plain draws are independent path by path. Sampling that lowers the variance does so by making paths depend on each
other, inside groups that stay independent; treating the paths as independent would then state a wrong error. A dataset
of paths or losses says what its groups are in its attribute ``independent``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from riskops.checks import check_one_of
from riskops.errors import InputError
from riskops.reductions.order import SIDE, Z95
from riskops.reductions.tree import TILE

__all__ = ["INDEPENDENT", "Groups", "groups_of"]

Floats = npt.NDArray[np.float64]

#: The attribute of a dataset that holds :attr:`Groups.text`.
INDEPENDENT = "independent"
_QUARTER = TILE // 4
_SIZES = {"path": 1, "pair": 2, "quadruple": 4, "tile": TILE}


@dataclass(frozen=True)
class Groups:
    """How paths are grouped: the paths of one group depend on each other, groups do not.

    Parameters
    ----------
    unit
        ``path``: every path by itself. ``pair``: lanes 0 and 2, and 1 and 3, of a tile (antithetic draws).
        ``quadruple``: the four lanes of a counter. ``tile``: 1024 paths. ``replicate``: tile modulo ``replicates``.
    replicates
        Number of replicates, for that unit.
    """

    unit: Literal["path", "pair", "quadruple", "tile", "replicate"] = "path"
    replicates: int = 0

    def __post_init__(self) -> None:
        check_one_of("unit", self.unit, (*_SIZES, "replicate"))
        if (self.unit == "replicate") != (self.replicates > 1):
            raise InputError(f"replicates: {self.replicates} do not go with groups by {self.unit}")

    @property
    def text(self) -> str:
        """``path``, ``pair``, ``quadruple``, ``tile`` or ``replicate 32``: what a dataset's attribute holds."""
        return f"{self.unit} {self.replicates}" if self.unit == "replicate" else self.unit

    @classmethod
    def from_text(cls, text: str) -> Groups:
        """The inverse of :attr:`text`."""
        unit, _, number = text.partition(" ")
        if number and not (number.isascii() and number.isdigit()):
            raise InputError(f"{INDEPENDENT}: {text!r} names no groups of paths")
        return cls(unit, int(number or 0))  # type: ignore[arg-type]

    def number(self, paths: int) -> int:
        """How many groups that many paths make; paths that leave a group unfinished are an error."""
        size = paths // self.replicates if self.unit == "replicate" else _SIZES[self.unit]
        whole = TILE * max(self.replicates, 1) if self.unit != "path" else 1
        if paths % whole:
            raise InputError(f"paths: {paths} are not a multiple of {whole}, which groups by {self.text} need")
        return paths // size

    def of(self, paths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The number of the group of each path."""
        if self.unit == "path":
            return paths
        tile, offset = np.divmod(paths, TILE)
        if self.unit == "replicate":
            return tile % self.replicates
        inside = {"pair": offset % (2 * _QUARTER), "quadruple": offset % _QUARTER, "tile": np.zeros_like(offset)}
        numbers: npt.NDArray[np.int64] = tile * (TILE // _SIZES[self.unit]) + inside[self.unit]
        return numbers

    def reach(self, paths: int) -> float:
        """How many standard errors a 95 % interval reaches: Student's t for the number of groups."""
        number = self.number(paths)
        if number < 2:
            raise InputError(f"paths: {paths} make one group by {self.text}, and an error needs at least two")
        return Z95 if number > 1000 else float(stdtrit(number - 1, 1.0 - SIDE))

    def sums(self, paths: npt.NDArray[np.int64], *values: Floats) -> tuple[Floats, ...]:
        """Sums of the values over each group that occurs among ``paths``, the groups in ascending order."""
        groups, place = np.unique(self.of(paths), return_inverse=True)
        return tuple(np.bincount(place, value, len(groups)).astype(np.float64) for value in values)

    def covariance(self, products: float, a: float, b: float, paths: int) -> float:
        """The covariance of two means over all paths, from sums over their groups.

        With G groups of m paths and group sums ``a_g``, ``b_g``: ``(sum a_g b_g - sum a_g sum b_g / G) / (G (G - 1)
        m^2)``; groups whose sums are zero need not be looked at.
        """
        number = self.number(paths)
        size = paths // number
        return (products - a * b / number) / (number * (number - 1.0) * size * size)


def groups_of(attributes: Mapping[Any, Any]) -> Groups:
    """The groups that a dataset's attributes name; every path by itself where they name none."""
    return Groups.from_text(str(attributes.get(INDEPENDENT, "path")))
