"""Each kind of cluster gives the same results, refuses what is unsafe, says what went wrong, leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError

from riskops.cluster import Cluster, connection, open_cluster, total_memory
from riskops.cluster.connection import PACKAGES, check_address
from riskops.cluster.interrupts import interrupts_deferred
from riskops.errors import ClusterError, InputError
from riskops.progress import Progress

KINDS = ("threads", "synchronous", "processes", "address")


def children() -> set[int]:
    """Processes of ours, without Python's own helper, which stays until the end."""
    return {p.pid for p in psutil.Process().children(recursive=True) if "resource_tracker" not in " ".join(p.cmdline())}


def listening(pids: set[int]) -> set[tuple[str, int]]:
    return {
        (c.laddr.ip, c.laddr.port)
        for pid in pids
        for c in psutil.Process(pid).net_connections()
        if c.status == psutil.CONN_LISTEN
    }


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A scheduler that runs already, with two workers."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        silence_logs="CRITICAL",
    ) as local:
        yield local.scheduler_address


@pytest.fixture(scope="module")
def processes() -> Iterator[Cluster]:
    """Two worker processes, started once; afterwards nothing of them may be left."""
    before, ports = children(), listening({os.getpid()})
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        open_cluster("processes", workers=2) as cluster,
    ):
        yield cluster
    assert children() == before
    assert listening({os.getpid()}) == ports


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> AbstractContextManager[Cluster]:
    kind = request.param
    if kind == "processes":
        return nullcontext(request.getfixturevalue("processes"))
    if kind == "address":
        return open_cluster(kind, address=request.getfixturevalue("scheduler"))
    return open_cluster(kind)


def graph(raises: BaseException | None = None) -> tuple[Any, Any]:
    """A mean over simulated chunks and the chunks themselves; the third chunk may raise."""

    def simulate(block_id: tuple[int, ...]) -> np.ndarray:
        if raises is not None and block_id[1] == 2:
            raise raises
        return np.random.default_rng(block_id[1]).normal(size=(2, 8))

    paths = da.map_blocks(simulate, chunks=((2,), (8,) * 6), dtype=float, meta=np.empty((0, 0)), name="simulate-1f")
    return paths.mean(), paths


def slow() -> Any:
    def simulate(block_id: tuple[int, ...]) -> np.ndarray:
        time.sleep(0.2)
        return np.zeros((1, 1))

    return da.map_blocks(simulate, chunks=((1,), (1,) * 200), dtype=float, meta=np.empty((0, 0)), name="simulate-2f")


@pytest.mark.parametrize("opened", KINDS, indirect=True)
def test_every_kind_gives_the_same_results(opened: AbstractContextManager[Cluster]) -> None:
    expected = dask.compute(*graph(), scheduler="synchronous")
    progress = Progress(quiet=True)
    with opened as cluster:
        results = cluster.compute(*graph(), "not lazy", progress=progress)
        assert cluster.threads >= cluster.workers >= 1
        assert 0 < cluster.memory_per_worker <= total_memory()
        assert cluster.versions()["dask"] == dask.__version__
        assert set(cluster.versions()) == {"python", *PACKAGES}
    assert results[0] == expected[0]
    np.testing.assert_array_equal(results[1], expected[1])
    assert results[2] == "not lazy"
    assert progress.stages["simulate"]["tasks"] == 6


@pytest.mark.parametrize("opened", KINDS, indirect=True)
def test_a_tasks_own_exception_is_raised_as_it_is(opened: AbstractContextManager[Cluster]) -> None:
    with opened as cluster, pytest.raises(ZeroDivisionError, match="of the task"):
        cluster.compute(*graph(ZeroDivisionError("of the task")))


@pytest.mark.parametrize("opened", KINDS, indirect=True)
def test_memory_that_runs_out_names_the_chunk_and_the_setting(opened: AbstractContextManager[Cluster]) -> None:
    with (
        opened as cluster,
        pytest.raises(ClusterError, match=r"memory ran out in .*task simulate, chunk \(0, 2\).*; ") as e,
    ):
        cluster.compute(*graph(MemoryError()))
    assert "lower simulation.chunk_paths" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("opened", KINDS, indirect=True)
def test_an_interrupt_ends_the_computation(opened: AbstractContextManager[Cluster]) -> None:
    with opened as cluster:
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        began = time.monotonic()
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            cluster.compute(slow())
        assert time.monotonic() - began < 5.0
        assert cluster.compute(da.ones(3).sum()) == (3.0,)


