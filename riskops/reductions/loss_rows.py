"""A block of losses as rows of doubles that are numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numba
import numpy as np
import numpy.typing as npt

from riskops.errors import InputError
from riskops.reductions.reduction import Array, rows_of

__all__ = ["loss_rows"]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _first_nan(data):  # type: ignore[no-untyped-def]
    """Row and column of the first NaN; -1 when there is none."""
    for row in range(data.shape[0]):
        found = 0
        for i in range(data.shape[1]):
            found += data[row, i] != data[row, i]
        if found > 0:
            for i in range(data.shape[1]):
                if data[row, i] != data[row, i]:
                    return row, i
    return -1, -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _has_negative_zero(data):  # type: ignore[no-untyped-def]
    for row in range(data.shape[0]):
        found = 0
        for i in range(data.shape[1]):
            found += (data[row, i] == 0.0) & np.signbit(data[row, i])
        if found > 0:
            return True
    return False


def loss_rows(block: Mapping[str, Array], name: str, *, first_path: int) -> npt.NDArray[np.float64]:
    """A block's array as ``(row, path)`` in double precision; a NaN is an error that names its row and path.

    Zeros lose their sign: of losses that are equal it must not matter which one is met.
    """
    array = block[name]
    data: npt.NDArray[np.float64] = rows_of(array).astype(np.float64, copy=False)
    row, column = _first_nan(data)
    if row >= 0:
        where = tuple(int(i) for i in np.unravel_index(row, array.shape[:-1]))
        raise InputError(f"{name}: path {first_path + column} of row {where} is NaN, not a number")
    return data + 0.0 if _has_negative_zero(data) else data
