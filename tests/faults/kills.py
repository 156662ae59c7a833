"""Processes that are killed: workers, the scheduler, and the client at every stage of a run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tests.faults.commands import RISKOPS, Command, stored_chunks, until
from tests.faults.ground import Ground, fault
from tests.faults.service import Service

__all__: list[str] = []

PROCESSES = ("--cluster", "processes", "--workers", "2")


def _reach(ground: Ground, command: Command, place: Path, chunks: int) -> bool:
    return ground.reach(command, lambda: stored_chunks(place) >= chunks, f"{chunks} chunks were stored")


def _two_workers(ground: Ground, command: Command) -> bool:
    return ground.reach(command, lambda: len(command.workers()) == 2, "there were two workers")


def _ended_well(ground: Ground, command: Command, place: Path) -> None:
    result = command.result()
    if ground.expect(result.status == 0, f"status {result.status}: {result.error.strip()[-400:]}"):
        ground.hold(place)


@fault("worker killed in mid-run", expected="the run goes on to the same bytes")
def one_worker(ground: Ground) -> Iterator[None]:
    """SIGKILL of one worker when so many chunks are stored; its nanny starts another."""
    for chunks in (1, 16, 32, 60):
        place = ground.place()
        with ground.run(place, *PROCESSES) as command:
            if _reach(ground, command, place, chunks) and _two_workers(ground, command):
                command.workers()[0].kill()
                yield
            _ended_well(ground, command, place)


@fault("all workers killed in mid-run", expected="the run goes on to the same bytes")
def all_workers(ground: Ground) -> Iterator[None]:
    """SIGKILL of every worker at once, and once more when the run has gone on."""
    for moments in ((1,), (32,), (8, 40)):
        place = ground.place()
        with ground.run(place, *PROCESSES) as command:
            for chunks in moments:
                if _reach(ground, command, place, chunks) and _two_workers(ground, command):
                    for worker in command.workers():
                        worker.kill()
                    yield
            _ended_well(ground, command, place)


@fault("all workers of a running scheduler killed, others join", expected="the run waits and goes on to the same bytes")
def all_workers_of_a_service(ground: Ground) -> Iterator[None]:
    """Workers without a nanny: nobody starts them again, until somebody does."""
    for chunks in (1, 32):
        place = ground.place()
        with Service(workers=2, nanny=False) as service, ground.run(place, "--cluster", service.address) as command:
            if _reach(ground, command, place, chunks):
                service.kill_workers()
                yield
                time.sleep(1.0)
                ground.expect(command.running, "the run did not wait for workers")
                service.add_workers(1)
            _ended_well(ground, command, place)


@fault(
    "all workers of a running scheduler killed for good",
    expected="one line after the patience set; resumed, same bytes",
)
def no_workers_for_good(ground: Ground) -> Iterator[None]:
    """Nobody starts them again: the client gives up after a time, which Dask's configuration sets."""
    patience = {"DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT": "3s"}
    place = ground.place()
    with (
        Service(workers=2, nanny=False) as service,
        ground.run(place, "--cluster", service.address, program=RISKOPS, **patience) as run,
    ):
        if _reach(ground, run, place, 8):
            service.kill_workers()
            yield
        result = run.result(60)
        said = result.last_line
        ground.expect(
            result.status == 2
            and "no worker" in said
            and "riskops runs resume" in said
            and "Traceback" not in result.error,
            f"status {result.status}: {result.error[-400:]}",
        )
    ground.hold_resumed(place, "--cluster", "threads")


@fault("scheduler killed", expected="one line within seconds; resumed, same bytes")
def scheduler(ground: Ground) -> Iterator[None]:
    """SIGKILL of a scheduler in a process of its own."""
    for chunks in (0, 8, 56):
        place = ground.place()
        with Service(workers=2) as service, ground.run(place, "--cluster", service.address) as command:
            begun = place.with_name("run.partial") / "manifest.json"
            if ground.reach(command, begun.exists, "it began") and _reach(ground, command, place, chunks):
                service.kill_scheduler()
                yield
            ground.expect_line(command, 2, "the scheduler was lost", f"riskops runs resume {place}")
        ground.hold_resumed(place, "--cluster", "threads")


# -- the client


