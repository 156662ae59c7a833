"""A scenario: a frozen value that maps a model to a shocked model, and prices to instant price moves.

What a scenario changes is a set of plain numbers; several of them together are a combination. Events move prices on
days ahead. The same draws serve all scenarios, so a scenario holds no randomness of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_number, check_positive, check_subset
from riskops.errors import InputError
from riskops.models import Model
from riskops.scenarios.events import Event, check_move, check_moves, compound, parse_events
from riskops.scenarios.window import Window, cumulated_returns, observed_assets, parse_window

__all__ = ["BASE", "Scenario"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Scenario:
    """What is changed in the model, and how prices move at once.

    Parameters
    ----------
    name
        Small letters, digits, ``_`` and ``-``, at most 64; ``base`` is the scenario that changes nothing.
    description
        One line for people.
    volatility
        Factor on every volatility, above zero.
    correlation
        Share, in ``[0, 1)``, of its way to one that every correlation moves.
    drift
        Yearly rate added to the drift of every price.
    price_shocks
        Instant move of single assets: name to simple return, above -1.
    all_prices
        Instant move of all assets: simple return, above -1.
    replay
        Start and end dates of a window of observed prices, whose moves are applied at once.
    events
        Price moves on days ahead, on all paths or on those that meet a condition: :class:`Event` or mappings with its
        parameters. Those of one day happen in this order.

    Raises
    ------
    InputError
        When a value is outside its range, or the scenario ``base`` changes anything.

    Notes
    -----
    Price moves given together compound: ``(1 + replay) (1 + all_prices) (1 + price_shocks[asset]) - 1``.

    Examples
    --------
    >>> crash = Scenario("crash", all_prices=-0.2, volatility=2.0)
    >>> crash.record()["all_prices"], crash.is_base
    (-0.2, False)
    """

    name: str
    description: str = ""
    volatility: float = 1.0
    correlation: float = 0.0
    drift: float = 0.0
    price_shocks: Mapping[str, float] = field(default_factory=dict, hash=False)
    all_prices: float | None = None
    replay: Window | None = None
    events: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError(f"scenario: name {self.name!r} is not 1 to 64 small letters, digits, _ or -")
        try:
            self._check()
        except InputError as error:
            raise InputError(f"scenario {self.name}: {error}") from None

    def _check(self) -> None:
        if not isinstance(self.description, str):
            raise InputError(f"description: {self.description!r} is not text")
        set_field = object.__setattr__
        set_field(self, "volatility", check_positive("volatility", self.volatility))
        set_field(self, "correlation", check_number("correlation", self.correlation))
        if not 0.0 <= self.correlation < 1.0:
            raise InputError(f"correlation: {self.correlation!r} is not a share in [0, 1)")
        set_field(self, "drift", check_number("drift", self.drift))
        set_field(self, "price_shocks", check_moves("price_shocks", self.price_shocks))
        if self.all_prices is not None:
            set_field(self, "all_prices", check_move("all_prices", self.all_prices))
        if self.replay is not None:
            set_field(self, "replay", parse_window("replay", self.replay))
        set_field(self, "events", parse_events("events", self.events))
        if self.name == "base" and not self.is_base:
            raise InputError("the name is kept for the scenario that changes nothing")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_record, (self.record(),)  # a read-only mapping cannot be pickled

    @property
    def is_base(self) -> bool:
        """Whether neither the model nor any price is changed, now or on a day ahead."""
        return not self.shocks_model and not self.moves_prices and not self.events

    @property
    def shocks_model(self) -> bool:
        """Whether the model is changed."""
        return (self.volatility, self.correlation, self.drift) != (1.0, 0.0, 0.0)

    @property
    def moves_prices(self) -> bool:
        """Whether any price moves at once."""
        return any(self.price_shocks.values()) or bool(self.all_prices) or self.replay is not None

    def apply(self, model: Model) -> Model:
        """The model under this scenario.

        Raises
        ------
        InputError
            When a shock has no meaning for the model.

        Examples
        --------
        >>> from riskops.models import GeometricBrownianMotion
        >>> model = GeometricBrownianMotion(("A",), [0.0], [0.2], [[1.0]])
        >>> Scenario("doubled", volatility=2.0).apply(model).volatility.tolist()
        [0.4]
        """
        try:
            return model.shocked(volatility=self.volatility, correlation=self.correlation, drift=self.drift)
        except InputError as error:
            raise InputError(f"scenario {self.name}: {error}") from None

    def price_shock(self, prices: xr.Dataset) -> npt.NDArray[np.float64]:
        """The instant move of every price.

        Parameters
        ----------
        prices
            Dataset with ``price`` ``(observation, asset)``. A replay takes its moves from the last price on or before
            the window's start to the last price on or before its end; NaN inside the window is an error.

        Returns
        -------
        Simple returns ``(asset,)`` in the order of ``prices``, without unit, above -1.

        Raises
        ------
        InputError
            When an asset that is shocked, now or by an event, is not among the prices, or the prices do not cover the
            window.

        Examples
        --------
        >>> from riskops.market import load_prices
        >>> prices = load_prices("sp500_index")
        >>> Scenario("covid", replay=("2020-02-19", "2020-03-23")).price_shock(prices).round(4).tolist()
        [-0.3392]
        """
        assets = observed_assets(prices)
        moves = np.zeros(len(assets))
        try:
            if self.replay is not None:
                moves = cumulated_returns(prices, self.replay)[1][-1]
            check_subset("price_shocks", self.price_shocks, assets)
            self._check_events(assets)
        except InputError as error:
            raise InputError(f"scenario {self.name}: {error}") from None
        if self.all_prices is not None:
            moves = compound(moves, self.all_prices)
        moves = compound(moves, np.array([self.price_shocks.get(asset, 0.0) for asset in assets]))
        for asset, move in zip(assets, moves, strict=True):
            if move <= -1.0:
                raise InputError(f"scenario {self.name}: the moves of {asset!r} together leave nothing of its price")
        return moves

    def _check_events(self, assets: Sequence[str]) -> None:
        """Refuse an event on assets that are not there; it moves no price today."""
        for i, event in enumerate(self.events):
            try:
                event.moves(assets)
            except InputError as error:
                raise InputError(f"events[{i}].{error}") from None

    def summary(self) -> str:
        """What is changed, in a line.

        Examples
        --------
        >>> Scenario("turmoil", volatility=2.0, correlation=0.5, all_prices=-0.2).summary()
        'volatility times 2, correlation 0.5 of the way to one, all prices -20 %'
        """
        parts = []
        if self.volatility != 1.0:
            parts.append(f"volatility times {self.volatility:g}")
        if self.correlation != 0.0:
            parts.append(f"correlation {self.correlation:g} of the way to one")
        if self.drift != 0.0:
            parts.append(f"drift {100 * self.drift:+g} % a year")
        if self.replay is not None:
            parts.append(f"replay of {self.replay[0]} to {self.replay[1]}")
        if self.all_prices:
            parts.append(f"all prices {100 * self.all_prices:+g} %")
        parts += [f"{asset} {100 * move:+g} %" for asset, move in self.price_shocks.items() if move]
        parts += [event.summary() for event in self.events]
        return ", ".join(parts) or "nothing"

    def record(self) -> dict[str, Any]:
        """The scenario as a plain mapping that JSON holds exactly; :meth:`from_record` is the inverse."""
        window = None if self.replay is None else [day.isoformat() for day in self.replay]
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        events = [event.record() for event in self.events]
        return named | {"price_shocks": dict(self.price_shocks), "replay": window, "events": events}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make a scenario again from its record.

        Examples
        --------
        >>> Scenario.from_record(BASE.record()) == BASE
        True
        """
        expected = {f.name for f in fields(cls)}
        if set(record) != expected:
            raise InputError(f"scenario record: keys {sorted(record)} are not {sorted(expected)}")
        return cls(**record)


#: Today's prices and the calibrated model: what every other scenario is compared with.
BASE = Scenario("base", "Today's prices and the calibrated model.")
