"""The shape of the package, read from its sources: imports go down, files are short, heavy packages have one place."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import riskops

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "riskops"

#: Every file and folder of the package has its layer; a new one is placed here.
LAYERS = {
    "errors": 0,
    "checks": 0,
    "schema": 1,
    "arch_fit": 1,
    "backend": 1,
    "scalar": 1,
    "tables": 1,
    "textfile": 1,
    "threads": 1,
    "rng": 2,
    "models": 2,
    "reductions": 2,
    "market": 2,
    "simulation": 3,
    "portfolio": 3,
    "scenarios": 3,
    "measures": 4,
    "history": 4,
    "report": 5,
    "config": 6,
    "progress": 6,
    "cluster": 6,
    "run": 6,
    "bench": 6,
    "observe": 6,
    "cli": 7,
    "__main__": 7,
}

#: On these layers siblings do not know each other.
APART = {2, 3}

#: Packages that one file or folder alone may import: they are heavy, optional, or stand behind one idea.
KEPT_TO = {
    "cupy": {"backend.py"},
    "bokeh": {"report/plots/"},
    "typer": {"cli/"},
    "jinja2": {"report/page.py"},
    "icechunk": {"run/publish.py"},
    "obstore": {"simulation/location.py"},
    "prometheus_client": {"observe/metrics.py"},
}

#: A file of more lines than this has more than one idea.
LONGEST = 400


class Import(NamedTuple):
    """One import statement: the file and line it stands in, and the dotted name it asks for."""

    file: str
    line: int
    name: str
    top_level: bool


def _sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _component(name: str) -> str:
    """``riskops.rng.philox`` belongs to ``rng``."""
    return name.split(".")[1]


def _imports(path: Path) -> Iterator[Import]:
    file = path.relative_to(PACKAGE).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(f)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import; write the full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(file, node.lineno, name, id(node) not in inside)


def _inner_imports(path: Path) -> list[Import]:
    """Imports of parts of riskops; ``import riskops`` for its version asks for no part."""
    return [i for i in _imports(path) if i.name.split(".")[0] == "riskops" and _asks_for_part(i.name)]


def _asks_for_part(name: str) -> bool:
    return "." in name and not _component(name).startswith("__version")


def test_every_part_has_a_layer() -> None:
    parts = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir() if p.suffix == ".py" or any(p.glob("*.py"))}
    assert parts - {"__init__"} == parts & set(LAYERS), "place the new part in LAYERS"


def test_imports_go_down_only() -> None:
    wrong = []
    for path in _sources():
        if path == PACKAGE / "__init__.py":
            continue
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for i in _inner_imports(path):
            other = _component(i.name)
            if other not in LAYERS:
                wrong.append(
                    f"{i.file}:{i.line}: {i.name}: inside the package, import a name from the part it lives in"
                )
            elif other != own and (
                LAYERS[other] > LAYERS[own] or (LAYERS[other] == LAYERS[own] and LAYERS[own] in APART)
            ):
                wrong.append(f"{i.file}:{i.line}: {own} (layer {LAYERS[own]}) imports {other} (layer {LAYERS[other]})")
    assert not wrong, "\n".join(wrong)


def test_the_root_imports_no_part() -> None:
    assert _inner_imports(PACKAGE / "__init__.py") == []


def test_no_import_cycles() -> None:
    """Between files, at import time: a package stands for its ``__init__.py``."""
    modules = {_module(path): path for path in _sources()}
    graph = {
        name: {_target(i.name, modules) for i in _inner_imports(path) if i.top_level} - {name, None}
        for name, path in modules.items()
    }
    # a file asks for names of its own package's siblings, never of the package itself
    own = [
        f"{name} imports its own package"
        for name, needs in graph.items()
        if name.rpartition(".")[0] in needs - {"riskops"}
    ]
    assert not own, own
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the cycle


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _target(name: str, modules: dict[str, Path]) -> str | None:
    return name if name in modules else (name.rpartition(".")[0] if name.rpartition(".")[0] in modules else None)


def test_files_are_short() -> None:
    long = {p.name: n for p in _sources() if (n := len(p.read_text(encoding="utf-8").splitlines())) > LONGEST}
    assert not long, f"more than {LONGEST} lines, more than one idea: {long}"


def test_each_file_says_what_it_is() -> None:
    silent = [p.name for p in _sources() if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert not silent, f"no module docstring: {silent}"


@pytest.mark.parametrize("package", KEPT_TO)
def test_package_is_kept_to_its_place(package: str) -> None:
    users = {i.file for path in _sources() for i in _imports(path) if i.name.split(".")[0] == package}
    strays = {file for file in users if not file.startswith(tuple(KEPT_TO[package]))}
    assert not strays, f"only {', '.join(KEPT_TO[package])} may import {package}: {sorted(strays)}"


def test_paths_come_from_no_other_generator() -> None:
    """Contract C1: other generators change with chunking or version; the benchmarks alone measure against them."""
    generators = ("np.random", "numpy.random", "dask.array.random", "da.random", "cupy.random", "cp.random")
    wrong = []
    for path in _sources():
        if path.relative_to(PACKAGE).parts[0] == "bench":
            continue
        used = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Attribute)]
        wrong += [f"{path.name}:{n.lineno}: {ast.unparse(n)}" for n in used if ast.unparse(n) in generators]
        wrong += [f"{i.file}:{i.line}: {i.name}" for i in _imports(path) if i.name.startswith((*generators, "random"))]
    assert not wrong, "\n".join(wrong)


def test_import_is_quick_and_light() -> None:
    """``import riskops`` loads nothing heavy; the fastest of three tries counts, the machine may be busy."""
    code = (
        "import sys, time; start = time.perf_counter(); import riskops; took = time.perf_counter() - start;"
        "heavy = {'dask', 'numba', 'xarray', 'pandas', 'numpy', 'zarr', 'bokeh', 'pydantic'} & set(sys.modules);"
        "assert not heavy, heavy; print(took)"
    )
    tries = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    assert min(tries) < 0.5


def _pipelines() -> list[Path]:
    return sorted((ROOT / "pipelines").glob("*.py"))


def test_there_are_pipelines() -> None:
    assert ROOT / "pipelines" / "market_risk.py" in _pipelines()


@pytest.mark.parametrize("path", _pipelines(), ids=lambda p: p.name)
def test_pipeline_is_short_and_uses_public_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "riskops":
            module = importlib.import_module(node.module or "")
            private = [alias.name for alias in node.names if alias.name not in module.__all__]
            assert not private, f"{path.name}:{node.lineno}: {private} not in {node.module}.__all__"
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), f"{path.name}:{node.lineno}: {node.attr}"
            if isinstance(node.value, ast.Name) and node.value.id == "riskops":
                assert node.attr in riskops.__all__, f"{path.name}:{node.lineno}: riskops.{node.attr}"
