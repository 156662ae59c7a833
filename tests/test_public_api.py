"""The public names exist, are typed and documented, and follow one pattern: Dataset first, the rest by keyword."""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import riskops
from riskops.errors import RiskopsError
from riskops.schema import ERROR_SUFFIXES, MEASURES, REGISTRY

#: Parts whose names users import; the others are public to the rest of the package.
DOCUMENTED = (
    "market",
    "models",
    "simulation",
    "portfolio",
    "scenarios",
    "measures",
    "history",
    "report",
    "config",
    "cluster",
    "run",
)
PARTS = sorted(f"riskops.{part.name}" for part in pkgutil.iter_modules(riskops.__path__) if part.name != "__main__")


def _functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    seen: set[int] = set()
    homes = [riskops, *(importlib.import_module(f"riskops.{part}") for part in DOCUMENTED)]
    for home in homes:
        for name in home.__all__:
            value = getattr(home, name)
            if inspect.isfunction(value) and id(value) not in seen:
                seen.add(id(value))
                yield f"{home.__name__}.{name}", value


FUNCTIONS = dict(_functions())
functions = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())

#: The names of ``riskops`` itself are the user's: they are documented in full. Those of its parts have a docstring.
NAMED = {name: function for name, function in FUNCTIONS.items() if name.count(".") == 1}


def test_every_public_name_exists() -> None:
    missing = [name for name in riskops.__all__ if not hasattr(riskops, name)]
    assert not missing
    assert set(riskops.__all__) <= set(dir(riskops))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'riskops' has no attribute 'value_at_rsk'"):
        _ = riskops.value_at_rsk


def test_public_names_are_not_names_of_parts() -> None:
    """``riskops.x`` is a module once ``riskops.x`` was imported: a function of that name would come and go."""
    parts = {part.name for part in pkgutil.iter_modules(riskops.__path__)}
    assert not parts & set(riskops.__all__)


def test_public_names_load_alone() -> None:
    """A fresh process that uses one name gets it, whatever was imported before in this one."""
    code = "import riskops; print(riskops.InputError.__name__, riskops.load_prices.__name__)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["InputError", "load_prices"]


@pytest.mark.parametrize("name", PARTS)
def test_names_of_a_part_exist_and_are_sorted(name: str) -> None:
    part = importlib.import_module(name)
    assert [n for n in part.__all__ if not hasattr(part, n)] == []
    assert len(set(part.__all__)) == len(part.__all__)
    # ruff's order (RUF022): constants, classes, functions, each alphabetically
    kinds = {n: (not n.isupper(), not n.lstrip("_")[0].isupper()) for n in part.__all__}
    assert list(part.__all__) == sorted(part.__all__, key=lambda n: (kinds[n], n))


@functions
def test_signature_is_typed(function: Callable[..., Any]) -> None:
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter.name
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD, "no **kwargs"


@functions
def test_dataset_first_and_the_rest_by_keyword(function: Callable[..., Any]) -> None:
    first, *rest = [*inspect.signature(function).parameters.values()] or [None]
    if first is not None and str(first.annotation) in ("xr.Dataset", "Dataset", "xarray.Dataset"):
        by_position = [p.name for p in rest if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        assert not by_position, f"not keyword-only: {by_position}"


@functions
def test_docstring_begins_with_a_sentence(function: Callable[..., Any]) -> None:
    first = (inspect.getdoc(function) or "").split("\n\n")[0]
    assert len(first) > 10
    assert "." in first


@pytest.mark.parametrize("function", NAMED.values(), ids=NAMED.keys())
def test_docstring_has_its_sections(function: Callable[..., Any]) -> None:
    doc = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    needed = []
    if signature.parameters:
        needed += ["Parameters", "Examples"]
        if str(signature.return_annotation) != "None":
            needed.append("Returns")
    lines = [line.strip() for line in doc.splitlines()]
    titles = {line for line, under in itertools.pairwise(lines) if under and set(under) == {"-"}}
    if "Yields" in titles:
        titles.add("Returns")
    assert not set(needed) - titles, f"no section {set(needed) - titles}"
    for name in signature.parameters:
        assert any(name in line.replace(",", " ").split() for line in lines), f"parameter {name} is not explained"


@pytest.mark.parametrize("name", REGISTRY)
def test_variable_has_dims_unit_and_description(name: str) -> None:
    spec = REGISTRY[name]
    assert spec.name == name
    assert spec.unit
    assert spec.doc.strip().endswith(".")
    assert "\n" not in spec.doc
    assert set(spec.optional) <= {*spec.dims, "scenario", "portfolio", "horizon"}


@pytest.mark.parametrize("name", MEASURES)
def test_measure_has_its_error_beside_it(name: str) -> None:
    for suffix in ERROR_SUFFIXES:
        assert REGISTRY[name + suffix].dims == REGISTRY[name].dims


def test_errors_are_one_family_and_each_a_built_in_kind() -> None:
    errors = importlib.import_module("riskops.errors")
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert issubclass(kind, RiskopsError)
        if kind is not RiskopsError:
            assert issubclass(kind, ValueError | OSError | ImportError)
