"""Events on simulated paths: what a scenario does to prices on a day ahead, resolved to steps and applied to states.

An event happens after the model's own step, before the paths of that time are kept. A move of prices on a day is one of
these; anything else that reads the time and the states of a path and changes them, a :class:`PathEvent`, is another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from riskops.backend import copy_of
from riskops.errors import InputError
from riskops.models import Model, path_kernel
from riskops.models.base import Array
from riskops.scalar import log_f64, scalar_function
from riskops.simulation.spec import SimulationSpec

__all__ = ["PathEvent", "PriceMove", "apply_events", "read_prices", "resolve_events"]

_COMPARISONS = {"below": 0, "above": 1, "equals": 2}
_ALWAYS = 3


class ConditionLike(Protocol):
    """What a state must be on a path for an event to happen there."""

    @property
    def state(self) -> str: ...

    @property
    def comparison(self) -> str: ...

    @property
    def value(self) -> float: ...

    @property
    def asset(self) -> str | None: ...


class EventLike(Protocol):
    """What is needed of a scenario's event: its day, the simple returns of assets, and its condition."""

    @property
    def day(self) -> float: ...

    @property
    def when(self) -> ConditionLike | None: ...

    def moves(self, assets: Sequence[str]) -> npt.NDArray[np.float64]: ...


@runtime_checkable
class PathEvent(Protocol):
    """A function of time and state that changes paths: a frozen value that can be pickled.

    It must treat every path by itself, the same way wherever the path lies in a block, and draw nothing at random; a
    kernel made by :func:`riskops.models.path_kernel` does.
    """

    @property
    def reads_prices(self) -> bool:
        """Whether it reads ``log_growth``: a scenario's instant moves are then in it from the start."""
        ...

    def fingerprint(self) -> str:
        """A text that is equal for equal events, in every process."""
        ...

    def apply(self, step: int, time_days: float, state: Mapping[str, Array]) -> None:
        """Change the states ``(asset or 1, path)``, in place, after ``step``, which ends at ``time_days``."""
        ...


@scalar_function
def moved(growth, move, x, bound, comparison):  # type: ignore[no-untyped-def]
    """Log growth with the move, where the state ``x`` meets the condition."""
    below = (comparison == 0) & (x < bound)
    above = (comparison == 1) & (x > bound)
    equal = (comparison == 2) & (x == bound)
    return growth + move if below | above | equal | (comparison == 3) else growth


@path_kernel(tables=("moves", "bound", "comparison"))
def _move(log_growth, deciding, moves, bound, comparison):  # type: ignore[no-untyped-def]
    limit, how = bound[0], comparison[0]
    for asset in range(log_growth.shape[0]):
        growth, x = log_growth[asset], deciding[asset if deciding.shape[0] > 1 else 0]
        move = moves[asset]
        for path in range(log_growth.shape[1]):
            growth[path] = moved(growth[path], move, x[path], limit, how)


@dataclass(frozen=True)
class PriceMove:
    """A scenario's event in terms of a simulation: the step, and the log growth added where the condition holds.

    ``state`` is None for all paths; ``asset`` is the position of the one that decides for all, or None.
    """

    step: int
    log_moves: tuple[float, ...]
    state: str | None = None
    comparison: str = "below"
    value: float = 0.0
    asset: int | None = None

    @property
    def reads_prices(self) -> bool:
        """Whether the condition is one on ``log_growth``."""
        return self.state == "log_growth"

    def fingerprint(self) -> str:
        """The values as text, floats to the last bit."""
        return repr(astuple(self))

    def apply(self, step: int, time_days: float, state: Mapping[str, Array]) -> None:
        """Add the moves to log growth, in place, after the event's own step."""
        if step != self.step:
            return
        growth = state["log_growth"]
        deciding = growth if self.state is None else state[self.state]
        if self.asset is not None:  # a copy: the asset itself may be moved before the others are decided on
            deciding = copy_of(deciding[self.asset : self.asset + 1])
        how = _ALWAYS if self.state is None else _COMPARISONS[self.comparison]
        bound = self.value
        if not np.issubdtype(deciding.dtype, np.floating):  # a whole number is below 0.5 as it is below 1
            bound = math.ceil(bound) if self.comparison == "below" else math.floor(bound)
        _move(
            growth,
            deciding,
            np.array(self.log_moves, growth.dtype),
            np.array([bound], deciding.dtype),
            np.array([how], np.int32),
        )


def resolve_events(scenario: Any, *, spec: SimulationSpec, model: Model) -> tuple[PathEvent, ...]:
    """The events of a scenario in terms of a simulation, in their order.

    Parameters
    ----------
    scenario
        A scenario; one without ``events`` has none. Those that are a :class:`PathEvent` already stay as they are.
    spec
        The simulation, whose steps the days must fall on.
    model
        The model under the scenario, whose states the conditions read.

    Returns
    -------
    The events.

    Raises
    ------
    InputError
        When a day is between steps or beyond the last one, an asset is unknown, or a condition does not fit the model.
    """
    resolved: list[PathEvent] = []
    for i, event in enumerate(getattr(scenario, "events", ())):
        try:
            resolved.append(event if isinstance(event, PathEvent) else _price_move(event, spec, model))
        except InputError as error:
            raise InputError(f"scenario {scenario.name}: events[{i}].{error}") from None
    return tuple(resolved)


def _price_move(event: EventLike, spec: SimulationSpec, model: Model) -> PriceMove:
    step = spec.step_of(event.day, name="day")
    moves = event.moves(model.assets)
    log_moves = tuple(float(log_f64(np.float64(1.0 + move))) for move in moves.tolist())
    condition = event.when
    if condition is None:
        return PriceMove(step, log_moves)
    states = {state.name: state for state in model.states}
    if condition.state not in states:
        raise InputError(f"when: {condition.state!r} is no state of model {model.kind}, which has {', '.join(states)}")
    state = states[condition.state]
    if condition.comparison == "equals" and state.kind == "real":
        raise InputError(f"when: {state.name} is a real number, which is below or above another, never equal to it")
    if state.kind == "index" and abs(condition.value) >= 2.0**31 - 1.0:
        raise InputError(f"when: {condition.value!r} is no value that {state.name} can be compared with")
    if condition.asset is not None and state.per == "shared":
        raise InputError(f"when: {state.name} is shared by all assets; leave out 'of {condition.asset}'")
    asset = None if condition.asset is None else model.assets.index(condition.asset)
    return PriceMove(step, log_moves, state.name, condition.comparison, condition.value, asset)


def read_prices(events: Sequence[PathEvent]) -> bool:
    """Whether instant price moves must enter the state from the start, because an event reads it."""
    return any(event.reads_prices for event in events)


def apply_events(events: Sequence[PathEvent], step: int, time_days: float, state: Mapping[str, Array]) -> None:
    """Let the events of a step happen to a block of paths, in place, after the model's own step.

    Parameters
    ----------
    events
        The resolved events of the block's scenario, in their order: a later one sees what an earlier one did.
    step, time_days
        The number of the step that was made, from 1, and the time it ended at.
    state
        The states ``(asset or 1, path)`` by name.

    Examples
    --------
    >>> import numpy as np
    >>> growth = np.array([[0.0, -0.1, 0.05]])
    >>> fall = PriceMove(step=3, log_moves=(-0.25,), state="log_growth", comparison="below", value=-0.05)
    >>> apply_events((fall,), 3, 3.0, {"log_growth": growth})
    >>> growth.tolist()
    [[0.0, -0.35, 0.05]]
    """
    for event in events:
        event.apply(step, time_days, state)
