"""The client killed before its n-th operation on a file: every place between two operations is a place to die."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

from tests.faults.commands import ROOT
from tests.faults.ground import Ground, fault

__all__: list[str] = []

SMALL = ("--cluster", "synchronous", "--set", "simulation.paths=32768")
TIMES = 40


@fault(
    "client killed before its n-th file operation, n spread over the run",
    expected="resumed, same bytes, or nothing was begun",
)
def nth_operation(ground: Ground) -> Iterator[None]:
    """A first run counts how often a file is opened for writing, renamed or removed, or a folder made."""
    whole = ground.place("undisturbed")
    count = whole.with_name("count")
    done = ground.run(whole, *SMALL, FAULT_COUNT=str(count)).result()
    if not ground.expect(done.status == 0 and count.exists(), f"no count: {done.error[-400:]}"):
        return
    ground.undisturbed = whole
    operations = int(count.read_text("ascii"))
    for n in sorted({round(k * operations / TIMES) + 1 for k in range(TIMES)}):
        if n > operations:
            continue
        place = ground.place()
        with ground.run(place, *SMALL, FAULT_OPERATION=str(n)) as command:
            command.result()
        yield
        if (place / "manifest.json").exists():  # killed after the rename
            ground.hold(place)
        elif place.with_name("run.partial").joinpath("manifest.json").exists():
            ground.hold_resumed(place)
        else:  # before the first manifest nothing was computed: the run is begun again, in the same place
            again = ground.run(place, *SMALL).result()
            if again.status != 0:
                ground.tally.lost.append(f"operation {n}: {place} can't be begun again: {again.error[-400:]}")
            else:
                ground.hold(place)


@fault("the n-th write of a store fails, every n; every byte of a run changed", expected="the tests of the store pass")
def writes(ground: Ground) -> Iterator[None]:
    """Inside one process there are tests of it; counted is each that passes."""
    files = ("tests/run/test_failing_writes.py", "tests/run/test_every_byte.py", "tests/run/test_lock.py")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900)
    ground.expect(done.returncode == 0, f"status {done.returncode}: {done.stdout[-800:]}")
    passed = re.search(r"(\d+) passed", done.stdout)
    for _ in range(int(passed[1]) if passed else 0):
        yield