def test_the_pool_of_threads_ends_with_the_block() -> None:
    before = {thread for thread in threading.enumerate() if thread.name.startswith("riskops")}
    scheduler = dask.config.get("scheduler", None)
    with open_cluster("threads", workers=3) as cluster:
        assert (cluster.workers, cluster.threads, cluster.client, cluster.dashboard_link) == (3, 3, None, None)
        assert cluster.memory_per_worker == total_memory() // 3
        cluster.compute(*graph())
        assert dask.config.get("scheduler") is dask.threaded.get
        graph()[0].compute()
    assert {thread for thread in threading.enumerate() if thread.name.startswith("riskops")} == before
    assert dask.config.get("scheduler", None) == scheduler


def test_a_limit_of_memory_is_read_with_its_unit() -> None:
    with open_cluster("synchronous", memory_limit="2GiB") as cluster:
        assert cluster.memory_per_worker == 2 * 1024**3


def test_workers_use_one_thread_and_loopback_only(processes: Cluster) -> None:
    assert processes.client is not None
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

    def environment() -> list[str | None]:
        return [os.environ.get(name) for name in names]

    assert list(processes.client.run(environment).values()) == [["1"] * 4] * 2
    assert {address for address, _ in listening(children())} == {"127.0.0.1"}
    assert processes.client.scheduler.address.startswith("tcp://127.0.0.1:")
    assert processes.dashboard_link is None
    # A terminal's Ctrl-C reaches the workers too, and must not end them before this process does.
    pids = set(processes.client.run(os.getpid).values())
    for pid in pids:
        os.kill(pid, signal.SIGINT)
    assert processes.compute(da.ones(3).sum()) == (3.0,)
    assert set(processes.client.run(os.getpid).values()) == pids


@pytest.mark.parametrize("opened", ["threads", "address"], indirect=True)
def test_a_performance_report_is_written(opened: AbstractContextManager[Cluster], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with opened as cluster, cluster.performance_report(path):
        cluster.compute(*graph())
    page = path.read_text(encoding="utf-8")
    assert "simulate" in page
    assert not re.search(r"<script[^>]*src=|<link[^>]*stylesheet", page)


def test_a_performance_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with (
        open_cluster("synchronous") as cluster,
        pytest.raises(InputError, match="nothing was computed"),
        cluster.performance_report(tmp_path / "report.html"),
    ):
        pass


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"kind": "thread"},
            "cluster.kind: 'thread' is not one of address, cuda, kubernetes, lsf, pbs, ",
        ),
        ({"workers": 0}, "cluster.workers: 0 is not an integer >= 1"),
        ({"kind": "processes", "threads_per_worker": 0}, "cluster.threads_per_worker: 0 is not an integer >= 1"),
        ({"memory_limit": "much"}, "cluster.memory_limit: 'much' is not a number of bytes such as 4GiB"),
        ({"memory_limit": 0}, "cluster.memory_limit: 0 is not an integer >= 1"),
        ({"kind": "synchronous", "workers": 2}, "cluster.workers: 2 has no meaning with cluster.kind: synchronous"),
        ({"threads_per_worker": 2}, "cluster.threads_per_worker: 2 has no meaning with cluster.kind: threads"),
        ({"address": "tcp://h:1"}, "cluster.address: 'tcp://h:1' has no meaning with cluster.kind: threads"),
        ({"kind": "address"}, "cluster.address: None is not an address such as tcp://127.0.0.1:8786"),
        ({"kind": "address", "address": "somewhere"}, "cluster.address: 'somewhere' is not an address such as"),
        ({"kind": "address", "address": "http://h:1"}, "cluster.address: 'http://h:1' is not an address such as"),
        ({"kind": "address", "address": "tcp://h:x"}, "cluster.address: 'tcp://h:x' is not an address such as"),
    ],
)
def test_settings_that_are_wrong_or_idle_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as error, open_cluster(**settings):
        pass
    assert str(error.value).startswith(text)


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.1:8786", "192.0.2.1:8786", "ucx://gpu:1", "tcp://[2001:db8::1]:8786"]
)
def test_an_open_scheduler_elsewhere_is_refused_unless_vouched_for(address: str) -> None:
    with pytest.raises(
        ClusterError, match=r"is neither on this machine nor encrypted; use tls://, or set cluster.allow"
    ):
        check_address(address, allow_insecure=False)
    assert check_address(address, allow_insecure=True).endswith(address)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "tcp://[::1]:1", "localhost:1", "tls://10.0.0.1:1", "inproc://1/2"]
)
def test_loopback_and_encryption_are_accepted(address: str) -> None:
    assert check_address(address, allow_insecure=False).endswith(address)


