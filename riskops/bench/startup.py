"""Start-up: what the second run of a small job costs beyond importing its modules and loading its compiled kernels.

A first process runs the job, which leaves bytecode and compiled kernels on disk, and reports what it imported and
compiled. From then on two kinds of fresh processes take turns: one is the command as a user gives it, the other imports
the same modules, loads the same kernels from numba's cache, and ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path

import riskops
from riskops.bench.rows import Row, Target
from riskops.bench.timing import Setting, race
from riskops.errors import StoreError

__all__ = ["startup"]

SUITE = "startup"
PATHS = 8192

CONFIGURATION = f"""
market: {{prices: sp500, start: 2019-01-02}}
portfolios: [{{name: equal, capital: 1000000, weights: equal}}]
simulation: {{paths: {PATHS}, steps: 1}}
risk: {{levels: [0.95, 0.99], horizons: [1]}}
"""

COMMAND = "from riskops.cli import main; main()"

#: Runs the command and then prints the modules in the order of their import, and the compiled kernels with the types
#: that they were compiled for. What has no cache, or takes other types than numbers and arrays, is left out: it counts
#: as ours.
REPORT = """
import json, sys
from riskops.cli import app
app(sys.argv[1:], standalone_mode=False)
from numba import types
from numba.core.dispatcher import Dispatcher

def plain(kind):
    if isinstance(kind, types.Array):
        return [str(kind.dtype), kind.ndim, kind.layout, not kind.mutable]
    return str(kind) if isinstance(kind, types.Number | types.Boolean) else None

kernels = []
modules = {name: module for name, module in sys.modules.items() if getattr(module, "__spec__", None)}
for module in [name for name in modules if name.startswith("riskops.")]:
    for name, value in vars(modules[module]).items():
        if isinstance(value, Dispatcher) and value.py_func.__module__ == module and value.stats.cache_path:
            signatures = [[plain(kind) for kind in signature] for signature in value.signatures]
            kernels.append([module, name, [signature for signature in signatures if None not in signature]])
print(json.dumps({"modules": list(modules), "kernels": kernels}))
"""

#: Imports the modules of that report and loads its kernels; prints how many were not in the cache.
LOAD = """
import importlib, json, sys
report, missing = json.loads(sys.stdin.read()), 0
for name in report["modules"]:
    try:
        importlib.import_module(name)
    except ImportError:
        pass  # made by another module while that was imported
from numba import types

def kind(plain):
    if isinstance(plain, str):
        return getattr(types, plain)
    return types.Array(getattr(types, plain[0]), *plain[1:])

for module, name, signatures in report["kernels"]:
    dispatcher = getattr(sys.modules[module], name)
    for signature in signatures:
        dispatcher.compile(tuple(kind(plain) for plain in signature))
    missing += sum(dispatcher.stats.cache_misses.values())
print(missing)
"""


def startup(setting: Setting) -> list[Row]:
    """The second run of a job of a few thousand paths."""
    with tempfile.TemporaryDirectory(prefix="riskops-bench-") as folder:
        place, numbers = Path(folder), count()
        (place / "small.yaml").write_text(CONFIGURATION, "utf-8")

        def arguments() -> list[str]:
            return ["run", "small.yaml", "--out", f"run-{next(numbers)}", "--quiet"]

        def results(arguments: list[str]) -> str:
            return (place / arguments[3] / "results.json").read_text("utf-8")

        first = arguments()
        report = _python(place, REPORT, *first).splitlines()[-1]

        def run() -> list[str]:
            given = arguments()
            _python(place, COMMAND, *given)
            return given

        def load() -> str:
            return _python(place, LOAD, given=report).strip()

        ours, loading = race(run, load, rounds=max(1, round(5 * setting.scale)), seconds=30.0)
        agrees = results(ours.result) == results(first) and loading.result == "0"
    return [
        Row(
            SUITE,
            "second run",
            f"riskops run of {PATHS:,} paths x 20 assets with its report, in a fresh process",
            ours.seconds,
            "a fresh process that imports the same modules and loads the same kernels",
            loading.seconds,
            agrees,
            Target(most_beyond=0.5),
        )
    ]


def _python(folder: Path, code: str, *arguments: str, given: str = "") -> str:
    """What a fresh interpreter prints; riskops is found where it was found here."""
    home = str(Path(riskops.__file__).parent.parent)
    places = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    # the target is for bytecode that is present, so that it may be written whatever this process was told
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": places}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=given,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise StoreError(f"bench: the job for suite {SUITE!r} did not run: {lines[-1]}")
    return done.stdout
