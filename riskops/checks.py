"""Argument checks: each returns the value it was given and raises an ``InputError`` that names the argument."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError

__all__ = [
    "check_finite",
    "check_integer",
    "check_level",
    "check_levels",
    "check_number",
    "check_one_of",
    "check_positive",
    "check_subset",
    "check_unique",
    "exact_level",
]


def check_integer(name: str, value: object, *, at_least: int, below: int | None = None) -> int:
    """Return ``value`` as an int inside ``[at_least, below)``; a bool or a float is refused, not converted."""
    bound = f"an integer >= {at_least}" + (f" and < {below}" if below is not None else "")
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InputError(f"{name}: {value!r} is not {bound}")
    number = int(value)
    if number < at_least or (below is not None and number >= below):
        raise InputError(f"{name}: {value!r} is not {bound}")
    return number


def check_number(name: str, value: object) -> float:
    """Return ``value`` as a finite float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise InputError(f"{name}: {value!r} is not a finite number")
    return float(value)


def check_positive(name: str, value: object) -> float:
    """Return ``value`` as a finite float above zero."""
    number = check_number(name, value)
    if number <= 0.0:
        raise InputError(f"{name}: {value!r} is not above zero")
    return number


def exact_level(level: float) -> Fraction:
    """The decimal that a confidence level prints as, exactly: 0.07 is 7/100 and nothing else (contract C4)."""
    return Fraction(repr(float(level)))


def check_level(name: str, value: object) -> float:
    """Return a confidence level inside (0, 1); 99 is refused with the hint that 0.99 was meant."""
    level = check_number(name, value)
    if not 0.0 < level < 1.0:
        hint = f"; did you mean {level / 100}?" if 1.0 < level < 100.0 else ""
        raise InputError(f"{name}: {value!r} is not a confidence level between 0 and 1{hint}")
    return level


def check_levels(name: str, values: float | Sequence[float]) -> tuple[float, ...]:
    """Return one or several confidence levels, each inside (0, 1), ascending and unique."""
    given = tuple(values) if isinstance(values, Iterable) else (values,)
    if not given:
        raise InputError(f"{name}: at least one confidence level is needed")
    levels = tuple(check_level(name, value) for value in given)
    check_unique(name, levels)
    return tuple(sorted(levels))


def check_one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """Return ``value`` when it is one of ``allowed``."""
    if value not in allowed:
        raise InputError(f"{name}: {value!r} is not one of {', '.join(sorted(allowed))}")
    return value


def check_unique(name: str, values: Iterable[object]) -> None:
    """Refuse a repeated value and name the first one."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise InputError(f"{name}: {value!r} is given twice")
        seen.add(value)


def check_subset(name: str, values: Iterable[str], known: Collection[str]) -> None:
    """Refuse a name that is not known, and say which ones are."""
    for value in values:
        if value not in known:
            shown = ", ".join(sorted(known)[:30]) + (", ..." if len(known) > 30 else "")
            raise InputError(f"{name}: {value!r} is unknown; known are {shown}")


def check_finite(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return ``values`` as float64; the first NaN or infinity is an error that says where it stands."""
    array = np.asarray(values, dtype=np.float64)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise InputError(f"{name}: {array[where]!r} at index {where} is not finite")
    return array
