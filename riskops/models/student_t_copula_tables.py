"""Tables that take a t distributed number to a margin's quantile: ``F_a^-1(T_nu(x))`` as a function of ``x``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from riskops.models.margins import margin_quantile
from riskops.models.student_t_fit import check_table
from riskops.tables.octaves import (
    INTERVALS,
    MOST_INTERVALS,
    OctaveTable,
    octave_cubics,
    octaves_to_reach,
    tabulate_by_octave,
)

__all__ = ["check_margin_tables", "margin_coefficients", "margin_tables"]

Floats = npt.NDArray[np.float64]

#: Degrees of freedom (None for a normal) and skewness of one asset's distribution.
Margin = tuple[float | None, float]

#: What a table may err by, unless that takes more than ``MOST_INTERVALS`` intervals an octave.
TABLE_ERROR = 3e-7


def margin_tables(
    degrees_of_freedom: float, margins: Sequence[Margin], *, intervals: int | None = None
) -> tuple[Floats, float]:
    """Tables of ``F_a^-1(T_nu(x))`` for standardised margins.

    Parameters
    ----------
    degrees_of_freedom
        ``nu`` of the copula.
    margins
        Degrees of freedom (None for the normal) and skewness of each asset.
    intervals
        Intervals of an octave; by default as few as keep every error below 3e-7, from 32 to 1024.

    Returns
    -------
    Values ``(asset, knot)`` and the largest error of the tables (see :class:`riskops.tables.octaves.OctaveTable`).
    They reach as far as a t distributed number does with probability ``2^-65``.

    Examples
    --------
    >>> values, error = margin_tables(5.0, [(4.0, 0.0), (None, 0.0)])
    >>> values.shape, error < 3e-7
    ((2, 897), True)
    """
    octaves, finest = _octaves(degrees_of_freedom), INTERVALS if intervals is None else intervals
    while True:
        made = [_table(degrees_of_freedom, *margin, octaves, finest) for margin in margins]
        error = max(table.error for table in made)
        if intervals is not None or error <= TABLE_ERROR or finest == MOST_INTERVALS:
            return np.stack([table.values for table in made]), error
        finest *= 2


@lru_cache(maxsize=256)
def _table(copula: float, nu: float | None, skewness: float, octaves: int, intervals: int) -> OctaveTable:
    """One margin's table, kept: scenarios make the model of the same margins again."""
    return tabulate_by_octave(_composite(copula, nu, skewness), octaves=octaves, intervals=intervals)


def check_margin_tables(
    name: str, values: npt.ArrayLike | None, degrees_of_freedom: float, margins: Sequence[Margin]
) -> Floats:
    """Recorded tables, held to those of the parameters with as many intervals, or the ones made now."""
    if values is None:
        return margin_tables(degrees_of_freedom, margins)[0]
    knots = np.shape(values)[-1] if np.ndim(values) == 2 else 0
    intervals = max(0, knots - 1) // (2 * _octaves(degrees_of_freedom))
    known = [INTERVALS << k for k in range((MOST_INTERVALS // INTERVALS).bit_length())]
    made = margin_tables(degrees_of_freedom, margins, intervals=intervals if intervals in known else INTERVALS)[0]
    return check_table(name, values, made)


def margin_coefficients(values: Floats, degrees_of_freedom: float) -> Floats:
    """What the kernel reads: ``(asset, interval, 4)``, the cubics of every asset's table."""
    octaves = _octaves(degrees_of_freedom)
    return np.stack([octave_cubics(row, octaves=octaves) for row in values])


def _octaves(degrees_of_freedom: float) -> int:
    return octaves_to_reach(-float(special.stdtrit(degrees_of_freedom, 2.0**-65)))


def _composite(copula: float, nu: float | None, skewness: float) -> Callable[[Floats], Floats]:
    def quantile(x: Floats) -> Floats:
        lower, upper = (np.asarray(special.stdtr(copula, side), np.float64) for side in (x, -x))
        return margin_quantile(lower, upper, nu, skewness)

    return quantile
