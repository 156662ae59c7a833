"""Given factor loadings, from a YAML or CSV file or a mapping.

YAML (``.yaml``, ``.yml``), asset to loadings, as many for each::

    AAPL: [0.62, 0.31]
    JNJ: [0.48, -0.20]

CSV (``.csv``), a column ``asset`` and one a factor, under any names::

    asset,market,technology
    AAPL,0.62,0.31
    JNJ,0.48,-0.20

What the loadings leave of an asset's variance is its own: ``1 - sum of their squares``.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from riskops.checks import check_number
from riskops.errors import InputError
from riskops.models.factor_structure import ROUNDING, FactorStructure
from riskops.textfile import read_text, read_yaml

__all__ = ["given_loadings"]

#: The largest file of loadings that is read, in bytes: room for 20,000 assets with 40 loadings each.
SIZE_LIMIT = 20_000_000


def given_loadings(source: str | Path | Mapping[str, Any], *, assets: Sequence[str]) -> FactorStructure:
    """Make the correlation of these assets from given loadings.

    Parameters
    ----------
    source
        The path of a YAML or CSV file, or asset to list of loadings. It may hold more assets than are used.
    assets
        The assets, each of which must have loadings.

    Returns
    -------
    The structure, its rows in the order of the assets.

    Raises
    ------
    InputError
        When the file can't be read, an asset has no loadings or not as many as the first, a loading is no finite
        number, or the squares of an asset's loadings sum to more than one.

    Examples
    --------
    >>> given_loadings({"A": [0.6], "B": [0.8]}, assets=["B", "A"]).own.round(4).tolist()
    [0.6, 0.8]
    """
    where = "factors" if isinstance(source, Mapping) else f"factors: {source}"
    table = source if isinstance(source, Mapping) else _read(Path(source), where)
    rows: list[list[float]] = []
    for asset in assets:
        if asset not in table:
            raise InputError(f"{where}: {asset!r} is missing; given loadings name every asset")
        row = table[asset]
        if not isinstance(row, Sequence) or isinstance(row, str) or not row:
            raise InputError(f"{where}: {row!r} of {asset!r} is not a list of loadings, one a factor")
        if rows and len(row) != len(rows[0]):
            raise InputError(f"{where}: {asset!r} has {len(row)} loadings and {assets[0]!r} has {len(rows[0])}")
        rows.append([check_number(f"{where}: loading of {asset!r}", value) for value in row])
        total = math.fsum(value * value for value in rows[-1])
        if total > 1.0 + ROUNDING:
            raise InputError(
                f"{where}: the squares of the loadings of {asset!r} sum to {total:.6g}; they must leave its own "
                "variance, so at most 1"
            )
    return FactorStructure(np.array(rows))


def _read(path: Path, where: str) -> Mapping[str, Any]:
    ending = path.suffix.lower()
    if ending == ".csv":
        try:
            text = read_text(path, SIZE_LIMIT)
        except InputError as problem:
            raise InputError(f"factors: {problem}") from None
        return _from_csv(text, where)
    if ending not in (".yaml", ".yml"):
        raise InputError(f"{where}: is no file of loadings; its name must end in .yaml, .yml or .csv")
    try:
        content = read_yaml(path, SIZE_LIMIT)
    except InputError as problem:
        raise InputError(f"factors: {problem}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{where}: holds {type(content).__name__} data; asset to list of loadings was expected")
    return {str(asset): row for asset, row in content.items()}


def _from_csv(text: str, where: str) -> dict[str, list[float]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    found: dict[str, list[float]] = {}
    try:
        header = [name.strip() for name in next(rows, [])]
        if not header:
            raise InputError(f"{where}: is empty; a first line of asset and one column a factor was expected")
        twice = next((name for i, name in enumerate(header) if name in header[:i]), None)
        if twice is not None:
            raise InputError(f"{where}: column {twice!r} is given twice")
        if "asset" not in header or len(header) < 2 or "" in header:
            raise InputError(f"{where}: columns {', '.join(header)} are not asset and one a factor")
        place = header.index("asset")
        for row in rows:
            line = f"{where}: line {rows.line_num}"
            if len(row) != len(header):
                raise InputError(f"{line}: {len(row)} values are not for {len(header)} columns")
            asset = row.pop(place).strip()
            if asset in found:
                raise InputError(f"{line}: asset {asset!r} is given twice")
            found[asset] = [_number(text, line) for text in row]
    except csv.Error as problem:
        raise InputError(f"{where}: is not CSV: {problem}") from None
    return found


def _number(text: str, line: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{line}: {text!r} is not a number") from None
