"""A user's own model in a package of its own: listed, run on every scheduler with the same bytes, equal on CUDA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.models import get_model

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "outside_package"

CONFIGURATION = """
title: A model of one's own
market: {prices: sp500, start: 2021-01-04, assets: [KO, XOM]}
portfolios: [{name: both, capital: 1000000, weights: equal}]
model: {kind: gamma_clock, shape: 1.5}
simulation: {paths: 5000, steps: 3, seed: 3, chunk_paths: 1024}
risk: {levels: [0.95], horizons: [1, 3]}
stress: {library: market, scenarios: [crash_20]}
report: {html: false}
"""

MODEL = """
import sys
import numpy as np
from riskops.models import get_model
from gamma_clock import _speeds
covariance = [[4e-4, 1e-4], [1e-4, 1e-4]]
model = get_model("gamma_clock")(("A", "B"), [1e-3, -5e-4], covariance, _speeds(1.5), 1.5, 252.0)
"""

COMPILED = """
from riskops.rng import tile_counters
from riskops.simulation import SimulationSpec, path_job, simulate
np.save(sys.argv[1], path_job(SimulationSpec(model, paths=1024, steps=3, seed=11)).block(tile_counters(0, 20), 20))
spec = SimulationSpec(model, paths=65536, steps=3, seed=1)
np.save(sys.argv[2], simulate(spec, times=[3])["log_growth"].values[0].astype(float))
np.save(sys.argv[3], np.column_stack([model.mean_log_growth(3 / 252), model.covariance_log_growth(3 / 252)]))
"""

ON_CUDA = """
from tests.models import advance_on_cuda
advance_on_cuda.example = lambda kind: model
advance_on_cuda.main("gamma_clock", sys.argv[1])
"""

RUNS = """
import json, sys
from distributed import LocalCluster
from riskops.cli import main

def run(kind, *more):
    sys.argv = ["riskops", "run", configuration, "--out", f"{folder}/{kind}", "--quiet", *more]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code

if __name__ == "__main__":
    configuration, folder, commands = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    for kind, more in commands.items():
        if kind != "address":
            run(kind, "--cluster", kind, *more)
            continue
        with LocalCluster(n_workers=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
            run(kind, "--cluster", cluster.scheduler_address, *more)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the package as an installer leaves it: the module, its metadata and its entry points."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))
    (module,) = project["tool"]["setuptools"]["py-modules"]
    (site / f"{module}.py").write_bytes((PACKAGE / f"{module}.py").read_bytes())
    about = project["project"]
    info = site / f"{module}-{about['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    (info / "METADATA").write_text(head, "utf-8")
    groups = about["entry-points"].items()
    text = "".join(f"[{g}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for g, entries in groups)
    (info / "entry_points.txt").write_text(text, "utf-8")
    return site


@pytest.fixture(scope="module")
def environment(installed: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])}


def python(*arguments: str, environment: dict[str, str]) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_package_is_not_known_where_it_is_not_installed() -> None:
    with pytest.raises(InputError, match=r"model\.kind: 'gamma_clock' is unknown; known are .*geometric_brownian"):
        get_model("gamma_clock")


def test_its_model_is_listed_among_the_others(environment: dict[str, str]) -> None:
    listed = python("-m", "riskops", "describe", "models", "--json", environment=environment)
    rows = {row["model"]: row for row in json.loads(listed)}
    assert {"gamma_clock", "geometric_brownian"} <= set(rows)
    assert rows["gamma_clock"] == {
        "model": "gamma_clock",
        "description": "Correlated prices on a gamma clock that all assets share.",
        "parameters": "drift, covariance, speeds, shape, days_per_year",
        "states": "log_growth (per asset), clock (shared by all)",
        "shocks": "diffusion (normal per asset), speed (normal shared by all)",
        "options": "shape",
    }


def test_it_runs_on_every_scheduler_with_the_same_bytes(environment: dict[str, str], tmp_path: Path) -> None:
    configuration, script = tmp_path / "own.yaml", tmp_path / "runs.py"
    configuration.write_text(CONFIGURATION, "utf-8")
    script.write_text(RUNS, "utf-8")
    commands: dict[str, list[str]] = {
        "synchronous": [],
        "threads": ["--workers", "2", "--set", "simulation.chunk_paths=2048"],
        "processes": ["--workers", "2", "--set", "cluster.memory_limit=2GiB"],
        "address": [],
    }
    python(str(script), str(configuration), str(tmp_path), json.dumps(commands), environment=environment)
    results = {kind: (tmp_path / kind / "results.json").read_bytes() for kind in commands}
    assert len(set(results.values())) == 1
    assert json.loads(results["synchronous"])["model"] == "gamma_clock"
    assert len(json.loads(results["synchronous"])["figures"]) > 50
    manifest = json.loads((tmp_path / "processes" / "manifest.json").read_text("utf-8"))
    recorded = manifest["what"]["simulation"]["model"]
    assert (recorded["kind"], recorded["parameters"]["shape"]) == ("gamma_clock", 1.5)


def test_its_moments_are_exact_and_its_kernel_is_the_same_in_plain_python_and_on_cuda(
    environment: dict[str, str], tmp_path: Path
) -> None:
    paths, terminal, moments = (str(tmp_path / f"{name}.npy") for name in ("paths", "terminal", "moments"))
    python("-c", MODEL + COMPILED, paths, terminal, moments, environment=environment)
    sample, exact = np.load(terminal), np.load(moments)
    n = sample.shape[1]
    centred = sample - exact[:, :1]
    assert np.all(np.abs(centred.mean(axis=1)) < 4 * np.sqrt(np.diagonal(exact[:, 1:]) / n))
    for a in range(2):
        for b in range(2):
            products = centred[a] * centred[b]
            assert abs(products.mean() - exact[a, 1 + b]) < 4 * products.std() / np.sqrt(n)
    simulator = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"}
    assert python("-c", MODEL + ON_CUDA, paths, environment=environment | simulator).split() == ["plain", "cuda"]
