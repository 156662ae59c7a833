"""Events on the way: price moves at the end of a day ahead, on all paths or on those whose state meets a condition.

An event is to a day of the simulation what a price shock is to today. It reads the states of the model as they are at
the end of its day, after the model's own step, and moves prices alone: a volatility or a regime stays what it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from riskops.checks import check_number, check_positive, check_subset
from riskops.errors import InputError

__all__ = ["Condition", "Event", "check_move", "check_moves", "compound", "parse_events"]

_CONDITION = re.compile(
    r"(?P<state>[a-z][a-z0-9_]*)(?: of (?P<asset>.+))? (?P<comparison>below|above|equals) (?P<value>\S+)"
)


def check_move(name: str, value: object) -> float:
    """Return a simple return above -1."""
    move = check_number(name, value)
    if move <= -1.0:
        raise InputError(f"{name}: {value!r} is not a simple return above -1")
    return move


def check_moves(name: str, values: object) -> Mapping[str, float]:
    """Return the moves of single assets, by name in alphabetical order, as a mapping that can't be changed."""
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: {values!r} is not a mapping from asset to simple return")
    for asset in values:
        if not isinstance(asset, str):
            raise InputError(f"{name}: {asset!r} is not the name of an asset")
    return MappingProxyType({asset: check_move(f"{name}.{asset}", values[asset]) for asset in sorted(values)})


