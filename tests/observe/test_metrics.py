"""The metrics of a job, scraped while it runs."""

from __future__ import annotations

import socket
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from riskops.cli import app
from riskops.cluster import Cluster, open_cluster
from riskops.errors import InputError, MissingExtraError
from riskops.observe.metrics import metric_address, serve_metrics
from riskops.progress import Progress, Work

GO = threading.Event()
THERE = threading.Event()
LOCK = threading.Lock()
BEGUN: list[int] = []


def scrape(link: str) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    text = urllib.request.urlopen(link, timeout=10).read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def simulate(block: np.ndarray) -> np.ndarray:
    """Two chunks at once, the third that begins when it is told to."""
    with LOCK:
        BEGUN.append(1)
        third = len(BEGUN) == 3
    if third:
        THERE.set()
        assert GO.wait(60.0)
    return block


def wait_while_scraped(cluster: Cluster, wait: int) -> tuple[dict[tuple[str, ...], float], str]:
    """Scrape when two of four chunks are done; also where the metrics were."""
    GO.clear()
    THERE.clear()
    BEGUN.clear()
    chunks = da.map_blocks(simulate, da.ones(4, chunks=1), dtype=float, meta=np.empty(0), name=f"simulate-{wait}0")
    progress = Progress(quiet=True)
    progress.work = Work(paths=40, chunk_paths=10, bytes_per_path={"simulate": 8}, run="watched")
    with serve_metrics("0", progress=progress, cluster=cluster) as link:
        assert link.startswith("http://127.0.0.1:")
        assert scrape(link)["riskops_paths",] == 0
        work = threading.Thread(target=cluster.compute, args=(chunks,), kwargs={"progress": progress})
        with dask.config.set({"optimization.fuse.active": False}):
            work.start()
            try:
                assert THERE.wait(60.0)
                for _ in range(200):
                    seen = scrape(link)
                    if seen.get(("riskops_tasks", "simulate", "done"), 0.0) >= 2.0:
                        break
                    threading.Event().wait(0.02)
            finally:
                GO.set()
                work.join()
        after = scrape(link)
    assert after["riskops_tasks_done_total", "simulate"] == 4.0
    assert after["riskops_stage_paths_total", "simulate"] == 40.0
    return seen, link


def test_a_job_on_threads_is_scraped_while_it_runs() -> None:
    with open_cluster("synchronous") as cluster:
        seen, link = wait_while_scraped(cluster, 1)
    assert seen["riskops_run_info", "watched"] == 1.0
    assert 20.0 <= seen["riskops_paths",] < 40.0
    assert seen["riskops_paths_planned",] == 40.0
    assert seen["riskops_bytes_written_total", "simulate"] == 8 * seen["riskops_paths",]
    assert seen["riskops_tasks", "simulate", "running"] >= 1.0
    assert seen["riskops_seconds",] > 0.0
    assert (seen["riskops_workers",], seen["riskops_threads",]) == (1.0, 1.0)
    assert seen["riskops_memory_bytes", "this process"] > 2**20
    with pytest.raises(urllib.error.URLError):
        scrape(link)


def test_workers_and_their_memory_are_the_schedulers() -> None:
    options = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}, "silence_logs": "CRITICAL"}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, **options) as local, Client(local) as client:
        cluster = Cluster("address", 2, 2, 2**30, None, client, {"scheduler": client})
        seen, _ = wait_while_scraped(cluster, 2)
        workers = set(client.scheduler_info()["workers"])
    assert seen["riskops_workers",] == 2.0
    assert {key[1] for key in seen if key[0] == "riskops_memory_bytes"} == workers
    assert seen["riskops_workers_lost_total",] == 0.0


def test_the_command_says_where_the_metrics_are(small_configuration: Path, tmp_path: Path) -> None:
    words = ["run", str(small_configuration), "--out", str(tmp_path / "one"), "--set", "report.html=false"]
    result = CliRunner().invoke(app, [*words, "--metrics-port", "0"])
    assert result.exit_code == 0
    assert "metrics: http://127.0.0.1:" in result.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["runs", "resume", str(tmp_path / "one"), "--metrics-port", str(port)])
        assert result.exit_code == 2
        assert result.stderr.startswith(f"riskops: --metrics-port: 127.0.0.1:{port} can't be used: Address already")


@pytest.mark.parametrize("text", ["", "x", "host:", ":9100", "70000", "-1"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--metrics-port: .* is neither a port"):
        metric_address(text)


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with (
        open_cluster("synchronous") as cluster,
        pytest.raises(MissingExtraError, match=r"pip install 'riskops\[metrics\]'"),
        serve_metrics("0", progress=Progress(quiet=True), cluster=cluster),
    ):
        raise AssertionError("served")
