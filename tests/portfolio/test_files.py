"""Portfolio files: YAML, CSV and mappings give the same portfolios, and each mistake one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from riskops.errors import InputError
from riskops.portfolio import Portfolio, Position, load_portfolios

YAML = """\
- name: balanced
  capital: 1_000_000
  cash: remainder
  weights: {AAPL: 0.10}
  money: {XOM: -250_000}
  shares: {GE: 1200}
- name: everything
  capital: 1e6
  weights: equal
- name: plain
  cash: -5
  shares: {ON: 1}
"""

CSV = """\
portfolio,asset,unit,amount
balanced,,capital,1000000
balanced,cash,money,remainder
balanced,AAPL,weight,0.10
balanced,XOM,money,-250000
everything,*,weight,equal
balanced,GE,shares,1200
everything,,capital,1e6
plain,cash,money,-5
plain,ON,shares,1
"""

EXPECTED = (
    Portfolio(
        "balanced",
        (Position("AAPL", "weight", 0.1), Position("XOM", "money", -250_000), Position("GE", "shares", 1200)),
        "remainder",
        1_000_000,
    ),
    Portfolio("everything", capital=1_000_000, equal_weights=True),
    Portfolio("plain", (Position("ON", "shares", 1),), cash=-5),
)


def write(tmp_path: Path, text: str, name: str) -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_yaml_and_csv_say_the_same(tmp_path: Path) -> None:
    assert load_portfolios(write(tmp_path, YAML, "p.yaml")) == EXPECTED
    assert load_portfolios(str(write(tmp_path, CSV, "p.csv"))) == EXPECTED


def test_several_sources_keep_their_order(tmp_path: Path) -> None:
    first = write(tmp_path, "name: z\nshares: {A: 1}\n", "z.yml")
    found = load_portfolios([first, {"name": "a", "money": {"B": 2}}, EXPECTED[2]], assets=["A", "B", "ON"])
    assert [portfolio.name for portfolio in found] == ["z", "a", "plain"]


def test_columns_in_any_order_and_spaces(tmp_path: Path) -> None:
    text = "unit, amount, asset, portfolio\nshares, 1, A, p\n"
    assert load_portfolios(write(tmp_path, text, "p.csv")) == (Portfolio("p", (Position("A", "shares", 1),)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds nothing; one portfolio or a list of portfolios was expected"),
        ("[]", "holds nothing; one portfolio or a list of portfolios was expected"),
        ("3", "holds int data; one portfolio or a list of portfolios was expected"),
        ("[a]", "holds a list with an entry that is no mapping; one portfolio or a list of portfolios was expected"),
        ("shares: {A: 1}", "name: None is not text; every portfolio needs a name"),
        (
            "name: p\nshare: {A: 1}",
            "portfolio 'p': 'share' is not one of the keys name, capital, cash, shares, money, weights",
        ),
        ("name: p\nshares: [A]", "portfolio 'p': shares: ['A'] is not a mapping of assets to amounts"),
        (
            "name: p\nweights: all\ncapital: 1",
            "portfolio 'p': weights: 'all' is not a mapping of assets to amounts or 'equal'",
        ),
        ("name: p\nshares: equal", "portfolio 'p': shares: 'equal' is not a mapping of assets to amounts"),
        ("name: p\nshares: {A: .nan}", "portfolio 'p': shares: A: nan is not a finite number"),
        ("name: p\nmoney: {A: 1e309}", "portfolio 'p': money: A: inf is not a finite number"),
        ("name: p\nshares: {A: lots}", "portfolio 'p': shares: A: 'lots' is not a finite number"),
        ("name: p\nshares: {600519: 1}", "portfolio 'p': shares: asset: 600519 is not text; put a name"),
        ("name: p\nshares: {A: 1}\nmoney: {A: 1}", "portfolio 'p': asset 'A' stands in it twice"),
        ("name: p\nshares: {A: 1, A: 2}", "line 2 column 16: key 'A' is given twice"),
        ("name: p\nshares: {}", "portfolio 'p': holds no position; give weights, money or shares"),
        ("name: p\nweights: {A: 1}", "portfolio 'p': capital is missing; weights need it"),
        ("name: p\nweights: equal\nshares: {A: 1}\ncapital: 1", "portfolio 'p': weights: equal holds every asset"),
        ("name: p\nshares: {A: 1}\ncapital: 9", "portfolio 'p': capital 9 is not used"),
        ("- name: p\n  shares: {A: 1}\n- name: p\n  shares: {B: 1}", "portfolio 'p' is given twice (first in "),
        ("name: p\nshares: {C: 1}", "portfolio 'p': asset 'C' has no prices; known are A, B"),
        ("name: [p\n", "line 2 column 1: is not YAML: "),
    ],
)
def test_refused_yaml(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text, "p.yaml")
    with pytest.raises(InputError) as caught:
        load_portfolios(path, assets=["A", "B"])
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


HEAD = "portfolio,asset,unit,amount\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns none are not portfolio, asset, unit, amount"),
        ("portfolio,asset,amount\n", "columns portfolio, asset, amount are not portfolio, asset, unit, amount"),
        (HEAD, "holds nothing; one row a position was expected"),
        (HEAD + "p,A,shares\n", "line 2: has not 4 cells"),
        (HEAD + "p,A,shares,1,2\n", "line 2: has not 4 cells"),
        (HEAD + ",A,shares,1\n", "line 2: the portfolio's name is missing"),
        (HEAD + "p,A,lots,1\n", "line 2: unit 'lots' is not one of shares, money, weight, capital"),
        (HEAD + "p,A,shares,x\n", "line 2: amount: 'x' is not a number"),
        (HEAD + "p,A,shares,nan\n", "line 2: A: nan is not a finite number"),
        (HEAD + "p,,shares,1\n", "line 2: asset: '' is not text"),
        (HEAD + "p,A,capital,1\n", "line 2: asset 'A' has no capital; leave it empty"),
        (HEAD + "p,cash,weight,1\n", "line 2: unit of cash: 'weight' is not money"),
        (HEAD + "p,*,weight,0.1\n", "line 2: asset '*' needs unit weight and amount equal, not 'weight' and '0.1'"),
        (HEAD + "p,cash,money,1\np,cash,money,2\n", "line 3: cash is given twice"),
        (HEAD + "p,*,weight,equal\np,*,weight,equal\n", "line 3: asset * is given twice"),
        (HEAD + "p,A,shares,1\np,A,money,1\n", "portfolio 'p': asset 'A' stands in it twice"),
        (HEAD + "p,cash,money,1\n", "portfolio 'p': holds no position; give weights, money or shares"),
        (HEAD + 'p,"A,shares,1\n', "is not CSV: unexpected end of data"),
    ],
)
def test_refused_csv(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text, "p.csv")
    with pytest.raises(InputError) as caught:
        load_portfolios(path)
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "portfolios: none is given"),
        ("no.yaml", "no.yaml: no such file"),
        ("p.txt", "p.txt: is not a portfolio file; its name must end in .yaml, .yml or .csv"),
        ([7], "portfolios: 7 is not a path, a mapping or a Portfolio"),
    ],
)
def test_refused_sources(sources: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_portfolios(sources)
    assert str(caught.value) == message
