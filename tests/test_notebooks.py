"""The notebooks run, from top to bottom in a fresh kernel, use public names only, and show what they say they show."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import riskops

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def executed(path: Path) -> Any:
    """Run a notebook where it lies."""
    options = {"timeout": 120, "kernel_name": "python3", "resources": {"metadata": {"path": str(path.parent)}}}
    return NotebookClient(read(path), **options).execute()


def outputs(book: Any, kind: str) -> list[Any]:
    return [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs if out.output_type == kind]


def test_there_are_notebooks() -> None:
    assert "01_market_risk.ipynb" in [path.name for path in NOTEBOOKS]


@notebooks
def test_notebook_is_well_formed(path: Path) -> None:
    book = read(path)
    nbformat.validate(book)
    assert (book.nbformat, book.metadata.kernelspec.name) == (4, "python3")
    assert book.cells[0].source.startswith("# "), "a title"


@notebooks
def test_notebook_uses_public_names_only(path: Path) -> None:
    for cell in read(path).cells:
        for node in ast.walk(ast.parse(cell.source)) if cell.cell_type == "code" else ():
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = (
                    [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                )
                assert not [name for name in names if name.startswith("riskops.")], (
                    "what a notebook needs is riskops.<name>"
                )
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "riskops":
                assert node.attr in riskops.__all__, node.attr


def test_market_risk_gives_the_figures_of_a_run() -> None:
    book = executed(NOTEBOOKS[0].parent / "01_market_risk.ipynb")
    text = "".join(out.text for out in outputs(book, "stream"))
    assert "variables are identical" in text
    assert [out for out in outputs(book, "stream") if out.name == "stderr"] == [], "nothing warns"
    plots = [out for out in outputs(book, "display_data") if "application/vnd.bokehjs_exec.v0+json" in out.data]
    assert len(plots) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "plots"), [("02_models", 7), ("03_variance_reduction", 7), ("04_cluster", 3), ("05_var_methods", 5)]
)
def test_notebook_runs_without_a_warning(name: str, plots: int) -> None:
    book = executed(NOTEBOOKS[0].parent / f"{name}.ipynb")
    assert [out for out in outputs(book, "stream") if out.name == "stderr"] == [], "nothing warns"
    drawn = [out for out in outputs(book, "display_data") if "application/vnd.bokehjs_exec.v0+json" in out.data]
    assert len(drawn) == plots
