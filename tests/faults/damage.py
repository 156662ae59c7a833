"""Files that are not what they were: between a kill and the resume, in a finished run, and before a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.commands import Command
from tests.faults.ground import Ground, fault

__all__: list[str] = []


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def _zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "cut": _cut,
    "empty": _empty,
    "flipped": _flip,
    "zeros": _zero,
}


def _chunk(place: Path) -> Path:
    """A stored chunk of a partial run."""
    folder = place.with_name(place.name + ".partial") / "results.zarr/loss/c/0/0/0"
    return sorted(path for path in folder.iterdir() if path.name.isdigit())[1]


@fault("chunk missing, torn, empty, bit-flipped or zeroed before resume", expected="made again, same bytes")
def chunks(ground: Ground) -> Iterator[None]:
    """One of the chunks that a killed run stored."""
    begun = ground.interrupted(ground.place(), chunks=12)
    for damage in DAMAGE.values():
        place = ground.copy_of(begun)
        damage(_chunk(place))
        yield
        ground.hold_resumed(place)


@fault("foreign chunk before resume", expected="made again, same bytes")
def foreign(ground: Ground) -> Iterator[None]:
    """Whole chunks with a right CRC32C of their own: of another place in the run, and of a run with another seed."""
    begun = ground.interrupted(ground.place(), chunks=12)
    other = ground.place("other")
    done = ground.run(other, "--set", "simulation.seed=8").result()
    ground.expect(done.status == 0, f"the other run failed: {done.error[-400:]}")
    place = ground.copy_of(begun)
    victim = _chunk(place)
    shutil.copy(next(path for path in victim.parent.iterdir() if path.name.isdigit() and path != victim), victim)
    yield
    ground.hold_resumed(place)
    place = ground.copy_of(begun)
    victim = _chunk(place)
    shutil.copy(other / "results.zarr/loss/c/0/0/0" / victim.name, victim)
    yield
    ground.hold_resumed(place)


@fault("any other file of a partial run damaged before resume", expected="same bytes, or one line that names it")
def partial_files(ground: Ground) -> Iterator[None]:
    """Metadata, prices, checkpoints and records, cut off or with a bit flipped: never another figure."""
    begun = ground.interrupted(ground.place(), chunks=12)
    home = begun.with_name(begun.name + ".partial")
    files = [path.relative_to(home) for path in home.rglob("*") if path.is_file() and path.name != "lock.json"]
    chunked = [path for path in files if path.name.isdigit() and "loss" in path.parts]
    seen: set[str] = set()
    for name in sorted(set(files) - set(chunked)):
        pattern = "".join("#" if letter.isdigit() else letter for letter in str(name))
        if pattern in seen:  # one of each kind
            continue
        seen.add(pattern)
        for damage in ("cut", "flipped"):
            place = ground.copy_of(begun)
            target = place.with_name(place.name + ".partial") / name
            if target.stat().st_size == 0:
                continue
            DAMAGE[damage](target)
            yield
            result = ground.resume(place).result()
            if result.status == 0:
                ground.hold(place)
            else:
                lines = result.error.strip().splitlines()
                good = result.status == 2 and "Traceback" not in result.error and len(lines) <= 2
                ground.expect(good, f"{name} {damage}: status {result.status}: {result.error[-500:]}")


@fault("any file of a finished run damaged", expected="riskops runs verify says so, status 1 or 2")
def finished_files(ground: Ground) -> Iterator[None]:
    """A bit of each file, one of each kind."""
    seen: set[str] = set()
    for path in sorted(path for path in ground.undisturbed.rglob("*") if path.is_file() and path.stat().st_size):
        name = path.relative_to(ground.undisturbed)
        pattern = "".join("#" if letter.isdigit() else letter for letter in str(name))
        if pattern in seen or (len(name.parts) > 2 and name.parts[1] not in ("loss", "prices", "value_at_risk")):
            continue
        seen.add(pattern)
        whole = path.read_bytes()
        try:
            _flip(path)
            result = Command("runs", "verify", str(ground.undisturbed)).result()
            yield
            if result.status not in (1, 2) or "Traceback" in result.error:
                ground.tally.wrong.append(f"{name}: verify: status {result.status}, {result.error[-300:]}")
        finally:
            path.write_bytes(whole)


@fault("truncated configuration", expected="one line, or a whole run of what is left")
def configuration(ground: Ground) -> Iterator[None]:
    """A configuration file that was cut off while it was copied."""
    text = ground.configuration.read_text("utf-8")
    for share in (0.0, 0.2, 0.4, 0.55):
        file = ground.place("job.yaml")
        file.write_text(text[: int(len(text) * share)], "utf-8")
        result = Command("plan", str(file)).result()
        yield
        good = result.status in (0, 2) and "Traceback" not in result.error
        ground.expect(good, f"{share}: status {result.status}: {result.error[-400:]}")
