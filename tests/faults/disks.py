"""Places that can't take a run, or no longer can: full, read-only, in use by another, locked by one that is gone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.commands import Command, stored_chunks, until
from tests.faults.ground import Ground, fault

__all__: list[str] = []

KINDS = (("--cluster", "threads"), ("--cluster", "processes", "--workers", "2"))


@contextmanager
def _small_disk(ground: Ground, megabytes: int) -> Iterator[Path]:
    folder = ground.place("disk")
    folder.mkdir()
    ground.system("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder))
    try:
        yield folder
    finally:
        ground.system("umount", "--lazy", str(folder))


def _fill(folder: Path) -> Path:
    """Somebody else's file that takes all that is free."""
    balloon = folder / "balloon"
    with balloon.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"\1" * 65536)
            except OSError:
                return balloon


@fault("disk full in mid-run", expected="one line; with room again resumed, same bytes", needs=("root", "mount"))
def full(ground: Ground) -> Iterator[None]:
    """A tmpfs that another file fills when so many chunks are stored."""
    for kind in KINDS:
        for chunks in (1, 24, 56):
            with _small_disk(ground, 192) as disk:
                place = disk / "run"
                with ground.run(place, *kind) as command:
                    if not ground.reach(command, lambda: stored_chunks(place) >= chunks, f"{chunks} chunks"):  # noqa: B023
                        continue
                    balloon = _fill(disk)
                    yield
                    ground.expect_line(
                        command, 2, "store.root: No space left on device", f"riskops runs resume {place}"
                    )
                balloon.unlink()
                ground.hold_resumed(place)


@fault("disk too small from the beginning", expected="refused in one line, nothing is left", needs=("root", "mount"))
def too_small(ground: Ground) -> Iterator[None]:
    """The plan knows the bytes of a run."""
    for megabytes in (1, 8, 24):
        with _small_disk(ground, megabytes) as disk:
            with ground.run(disk / "run") as command:
                ground.expect_line(command, 2, "store.root")
            yield
            ground.expect(not any(disk.iterdir()), f"{megabytes} MB: {list(disk.iterdir())} is left")


@fault(
    "disk turns read-only in mid-run", expected="one line; writable again, resumed, same bytes", needs=("root", "mount")
)
def read_only(ground: Ground) -> Iterator[None]:
    """What a kernel does with a file system that has errors."""
    for kind in KINDS:
        with _small_disk(ground, 192) as disk:
            place = disk / "run"
            with ground.run(place, *kind) as command:
                if not ground.reach(command, lambda: stored_chunks(place) >= 8, "8 chunks"):  # noqa: B023
                    continue
                ground.expect(until(lambda: _remounted(disk, "ro"), seconds=20.0), "could not be made read-only")
                yield
                ground.expect_line(command, 2, "store.root: Read-only file system", f"riskops runs resume {place}")
            _remounted(disk, "rw")
            ground.hold_resumed(place)


def _remounted(disk: Path, how: str) -> bool:
    """Remount; refused while a file is open for writing."""
    return os.system(f"mount -o remount,{how} {disk} 2>/dev/null") == 0


@fault("read-only directory", expected="refused in one line", needs=("root", "mount"))
def read_only_from_the_start(ground: Ground) -> Iterator[None]:
    """Permission bits do not bind root, so the file system is mounted read-only."""
    with _small_disk(ground, 192) as disk:
        _remounted(disk, "ro")
        with ground.run(disk / "run") as command:
            ground.expect_line(command, 2, "Read-only file system")
        yield


@fault("two writers on one run", expected="one does it, the others are told who; same bytes")
def two_writers(ground: Ground) -> Iterator[None]:
    """A second run into the same place, and a resume of what is under way."""
    place = ground.place()
    with ground.run(place) as first:
        if ground.reach(first, lambda: stored_chunks(place) >= 4, "4 chunks"):
            os.kill(first.pid, 19)  # stopped, so that it is under way while the others come
            for other in (ground.run(place), ground.resume(place)):
                ground.expect_line(other, 2, str(place))
                yield
            os.kill(first.pid, 18)
        ground.expect(first.result().status == 0, f"the first failed: {first.result().error[-400:]}")
    ground.hold(place)


@fault("two resume one run at once", expected="one does it, the other is told who; same bytes")
def two_resumes(ground: Ground) -> Iterator[None]:
    """Both begin in the same moment."""
    begun = ground.interrupted(ground.place())
    for _ in range(3):
        place = ground.copy_of(begun)
        both = [ground.resume(place) for _ in range(2)]
        results = [command.result() for command in both]
        yield
        done = [result for result in results if result.status == 0]
        refused = [result for result in results if result.status == 2]
        ground.expect(len(done) >= 1 and len(done) + len(refused) == 2, f"{[r.error[-300:] for r in results]}")
        ground.hold(place)


@fault("stale lock", expected="of a dead process: taken over; of another machine: one line, --break-lock resumes")
def stale_lock(ground: Ground) -> Iterator[None]:
    """What a killed client leaves, on this machine and on another that shares the folder."""
    begun = ground.interrupted(ground.place())
    ground.hold_resumed(ground.copy_of(begun))
    yield
    place = ground.copy_of(begun)
    lock = place.with_name(place.name + ".partial") / "lock.json"
    owner = json.loads(lock.read_text("utf-8"))
    lock.write_text(json.dumps(owner | {"host": "elsewhere", "machine": "another", "boot": "other"}), "utf-8")
    with ground.resume(place) as command:
        ground.expect_line(command, 2, "elsewhere", "--break-lock")
        yield
    broken = Command("runs", "resume", str(place), "--quiet", "--break-lock").result()
    ground.expect(broken.status == 0, f"--break-lock: {broken.error[-400:]}")
    ground.hold(place)
