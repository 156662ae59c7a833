"""Portfolios from YAML and CSV files, or from mappings that were parsed already.

YAML (``.yaml``, ``.yml``), one portfolio or a list of them::

    name: balanced
    capital: 1_000_000          # needed by weights and by `cash: remainder`, refused otherwise
    cash: 50_000                # or `remainder`, the capital less everything invested; 0 when left out
    weights: {AAPL: 0.10, JNJ: 0.20}      # shares of the capital, or `equal`: every asset in equal parts
    money: {XOM: -250_000}      # market values, short below zero
    shares: {GE: 1200}

CSV (``.csv``), with the header ``portfolio,asset,unit,amount`` in any order and one row a position::

    portfolio,asset,unit,amount
    balanced,,capital,1000000
    balanced,cash,money,remainder
    balanced,AAPL,weight,0.10
    balanced,XOM,money,-250000
    balanced,GE,shares,1200
    everything,,capital,1000000
    everything,*,weight,equal

An asset stands at most once in a portfolio, whatever the unit, and a name stands for one portfolio only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from riskops.errors import InputError
from riskops.portfolio.positions import UNITS, Portfolio, Position
from riskops.textfile import read_text, read_yaml

__all__ = ["load_portfolios"]

_BLOCKS = {"shares": "shares", "money": "money", "weights": "weight"}
_KEYS = ("name", "capital", "cash", *_BLOCKS)
_COLUMNS = ("portfolio", "asset", "unit", "amount")

Source = str | Path | Mapping[str, Any] | Portfolio


def load_portfolios(
    sources: Source | Iterable[Source], *, assets: Sequence[str] | None = None
) -> tuple[Portfolio, ...]:
    """Load portfolios from one or several files or mappings, in the order given.

    Parameters
    ----------
    sources
        A path ending in ``.yaml``, ``.yml`` or ``.csv``, a mapping with the keys of the YAML format, a ``Portfolio``,
        or several of them.
    assets
        The assets that a position may be in; not checked when left out (:func:`book` checks them in any case).

    Returns
    -------
    tuple of Portfolio
        At least one, with distinct names.

    Raises
    ------
    InputError
        A file that cannot be read or is neither YAML nor CSV, an unknown key or unit, an amount that is not a finite
        number, an asset held twice or not in ``assets``, a name given twice, a portfolio without positions.

    Notes
    -----
    NaN rule: an amount that is NaN is an error.

    Examples
    --------
    >>> record = {"name": "all", "capital": 1_000_000, "weights": "equal"}
    >>> [portfolio.name for portfolio in load_portfolios([record])]
    ['all']
    """
    given = [sources] if isinstance(sources, str | Path | Mapping | Portfolio) else list(sources)
    found: list[Portfolio] = []
    origin: dict[str, str] = {}
    for source in given:
        where = str(source) if isinstance(source, str | Path) else "portfolios"
        for portfolio in _load(source, where):
            if portfolio.name in origin:
                raise InputError(
                    f"{where}: portfolio {portfolio.name!r} is given twice (first in {origin[portfolio.name]})"
                )
            origin[portfolio.name] = where
            if assets is not None:
                _check_assets(portfolio, assets, where)
            found.append(portfolio)
    if not found:
        raise InputError("portfolios: none is given")
    return tuple(found)


def _check_assets(portfolio: Portfolio, assets: Sequence[str], where: str) -> None:
    known = set(assets)
    for position in portfolio.positions:
        if position.asset not in known:
            shown = ", ".join(list(assets)[:30]) + (", ..." if len(assets) > 30 else "")
            raise InputError(
                f"{where}: portfolio {portfolio.name!r}: asset {position.asset!r} has no prices; known are {shown}"
            )


def _load(source: object, where: str) -> list[Portfolio]:
    if isinstance(source, Portfolio):
        return [source]
    if isinstance(source, Mapping):
        return [_from_record(source, where)]
    if not isinstance(source, str | Path):
        raise InputError(f"{where}: {source!r} is not a path, a mapping or a Portfolio")
    ending = Path(source).suffix.lower()
    if ending == ".csv":
        return _from_csv(read_text(source), where)
    if ending not in (".yaml", ".yml"):
        raise InputError(f"{where}: is not a portfolio file; its name must end in .yaml, .yml or .csv")
    content = read_yaml(source)
    records = content if isinstance(content, list) else [content]
    if not records or not all(isinstance(record, Mapping) for record in records):
        raise InputError(f"{where}: holds {_kind(content)}; one portfolio or a list of portfolios was expected")
    return [_from_record(record, where) for record in records]


def _kind(content: object) -> str:
    if content is None or content == []:
        return "nothing"
    return "a list with an entry that is no mapping" if isinstance(content, list) else f"{type(content).__name__} data"


def _from_record(record: Mapping[str, Any], where: str) -> Portfolio:
    name = record.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{where}: name: {name!r} is not text; every portfolio needs a name")
    here = f"{where}: portfolio {name!r}"
    for key in record:
        if key not in _KEYS:
            raise InputError(f"{here}: {key!r} is not one of the keys {', '.join(_KEYS)}")
    equal = record.get("weights") == "equal"
    positions: list[Position] = []
    for block, unit in _BLOCKS.items():
        amounts = record.get(block)
        if amounts is None or (equal and block == "weights"):
            continue
        if not isinstance(amounts, Mapping):
            expected = "a mapping of assets to amounts" + (" or 'equal'" if block == "weights" else "")
            raise InputError(f"{here}: {block}: {amounts!r} is not {expected}")
        positions += [_position(asset, unit, amount, f"{here}: {block}") for asset, amount in amounts.items()]
    cash = record.get("cash")
    return _portfolio(where, name, positions, 0.0 if cash is None else cash, record.get("capital"), equal)


def _position(asset: Any, unit: Any, amount: Any, where: str) -> Position:
    try:
        return Position(asset, unit, amount)
    except InputError as problem:
        raise InputError(f"{where}: {problem}") from None


def _portfolio(where: str, name: str, positions: list[Position], cash: Any, capital: Any, equal: bool) -> Portfolio:
    try:
        return Portfolio(name, tuple(positions), cash, capital, equal)
    except InputError as problem:
        raise InputError(f"{where}: {problem}") from None


def _from_csv(text: str, where: str) -> list[Portfolio]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="", skipinitialspace=True)
    header = [name.strip() for name in rows.fieldnames or ()]
    if sorted(header) != sorted(_COLUMNS):
        raise InputError(f"{where}: columns {', '.join(header) or 'none'} are not {', '.join(_COLUMNS)}")
    rows.fieldnames = header
    portfolios: dict[str, dict[str, Any]] = {}
    try:
        for row in rows:
            _read_row(row, portfolios, f"{where}: line {rows.line_num}")
    except csv.Error as problem:
        raise InputError(f"{where}: is not CSV: {problem}") from None
    if not portfolios:
        raise InputError(f"{where}: holds nothing; one row a position was expected")
    return [
        _portfolio(where, name, held["positions"], held.get("cash", 0.0), held.get("capital"), held.get("equal", False))
        for name, held in portfolios.items()
    ]


def _read_row(row: Mapping[str, Any], portfolios: dict[str, dict[str, Any]], where: str) -> None:
    if "" in row or None in row.values():
        raise InputError(f"{where}: has not {len(_COLUMNS)} cells")
    name, asset, unit, amount = (row[column].strip() for column in _COLUMNS)
    if not name:
        raise InputError(f"{where}: the portfolio's name is missing")
    held = portfolios.setdefault(name, {"positions": []})
    if unit == "capital":
        if asset:
            raise InputError(f"{where}: asset {asset!r} has no capital; leave it empty")
        _once(held, "capital", _amount(amount, where), where)
    elif asset == "cash":
        if unit != "money":
            raise InputError(f"{where}: unit of cash: {unit!r} is not money")
        _once(held, "cash", amount if amount == "remainder" else _amount(amount, where), where)
    elif asset == "*":
        if (unit, amount) != ("weight", "equal"):
            raise InputError(f"{where}: asset '*' needs unit weight and amount equal, not {unit!r} and {amount!r}")
        _once(held, "equal", True, where)
    else:
        if unit not in UNITS:
            raise InputError(f"{where}: unit {unit!r} is not one of {', '.join(UNITS)}, capital")
        held["positions"].append(_position(asset, unit, _amount(amount, where), where))


def _once(held: dict[str, Any], key: str, value: object, where: str) -> None:
    if key in held:
        raise InputError(f"{where}: {'asset *' if key == 'equal' else key} is given twice")
    held[key] = value


def _amount(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{where}: amount: {text!r} is not a number") from None
