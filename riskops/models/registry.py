"""Models by name: the built-in ones, those that a program registers, and those that installed packages offer.

A package offers a model through the entry-point group ``riskops.models``: the entry's name is the model's ``kind`` and
its value the class (``my_kind = "my_package.my_module:MyModel"``). It is imported only when it is asked for.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from riskops.errors import InputError
from riskops.models.base import Model
from riskops.models.built_in import BUILT_IN

__all__ = [
    "ENTRY_POINT_GROUP",
    "describe_models",
    "fit_options",
    "from_record",
    "get_model",
    "list_models",
    "register",
]

ENTRY_POINT_GROUP = "riskops.models"

M = TypeVar("M", bound=type[Model])

_KIND = re.compile(r"[a-z][a-z0-9_]*")
_registered: dict[str, type[Model]] = {}


def _check_declarations(cls: object) -> None:
    """Refuse a class that the engine could not run, before a simulation does."""
    if not (isinstance(cls, type) and issubclass(cls, Model) and is_dataclass(cls)) or inspect.isabstract(cls):
        raise InputError(f"model: {cls!r} is not a complete dataclass derived from riskops.models.Model")
    name = cls.__qualname__
    kind = getattr(cls, "kind", None)
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise InputError(f"model {name}: kind {kind!r} is not a lower-case name")
    if not cls.states or cls.states[0].name != "log_growth" or cls.states[0].per != "asset":
        raise InputError(f"model {name}: its first state is not log_growth per asset")
    if not getattr(cls, "shocks", ()):
        raise InputError(f"model {name}: it declares no shocks")
    for what, names in (("state", [s.name for s in cls.states]), ("shock", [s.name for s in cls.shocks])):
        if len(set(names)) != len(names):
            raise InputError(f"model {name}: two {what}s have one name ({', '.join(names)})")
    selectors = {s.name for s in cls.states if s.kind == "index" and s.per == "shared"}
    for shock in cls.shocks:
        if shock.selector is not None and shock.selector not in selectors:
            raise InputError(
                f"model {name}: selector {shock.selector!r} of shock {shock.name} is no shared index state"
            )


def register(cls: M) -> M:
    """Make a model known under its ``kind``; used as a class decorator.

    Parameters
    ----------
    cls
        A dataclass derived from :class:`riskops.models.Model`.

    Returns
    -------
    type
        The class itself.

    Raises
    ------
    InputError
        When the class does not keep the contract of :class:`riskops.models.Model`, or another has its kind already.

    Examples
    --------
    >>> from riskops.models import GeometricBrownianMotion
    >>> register(GeometricBrownianMotion).kind
    'geometric_brownian'
    """
    _check_declarations(cls)
    other = _registered.get(cls.kind)
    # the same class again, from a module that was reloaded, takes the place of the old one
    if other is not None and _where(other) != _where(cls):
        raise InputError(f"model {cls.kind}: {_where(cls)} clashes with {_where(other)}, which has the name already")
    _registered[cls.kind] = cls
    return cls


def _where(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _built_in(kind: str) -> type[Model]:
    cls: type[Model] = getattr(import_module(f"riskops.models.{kind}"), BUILT_IN[kind])
    return cls


def _taken(kind: str) -> str | None:
    """Where the model of that kind is that needs no entry point."""
    if kind in BUILT_IN:
        return f"riskops.models.{kind}:{BUILT_IN[kind]}"
    return _where(_registered[kind]) if kind in _registered else None


def _describe(entry: EntryPoint) -> str:
    origin = f" of {entry.dist.name}" if entry.dist is not None else ""
    return f"entry point {entry.name} = {entry.value}{origin}"


def _offered() -> dict[str, EntryPoint]:
    """The entry points by name; two packages that offer one name are an error that names both."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise InputError(f"model {entry.name}: {_describe(entry)} clashes with {_describe(other)}")
        taken = _taken(entry.name)
        if taken is not None and entry.value.replace(" ", "") != taken:
            raise InputError(f"model {entry.name}: {_describe(entry)} clashes with {taken}")
    return found


def _load(entry: EntryPoint) -> type[Model]:
    try:
        cls = entry.load()
    except Exception as error:  # whatever a foreign module raises on import
        raise InputError(f"model {entry.name}: {_describe(entry)} does not load: {error!r}") from error
    try:
        _check_declarations(cls)
        if cls.kind != entry.name:
            raise InputError(f"it is of kind {cls.kind!r}")
        return register(cls)
    except InputError as error:
        raise InputError(f"model {entry.name}: {_describe(entry)} is refused: {error}") from error


