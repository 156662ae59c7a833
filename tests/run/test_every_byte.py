"""Whatever byte of a finished run is changed, verify says so: one of every file is."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskops.errors import StoreError
from riskops.run import RunDirectory, open_run, verify


def spoil(path: Path, chance: random.Random) -> None:
    """Another value for one byte, anywhere in the file."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
    path.write_bytes(bytes(content))


def named(wrong: list[str]) -> set[str]:
    return {line.partition(":")[0] for line in wrong}


def said(place: Path) -> str:
    """What verify has to say, as an error or in its lines."""
    try:
        return "\n".join(verify(RunDirectory(place)))
    except StoreError as problem:
        return str(problem)


@pytest.fixture
def chance() -> random.Random:
    return random.Random(20)


def test_a_byte_of_every_chunk(run_copy: Path, chance: random.Random) -> None:
    names = {str(name) for name in open_run(run_copy).data_vars}
    store = run_copy / "results.zarr"
    for name in names:
        for path in (store / name / "c").rglob("*"):
            if path.is_file():
                spoil(path, chance)
        if (store / name / "c").is_file():
            spoil(store / name / "c", chance)
    spoil(next(path for path in (store / "prices" / "price" / "c").rglob("*") if path.is_file()), chance)
    assert named(verify(RunDirectory(run_copy))) == {f"results.zarr/{name}" for name in {*names, "prices"}}


@pytest.mark.parametrize("coordinate", ["portfolio", "level", "prices/observation", "prices/asset"])
def test_a_byte_of_a_coordinate(coordinate: str, run_copy: Path, chance: random.Random) -> None:
    spoil(run_copy / "results.zarr" / coordinate / "c" / "0", chance)
    assert named(verify(RunDirectory(run_copy))) == {"results.zarr"}, "xarray reads it to open the store"


def test_a_byte_of_every_metadata_file(run_copy: Path, chance: random.Random) -> None:
    """Units, dims and descriptions are no part of any array's checksum."""
    files = list((run_copy / "results.zarr").rglob("zarr.json"))
    assert len(files) > 60
    for path in files:
        spoil(path, chance)
    assert named(verify(RunDirectory(run_copy))) == {str(path.relative_to(run_copy)) for path in files}


def test_a_byte_of_every_other_file(run_copy: Path, chance: random.Random) -> None:
    files = [path for path in run_copy.iterdir() if path.is_file() and path.name != "manifest.json"]
    for path in files:
        spoil(path, chance)
    assert named(verify(RunDirectory(run_copy))) == {path.name for path in files}


def spoilt_manifests(text: bytes) -> Iterator[bytes]:
    """Any byte changed; and what leaves the JSON as it was: a space for a line's end, a fraction's zero, a key
    again."""
    chance = random.Random(3)
    for _ in range(40):
        content = bytearray(text)
        content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
        yield bytes(content)
    yield text.replace(b"\n", b" ", 1)
    yield text.rstrip(b"\n")
    yield text.replace(b'"format": 1', b'"format": 2, "format": 1')


def test_any_byte_of_the_manifest(finished_run: Path, tmp_path: Path) -> None:
    """The rest of the run is taken away, so that only the manifest is judged, and soon."""
    place = Path(shutil.copytree(finished_run, tmp_path / "copy", ignore=shutil.ignore_patterns("results.zarr")))
    text = (place / "manifest.json").read_bytes()
    assert not any(line.startswith("manifest.json") for line in verify(RunDirectory(place)))
    for spoilt in spoilt_manifests(text):
        (place / "manifest.json").write_bytes(spoilt)
        assert "manifest.json" in said(place), spoilt[:200]


def test_a_truncated_file_of_any_kind(run_copy: Path) -> None:
    (run_copy / "report.html").write_bytes(b"")
    metadata = run_copy / "results.zarr" / "loss" / "zarr.json"
    metadata.write_bytes(metadata.read_bytes()[:-7])
    (run_copy / "results.zarr" / "es" / "zarr.json").parent.mkdir()
    assert named(verify(RunDirectory(run_copy))) == {"report.html", "results.zarr/loss/zarr.json"}