@fault("client killed at a stage", expected="resumed, same bytes")
def client(ground: Ground) -> Iterator[None]:
    """SIGKILL of the command when the files say which stage it is in, on each kind of scheduler."""
    stages: dict[str, Callable[[Path], bool]] = {
        "before the first chunk": lambda partial: (partial / "manifest.json").exists(),
        "first chunk": lambda partial: (partial / "results.zarr/loss/c/0/0/0/0").exists(),
        "in mid-simulation": lambda partial: stored_chunks(partial.with_suffix("")) >= 30,
        "second pass": lambda partial: stored_chunks(partial.with_suffix("")) == 64,
        "results are written": lambda partial: (partial / "results.zarr/expected_shortfall").exists(),
        "before the last files": lambda partial: (partial / "results.json").exists(),
        "before the rename": lambda partial: (partial / "configuration.json").exists(),
    }
    for kind in (("--cluster", "threads"), PROCESSES):
        for stage, reached in stages.items():
            place = ground.place()
            partial = place.with_name("run.partial")
            with ground.run(place, *kind) as command:
                until(lambda: reached(partial), while_running=command)  # noqa: B023
                command.kill()
                if command.result().status == -signal.SIGKILL:  # else it was faster than the signal
                    yield
            if place.exists():
                ground.hold(place)
            elif (partial / "manifest.json").exists():
                ground.hold_resumed(place)
            else:
                ground.expect(False, f"{stage}: nothing is left of the run")


@fault("resume killed, and resumed again", expected="resumed, same bytes")
def resume_killed(ground: Ground) -> Iterator[None]:
    """A run that is cut off again each time that it is resumed."""
    place = ground.interrupted(ground.place(), chunks=4)
    for chunks in (12, 24, 36, 48):
        with ground.resume(place) as command:
            until(lambda: stored_chunks(place) >= chunks, while_running=command)  # noqa: B023
            command.kill()
        yield
    ground.hold_resumed(place)


@fault("SIGINT once", expected="status 130, one line; resumed, same bytes")
def interrupt(ground: Ground) -> Iterator[None]:
    """Ctrl-C to the command."""
    for kind in (("--cluster", "threads"), PROCESSES):
        for chunks in (1, 32):
            place = ground.place()
            with ground.run(place, *kind, program=RISKOPS) as command:
                if _reach(ground, command, place, chunks):
                    command.send(signal.SIGINT)
                    yield
                ground.expect_line(command, 130, "interrupted", f"riskops runs resume {place}")
            ground.hold_resumed(place)


@fault("SIGINT twice", expected="status 130, one line, no worker left; resumed, same bytes")
def interrupt_twice(ground: Ground) -> Iterator[None]:
    """An impatient user; the second comes while the first is being dealt with."""
    for kind in (("--cluster", "threads"), PROCESSES):
        for pause in (0.0, 0.003, 0.02, 0.1, 0.3):
            place = ground.place()
            with ground.run(place, *kind, program=RISKOPS) as command:
                if not _reach(ground, command, place, 16):
                    continue
                workers = command.workers()
                command.send(signal.SIGINT)
                time.sleep(pause)
                command.send(signal.SIGINT)
                yield
                ground.expect_line(command, 130, "interrupted", f"riskops runs resume {place}")
                gone = until(lambda: not any(map(psutil.Process.is_running, workers)), seconds=5.0)  # noqa: B023
                ground.expect(gone, f"workers outlive the command by 5 s ({kind[1]}, {pause} s)")
            ground.hold_resumed(place)


@fault("SIGTERM", expected="the directory is whole; resumed, same bytes")
def terminated(ground: Ground) -> Iterator[None]:
    """What a batch system, or a shutdown, sends first."""
    for kind in (("--cluster", "threads"), PROCESSES):
        place = ground.place()
        with ground.run(place, *kind, program=RISKOPS) as command:
            workers: list[psutil.Process] = []
            if _reach(ground, command, place, 16):
                workers = command.workers()
                command.send(signal.SIGTERM)
                yield
            ground.expect(command.result().status != 0, "the run did not notice")
            gone = until(lambda: not any(map(psutil.Process.is_running, workers)), seconds=10.0)  # noqa: B023
            ground.expect(gone, "workers outlive the command by 10 s")
        ground.hold_resumed(place)


@fault("the terminal is closed", expected="resumed, same bytes")
def hung_up(ground: Ground) -> Iterator[None]:
    """SIGHUP to the whole process group."""
    place = ground.place()
    with ground.run(place, *PROCESSES) as command:
        if _reach(ground, command, place, 16):
            os.killpg(command.pid, signal.SIGHUP)
            yield
        command.result()
    ground.hold_resumed(place)
