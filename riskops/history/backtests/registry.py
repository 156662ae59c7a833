"""The backtests by name, in the order in which tables list them; a file of tests registers by its line here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module

from riskops.checks import check_one_of, check_unique
from riskops.errors import InputError
from riskops.history.backtests.base import Backtest

__all__ = ["backtests", "list_backtests"]

#: The files that hold tests: each has a tuple ``BACKTESTS``.
_FILES = (
    "coverage",
    "traffic_light",
    "independence",
    "durations",
    "dynamic_quantile",
    "berkowitz",
    "acerbi_szekely",
    "exceedance_residuals",
    "costanzino_curran",
    "regression",
    "calibration",
)


@cache
def _registered() -> dict[str, Backtest]:
    found = [test for file in _FILES for test in import_module(f"riskops.history.backtests.{file}").BACKTESTS]
    check_unique("backtest", [test.name for test in found])
    return {test.name: test for test in found}


def list_backtests() -> dict[str, str]:
    """The names of the backtests, each with its null hypothesis.

    Returns
    -------
    dict
        Name to null hypothesis, in the order in which tables list them.
    """
    return {name: test.null for name, test in _registered().items()}


def backtests(tests: str | Sequence[str]) -> tuple[Backtest, ...]:
    """The backtests of some names, or of ``"all"``.

    Raises
    ------
    InputError
        There is no such test, or one is named twice, or none is.
    """
    known = _registered()
    if isinstance(tests, str):
        return tuple(known.values()) if tests == "all" else (known[check_one_of("tests", tests, tuple(known))],)
    names = [check_one_of("tests", name, tuple(known)) for name in tests]
    check_unique("tests", names)
    if not names:
        raise InputError("tests: at least one is needed")
    return tuple(known[name] for name in names)