@pytest.mark.parametrize("listens", [False, True])
def test_a_scheduler_that_does_not_answer(listens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 1.0)
    before = threading.active_count()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(ClusterError) as error, open_cluster("address", address=address):
            pass
    assert str(error.value) == f"cluster.address: {address} does not answer within 1 s"
    assert time.monotonic() - began < 5.0
    assert threading.active_count() == before


def test_a_server_that_hangs_up() -> None:
    def serve() -> None:
        line = server.accept()[0]
        line.recv(1)
        line.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(
            ClusterError, match=f"^cluster.address: {address} hangs up on a Dask client; it may want tls://"
        ):
            open_cluster("address", address=address).__enter__()


def test_encryption_needs_certificates() -> None:
    with pytest.raises(ClusterError, match=r"tls://127.0.0.1:1 needs certificates; set cluster.tls.ca, cert and key"):
        open_cluster("address", address="tls://127.0.0.1:1").__enter__()


def test_workers_with_less_memory_than_an_interpreter() -> None:
    with pytest.raises(ClusterError, match=r"^cluster.memory_limit: a worker would have 10.00 MiB, .*; raise cluster."):
        open_cluster("processes", workers=1, memory_limit="10MiB").__enter__()


def test_too_few_workers(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.5)
    with pytest.raises(ClusterError, match=r"cluster.workers: .* has 2 workers after 0.5 s, 5 were asked for"):
        open_cluster("address", address=scheduler, workers=5).__enter__()


@pytest.mark.parametrize("node", ["scheduler", "workers"])
@pytest.mark.parametrize(("version", "shown"), [("0.0.1", "0.0.1"), (None, r"\(missing\)")])
def test_other_versions_are_refused(
    node: str, version: str | None, shown: str, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Client.get_versions

    def answer(self: Client, packages: list[str]) -> Any:
        said: Any = ask(self, packages=packages)
        said["client"]["packages"]["riskops"] = "0.1.0"
        theirs = [said["scheduler"], *said["workers"].values()]
        for info in theirs:
            info["packages"] = {**info["packages"], "riskops": "0.1.0"}
        theirs[0 if node == "scheduler" else 1]["packages"]["riskops"] = version
        return said

    monkeypatch.setattr(Client, "get_versions", answer)
    who = "the scheduler" if node == "scheduler" else r"worker inproc\S+"
    with pytest.raises(ClusterError, match=rf"{who} of \S+ has riskops {shown}, this process has 0.1.0; they must"):
        open_cluster("address", address=scheduler).__enter__()


def test_a_second_interrupt_waits_for_the_closing() -> None:
    closed = []

    def close() -> None:
        with interrupts_deferred():
            signal.raise_signal(signal.SIGINT)
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        close()
    assert closed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("error", [CommClosedError("gone"), FutureCancelledError("simulate-1f", "scheduler gone")])
def test_a_lost_scheduler_is_said(error: Exception, scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_collections: Any, **_options: Any) -> None:
        raise error

    with open_cluster("address", address=scheduler) as cluster:
        monkeypatch.setattr(dask, "compute", lose)
        with pytest.raises(
            ClusterError, match="the scheduler was lost in mid-run; a run that was begun can be resumed"
        ):
            cluster.compute(da.ones(3))


def test_workers_that_die_name_the_chunk_and_the_setting(processes: Cluster) -> None:
    def simulate(block_id: tuple[int, ...]) -> np.ndarray:
        if block_id[0] == 1:
            os._exit(1)
        return np.zeros(1)

    deadly = da.map_blocks(simulate, chunks=((1,) * 3,), dtype=float, meta=np.empty(0), name="simulate-3f")
    with pytest.raises(ClusterError) as error:
        processes.compute(deadly, chunk_paths=1024)
    # Dask lays a death on every task that the worker had been given
    assert re.fullmatch(
        r"cluster\.processes: one worker died in task simulate, chunk [012] \(from path (0|1,024|2,048)\), none seen "
        "above its limit of memory: either the task ends its process, or the system did for want of memory; for "
        r"the latter lower simulation\.chunk_paths or raise cluster\.memory_limit",
        str(error.value),
    )
    assert type(error.value.__cause__).__name__ == "KilledWorker"
