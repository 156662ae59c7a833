"""The plain table between a file and the Dataset of prices, and what makes it valid.

Reading gives a table, a gap policy maps a table to a table, and only a table that passed every check becomes a Dataset.
A missing price is NaN here and nowhere else.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riskops.checks import check_subset
from riskops.errors import InputError

__all__ = ["PriceTable", "check_table", "content_hash", "date_text", "parse_date", "parse_dates", "select_table"]

_DATE = re.compile(r"(?:1[7-9]|2[01])\d{2}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?", re.ASCII)


class PriceTable(NamedTuple):
    """Prices as read: ``dates`` (n,), ``assets`` (a,) and ``values`` (n, a), a missing price being NaN."""

    dates: npt.NDArray[np.datetime64]
    assets: tuple[str, ...]
    values: npt.NDArray[np.float64]


def date_text(date: np.datetime64) -> str:
    """``2020-01-02``, or with the time of day when there is one."""
    for unit in ("D", "s"):
        shorter = date.astype(f"datetime64[{unit}]")
        if shorter == date:
            return str(shorter)
    return str(date)


def parse_dates(texts: Sequence[str], where: str, lines: Sequence[int] | None = None) -> npt.NDArray[np.datetime64]:
    """ISO dates as datetime64[ns]; no other order of day and month is guessed at."""
    for i, text in enumerate(texts):
        if _DATE.fullmatch(text) is None or not _exists(text):
            place = f"line {lines[i]}" if lines is not None else f"row {i + 1}"
            raise InputError(f"{where}: {place}: {text!r} is not a date (YYYY-MM-DD)")
    return np.array(texts, dtype="datetime64[ns]")


def _exists(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def parse_date(name: str, value: object) -> np.datetime64:
    """One date given by the user as ISO text, ``date``, ``datetime`` or ``datetime64``."""
    if isinstance(value, np.datetime64):
        text = str(value)
    elif isinstance(value, datetime.date):  # datetime and pandas.Timestamp are dates too
        text = value.isoformat()
    else:
        text = value if isinstance(value, str) else ""
    if _DATE.fullmatch(text) is None or not _exists(text):
        raise InputError(f"{name}: {value!r} is not a date (YYYY-MM-DD)")
    return np.datetime64(text, "ns")


def select_table(
    table: PriceTable,
    where: str,
    *,
    start: np.datetime64 | None,
    end: np.datetime64 | None,
    assets: Sequence[str] | None,
) -> PriceTable:
    """The rows from ``start`` to ``end`` (both included; an end without a time of day means the whole day), the columns
    named by ``assets`` in that order. A bound outside the data is an error: the window would be shorter than asked."""
    _check_dates(table.dates, where)
    first, last = date_text(table.dates[0]), date_text(table.dates[-1])
    dates = table.dates
    keep = np.ones(len(dates), bool)
    if start is not None:
        if start < dates[0].astype("datetime64[D]") or start > dates[-1]:
            raise InputError(f"start: {date_text(start)} lies outside the prices of {where}, {first} to {last}")
        keep &= dates >= start
    if end is not None:
        if start is not None and end < start:
            raise InputError(f"end: {date_text(end)} is before start, {date_text(start)}")
        if end < dates[0].astype("datetime64[D]") or end.astype("datetime64[D]") > dates[-1]:
            raise InputError(f"end: {date_text(end)} lies outside the prices of {where}, {first} to {last}")
        whole_day = end == end.astype("datetime64[D]")
        keep &= dates < end + np.timedelta64(1, "D") if whole_day else dates <= end
    names = table.assets
    values = table.values[keep]
    if assets is not None:
        check_subset("assets", assets, names)
        values = values[:, [names.index(name) for name in assets]]
        names = tuple(assets)
    return PriceTable(dates[keep], names, np.ascontiguousarray(values))


def check_table(table: PriceTable, where: str) -> PriceTable:
    """Return the table when it has two rows or more and every price that is there is positive and finite."""
    if len(table.dates) < 2:
        raise InputError(f"{where}: {len(table.dates)} rows of prices in the window; at least 2 are needed")
    bad = np.argwhere(~np.isnan(table.values) & ~(np.isfinite(table.values) & (table.values > 0.0)))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"{where}: asset {table.assets[column]!r} on {date_text(table.dates[row])}: "
            f"price {float(table.values[row, column])!r} is not positive and finite"
        )
    return table


def _check_dates(dates: npt.NDArray[np.datetime64], where: str) -> None:
    if not len(dates):
        raise InputError(f"{where}: holds no rows of prices")
    steps = np.diff(dates)
    if (steps == np.timedelta64(0)).any():
        row = int(np.argmax(steps == np.timedelta64(0)))
        raise InputError(f"{where}: date {date_text(dates[row])} is given twice")
    if (steps < np.timedelta64(0)).any():
        row = int(np.argmax(steps < np.timedelta64(0)))
        raise InputError(
            f"{where}: date {date_text(dates[row + 1])} follows {date_text(dates[row])}; dates must ascend"
        )


def content_hash(table: PriceTable) -> str:
    """The sha256 of what the table says: dates in nanoseconds, asset names as JSON, prices by row, little-endian."""
    digest = hashlib.sha256()
    digest.update(table.dates.astype("datetime64[ns]").astype("<i8").tobytes())
    digest.update(json.dumps(list(table.assets), ensure_ascii=True, separators=(",", ":")).encode())
    digest.update(np.ascontiguousarray(table.values, dtype="<f8").tobytes())
    return digest.hexdigest()
