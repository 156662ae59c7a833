"""Two workers in network namespaces of their own, over TLS, give the figures of the threads of one process.

    python tests/cluster/network_namespaces.py

Needs root and the command ``ip`` (iproute2). The scheduler and the client are on this machine's side of a bridge, each
worker is in a namespace of its own, with its own address: to each other they are three machines. Makes interfaces and
namespaces under names of its own and removes them. Exit status 0 when all is well, 1 when a check fails, 2 when
something that it needs is missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from distributed import Client

from riskops.cluster import open_cluster, write_certificates
from riskops.cluster.security import client_security
from riskops.cluster.settings import Tls
from riskops.errors import ClusterError

ROOT = Path(__file__).parents[2]
HERE = "10.203.77.1"
WORKERS = ("10.203.77.2", "10.203.77.3")
PORT = 18786
JOB = ("--set", "simulation.paths=262144", "--set", "simulation.chunk_paths=16384")


def needed() -> str | None:
    if os.geteuid() != 0:
        return "root: network namespaces are made by root alone"
    if shutil.which("ip") is None:
        return "the command ip (Debian: apt-get install iproute2)"
    return None


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def network() -> Iterator[dict[str, str]]:
    """A bridge with this machine's address, and a namespace for each worker's address; yields them by address."""
    tag = f"rk{os.getpid() % 100000}"
    with ExitStack() as stack:
        ip("link", "add", f"{tag}br", "type", "bridge")
        stack.callback(ip, "link", "delete", f"{tag}br")
        ip("address", "add", f"{HERE}/24", "dev", f"{tag}br")
        ip("link", "set", f"{tag}br", "up")
        spaces = {}
        for i, address in enumerate(WORKERS):
            space, outer, inner = f"{tag}n{i}", f"{tag}o{i}", f"{tag}i{i}"
            ip("netns", "add", space)
            stack.callback(ip, "netns", "delete", space)  # its end of the pair goes with it
            ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space)
            ip("link", "set", outer, "master", f"{tag}br", "up")
            ip("-n", space, "address", "add", f"{address}/24", "dev", inner)
            ip("-n", space, "link", "set", inner, "up")
            ip("-n", space, "link", "set", "lo", "up")
            spaces[address] = space
        yield spaces


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    """A process that is interrupted at the end of the block."""
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20.0)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(text: str, log: Path) -> None:
    end = time.monotonic() + 60.0
    while text not in log.read_text("utf-8"):
        if time.monotonic() > end:
            raise SystemExit(f"{log.name}: no {text!r} within a minute:\n{log.read_text('utf-8')}")
        time.sleep(0.2)


def riskops(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "riskops", *arguments]


def run(out: Path, *arguments: str) -> bytes:
    subprocess.run(
        riskops("run", str(ROOT / "configs/market_risk.yaml"), "--quiet", "--out", str(out), *JOB, *arguments),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return (out / "results.json").read_bytes()


def main() -> int:
    missing = needed()
    if missing:
        print(f"network_namespaces: needs {missing}", file=sys.stderr)
        return 2
    checks: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        files = write_certificates(home / "certificates")
        certificates = ("--certificates", str(home / "certificates"))
        spaces = stack.enter_context(network())
        address = f"tls://{HERE}:{PORT}"
        log = home / "scheduler.log"
        command = riskops("cluster", "scheduler", "--host", HERE, "--port", str(PORT), *certificates)
        stack.enter_context(running(command, log))
        wait_for("Scheduler at", log)
        for own, space in spaces.items():
            log = home / f"{space}.log"
            command = riskops("cluster", "worker", address, *certificates, "--host", own, "--memory-limit", "3GiB")
            stack.enter_context(running(["ip", "netns", "exec", space, *command], log))
            wait_for("Registered to", log)
        settings = {"address": address, "workers": 2, "tls": files}
        with open_cluster("address", **settings) as cluster:
            joined = cluster.client.scheduler_info(n_workers=-1)["workers"]  # type: ignore[union-attr]
            checks["each worker has its own address"] = {name.split("/")[2].split(":")[0] for name in joined} == set(
                WORKERS
            )
        for plain, why in ((f"tcp://{HERE}:{PORT}", "neither on this machine nor encrypted"),):
            try:
                open_cluster("address", address=plain).__enter__()
            except ClusterError as error:
                checks["tcp:// is refused"] = why in str(error)
        try:
            open_cluster("address", address=f"tcp://{HERE}:{PORT}", allow_insecure=True).__enter__()
        except ClusterError:
            checks["the scheduler hangs up on whoever has no certificate"] = True
        with Client(address, security=client_security(Tls(**files), address=address)) as client:
            client.get_task_stream()  # from here on the scheduler notes who does what
            tls = "cluster.tls={" + ", ".join(f"{name}: {path}" for name, path in files.items()) + "}"
            apart = run(home / "apart", "--cluster", address, "--workers", "2", "--set", tls)
            busy = {task["worker"].split("/")[2].split(":")[0] for task in client.get_task_stream()}
        checks["both workers computed"] = busy == set(WORKERS)
        here = run(home / "threads", "--cluster", "threads")
        checks["results.json is that of threads, byte for byte"] = apart == here
    for what, good in checks.items():
        print(f"{'yes' if good else 'NO '}  {what}")
    return 0 if len(checks) == 5 and all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