def compound(moves: npt.NDArray[np.float64], more: float | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """``(1 + moves) (1 + more) - 1``, in the form that leaves a move alone exactly as it was given."""
    return moves + more + moves * more


@dataclass(frozen=True)
class Condition:
    """What a state of the model must be for an event to happen on a path.

    Parameters
    ----------
    state
        The name of the state: ``log_growth``, which is that since today's unshocked price, or one of the model's own.
    comparison
        ``"below"``, ``"above"`` or, for a state of whole numbers such as a regime, ``"equals"``.
    value
        What the state is compared with.
    asset
        The asset whose state decides for all assets. Without it a state that each asset has decides for that asset, and
        one that all share for all of them.

    Examples
    --------
    >>> Condition.parse("log_growth of XOM below -0.05")
    Condition(state='log_growth', comparison='below', value=-0.05, asset='XOM')
    >>> str(Condition("regime", "equals", 1))
    'regime equals 1'
    """

    state: str
    comparison: Literal["below", "above", "equals"]
    value: float
    asset: str | None = None

    def __post_init__(self) -> None:
        value = check_number("when", self.value)
        object.__setattr__(self, "value", value)
        if self.comparison == "equals" and value != int(value):
            raise InputError(f"when: {self.value!r} is not a whole number, as a state that equals it is")
        if self.asset is not None and not isinstance(self.asset, str):
            raise InputError(f"when: {self.asset!r} is not the name of an asset")
        if _CONDITION.fullmatch(str(self)) is None:
            raise InputError(f"when: {str(self)!r} is not '<state> [of <asset>] below|above|equals <number>'")

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read ``<state> [of <asset>] below|above|equals <number>``; the inverse of ``str``."""
        found = _CONDITION.fullmatch(text) if isinstance(text, str) else None
        try:
            value = float(found["value"]) if found else None
        except ValueError:
            value = None
        if found is None or value is None:
            raise InputError(f"when: {text!r} is not '<state> [of <asset>] below|above|equals <number>'")
        return cls(found["state"], found["comparison"], value, found["asset"])  # type: ignore[arg-type]

    def __str__(self) -> str:
        value = int(self.value) if self.comparison == "equals" else self.value
        of = "" if self.asset is None else f" of {self.asset}"
        return f"{self.state}{of} {self.comparison} {value!r}"


def _condition(given: object) -> Condition | None:
    return given if given is None or isinstance(given, Condition) else Condition.parse(given)


@dataclass(frozen=True)
class Event:
    """Price moves at the end of one day ahead.

    Parameters
    ----------
    day
        Trading days from today, above zero, a multiple of the simulation's ``step_days``.
    all_prices
        Move of all assets: simple return, above -1.
    price_shocks
        Moves of single assets: name to simple return, above -1. Moves given together compound.
    when
        The condition, or its text, that a path must meet; None: all paths.

    Raises
    ------
    InputError
        When a value is outside its range, or no price moves.

    Examples
    --------
    >>> flash = Event(3, all_prices=-0.1, when="log_growth below -0.05")
    >>> flash.moves(("A", "B")).tolist(), flash.summary()
    ([-0.1, -0.1], 'all prices -10 % on day 3 when log_growth below -0.05')
    """

    day: float
    all_prices: float | None = None
    price_shocks: Mapping[str, float] = field(default_factory=dict, hash=False)
    when: Condition | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "day", check_positive("day", self.day))
        if self.all_prices is not None:
            set_field(self, "all_prices", check_move("all_prices", self.all_prices))
        set_field(self, "price_shocks", check_moves("price_shocks", self.price_shocks))
        set_field(self, "when", _condition(self.when))
        if not self.all_prices and not any(self.price_shocks.values()):
            raise InputError("moves no price; give all_prices or price_shocks")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_record, (self.record(),)  # a read-only mapping cannot be pickled

    def moves(self, assets: Sequence[str]) -> npt.NDArray[np.float64]:
        """The simple returns ``(asset,)`` of these assets, without unit, above -1.

        Raises
        ------
        InputError
            When an asset that is moved, or decides, is not among them.
        """
        check_subset("price_shocks", self.price_shocks, assets)
        if self.when is not None and self.when.asset is not None:
            check_subset("when", (self.when.asset,), assets)
        moves = np.full(len(assets), self.all_prices or 0.0)
        moves = compound(moves, np.array([self.price_shocks.get(asset, 0.0) for asset in assets]))
        for asset, move in zip(assets, moves, strict=True):
            if move <= -1.0:
                raise InputError(f"price_shocks: the moves of {asset!r} together leave nothing of its price")
        return moves

    def summary(self) -> str:
        """The event in a few words."""
        moves = [f"all prices {100 * self.all_prices:+g} %"] if self.all_prices else []
        moves += [f"{asset} {100 * move:+g} %" for asset, move in self.price_shocks.items() if move]
        condition = "" if self.when is None else f" when {self.when}"
        return f"{' and '.join(moves)} on day {self.day:g}{condition}"

    def record(self) -> dict[str, Any]:
        """The event as a plain mapping that JSON holds exactly; :meth:`from_record` is the inverse."""
        return {
            "day": self.day,
            "all_prices": self.all_prices,
            "price_shocks": dict(self.price_shocks),
            "when": None if self.when is None else str(self.when),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make an event from a mapping with the names of its parameters.

        Examples
        --------
        >>> Event.from_record({"day": 3, "price_shocks": {"A": -0.2}}).record()["price_shocks"]
        {'A': -0.2}
        """
        known = [f.name for f in fields(cls)]
        for key in record:
            if key not in known:
                raise InputError(f"{key}: is unknown; known are {', '.join(known)}")
        if "day" not in record:
            raise InputError("day: is missing")
        return cls(**record)


def parse_events(name: str, values: object) -> tuple[Event, ...]:
    """Events, given as such or as mappings, in the order in which those of one day happen."""
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
        raise InputError(f"{name}: {values!r} is not a list of events")
    events = []
    for i, value in enumerate(values):
        if not isinstance(value, Event | Mapping):
            raise InputError(f"{name}[{i}]: {value!r} is not a mapping with a day and price moves")
        try:
            events.append(value if isinstance(value, Event) else Event.from_record(value))
        except InputError as error:
            text = str(error)
            raise InputError(f"{name}[{i}]{': ' if text.startswith('moves no') else '.'}{text}") from None
    return tuple(events)
