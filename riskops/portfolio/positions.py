"""What a portfolio holds: positions in shares, money or weights of a capital, and cash; checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from riskops.checks import check_number, check_positive
from riskops.errors import InputError

__all__ = ["REMAINDER", "UNITS", "Portfolio", "Position"]

Unit = Literal["shares", "money", "weight"]

UNITS: tuple[Unit, ...] = ("shares", "money", "weight")
REMAINDER = "remainder"


@dataclass(frozen=True)
class Position:
    """A holding of one asset: long above zero, short below.

    Parameters
    ----------
    asset
        The asset's name in the prices.
    unit
        ``"shares"``: a number of shares. ``"money"``: a market value today. ``"weight"``: a share of the capital.
    amount
        How much, in that unit.

    Raises
    ------
    InputError
        The asset is no text, the unit is unknown, or the amount is not a finite number.

    Examples
    --------
    >>> Position("XOM", "money", -250_000)
    Position(asset='XOM', unit='money', amount=-250000.0)
    """

    asset: str
    unit: Unit
    amount: float

    def __post_init__(self) -> None:
        if not isinstance(self.asset, str) or not self.asset:
            raise InputError(f"asset: {self.asset!r} is not text; put a name that looks like a number in quotes")
        if self.unit not in UNITS:
            raise InputError(f"{self.asset}: unit {self.unit!r} is not one of {', '.join(UNITS)}")
        object.__setattr__(self, "amount", check_number(self.asset, self.amount))


@dataclass(frozen=True)
class Portfolio:
    """Positions and cash under a name.

    Parameters
    ----------
    name
        A text that no other portfolio has.
    positions
        At most one an asset, kept sorted by asset; none when ``equal_weights`` is set.
    cash
        An amount of money, below zero when borrowed, or ``"remainder"``: the capital less everything invested.
    capital
        The money that weights and ``cash="remainder"`` refer to; given exactly when one of them is.
    equal_weights
        Hold every asset of the price data in equal parts of the capital.

    Raises
    ------
    InputError
        No position at all, an asset held twice, a capital that is missing, not above zero or not used, a cash amount
        that is neither finite nor ``"remainder"``.

    Examples
    --------
    >>> Portfolio("hedged", (Position("AAPL", "shares", 100), Position("XOM", "money", -5_000)), cash=1_000)
    ... # doctest: +ELLIPSIS
    Portfolio(name='hedged', positions=(Position(...), Position(...)), cash=1000.0, ...)
    """

    name: str
    positions: tuple[Position, ...] = ()
    cash: float | Literal["remainder"] = 0.0
    capital: float | None = None
    equal_weights: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InputError(f"portfolio: name {self.name!r} is not text")
        where = f"portfolio {self.name!r}"
        object.__setattr__(self, "positions", tuple(sorted(self.positions, key=lambda position: position.asset)))
        held: dict[str, Position] = {}
        for position in self.positions:
            if position.asset in held:
                raise InputError(f"{where}: asset {position.asset!r} stands in it twice")
            held[position.asset] = position
        if self.equal_weights and held:
            raise InputError(f"{where}: weights: equal holds every asset already; {next(iter(held))!r} stands twice")
        if not self.equal_weights and not held:
            raise InputError(f"{where}: holds no position; give weights, money or shares")
        if self.cash != REMAINDER:
            object.__setattr__(self, "cash", check_number(f"{where}: cash", self.cash))
        self._check_capital(where)

    def _check_capital(self, where: str) -> None:
        weighted = self.equal_weights or any(p.unit == "weight" for p in self.positions)
        needed = weighted or self.cash == REMAINDER
        if self.capital is None and needed:
            raise InputError(
                f"{where}: capital is missing; {'weights need' if weighted else 'cash: remainder needs'} it"
            )
        if self.capital is not None:
            if not needed:
                raise InputError(
                    f"{where}: capital {self.capital!r} is not used; there are no weights and cash is not 'remainder'"
                )
            object.__setattr__(self, "capital", check_positive(f"{where}: capital", self.capital))

    def record(self) -> dict[str, Any]:
        """The portfolio as the plain mapping that :func:`load_portfolios` makes it from."""
        plain: dict[str, Any] = {"name": self.name, "cash": self.cash}
        if self.capital is not None:
            plain["capital"] = self.capital
        if self.equal_weights:
            plain["weights"] = "equal"
        for position in self.positions:
            block = "weights" if position.unit == "weight" else position.unit
            plain.setdefault(block, {})[position.asset] = position.amount
        return plain
