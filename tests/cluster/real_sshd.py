"""A cluster of kind ``ssh`` on this machine, by a real OpenSSH server, gives the figures of threads and leaves nothing.

    python tests/cluster/real_sshd.py

Needs root and OpenSSH's server and client (Debian: apt-get install openssh-server). The server runs on a port of its
own, on loopback, with keys made for the occasion. Exit status 0 when all is well, 1 when a check fails, 2 when
something that it needs is missing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml

from riskops.cluster import open_cluster, write_certificates
from riskops.errors import ClusterError

ROOT = Path(__file__).parents[2]
SSHD = "/usr/sbin/sshd"
JOB = ("--set", "simulation.paths=65536", "--set", "simulation.chunk_paths=16384")


def needed() -> str | None:
    if os.geteuid() != 0:
        return "root: the server logs in the user who runs it"
    if not Path(SSHD).exists() or shutil.which("ssh-keygen") is None:
        return f"{SSHD} and ssh-keygen (Debian: apt-get install openssh-server)"
    try:
        import asyncssh  # noqa: F401
    except ModuleNotFoundError:
        return "asyncssh: pip install 'riskops[ssh]'"
    return None


def make_key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text("ascii")


@contextmanager
def server(home: Path) -> Iterator[dict[str, object]]:
    """A server on a free port of loopback; yields the options of a cluster of kind ssh that reach it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    host, user = make_key(home / "host"), make_key(home / "user")
    (home / "authorized").write_text(user, "ascii")
    (home / "known").write_text(f"[127.0.0.1]:{port} {' '.join(host.split()[:2])}\n", "ascii")
    lines = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": home / "host",
        "AuthorizedKeysFile": home / "authorized",
        "PidFile": home / "pid",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
    }
    (home / "config").write_text("".join(f"{key} {value}\n" for key, value in lines.items()), "ascii")
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([SSHD, "-D", "-e", "-f", str(home / "config")], stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 20.0
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1.0).close()
                    break
                except OSError:
                    if time.monotonic() > end:
                        raise SystemExit("real_sshd: the server does not start") from None
                    time.sleep(0.1)
            yield {
                "hosts": ["127.0.0.1", "127.0.0.1"],
                "port": port,
                "key": str(home / "user"),
                "known_hosts": str(home / "known"),
                "wait": 60,
            }
        finally:
            process.terminate()


def left_over(before: set[int]) -> set[int]:
    """Dask processes that were not there before; those that are just ending are waited for."""
    end = time.monotonic() + 15.0
    while True:
        found = set()
        for process in psutil.process_iter(["pid", "cmdline"]):
            if "distributed.cli.dask_spec" in " ".join(process.info["cmdline"] or ()):
                found.add(process.info["pid"])
        if not found - before or time.monotonic() > end:
            return found - before
        time.sleep(0.2)


def run(home: Path, name: str, cluster: dict[str, object]) -> bytes:
    section = [f"--set=cluster={yaml.safe_dump(cluster, default_flow_style=True, width=10**6).strip()}"]
    command = [sys.executable, "-m", "riskops", "run", str(ROOT / "configs/market_risk.yaml"), "--quiet"]
    subprocess.run([*command, *JOB, *section, "--out", str(home / name)], check=True, stdout=subprocess.DEVNULL)
    return (home / name / "results.json").read_bytes()


def main() -> int:
    missing = needed()
    if missing:
        print(f"real_sshd: needs {missing}", file=sys.stderr)
        return 2
    checks: dict[str, bool] = {}
    before = left_over(set())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        tls = write_certificates(home / "certificates")
        with server(home) as options:
            limits = {"kind": "ssh", "memory_limit": "3GiB"}
            expected = run(home, "threads", {"kind": "threads"})
            plain = run(home, "plain", {**limits, "options": options})
            checks["two workers on loopback give results.json of threads, byte for byte"] = plain == expected
            encrypted = run(home, "encrypted", {**limits, "options": options, "tls": tls})
            checks["so do two workers over TLS"] = encrypted == expected
            with open_cluster("ssh", memory_limit="3GiB", threads_per_worker=2, options=options) as cluster:
                client = cluster.client
                assert client is not None
                shape = (cluster.workers, cluster.threads, cluster.memory_per_worker)
                checks["the handle counts workers, threads and memory"] = shape == (2, 4, 3 * 2**30)
                pinned = client.run(lambda: [os.environ.get(f"{n}_NUM_THREADS") for n in ("OMP", "NUMBA", "OPENBLAS")])
                checks["libraries are pinned to one thread"] = all(v == ["1"] * 3 for v in pinned.values())
                scheduler = client.scheduler.address
                checks["the scheduler is on loopback"] = scheduler.startswith("tcp://127.0.0.1:")
            stranger = home / "nobody"
            stranger.write_text("", "ascii")
            try:
                open_cluster("ssh", options={**options, "known_hosts": str(stranger)}).__enter__()
            except ClusterError as error:
                print(f"     {error}")
                checks["a host whose key is not known is refused in one line"] = "\n" not in str(error)
        checks["nothing is left running"] = not left_over(before)
    for what, good in checks.items():
        print(f"{'yes' if good else 'NO '}  {what}")
    return 0 if len(checks) == 7 and all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
