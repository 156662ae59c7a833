"""The data sets that come with riskops: 20 stocks of the S&P 500 and the index, daily, 1990 to 2022.

They are skfolio's (BSD-3-Clause, see ``data/NOTICE``), adjusted closes in USD.
"""

from __future__ import annotations

from importlib.resources import as_file, files

from riskops.errors import InputError
from riskops.market.readers import read_file
from riskops.market.table import PriceTable

__all__ = ["list_datasets", "read_bundled"]

_INDEX = "SP500"

_DATASETS = {
    "sp500": "20 S&P 500 stocks, daily adjusted closes in USD, 1990-01-02 to 2022-12-28 (skfolio, BSD-3-Clause)",
    "sp500_index": "the S&P 500 index, daily closes in USD, 1990-01-02 to 2022-12-28 (skfolio, BSD-3-Clause)",
}


def list_datasets() -> dict[str, str]:
    """The names of the bundled data sets, each with a line about it.

    Returns
    -------
    dict
        Name to description; a name is a ``source`` of :func:`riskops.market.load_prices`.

    Examples
    --------
    >>> list(list_datasets())
    ['sp500', 'sp500_index']
    """
    return dict(_DATASETS)


def read_bundled(name: str) -> PriceTable:
    """The plain table of a bundled data set."""
    if name not in _DATASETS:
        raise InputError(f"data set: {name!r} is not one of {', '.join(_DATASETS)}")
    with as_file(files("riskops.market") / "data" / "sp500.csv.gz") as path:
        table = read_file(path)
    wanted = [(asset == _INDEX) == (name == "sp500_index") for asset in table.assets]
    assets = tuple(asset for asset, keep in zip(table.assets, wanted, strict=True) if keep)
    return PriceTable(table.dates, assets, table.values[:, wanted])
