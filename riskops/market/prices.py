"""Observed prices, validated: the entrance of all data.

A price file is a table of dates and assets:

* CSV (``.csv``, ``.csv.gz``): a header line; first column ISO dates (``2020-01-31``), then one column an asset. A cell
  that is empty or says NA, NaN, null or none is a gap.
* Parquet (``.parquet``): one column an asset; dates in the index that pandas stored, or else in the first column.
* Zarr (``.zarr``, format 3): a variable ``price`` with the dims ``observation`` (dates) and ``asset`` (names).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from riskops.checks import check_unique
from riskops.errors import InputError
from riskops.market.datasets import list_datasets, read_bundled
from riskops.market.gaps import GapPolicy, apply_gap_policy, check_gap_policy
from riskops.market.readers import read_dataset, read_file, read_frame
from riskops.market.table import PriceTable, check_table, content_hash, parse_date, select_table
from riskops.schema import variable

__all__ = ["load_prices", "prices_checksum"]

Date = str | datetime.date | np.datetime64


def prices_checksum(prices: xr.Dataset) -> str:
    """The sha256 of what a price Dataset says: its dates, asset names and prices; what ``attrs["sha256"]`` holds.

    Examples
    --------
    >>> prices = load_prices("sp500", assets=["KO"])
    >>> prices_checksum(prices) == prices.attrs["sha256"]
    True
    """
    return content_hash(read_dataset(prices, "prices"))


def load_prices(
    source: str | Path | pd.DataFrame | xr.Dataset,
    *,
    start: Date | None = None,
    end: Date | None = None,
    assets: Sequence[str] | None = None,
    gaps: GapPolicy = "error",
) -> xr.Dataset:
    """Load prices and check them: nothing passes that is not a positive, finite number on a date of its own.

    The window and the assets are selected first; what lies outside them is not looked at, except that all dates must
    ascend. Loading is eager.

    Parameters
    ----------
    source
        A bundled data set (``"sp500"``: 20 stocks; ``"sp500_index"``: the index), a path ending in ``.csv``,
        ``.csv.gz``, ``.parquet`` or ``.zarr``, a pandas frame with dates in the index, or a Dataset with ``price``.
    start, end
        First and last date, both included; either must lie within the dates of the source.
    assets
        The assets to take, in this order; all by default.
    gaps
        What to do about missing prices. ``"error"``: refuse them. ``"drop_assets"``: drop every asset with a gap.
        ``"drop_dates"``: drop every date with a gap. ``{"forward_fill": n}``: carry the last price over at most ``n``
        dates in a row; a gap at the start of the window has nothing to carry and is an error.

    Returns
    -------
    Dataset
        ``price`` (observation, asset), money, float64, with the coordinates ``observation`` (datetime64[ns]) and
        ``asset``. Attributes: ``source``; ``adjustments``, a list that says what the gap policy did; ``sha256`` of the
        content: the dates in nanoseconds, the names as JSON and the prices row by row, little-endian.

    Raises
    ------
    InputError
        A file that cannot be read, a cell that is no number, a date that is no ISO date, given twice or out of order, a
        price that is zero, negative or infinite (under every policy), fewer than two rows, an unknown or repeated
        asset, a window outside the data, or a gap, named by asset and first date.
    MissingExtraError
        A Parquet file without pyarrow installed.

    Notes
    -----
    NaN rule: a NaN price is a gap, and ``gaps`` decides.

    Examples
    --------
    >>> prices = load_prices("sp500", start="2020-01-02", assets=["AAPL", "XOM"])
    >>> dict(prices.sizes)
    {'observation': 754, 'asset': 2}
    """
    check_gap_policy(gaps)
    first = None if start is None else parse_date("start", start)
    last = None if end is None else parse_date("end", end)
    if assets is not None:
        if isinstance(assets, str) or not len(assets):
            raise InputError(f"assets: {assets!r} is not a list of names")
        check_unique("assets", assets)
    table, where = _read(source)
    table = check_table(select_table(table, where, start=first, end=last, assets=assets), where)
    table, adjustments = apply_gap_policy(table, gaps, where)
    return _dataset(table, where, adjustments)


def _read(source: object) -> tuple[PriceTable, str]:
    if isinstance(source, pd.DataFrame):
        return read_frame(source, "frame"), "frame"
    if isinstance(source, xr.Dataset):
        return read_dataset(source, "dataset"), "dataset"
    if isinstance(source, str) and source in list_datasets():
        return read_bundled(source), source
    if not isinstance(source, str | Path):
        raise InputError(f"source: {source!r} is not a name, a path, a DataFrame or a Dataset")
    if isinstance(source, str) and "." not in source and not Path(source).exists():
        raise InputError(
            f"source: {source!r} is neither a bundled data set ({', '.join(list_datasets())}) "
            "nor the path of a price file"
        )
    return read_file(Path(source)), str(source)


def _dataset(table: PriceTable, where: str, adjustments: list[str]) -> xr.Dataset:
    coords = {"observation": table.dates.astype("datetime64[ns]"), "asset": list(table.assets)}
    price = variable("price", ("observation", "asset"), table.values, coords=coords)
    attrs = {"source": where, "sha256": content_hash(table), "adjustments": adjustments}
    return xr.Dataset({"price": price}, attrs=attrs)
