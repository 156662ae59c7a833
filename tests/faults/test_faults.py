"""The quickest of the faults that ``make faults`` injects: one process of a run dies, is interrupted, or fails."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import LocalCluster

from riskops.cluster import open_cluster
from riskops.errors import ClusterError
from tests.faults.commands import RISKOPS, stored_chunks
from tests.faults.ground import CHUNK_PATHS, CONFIGURATION, Ground

#: One chunk of sixteen takes a second, so that the others are stored and the run is not done.
SLOW = {"FAULT": "sleep", "FAULT_SIZE": "0.2", "FAULT_PATH": str(15 * CHUNK_PATHS)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The configuration and a run that nothing befell."""
    folder = tmp_path_factory.mktemp("undisturbed")
    configuration = folder / "job.yaml"
    configuration.write_text(CONFIGURATION.replace("262144", "65536"), "utf-8")
    place = folder / "run"
    result = Ground(folder, configuration, place).run(place).result()
    assert result.status == 0, result.error
    return configuration, place


@pytest.fixture
def ground(undisturbed: tuple[Path, Path], tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path, *undisturbed)
    yield ground
    assert ground.tally.survived, ground.tally


def stored(place: Path) -> bool:
    return stored_chunks(place) >= 8


def test_a_killed_worker_does_not_matter(ground: Ground) -> None:
    place = ground.place()
    with ground.run(place, "--cluster", "processes", "--workers", "2", **SLOW) as command:
        assert ground.reach(command, lambda: stored(place), "8 chunks")
        command.workers()[0].kill()
        assert command.result().status == 0
    assert ground.hold(place)


def test_a_killed_client_loses_nothing(ground: Ground) -> None:
    place = ground.place()
    with ground.run(place, **SLOW) as command:
        assert ground.reach(command, lambda: stored(place), "8 chunks")
        command.kill()
    assert not place.exists()
    assert ground.hold_resumed(place)


def test_two_interrupts_end_in_one_line(ground: Ground) -> None:
    place = ground.place()
    with ground.run(place, program=RISKOPS, **SLOW) as command:
        assert ground.reach(command, lambda: stored(place), "8 chunks")
        command.send(signal.SIGINT)
        time.sleep(0.02)
        command.send(signal.SIGINT)
        ground.expect_line(command, 130, "interrupted", f"riskops runs resume {place}")
    assert ground.hold_resumed(place)


def test_a_model_that_fails_names_its_chunk(ground: Ground) -> None:
    place = ground.place()
    result = ground.run(place, FAULT="raise", FAULT_PATH=str(9 * CHUNK_PATHS)).result()
    assert result.status == 1
    assert result.error.splitlines()[-3:] == [
        "ZeroDivisionError: the model's own mistake",
        "raised in task simulate, chunk 9 (from path 36,864)",
        f"what was computed is kept: riskops runs resume {place}",
    ]


def test_a_worker_out_of_memory_names_chunk_and_setting() -> None:
    def simulate(block_id: tuple[int, ...]) -> np.ndarray:
        held = np.ones(80_000_000 if block_id[0] == 2 else 1)
        time.sleep(2.0 * (held.size > 1))
        return held[:1]

    chunks = da.map_blocks(simulate, chunks=((1,) * 4,), dtype=float, meta=np.empty(0), name="simulate-4f")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        open_cluster("processes", workers=1, memory_limit="512MiB") as cluster,
        pytest.raises(ClusterError) as error,
    ):
        cluster.compute(chunks, chunk_paths=4096)
    line = str(error.value)
    assert line.startswith(
        "cluster.memory_limit: one worker died in task simulate, chunk 2 (from path 8,192), 1 of them ended for "
    )
    assert line.endswith(
        "of the 512.00 MiB that a worker may use; lower simulation.chunk_paths or raise cluster.memory_limit"
    )
    assert type(error.value.__cause__).__name__ == "KilledWorker"


def test_workers_that_do_not_come_back_are_not_waited_for_for_ever() -> None:
    def simulate(block_id: tuple[int, ...]) -> np.ndarray:
        time.sleep(0.2)
        return np.zeros(1)

    chunks = da.map_blocks(simulate, chunks=((1,) * 50,), dtype=float, meta=np.empty(0), name="simulate-5f")
    with (
        dask.config.set({"distributed.scheduler.no-workers-timeout": "1s"}),
        LocalCluster(
            n_workers=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs="CRITICAL",
        ) as local,
        open_cluster("address", address=local.scheduler_address) as cluster,
    ):
        local.scheduler.no_workers_timeout = None  # a scheduler elsewhere knows nothing of this process's setting
        local.scale(0)
        with pytest.raises(ClusterError, match=r"^cluster\.address: no worker has been there for 1 s; start some"):
            cluster.compute(chunks)
