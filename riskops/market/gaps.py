"""What to do about missing prices: refuse them, or one of three policies that the user asks for by name.

Each policy says in plain words what it changed; nothing else ever touches a price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.market.table import PriceTable, date_text

__all__ = ["GapPolicy", "apply_gap_policy", "check_gap_policy"]

GapPolicy = Literal["error", "drop_assets", "drop_dates"] | Mapping[str, int]

_SHOWN = 10  # dates listed in one line


def check_gap_policy(gaps: GapPolicy) -> tuple[str, int]:
    """Return the policy's name and, for ``{"forward_fill": n}``, the number of dates that a price may be carried."""
    if isinstance(gaps, str) and gaps in ("error", "drop_assets", "drop_dates"):
        return gaps, 0
    if isinstance(gaps, Mapping) and tuple(gaps) == ("forward_fill",):
        return "forward_fill", check_integer("gaps.forward_fill", gaps["forward_fill"], at_least=1)
    raise InputError(f"gaps: {gaps!r} is not one of error, drop_assets, drop_dates, {{'forward_fill': days}}")


def apply_gap_policy(table: PriceTable, gaps: GapPolicy, where: str) -> tuple[PriceTable, list[str]]:
    """Return a table without gaps and what was done to it, one line each."""
    policy, limit = check_gap_policy(gaps)
    missing = np.isnan(table.values)
    if not missing.any():
        return table, []
    if policy == "drop_assets":
        return _drop_assets(table, missing, where)
    if policy == "drop_dates":
        return _drop_dates(table, missing, where)
    if policy == "forward_fill":
        return _forward_fill(table, missing, limit, where)
    row, column = np.argwhere(missing)[0]
    raise InputError(
        f"{where}: asset {table.assets[column]!r} has no price on {date_text(table.dates[row])} "
        f"({missing.sum()} missing in {missing.any(axis=0).sum()} of {len(table.assets)} assets); "
        "set gaps (market.gaps, init --gaps) to drop_assets, drop_dates or {forward_fill: days} to go on"
    )


def _drop_assets(table: PriceTable, missing: npt.NDArray[np.bool_], where: str) -> tuple[PriceTable, list[str]]:
    gone: npt.NDArray[np.bool_] = np.asarray(missing.any(axis=0))
    if gone.all():
        raise InputError(f"{where}: gaps: drop_assets leaves no asset; every one has a gap")
    lines = [
        f"asset {table.assets[a]!r} dropped: {missing[:, a].sum()} of {len(table.dates)} prices missing, "
        f"first on {date_text(table.dates[np.argmax(missing[:, a])])}"
        for a in np.flatnonzero(gone)
    ]
    names = tuple(name for name, drop in zip(table.assets, gone, strict=True) if not drop)
    return PriceTable(table.dates, names, np.ascontiguousarray(table.values[:, ~gone])), lines


def _drop_dates(table: PriceTable, missing: npt.NDArray[np.bool_], where: str) -> tuple[PriceTable, list[str]]:
    gone: npt.NDArray[np.bool_] = np.asarray(missing.any(axis=1))
    left = int((~gone).sum())
    if left < 2:
        raise InputError(f"{where}: gaps: drop_dates leaves {left} rows of prices; at least 2 are needed")
    shown = ", ".join(date_text(date) for date in table.dates[gone][:_SHOWN])
    more = int(gone.sum()) - _SHOWN
    line = f"{gone.sum()} of {len(gone)} dates dropped: {shown}" + (f" and {more} more" if more > 0 else "")
    return PriceTable(table.dates[~gone], table.assets, np.ascontiguousarray(table.values[~gone])), [line]


def _forward_fill(
    table: PriceTable, missing: npt.NDArray[np.bool_], limit: int, where: str
) -> tuple[PriceTable, list[str]]:
    rows = np.arange(len(table.dates))[:, None]
    last = np.maximum.accumulate(np.where(missing, -1, rows), axis=0)
    _refuse(table, missing & (last < 0), where, "has no earlier price in the window to fill from")
    _refuse(table, missing & (rows - last > limit), where, f"is missing for more than forward_fill: {limit} dates")
    values = np.take_along_axis(table.values, last, axis=0)
    lines = [
        f"asset {table.assets[a]!r}: {missing[:, a].sum()} of {len(table.dates)} prices filled forward, "
        f"first on {date_text(table.dates[np.argmax(missing[:, a])])}"
        for a in np.flatnonzero(missing.any(axis=0))
    ]
    return PriceTable(table.dates, table.assets, values), lines


def _refuse(table: PriceTable, bad: npt.NDArray[np.bool_], where: str, why: str) -> None:
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(f"{where}: gaps: asset {table.assets[column]!r} on {date_text(table.dates[row])} {why}")
