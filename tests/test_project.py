"""The files around the package: licence, constraints, Makefile and README agree, and nothing names one machine."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

import riskops
from riskops.config import BacktestConfig, load_job

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))

#: Folders and files that are made, not written.
MADE = {".git", ".venv", "runs", "build", "dist", "__pycache__", ".ipynb_checkpoints"}
TEXT = {".py", ".toml", ".txt", ".md", ".yaml", ".yml", ".cfg", ".ipynb", ".html", ".j2", ".css", ".js", ""}


def _texts() -> dict[str, str]:
    """All text files of the project, those that git ignores left out as far as their folders tell."""
    found = {}
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        made = MADE.intersection(parts) or any(p.endswith(("_cache", ".egg-info")) or p == ".hypothesis" for p in parts)
        if path.is_file() and not made and path.suffix in TEXT:
            found["/".join(parts)] = path.read_text(encoding="utf-8", errors="replace")
    return found


def test_licence_is_bsd() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("BSD 3-Clause License")
    assert "the riskops developers" in text
    assert PYPROJECT["project"]["license"] == "BSD-3-Clause"


def test_version_is_the_same_everywhere() -> None:
    assert PYPROJECT["project"]["version"] == riskops.__version__
    assert f"## {riskops.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_dependencies_have_floors_and_no_upper_pins() -> None:
    project = PYPROJECT["project"]
    for requirement in chain(project["dependencies"], *project["optional-dependencies"].values()):
        if requirement.startswith("riskops["):
            continue
        assert re.fullmatch(r"[\w-]+(\[[\w,-]+\])?>=[\d.]+", requirement), requirement
    dask = next(r for r in project["dependencies"] if r.startswith("dask"))
    assert dask.endswith(">=2026.7.1"), "dask-cuda pins this release"


def test_gpu_extras_never_ask_for_plain_cupy() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    for cuda in ("12", "13"):
        names = [requirement.split(">=")[0] for requirement in extras[f"gpu-cuda{cuda}"]]
        assert names == [f"cupy-cuda{cuda}x[ctk]", "dask-cuda", f"numba-cuda[cu{cuda}]"]


def test_constraints_are_exact_and_name_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    for line in pins:
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+", line), line
    pinned = {line.split("==")[0] for line in pins}
    asked = [*PYPROJECT["project"]["dependencies"]]
    for extra in ("dev", "notebooks", "parquet"):
        asked += PYPROJECT["project"]["optional-dependencies"][extra]
    names = {re.split(r"[\[>]", requirement)[0].lower() for requirement in asked} - {"riskops"}
    assert names <= pinned


def test_make_has_the_targets_and_lists_them() -> None:
    assert {"run", "test", "lint", "bench", "lab", "clean", "help"} <= TARGETS
    listed = subprocess.run(["make", "-C", str(ROOT)], check=True, capture_output=True, text=True).stdout
    for target in ("run", "test", "lint", "bench", "lab", "clean"):
        assert f"make {target}" in listed


def test_continuous_integration_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert text.rstrip().endswith("make test")
    assert script.stat().st_mode & 0o111, "executable"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_targets_and_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    asked = set(re.findall(r"(?:^\s*|`|\$ )make ([a-z]+)", text, re.MULTILINE))
    assert asked <= TARGETS
    assert asked >= {"test"}
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text):
        assert (ROOT / target).exists(), f"{document}: link to {target}"
    # a name with <...> stands for a file still to be written
    for file in re.findall(r"`((?:riskops|tests|configs|pipelines|notebooks)/[\w/.-]+)`", text):
        assert (ROOT / file).exists(), f"{document}: {file}"


def test_nothing_names_one_machine_or_a_registry() -> None:
    # written so that this file does not match itself
    banned = {
        "a folder of one machine": re.compile(r"(?:^|[^\w.])/(?:work|root|farm|home)/"),
        "a package registry": re.compile(r"files\.python" r"hosted|registry\.npm" r"js|/simp" r"le/|deb\.deb" r"ian"),
    }
    wrong = [
        f"{name}:{number}: {what}"
        for name, text in _texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in banned.items()
        if name != "tests/test_project.py" and pattern.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_hooks_are_local() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_are_stored_without_output(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs"), "clear the output"
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_every_configuration_loads(path: Path) -> None:
    config = load_job(path)
    assert config.title
    portfolios = config.series.portfolios if isinstance(config, BacktestConfig) else config.portfolios
    assert len({str(p) for p in portfolios}) == len(portfolios)
