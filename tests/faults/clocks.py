"""Clocks that are wrong, or are put right: no figure, no lock and no resume depends on the time of day."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.faults.commands import RISKOPS, stored_chunks
from tests.faults.ground import Ground, fault

__all__: list[str] = []


def _library() -> str:
    """libfaketime, which answers for the system when a program asks the time."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return str(found[0])


@fault("clock put back, or forward, between run and resume", expected="resumed, same bytes", needs=("faketime",))
def between(ground: Ground) -> Iterator[None]:
    """By ten days."""
    begun = ground.interrupted(ground.place())
    for shift in ("-10d", "+10d"):
        wrong = {"LD_PRELOAD": _library(), "FAKETIME": shift, "DONT_FAKE_MONOTONIC": "1"}
        place = ground.copy_of(begun)
        result = ground.resume(place, program=RISKOPS, **wrong).result()
        yield
        if ground.expect(result.status == 0, f"{shift}: status {result.status}: {result.error[-400:]}"):
            ground.hold(place)


@fault("clock jumps in mid-run", expected="the run goes on to the same bytes", needs=("faketime",))
def jump(ground: Ground) -> Iterator[None]:
    """For client, scheduler and workers, forward by an hour, and back by five seconds.

    Dask's timers follow the clock: a run on worker processes stands still for as long as the clock was put back.
    """
    for shift in ("-5", "+3600"):
        place = ground.place()
        clock = place.with_name("clock")
        clock.write_text("+0", "ascii")
        faked = {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        with ground.run(place, "--cluster", "processes", "--workers", "2", program=RISKOPS, **faked) as command:
            if ground.reach(command, lambda: stored_chunks(place) >= 8, "8 chunks were stored"):  # noqa: B023
                clock.write_text(shift, "ascii")
                yield
            result = command.result()
        if ground.expect(result.status == 0, f"{shift}: status {result.status}: {result.error[-400:]}"):
            ground.hold(place)
