"""The n-th write fails, for any n: the run ends in one line that says so, and resumes to the same bytes.

Everything that reaches the disk is counted: chunks, records and metadata (``write_object``), what zarr writes itself,
the files of the directory, every flush and every rename. The default run takes some of the n; all of them are taken by
``-m long``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zarr.storage

from riskops.cluster import open_cluster
from riskops.config import Config, config_from_mapping
from riskops.errors import RiskopsError
from riskops.run import RunDirectory, execute, prepare, resume
from riskops.simulation import chunkfile, records, store

CONFIGURATION = {
    "market": {"prices": "sp500", "start": "2022-01-03", "assets": ["KO"]},
    "portfolios": [{"name": "all", "capital": 1000.0, "weights": "equal"}],
    "simulation": {"paths": 2500, "seed": 1, "chunk_paths": 1024},
    "risk": {"levels": [0.95], "horizons": [1], "historical": False},
    "report": {"html": False},
}


class Nth:
    """Counts calls of what it wraps, and fails the n-th."""

    def __init__(self, n: int | None) -> None:
        self.n, self.calls = n, 0

    def count(self) -> None:
        self.calls += 1
        if self.calls == self.n:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.count()
            return function(*args, **kwargs)

        return counted


@contextmanager
def failing_writes(n: int | None) -> Iterator[Nth]:
    """The n-th write fails: of an object, of a file of the directory, or of a key that zarr sets."""
    nth = Nth(n)
    with pytest.MonkeyPatch.context() as patch:
        for module in (chunkfile, records, store):
            patch.setattr(module, "write_object", nth.before(module.write_object))
        patch.setattr(RunDirectory, "write_text", nth.before(RunDirectory.write_text))
        patch.setattr(zarr.storage.LocalStore, "set", nth.before(zarr.storage.LocalStore.set))
        yield nth


@contextmanager
def failing_flushes(n: int | None) -> Iterator[Nth]:
    """The n-th flush or rename fails."""
    nth = Nth(n)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "replace", "rename"):
            patch.setattr(os, name, nth.before(getattr(os, name)))
        yield nth


def begun(config: Config, place: Path) -> Path:
    with open_cluster("synchronous") as cluster:
        return execute(prepare(config), configuration=config.resolved(), out=place, cluster=cluster, html=False)


def ended(config: Config, place: Path) -> Path:
    """Resume, or begin where nothing was begun."""
    run = RunDirectory(place)
    if not run.resumable:
        return run.path if run.complete else begun(config, place)
    with open_cluster("synchronous") as cluster:
        return resume(run, cluster=cluster)


def content(run: Path) -> dict[str, str]:
    """The sha256 of every file, but for what a manifest says of this very run."""
    found = {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in run.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    same = ("spec_hash", "what", "arrays", "metadata", "files")
    return found | {name: json.dumps(manifest[name], sort_keys=True) for name in same}


@pytest.fixture(scope="module")
def config() -> Config:
    return config_from_mapping(CONFIGURATION)


@pytest.fixture(scope="module")
def undisturbed(config: Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return content(begun(config, tmp_path_factory.mktemp("undisturbed") / "run"))


def survived(failing: Callable[[int | None], Any], n: int, config: Config, folder: Path) -> dict[str, str]:
    """What is there after the n-th failed and the run was ended."""
    place = folder / f"{n}"
    with failing(n) as nth, pytest.raises(RiskopsError) as caught:
        begun(config, place)
    assert nth.calls >= n
    line = str(caught.value)
    assert "\n" not in line
    assert "No space left on device" in line
    found = content(ended(config, place))
    left = [path.name for path in folder.iterdir() if path.name.startswith(f"{n}.")]
    assert left == [], "nothing half-made is left"
    return found


def count_of(failing: Callable[[int | None], Any], config: Config, folder: Path) -> int:
    with failing(None) as nth:
        begun(config, folder / "count")
    return int(nth.calls)


WAYS = [failing_writes, failing_flushes]


@pytest.mark.parametrize("failing", WAYS, ids=["writes", "flushes and renames"])
def test_whichever_write_fails_nothing_is_lost(
    failing: Callable[[int | None], Any], config: Config, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    total = count_of(failing, config, tmp_path)
    assert total > 60
    for n in sorted({1, 4, 9, *range(15, total, total // 3), total}):
        assert survived(failing, n, config, tmp_path) == undisturbed, n


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("failing", WAYS, ids=["writes", "flushes and renames"])
def test_every_single_write_may_fail(
    failing: Callable[[int | None], Any], config: Config, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    for n in range(1, count_of(failing, config, tmp_path) + 1):
        assert survived(failing, n, config, tmp_path) == undisturbed, n
