"""Publishing into Icechunk: one commit a run, what comes back is the run, and nothing else is ever committed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import icechunk
import numpy as np
import pytest
import xarray as xr

from riskops.errors import MissingExtraError, StoreError
from riskops.run import RunDirectory, open_run
from riskops.run.publish import publish


def commits(place: Path) -> list[object]:
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(place)))
    return list(repository.ancestry(branch="main"))


def test_a_run_is_one_commit(finished_run: Path, tmp_path: Path) -> None:
    snapshot = publish(RunDirectory(finished_run), to=str(tmp_path / "repository"))
    latest, *first = commits(tmp_path / "repository")
    assert latest.id == snapshot
    assert len(first) == 1, "the empty repository"
    manifest = json.loads((finished_run / "manifest.json").read_text("utf-8"))
    assert latest.message == "riskops run finished: A small job"
    assert latest.metadata["spec_hash"] == manifest["spec_hash"]
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path / "repository")))
    copy = xr.open_zarr(repository.readonly_session("main").store, group="finished", consolidated=False)
    original = open_run(finished_run)
    assert set(copy.variables) == set(original.variables)
    for name in original.variables:
        np.testing.assert_array_equal(copy[name].values, original[name].values)
    assert copy["loss"].attrs["units"] == original["loss"].attrs["units"]


def test_runs_stand_side_by_side_and_none_is_written_twice(finished_run: Path, run_copy: Path, tmp_path: Path) -> None:
    place = tmp_path / "repository"
    publish(RunDirectory(finished_run), to=str(place))
    publish(RunDirectory(run_copy), to=f"file://{place}")
    with pytest.raises(StoreError, match=r"^--to: .* holds a run 'copy' already; what is published is not written"):
        publish(RunDirectory(run_copy), to=str(place))
    assert len(commits(place)) == 3


def test_a_run_that_is_not_what_it_was_is_not_published(run_copy: Path, tmp_path: Path) -> None:
    chunks = run_copy / "results.zarr" / "loss" / "c" / "0" / "0" / "0"
    shutil.copy(chunks / "1", chunks / "2")  # whole, and another's
    with pytest.raises(StoreError, match=r"loss is not what the manifest says; nothing was published"):
        publish(RunDirectory(run_copy), to=str(tmp_path / "repository"))
    assert len(commits(tmp_path / "repository")) == 1


@pytest.mark.parametrize(
    ("to", "line"),
    [
        ("FILE/below", r"--to: .*/file/below can't be written: Not a directory; choose another folder"),
        ("file://host/x", r"--to: file://host/x names the host 'host'"),
        ("s3://", r"--to: s3:// names no bucket; write s3://bucket/prefix"),
    ],
)
def test_a_place_that_can_not_be_is_one_line(
    to: str, line: str, finished_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("taken")
    with pytest.raises(StoreError, match=f"^{line}"):
        publish(RunDirectory(finished_run), to=to.replace("FILE", str(tmp_path / "file")))
    assert capfd.readouterr().err == ""


def test_a_run_in_the_making_is_not_published(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "one").create()
    run.write_json("manifest.json", {"format": 1, "status": "partial"})
    with pytest.raises(StoreError, match="the run is not complete"):
        publish(run, to=str(tmp_path / "repository"))


def test_without_the_extra_it_says_which(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "icechunk", None)
    with pytest.raises(MissingExtraError, match=r"^icechunk: not installed; pip install 'riskops\[icechunk\]'$"):
        publish(RunDirectory(finished_run), to=str(tmp_path))
