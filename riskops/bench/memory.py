"""The peak memory of a run, held against its plan: the run gets processes of its own, whose sizes are looked at."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from riskops.errors import StoreError

__all__ = ["Measured", "family", "measure", "peaks"]

#: Seconds between two looks at the processes.
PAUSE = 0.05


class Measured(NamedTuple):
    """A run: its paths, the planned and the measured peak in bytes, and seconds."""

    paths: int
    planned: int
    measured: int
    seconds: float

    @property
    def ratio(self) -> float:
        """Planned over measured."""
        return self.planned / self.measured


def family(pid: int) -> Iterator[int]:
    """A process and all that came from it."""
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for thread in threads for child in (thread / "children").read_text("ascii").split()]
    except OSError:  # it has ended meanwhile
        return
    for child in children:
        yield from family(child)


def peaks(process: subprocess.Popen[bytes]) -> dict[int, int]:
    """The largest resident size of each process of a family while it lasts."""
    found: dict[int, int] = {}
    while process.poll() is None:
        for pid in family(process.pid):
            try:
                lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
            except OSError:
                continue
            sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
            found[pid] = max(found.get(pid, 0), *sizes, 0)
        time.sleep(PAUSE)
    return found


def measure(configuration: Path, *, overrides: Sequence[str], cluster: str, workers: int, folder: Path) -> Measured:
    """Run a configuration in a process of its own and hold its peak against its plan.

    Parameters
    ----------
    configuration
        What to run.
    overrides
        Settings over it.
    cluster, workers
        Where; of ``processes`` the largest worker counts, since the client computes nothing.
    folder
        Where the run is written, to be removed again.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        run = Path(place, "run")
        command = [sys.executable, "-m", "riskops", "run", str(configuration), "--out", str(run), "--quiet"]
        command += ["--cluster", cluster, *(["--workers", str(workers)] if cluster != "synchronous" else [])]
        command += [word for override in overrides for word in ("--set", override)]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            found = peaks(process)
        finally:
            process.kill()
            process.wait()
        seconds = time.perf_counter() - start
        if process.returncode:
            raise StoreError(f"{configuration}: the run ended with status {process.returncode}")
        planned = json.loads((run / "manifest.json").read_text("utf-8"))["plan"]
    own = found.pop(process.pid)
    peak = max(found.values()) if cluster == "processes" else own
    return Measured(planned["paths"], planned["peak_memory"], peak, seconds)
