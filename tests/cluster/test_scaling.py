"""Workers that come and go with the work, and the kernels that are there before they come."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

from riskops.cluster import Cluster, open_cluster, total_memory
from riskops.run.example import small_job
from riskops.run.warm import warm_kernels


def work(chunks: int, seconds: float) -> Any:
    def simulate(block_id: tuple[int, ...]) -> np.ndarray:
        time.sleep(seconds)
        return np.random.default_rng(block_id[0]).normal(size=4)

    return da.map_blocks(simulate, chunks=((4,) * chunks,), dtype=float, meta=np.empty(0), name="simulate-5f").sum()


def test_workers_follow_the_work_between_their_bounds() -> None:
    (expected,) = dask.compute(work(8, 0.0), scheduler="synchronous")
    quick = {"distributed.adaptive.interval": "100ms", "distributed.adaptive.target-duration": "1s"}
    with (
        dask.config.set({**quick, "distributed.adaptive.wait-count": 1}),
        open_cluster("processes", adaptive={"minimum": 1, "maximum": 2}) as cluster,
    ):
        assert cluster.client is not None
        # The plan reckons with the most there may be.
        assert (cluster.workers, cluster.threads) == (2, 2)
        assert cluster.memory_per_worker == total_memory() // 2
        assert len(cluster.client.scheduler_info(n_workers=-1)["workers"]) == 1
        cluster.client.submit(time.sleep, 0.1).result()
        plenty = cluster.client.compute(work(1000, 0.2))
        assert seen(cluster, 2), "no second worker came"
        plenty.cancel()
        assert cluster.compute(work(8, 0.0)) == (expected,)
        assert seen(cluster, 1), "the second worker stayed"
        assert cluster.compute(work(8, 0.0)) == (expected,)


def seen(cluster: Cluster, workers: int) -> bool:
    """Whether there come to be as many workers."""
    assert cluster.client is not None
    end = time.monotonic() + 60.0
    while time.monotonic() < end:
        if len(cluster.client.scheduler_info(n_workers=-1)["workers"]) == workers:
            return True
        time.sleep(0.1)
    return False


def test_kernels_are_compiled_here_before_workers_need_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = dask.compute

    def compute(*collections: Any, **options: Any) -> Any:
        asked.append(len(collections))
        return real(*collections, **options)

    monkeypatch.setattr(dask, "compute", compute)
    job = small_job()
    job = replace(job, spec=replace(job.spec, paths=4096))
    with open_cluster("synchronous") as cluster:
        warm_kernels(job, cluster=cluster)
        assert not asked, "threads of this process compile once anyway"
        elsewhere = replace(cluster, client=object())  # type: ignore[arg-type]
        warm_kernels(job, cluster=elsewhere)
        assert len(asked) == 1
        warm_kernels(replace(job, levels=(0.9999,)), cluster=elsewhere)
        warm_kernels(replace(job, device="cuda"), cluster=elsewhere)
        assert len(asked) == 1, "what can't be done with few paths is left to the workers"
