"""Tasks that fail, use too much memory, end their worker or take long; workers that stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from tests.faults.commands import RISKOPS, stored_chunks
from tests.faults.ground import CHUNK_PATHS, Ground, fault

__all__: list[str] = []

PROCESSES = ("--cluster", "processes", "--workers", "2")
CHUNK = 17
WHERE = {"FAULT_PATH": str(CHUNK * CHUNK_PATHS)}
NAMED = f"task simulate, chunk {CHUNK} (from path {CHUNK * CHUNK_PATHS:,})"


@fault("worker out of memory", expected="one line: chunk and cluster.memory_limit; resumed, same bytes")
def out_of_memory(ground: Ground) -> Iterator[None]:
    """A chunk that needs three times what a worker may use, whichever worker tries it."""
    place = ground.place()
    words = (*PROCESSES, "--set", "cluster.memory_limit=1GiB")
    with ground.run(place, *words, FAULT="memory", FAULT_SIZE="3e9", **WHERE) as command:
        ground.expect_line(
            command, 2, NAMED, "cluster.memory_limit", "ended for their memory", f"riskops runs resume {place}"
        )
        yield
    ground.hold_resumed(place)


@fault("poison task: the model raises on one chunk", expected="its own error with the chunk noted; resumed, same bytes")
def poison_raises(ground: Ground) -> Iterator[None]:
    """A mistake in a user's model: the traceback is theirs to read, and what was computed stays."""
    for kind in (("--cluster", "synchronous"), ("--cluster", "threads"), PROCESSES):
        place = ground.place()
        with ground.run(place, *kind, FAULT="raise", **WHERE) as command:
            result = command.result()
            yield
        parts = ("ZeroDivisionError: the model's own mistake", f"raised in {NAMED}", f"riskops runs resume {place}")
        good = result.status == 1 and all(part in result.error for part in parts)
        ground.expect(good, f"{kind[1]}: status {result.status}: {result.error[-600:]}")
        ground.hold_resumed(place)


@fault("poison task: one chunk kills its worker", expected="one line that names the chunk; resumed, same bytes")
def poison_kills(ground: Ground) -> Iterator[None]:
    """Every worker that tries the chunk dies."""
    place = ground.place()
    with ground.run(place, *PROCESSES, FAULT="die", **WHERE) as command:
        ground.expect_line(command, 2, NAMED, "4 workers died", f"riskops runs resume {place}")
        yield
    ground.hold_resumed(place)


@fault("slow task", expected="the run waits, same bytes")
def slow(ground: Ground) -> Iterator[None]:
    """One chunk takes longer than all others together."""
    for kind in (("--cluster", "threads"), PROCESSES):
        place = ground.place()
        with ground.run(place, *kind, FAULT="sleep", FAULT_SIZE="1", **WHERE) as command:
            result = command.result()
            yield
        ground.expect(result.status == 0, f"status {result.status}: {result.error[-400:]}")
        ground.hold(place)


@fault("worker paused for seconds", expected="the run goes on to the same bytes")
def paused(ground: Ground) -> Iterator[None]:
    """SIGSTOP, and after four seconds SIGCONT."""
    place = ground.place()
    with ground.run(place, *PROCESSES) as command:
        if ground.reach(command, lambda: stored_chunks(place) >= 8, "8 chunks were stored"):
            worker = command.workers()[0]
            worker.suspend()
            yield
            time.sleep(4.0)
            worker.resume()
        result = command.result()
    ground.expect(result.status == 0, f"status {result.status}: {result.error[-400:]}")
    ground.hold(place)


@fault("worker paused for ever", expected="replaced after worker-ttl, same bytes")
def paused_for_ever(ground: Ground) -> Iterator[None]:
    """SIGSTOP and no more; the time after which a silent worker is replaced is set to six seconds, from sixty."""
    place = ground.place()
    silence = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "6s"}
    with ground.run(place, *PROCESSES, program=RISKOPS, **silence) as command:
        if ground.reach(command, lambda: stored_chunks(place) >= 8, "8 chunks were stored"):
            command.workers()[0].send_signal(signal.SIGSTOP)
            yield
        result = command.result()
    ground.expect(result.status == 0, f"status {result.status}: {result.error[-400:]}")
    ground.hold(place)
