"""What a portfolio may hold, and the line for what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from riskops.errors import InputError
from riskops.portfolio import Portfolio, Position, load_portfolios

ONE = (Position("A", "shares", 1),)


def test_values_are_frozen_and_comparable() -> None:
    portfolio = Portfolio("p", [Position("A", "weight", 1)], "remainder", 100)  # type: ignore[arg-type]
    assert portfolio == Portfolio("p", (Position("A", "weight", 1.0),), "remainder", 100.0)
    assert hash(portfolio) == hash(Portfolio("p", (Position("A", "weight", 1.0),), "remainder", 100.0))
    with pytest.raises(AttributeError):
        portfolio.name = "q"  # type: ignore[misc]


@pytest.mark.parametrize(
    "portfolio",
    [
        Portfolio("p", (Position("A", "weight", 0.5), Position("B", "money", -3), Position("C", "shares", 7)), 1.5, 10),
        Portfolio("p", capital=1e6, equal_weights=True, cash="remainder"),
    ],
)
def test_record_makes_the_same_portfolio(portfolio: Portfolio) -> None:
    assert load_portfolios(portfolio.record()) == (portfolio,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "portfolio: name '' is not text"),
        ({"name": 7}, "portfolio: name 7 is not text"),
        ({"positions": ()}, "portfolio 'p': holds no position; give weights, money or shares"),
        ({"positions": ONE + ONE}, "portfolio 'p': asset 'A' stands in it twice"),
        ({"cash": "rest"}, "portfolio 'p': cash: 'rest' is not a finite number"),
        ({"cash": float("inf")}, "portfolio 'p': cash: inf is not a finite number"),
        ({"cash": "remainder"}, "portfolio 'p': capital is missing; cash: remainder needs it"),
        (
            {"positions": (Position("A", "weight", 1),)},
            "portfolio 'p': capital is missing; weights need it",
        ),
        (
            {"positions": (Position("A", "weight", 1),), "capital": 0},
            "portfolio 'p': capital: 0 is not above zero",
        ),
        ({"capital": 5}, "portfolio 'p': capital 5 is not used; there are no weights and cash is not 'remainder'"),
        (
            {"equal_weights": True, "capital": 5},
            "portfolio 'p': weights: equal holds every asset already; 'A' stands twice",
        ),
    ],
)
def test_refused_portfolios(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Portfolio(**({"name": "p", "positions": ONE} | arguments))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((600519, "shares", 1), "asset: 600519 is not text; put a name that looks like a number in quotes"),
        (("A", "lots", 1), "A: unit 'lots' is not one of shares, money, weight"),
        (("A", "money", float("nan")), "A: nan is not a finite number"),
        (("A", "money", "7"), "A: '7' is not a finite number"),
        (("A", "money", True), "A: True is not a finite number"),
    ],
)
def test_refused_positions(arguments: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Position(*arguments)
    assert str(caught.value) == message
