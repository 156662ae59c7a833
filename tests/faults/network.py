"""Networks that fall silent or are cut between a worker and its scheduler; clusters of several addresses."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from tests.faults.commands import ROOT, stored_chunks
from tests.faults.ground import Ground, fault
from tests.faults.relay import Relay
from tests.faults.service import Service

__all__: list[str] = []


@fault("a worker's network silent for seconds, or cut", expected="the run goes on to the same bytes")
def silent(ground: Ground) -> Iterator[None]:
    """All that one of two workers and the scheduler say to each other is held up for four seconds, or the line ends."""
    for cut in (False, True):
        place = ground.place()
        with Service(workers=1) as service, Relay(service.address) as relay:
            service.add_workers(1, address=relay.address)
            with ground.run(place, "--cluster", service.address, "--workers", "2") as command:
                if ground.reach(command, lambda: stored_chunks(place) >= 8, "8 chunks were stored"):  # noqa: B023
                    relay.flows.clear()
                    yield
                    time.sleep(4.0)
                    if cut:
                        relay.cut()
                    relay.flows.set()
                result = command.result()
        if ground.expect(result.status == 0, f"status {result.status}: {result.error[-400:]}"):
            ground.hold(place)


def _script(ground: Ground, name: str) -> None:
    done = subprocess.run([sys.executable, name], cwd=ROOT, capture_output=True, text=True, timeout=600)
    ground.expect(done.returncode == 0, f"{name}: status {done.returncode}: {(done.stderr + done.stdout)[-800:]}")


@fault("workers in network namespaces of their own, over TLS", expected="the bytes of threads", needs=("root", "ip"))
def namespaces(ground: Ground) -> Iterator[None]:
    """A script of the cluster's tests."""
    _script(ground, "tests/cluster/network_namespaces.py")
    yield


@fault("workers over a real sshd", expected="the bytes of threads", needs=("root", "sshd"))
def ssh(ground: Ground) -> Iterator[None]:
    """A script of the cluster's tests."""
    _script(ground, "tests/cluster/real_sshd.py")
    yield


@fault("store on a local S3 server, its faults included", expected="the tests of store.url pass there")
def object_store(ground: Ground) -> Iterator[None]:
    """A script of the store's tests; the server comes from the package registry."""
    _script(ground, "tests/faults/on_s3.py")
    yield
