"""Small text files from the user: read with a size limit, and YAML without the parts that surprise or do harm.

The YAML read here is plain data only: no Python objects, no aliases (a few lines of them can expand to gigabytes), no
key given twice. Words that YAML 1.1 takes for something else stay what they look like: ``ON`` and ``NO`` are text,
``000001`` is text, ``12:30`` is text; ``1e6`` is a number. Only ``true`` and ``false`` are booleans.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from riskops.errors import InputError

__all__ = ["SIZE_LIMIT", "parse_yaml", "read_text", "read_yaml"]

#: The largest configuration, portfolio file or scenario library that is read, in bytes.
SIZE_LIMIT = 1_000_000


def read_text(path: str | Path, limit: int = SIZE_LIMIT) -> str:
    """Return the UTF-8 text of a file of at most ``limit`` bytes; what stands in the way is an ``InputError``."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory, a file was expected") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise InputError(f"{path}: cannot be read: {reason}") from None
    if len(content) > limit:
        raise InputError(f"{path}: is larger than the limit of {limit} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InputError(f"{path}: is not UTF-8 text (byte {problem.start})") from None


def read_yaml(path: str | Path, limit: int = SIZE_LIMIT) -> Any:
    """Return the plain data (mappings, lists, text, numbers, dates, None) of a YAML file of one document."""
    return parse_yaml(read_text(path, limit), name=str(path))


def parse_yaml(text: str, *, name: str) -> Any:
    """Return the plain data of a YAML text; ``name`` begins the error's line."""
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except _RefusedError as problem:
        raise InputError(f"{name}: {_place(problem.problem_mark)}{problem.problem}") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        reason = " ".join(str(getattr(problem, "problem", None) or problem).split())
        raise InputError(f"{name}: {_place(mark)}is not YAML: {reason}") from None
    except RecursionError:
        raise InputError(f"{name}: is nested too deeply") from None
    except ValueError as problem:  # a date that does not exist, an integer of too many digits
        raise InputError(f"{name}: holds a value that cannot be read: {problem}") from None


def _place(mark: yaml.Mark | None) -> str:
    return "" if mark is None else f"line {mark.line + 1} column {mark.column + 1}: "


class _RefusedError(yaml.MarkedYAMLError):
    """Valid YAML that is not accepted here."""


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases, duplicate keys and YAML 1.1's guesses."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's class table, filled below)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise _RefusedError(
                problem=f"alias *{event.anchor} is not accepted: write the value out", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    raise _RefusedError(problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False|TRUE|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("timestamp", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "0123456789"),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
