"""The steps that every forecast of a series goes through, whichever method makes it: chosen, fitted, checked.

What a method says is held to its contract here, so that nothing that is not a forecast reaches a result: figures of
the wrong shape, one that is not finite, or an expected shortfall below its value at risk count as a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from riskops.checks import check_one_of, check_unique
from riskops.errors import InputError
from riskops.history.forecasts.base import Fit, Floats, Forecaster, Integers
from riskops.history.forecasts.registry import METHODS, forecaster

__all__ = [
    "FAILURES",
    "FALLBACK",
    "Failures",
    "Method",
    "Methods",
    "Said",
    "Unfit",
    "check_failures",
    "choose_methods",
    "fitted",
    "said",
]

Failures = Literal["error", "nan"]
FAILURES = ("error", "nan")

#: One method or several: names, mappings of ``kind`` and settings, forecasters; ``"all"`` is every method there is.
Method = str | Mapping[str, Any] | Forecaster
Methods = Method | Sequence[Method]

#: The note of forecasts that are a fallback, counted by forecast.
FALLBACK = "forecast by the method's fallback, as its documentation says"

#: Rounding may leave an expected shortfall this much, relative to its value at risk, below it.
_ROUNDING = 1e-9


class Unfit(InputError):
    """A method has no forecast for some days: its sample can't carry it, or what it said is no forecast."""


@dataclass(frozen=True, eq=False)
class Said:
    """A prediction that kept its contract, ``(level, day)``; errors are NaN where nothing was simulated."""

    value_at_risk: Floats
    expected_shortfall: Floats
    value_at_risk_error: Floats
    expected_shortfall_error: Floats
    probability: Callable[[Floats], Floats] | None
    #: How many of the days are forecast by the method's documented fallback.
    fallbacks: int = 0


def check_failures(failures: str) -> None:
    """Refuse a policy that there is not."""
    check_one_of("failures", failures, FAILURES)


def choose_methods(methods: Methods) -> tuple[Forecaster, ...]:
    """The forecasters that were asked for, in that order; their names tell them apart."""
    listed: list[Method]
    if isinstance(methods, str) and methods == "all":
        listed = list(METHODS)
    elif isinstance(methods, str | Mapping) or not isinstance(methods, Sequence):
        listed = [methods]
    else:
        listed = list(methods)
    if not listed:
        raise InputError("methods: at least one is needed")
    chosen = tuple(forecaster(method) for method in listed)
    check_unique("methods", [one.name for one in chosen])
    return chosen


def fitted(method: Forecaster, sample: Floats, *, levels: Sequence[float], days: int) -> Fit:
    """Fit a method to a sample."""
    try:
        return method.fit(sample, levels=levels, days=days)
    except InputError as error:
        raise Unfit(str(error)) from error


def said(fit: Fit, name: str, returns: Floats, ends: Integers, *, window: int | None, levels: Sequence[float]) -> Said:
    """What a fit forecasts from ``returns[:end]``, checked; nothing after the last end is shown to it."""
    try:
        found = fit.predict(returns[: ends[-1]], ends, window=window)
    except InputError as error:
        raise Unfit(str(error)) from error
    shape = (len(levels), len(ends))
    absent = np.full(shape, np.nan)
    answer = Said(
        found.value_at_risk,
        found.expected_shortfall,
        absent if found.value_at_risk_error is None else found.value_at_risk_error,
        absent if found.expected_shortfall_error is None else found.expected_shortfall_error,
        found.probability,
        0 if found.fallback is None else int(np.count_nonzero(found.fallback)),
    )
    for what in ("value_at_risk", "expected_shortfall", "value_at_risk_error", "expected_shortfall_error"):
        given = getattr(answer, what)
        if np.shape(given) != shape:
            raise TypeError(f"{name}: {what} has the shape {np.shape(given)}, not (level, day) = {shape}")
        bad = np.argwhere(~np.isfinite(given))
        if len(bad) and not what.endswith("error"):
            row, column = bad[0]
            raise Unfit(f"{name}: {what} at {levels[row]} is {float(given[row, column])!r}, not finite")
    quantile, shortfall = answer.value_at_risk, answer.expected_shortfall
    below = np.argwhere(shortfall < quantile - _ROUNDING * np.abs(quantile))
    if len(below):
        row, column = below[0]
        raise Unfit(
            f"{name}: expected_shortfall {float(shortfall[row, column])!r} is below value_at_risk "
            f"{float(quantile[row, column])!r} at {levels[row]}"
        )
    return answer