def get_model(kind: str) -> type[Model]:
    """The model class of that kind.

    Parameters
    ----------
    kind
        The model's name.

    Returns
    -------
    type
        The class; an entry point that offers it is loaded now.

    Raises
    ------
    InputError
        When no model has the name (the known ones are listed), when two claim one name, or when the entry point that
        offers it does not load.

    Examples
    --------
    >>> get_model("geometric_brownian").__name__
    'GeometricBrownianMotion'
    """
    offered = _offered()
    if kind in BUILT_IN:
        return _built_in(kind)
    if kind in _registered:
        return _registered[kind]
    if kind in offered:
        return _load(offered[kind])
    known = sorted({*BUILT_IN, *_registered, *offered})
    raise InputError(f"model.kind: {kind!r} is unknown; known are {', '.join(known)}")


def list_models() -> dict[str, type[Model]]:
    """All model classes by kind, in alphabetical order; every entry point is loaded.

    Returns
    -------
    dict
        Kind to class.

    Raises
    ------
    InputError
        When an entry point does not load, or two models claim one name.

    Examples
    --------
    >>> "geometric_brownian" in list_models()
    True
    """
    for name, entry in _offered().items():
        if name not in BUILT_IN and name not in _registered:
            _load(entry)
    return dict(sorted((_registered | {kind: _built_in(kind) for kind in BUILT_IN}).items()))


def describe_models() -> list[dict[str, str]]:
    """A row of text for every model: kind, what it is, parameters, states, shocks and options of the fit.

    Returns
    -------
    list of dict
        Rows with the keys ``model``, ``description``, ``parameters``, ``states``, ``shocks`` and ``options``.

    Examples
    --------
    >>> row = next(row for row in describe_models() if row["model"] == "geometric_brownian")
    >>> row["parameters"], row["states"], row["shocks"]
    ('drift, volatility, correlation', 'log_growth (per asset)', 'diffusion (normal per asset)')
    """
    return [
        {
            "model": kind,
            "description": (inspect.getdoc(cls) or "").partition("\n")[0],
            "parameters": ", ".join(f.name for f in fields(cls) if f.name != "assets"),
            "states": ", ".join(_how(s.name, "" if s.kind == "real" else s.kind, s.per) for s in cls.states),
            "shocks": ", ".join(_how(s.name, s.kind, s.per) for s in cls.shocks),
            "options": ", ".join(fit_options(kind)),
        }
        for kind, cls in list_models().items()
    ]


def _how(name: str, kind: str, per: str) -> str:
    words = (kind, "per asset" if per == "asset" else "shared by all")
    return f"{name} ({' '.join(word for word in words if word)})"


def from_record(record: Mapping[str, Any]) -> Model:
    """Make a model again from :meth:`riskops.models.Model.record`, bit for bit, also when it went through JSON.

    Parameters
    ----------
    record
        A mapping with the keys ``kind``, ``assets`` and ``parameters``.

    Returns
    -------
    Model
        A model equal to the one recorded.

    Raises
    ------
    InputError
        When the record's keys, or the names of its parameters, are not those of the model.

    Examples
    --------
    >>> from riskops.models import GeometricBrownianMotion
    >>> model = GeometricBrownianMotion(("A",), [0.1], [0.3], [[1.0]])
    >>> from_record(model.record()) == model
    True
    """
    if set(record) != {"kind", "assets", "parameters"}:
        raise InputError(f"model record: keys {sorted(record)} are not assets, kind and parameters")
    cls = get_model(record["kind"])
    expected = {f.name for f in fields(cls)} - {"assets"}
    parameters = dict(record["parameters"])
    if set(parameters) != expected:
        raise InputError(f"model record: parameters {sorted(parameters)} of {cls.kind} are not {sorted(expected)}")
    return cls(assets=tuple(record["assets"]), **parameters)


def fit_options(kind: str) -> dict[str, Any]:
    """The options of a model's ``fit``, by name, with their defaults (``days_per_year`` apart).

    Parameters
    ----------
    kind
        The model's name.

    Returns
    -------
    dict
        Option to default, in the order of the signature.

    Examples
    --------
    >>> fit_options("geometric_brownian")
    {'drift': 'historical', 'window': None, 'nearest_correlation': False, 'factors': None}
    """
    taken = inspect.signature(get_model(kind).fit).parameters.values()
    return {p.name: p.default for p in taken if p.kind is p.KEYWORD_ONLY and p.name != "days_per_year"}
