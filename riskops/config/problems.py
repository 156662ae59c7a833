"""What is wrong with a configuration, one line a problem: the key's path, the value, and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from riskops.config.fields import section_of
from riskops.errors import ConfigError, RiskopsError

__all__ = ["config_error", "unknown_key"]

_SHOWN = 60  # characters of a value that a line shows


def unknown_key(where: str, key: str, known: Collection[str], elsewhere: Sequence[str] = ()) -> str:
    """The line about a key that does not exist, with the one that was probably meant."""
    path = f"{where}.{key}" if where else key
    close = difflib.get_close_matches(key, list(known), n=1)
    prefix = f"{where}." if where else ""
    meant = [f"{prefix}{name}" for name in close] or [name for name in elsewhere if name.split(".")[-1] == key]
    hint = f"did you mean {meant[0]}?" if meant else f"known are {', '.join(known)}"
    return f"{path}: unknown key; {hint}"


def config_error(error: ValidationError, model: type[BaseModel]) -> ConfigError:
    """The ``ConfigError`` with all problems that validation found, in the order of the keys."""
    lines: list[str] = []
    for problem in error.errors(include_url=False):
        cause = problem.get("ctx", {}).get("error")
        text = str(cause) if isinstance(cause, RiskopsError) else _line(problem, model)
        lines.extend(line for line in text.splitlines() if line not in lines)
    return ConfigError("\n".join(lines))


def _line(problem: Any, model: type[BaseModel]) -> str:
    loc = problem["loc"]
    if problem["type"] in ("extra_forbidden", "invalid_key"):
        owners = [str(part) for part in loc[:-1]]
        return unknown_key(".".join(owners), str(loc[-1]), _section(model, owners).model_fields, _all_keys(model))
    path = _path(loc)
    expects = _expects(model, [part for part in loc if isinstance(part, str)], item=isinstance(loc[-1], int))
    if problem["type"] == "missing":
        return f"{path}: is missing; expected {expects}"
    return f"{path + ': ' if path else ''}{_shown(problem['input'])} is not {expects}"


def _path(loc: Sequence[str | int]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _section(model: type[BaseModel], names: Sequence[str]) -> type[BaseModel]:
    for name in names:
        inner = section_of(model.model_fields.get(name))
        if inner is None:
            break
        model = inner
    return model


def _expects(model: type[BaseModel], names: Sequence[str], item: bool) -> str:
    owner = _section(model, names[:-1])
    field = owner.model_fields.get(names[-1]) if names else None
    extra = field.json_schema_extra if field is not None else None
    if isinstance(extra, dict):
        return str(extra["item" if item else "expects"])
    known = ", ".join(_section(model, names).model_fields)
    return f"a mapping with keys among {known}"


def _all_keys(model: type[BaseModel]) -> list[str]:
    keys = []
    for name in model.model_fields:
        section = _section(model, [name])
        keys += [name] if section is model else [f"{name}.{key}" for key in _all_keys(section)]
    return keys


def _shown(value: object) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)  # a list, as YAML has it
    return text if len(text) <= _SHOWN else text[: _SHOWN - 4] + " ..."
