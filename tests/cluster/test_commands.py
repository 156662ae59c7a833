"""``riskops cluster``: certificates, a scheduler and a worker of one's own, and a run on them; job scripts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from riskops.cli import app
from riskops.cluster import open_cluster

PRICES = "market: {prices: sp500}\nportfolios: [{name: all, capital: 100, weights: equal}]\n"
SLURM = "cluster: {kind: slurm, memory_limit: 4GiB, allow_insecure: true, options: {queue: night}}\n"


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, interrupted at the end."""
    command = [sys.executable, "-m", "riskops", "cluster", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30.0)


def line_of(process: subprocess.Popen[str], pattern: str) -> str:
    """The first match in what a process says."""
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(pattern, line)
        if found:
            return found[1]
    raise AssertionError(f"no {pattern}")


def environment_of(pid: int) -> list[str | None]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return [psutil.Process(pid).environ().get(name) for name in names]


def test_a_scheduler_and_a_worker_of_ones_own(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["cluster", "certificates", str(tmp_path / "c")])
    assert made.exit_code == 0
    files = dict(line.removeprefix("cluster.tls.").split(": ") for line in made.stdout.splitlines())
    keys = ("--certificates", str(tmp_path / "c"))
    with running("scheduler", "--port", "0", *keys) as scheduler:
        address = line_of(scheduler, r"Scheduler at:\s+(tls://127\.0\.0\.1:\d+)")
        with running("worker", address, *keys, "--threads", "2", "--memory-limit", "1GiB") as worker:
            line_of(worker, r"(Registered to)")
            with open_cluster("address", address=address, tls=files) as cluster:
                assert (cluster.workers, cluster.threads, cluster.memory_per_worker) == (1, 2, 2**30)
                assert cluster.client is not None
                (pid,) = cluster.client.run(os.getpid).values()
                assert environment_of(pid) == ["1"] * 4
            ports = {c.laddr.ip for c in psutil.Process(scheduler.pid).net_connections() if c.status == "LISTEN"}
            assert ports == {"127.0.0.1"}
    end = time.monotonic() + 10.0
    while psutil.pid_exists(pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["scheduler", "--host", "10.0.0.1"],
            "cluster.address: tcp://10.0.0.1:8786 is neither on this machine",
        ),
        (["scheduler", "--certificates", "nowhere"], "--certificates: nowhere/ca.pem is not a file; riskops cluster c"),
        (["worker", "tcp://10.0.0.1:1"], "cluster.address: tcp://10.0.0.1:1 is neither on this machine nor encrypted"),
        (["certificates", "/proc/nowhere"], "/proc/nowhere: can't be written: "),
        (["certificates", "x", "--days", "0"], "days: 0 is not an integer >= 1"),
    ],
)
def test_what_is_unsafe_or_missing_is_refused(words: list[str], line: str) -> None:
    answer = CliRunner().invoke(app, ["cluster", *words])
    assert answer.exit_code == 2
    assert answer.stderr.startswith(f"riskops: {line}")
    assert answer.stderr.count("\n") == 1


def test_the_job_script_of_a_configuration(tmp_path: Path) -> None:
    config = tmp_path / "slurm.yaml"
    config.write_text(PRICES + SLURM, "ascii")
    answer = CliRunner().invoke(app, ["cluster", "script", str(config), "--set", "cluster.options.walltime=01:00:00"])
    assert answer.exit_code == 0
    assert "#SBATCH -p night" in answer.stdout
    assert "#SBATCH -t 01:00:00" in answer.stdout
    other = tmp_path / "threads.yaml"
    other.write_text(PRICES, "ascii")
    answer = CliRunner().invoke(app, ["cluster", "script", str(other)])
    assert answer.exit_code == 2
    assert answer.stderr == "riskops: cluster.kind: threads has no job script; slurm, pbs, lsf have one\n"
