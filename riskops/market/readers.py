"""From a file, or an object in memory, to a plain table of prices: CSV, Parquet, Zarr, pandas, xarray.

CSV is read by the standard library: one place decides what a number, a gap and a date look like, and a bad cell is
reported with its line.
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from riskops.errors import InputError, MissingExtraError
from riskops.market.table import PriceTable, parse_dates

__all__ = ["read_dataset", "read_file", "read_frame"]

_GAPS = frozenset({"", "na", "n/a", "nan", "null", "none"})


def read_file(path: Path) -> PriceTable:
    """The table in a file; its kind is told by the ending of its name."""
    for ending, reader in _READERS.items():
        if path.name.lower().endswith(ending):
            if not path.exists():
                raise InputError(f"{path}: no such file")
            return reader(path)
    raise InputError(f"{path}: is not a price file; its name must end in {', '.join(_READERS)}")


def _read_csv(path: Path) -> PriceTable:
    where = str(path)
    try:
        with _open_text(path) as file:
            return _parse_csv(file, where)
    except UnicodeDecodeError:
        raise InputError(f"{where}: is not UTF-8 text") from None
    except csv.Error as problem:
        raise InputError(f"{where}: is not CSV: {problem}") from None
    except (OSError, EOFError, zlib.error) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise InputError(f"{where}: cannot be read: {reason}") from None


def _open_text(path: Path) -> TextIO:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _parse_csv(file: Iterator[str], where: str) -> PriceTable:
    rows = csv.reader(file, strict=True)
    header = next(rows, None)
    if header is None or not any(cell.strip() for cell in header):
        raise InputError(f"{where}: is empty; a header line with dates and assets was expected")
    assets = _check_names([cell.strip() for cell in header[1:]], where)
    dates: list[str] = []
    lines: list[int] = []
    values: list[npt.NDArray[np.float64]] = []
    for row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise InputError(f"{where}: line {rows.line_num} has {len(row)} cells, the header has {len(header)}")
        dates.append(row[0].strip())
        lines.append(rows.line_num)
        values.append(_numbers(row[1:], assets, where, f"line {rows.line_num}"))
    table = np.array(values, dtype=np.float64).reshape(len(values), len(assets))
    return PriceTable(parse_dates(dates, where, lines), assets, table)


def _numbers(cells: Sequence[str], assets: Sequence[str], where: str, place: str) -> npt.NDArray[np.float64]:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        return np.array([_number(c, a, where, place) for c, a in zip(cells, assets, strict=True)])


def _number(cell: str, asset: str, where: str, place: str) -> float:
    text = cell.strip()
    if text.lower() in _GAPS:
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{where}: {place}, asset {asset!r}: {text!r} is not a number") from None


def _check_names(names: Sequence[object], where: str) -> tuple[str, ...]:
    if not names:
        raise InputError(f"{where}: has no column of prices; the first column is dates, then one column an asset")
    for i, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise InputError(f"{where}: the name of price column {i + 1}, {name!r}, is not text")
        if name in names[:i]:
            raise InputError(f"{where}: column {name!r} is given twice")
    return tuple(str(name) for name in names)


def _read_parquet(path: Path) -> PriceTable:
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except ImportError:
        raise MissingExtraError(f"{path}: reading Parquet needs pyarrow: pip install 'riskops[parquet]'") from None
    except (OSError, ValueError, NotImplementedError) as problem:  # pyarrow's own errors are children of these
        reason = str(problem).splitlines()[0]
        raise InputError(f"{path}: cannot be read as Parquet: {reason}") from None
    return read_frame(frame, str(path))


def read_frame(frame: pd.DataFrame, where: str) -> PriceTable:
    """The table in a pandas frame: dates in the index, or else in the first column."""
    if not isinstance(frame.index, pd.DatetimeIndex):
        if isinstance(frame.index, pd.RangeIndex) and len(frame.columns):
            frame = frame.set_index(frame.columns[0])
        elif not len(frame.columns):
            raise InputError(f"{where}: is empty; dates and assets were expected")
    assets = _check_names(list(frame.columns), where)
    columns = [_column(frame.iloc[:, a], name, where) for a, name in enumerate(assets)]
    return PriceTable(_index_dates(frame.index, where), assets, np.stack(columns, axis=1))


def _column(column: pd.Series, name: str, where: str) -> npt.NDArray[np.float64]:
    if pd.api.types.is_bool_dtype(column.dtype) or not pd.api.types.is_numeric_dtype(column.dtype):
        raise InputError(f"{where}: asset {name!r} holds {column.dtype} values, not numbers")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _index_dates(index: pd.Index, where: str) -> npt.NDArray[np.datetime64]:
    if isinstance(index, pd.DatetimeIndex):
        if index.tz is not None:
            raise InputError(f"{where}: dates carry the time zone {index.tz}; plain dates were expected")
        if index.hasnans:
            raise InputError(f"{where}: row {int(np.argmax(index.isna())) + 1}: the date is missing")
        return index.to_numpy().astype("datetime64[ns]")
    return parse_dates([str(value) for value in index], where)


def _read_zarr(path: Path) -> PriceTable:
    try:
        # Format 3 alone: format 2 can name codecs that unpickle what they read.
        with xr.open_zarr(path, zarr_format=3, consolidated=False, chunks=None) as ds:
            return read_dataset(ds.load(), str(path))
    except InputError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as problem:
        reason = (str(problem).splitlines() or [type(problem).__name__])[0]
        raise InputError(f"{path}: cannot be read as Zarr (format 3): {reason}") from None


def read_dataset(ds: xr.Dataset, where: str) -> PriceTable:
    """The table in a Dataset: variable ``price`` with the dims ``observation`` (dates) and ``asset`` (names)."""
    if "price" not in ds or set(ds["price"].dims) != {"observation", "asset"}:
        raise InputError(f"{where}: has no variable 'price' with the dims ('observation', 'asset')")
    price = ds["price"].transpose("observation", "asset")
    for dim in ("observation", "asset"):
        if dim not in price.coords:
            raise InputError(f"{where}: 'price' has no coordinate {dim!r}")
    if not np.issubdtype(price.dtype, np.number) or np.iscomplexobj(price):
        raise InputError(f"{where}: 'price' holds {price.dtype} values, not numbers")
    assets = _check_names([str(name) for name in price["asset"].to_numpy()], where)
    dates = _index_dates(price.indexes["observation"], where)
    return PriceTable(dates, assets, np.array(price.to_numpy(), dtype=np.float64))


_READERS: dict[str, Callable[[Path], PriceTable]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".parquet": _read_parquet,
    ".zarr": _read_zarr,
}
