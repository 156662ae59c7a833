"""Rows over paths that are set, copied and kept: what NumPy's assignments would do, on either device."""

from __future__ import annotations

from riskops.models import path_kernel

__all__ = ["copy_rows", "keep_rows", "scale_rows", "set_rows"]


@path_kernel(tables=("values",))
def set_rows(out, values):  # type: ignore[no-untyped-def]
    """Every path of row ``a`` takes ``values[a]``."""
    for a in range(out.shape[0]):
        row, value = out[a], values[a]
        for i in range(row.shape[0]):
            row[i] = value


@path_kernel()
def copy_rows(out, source):  # type: ignore[no-untyped-def]
    """The rows of ``source``."""
    for a in range(out.shape[0]):
        row, given = out[a], source[a]
        for i in range(row.shape[0]):
            row[i] = given[i]


@path_kernel(tables=("factor",))
def scale_rows(out, factor):  # type: ignore[no-untyped-def]
    """Every number times one factor."""
    for a in range(out.shape[0]):
        row = out[a]
        for i in range(row.shape[0]):
            row[i] = row[i] * factor


@path_kernel(tables=("offset",))
def keep_rows(out, growth, offset):  # type: ignore[no-untyped-def]
    """The rows of ``growth``, each moved by its offset."""
    for a in range(out.shape[0]):
        row, given, shift = out[a], growth[a], offset[a]
        for i in range(row.shape[0]):
            row[i] = given[i] + shift
