"""Libraries of scenarios: YAML files, the one that comes with riskops among them.

The format is written at the top of ``data/market.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from riskops.checks import check_subset, check_unique
from riskops.errors import InputError
from riskops.scenarios.scenario import BASE, Scenario
from riskops.textfile import parse_yaml, read_yaml

__all__ = ["list_libraries", "load_library"]

_KEYS = tuple(f.name for f in fields(Scenario))
_PACKAGED = {"market": "crises of 1990 to 2022 replayed, model shocks, price shocks and a combination"}


def list_libraries() -> dict[str, str]:
    """The libraries that come with riskops, each with a line about it.

    Returns
    -------
    dict
        Name to description; a name is a ``source`` of :func:`load_library`.

    Examples
    --------
    >>> list(list_libraries())
    ['market']
    """
    return dict(_PACKAGED)


def load_library(source: str | Path, *, names: Sequence[str] | None = None) -> tuple[Scenario, ...]:
    """Read a library of scenarios; the scenario ``base`` is never part of one.

    Parameters
    ----------
    source
        The name of a library that comes with riskops (``"market"``), or the path of a YAML file.
    names
        The scenarios to take, in this order; all of them, in the order of the file, by default.

    Returns
    -------
    The scenarios.

    Raises
    ------
    InputError
        When the file cannot be read, a key is unknown or missing, a value is outside its range, a name is given twice,
        a scenario changes nothing, or a name is not in the library. The text gives the key's path.

    Examples
    --------
    >>> [scenario.name for scenario in load_library("market", names=["crash_20", "covid_2020_q1"])]
    ['crash_20', 'covid_2020_q1']
    """
    scenarios = _parse(_read(source), str(source))
    if names is None:
        return scenarios
    known = {scenario.name: scenario for scenario in scenarios}
    check_subset("stress.scenarios", names, known)
    check_unique("stress.scenarios", names)
    return tuple(known[name] for name in names)


def _read(source: str | Path) -> Any:
    if isinstance(source, str) and source in _PACKAGED:
        text = (files("riskops.scenarios") / "data" / f"{source}.yaml").read_text(encoding="utf-8")
        return parse_yaml(text, name=source)
    if isinstance(source, str) and Path(source).suffix == "" and not Path(source).exists():
        known = ", ".join(_PACKAGED)
        raise InputError(f"stress.library: {source!r} is neither a library of riskops ({known}) nor a YAML file")
    return read_yaml(source)


def _parse(content: Any, where: str) -> tuple[Scenario, ...]:
    if not isinstance(content, Mapping) or set(content) != {"scenarios"}:
        raise InputError(f"{where}: its only key is not 'scenarios', as that of a scenario library is")
    entries = content["scenarios"]
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{where}: scenarios: is not a list of at least one scenario")
    scenarios = tuple(_scenario(entry, f"{where}: scenarios[{i}]") for i, entry in enumerate(entries))
    check_unique(f"{where}: scenarios", [scenario.name for scenario in scenarios])
    return scenarios


def _scenario(entry: Any, where: str) -> Scenario:
    if not isinstance(entry, Mapping) or "name" not in entry:
        raise InputError(f"{where}: is not a mapping with a name")
    for key in entry:
        if key not in _KEYS:
            raise InputError(f"{where}.{key}: is unknown; known are {', '.join(_KEYS)}")
    if entry["name"] == BASE.name:
        raise InputError(f"{where}.name: 'base' is kept for the scenario that changes nothing, part of every run")
    given = dict(entry)
    if "replay" in given:
        given["replay"] = _window(given["replay"], f"{where}.replay")
    try:
        scenario = Scenario(**given)
    except InputError as error:
        text = str(error)
        inside = text.removeprefix(f"scenario {entry['name']}: ")
        raise InputError(f"{where}.{inside}" if inside != text else f"{where}: {text}") from None
    if scenario.is_base:
        raise InputError(f"{where}: {scenario.name} changes nothing")
    return scenario


def _window(value: Any, where: str) -> tuple[Any, Any]:
    if not isinstance(value, Mapping) or set(value) != {"start", "end"}:
        raise InputError(f"{where}: {value!r} is not a mapping with the keys start and end")
    return value["start"], value["end"]
