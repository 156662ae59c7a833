"""Options of a model: the keys of the section ``model`` are held to the signature of the model's ``fit``."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from riskops.config.problems import unknown_key
from riskops.errors import ConfigError, InputError
from riskops.models import fit_options, get_model

__all__ = ["ModelOption", "describe_options", "model_options"]

_STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)

#: What the types of options are called in messages.
WORDS = {
    "None": "null",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "Mapping[str, Sequence[float]]": "a mapping of assets to lists of numbers",
}


class ModelOption(typing.NamedTuple):
    """One option of a model's ``fit``: name, type as its signature has it, default, and what its docstring says."""

    name: str
    expects: str
    default: Any
    description: str


def describe_options(kind: str) -> list[ModelOption]:
    """The options that the model takes, in the order of its signature."""
    fit = get_model(kind).fit
    signature, docs = inspect.signature(fit), _parameter_docs(inspect.getdoc(fit) or "")
    return [
        ModelOption(name, _annotation(signature.parameters[name].annotation), default, docs.get(name, ""))
        for name, default in fit_options(kind).items()
    ]


def model_options(kind: Any, given: Mapping[Any, Any]) -> dict[Any, Any]:
    """The options given, over the model's defaults; an unknown name or a wrong type is an error.

    A ``kind`` that is no text, or the name of no model, is an error too. What a value means is for ``fit`` to check.
    """
    if not isinstance(kind, str):
        raise ConfigError(f"model.kind: {kind!r} is not the name of a model")
    known = fit_options(kind)
    hints = _hints(kind)
    problems = []
    for name, value in given.items():
        if name == "days_per_year":
            problems.append("model.days_per_year: unknown key; set simulation.days_per_year")
        elif name not in known:
            problems.append(unknown_key("model", str(name), ("kind", *known)))
        elif not _fits(value, hints.get(name, Any)):
            problems.append(f"model.{name}: {value!r} is not {_words(_annotation(hints[name]))}")
    if problems:
        raise ConfigError("\n".join(problems))
    return {**known, **given}


def _hints(kind: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(get_model(kind).fit)
    except NameError:  # an outside model whose annotations exist for type checkers only
        return {}


def _fits(value: Any, hint: Any) -> bool:
    try:
        TypeAdapter(hint, config=_STRICT).validate_python(value)
    except ValidationError:
        return False
    except (PydanticUserError, InputError):  # an annotation that is no plain type: the model's fit will judge
        return True
    return True


def _annotation(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:collections\.abc|typing)\.", "", text)


def _words(annotation: str) -> str:
    """A type as somebody reads it who writes YAML; one that has no such words stays as it is."""
    kinds = annotation.split(" | ")
    if not all(kind in WORDS for kind in kinds):
        return f"of the type {annotation}"
    *others, last = (WORDS[kind] for kind in kinds)
    return f"{', '.join(others)} or {last}" if others else last


def _parameter_docs(doc: str) -> dict[str, str]:
    """The texts of a numpydoc section ``Parameters``, by name."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-+$|\Z)", doc, re.MULTILINE | re.DOTALL)
    docs: dict[str, str] = {}
    names: list[str] = []
    for line in (section.group(1) if section else "").splitlines():
        if line and not line[0].isspace():
            names = [name.strip() for name in line.split(":")[0].split(",")]
        elif line.strip():
            for name in names:
                docs[name] = f"{docs.get(name, '')} {_plain(line.strip())}".strip()
    return docs


def _plain(text: str) -> str:
    return re.sub(r":\w+:`([^`]*)`", r"\1", text).replace("``", "")
