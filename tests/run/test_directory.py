"""The run directory: ids stay under the root, a place holds one run, and none is read before it is finished."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import StoreError
from riskops.run import RunDirectory, find_run, list_runs, new_run_id, open_run

#: What contract C9 allows as a run's id.
RUN_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def begin(folder: Path, name: str = "one") -> RunDirectory:
    """A run that was begun and cut off."""
    run = RunDirectory(folder / name).create()
    run.write_json("manifest.json", {"format": 1, "status": "partial"})
    return run


@given(st.text())
def test_a_new_id_is_safe_whatever_the_configuration_is_called(name: str) -> None:
    assert RUN_ID.fullmatch(new_run_id(name))


def test_a_new_id_is_the_configuration_and_the_time() -> None:
    moment = datetime(2026, 11, 21, 7, 5, 9, tzinfo=UTC)
    assert new_run_id("Market Risk", now=moment) == "market-risk-20261121t070509z"
    assert new_run_id("../../etc/passwd", now=moment) == "etc-passwd-20261121t070509z"
    assert new_run_id("...", now=moment) == "run-20261121t070509z"


def test_a_run_is_built_beside_its_place() -> None:
    run = RunDirectory(Path("runs/one"))
    assert (run.partial, run.complete, run.resumable) == (Path("runs/one.partial"), False, False)
    assert RunDirectory(Path("a.b")).partial == Path("a.b.partial")


def test_a_begun_run_is_finished_under_its_name(tmp_path: Path) -> None:
    run = begin(tmp_path)
    assert (run.complete, run.resumable, run.home) == (False, True, run.partial)
    (run.partial / "checkpoints").mkdir()
    (run.partial / "checkpoints" / "state").write_text("x")
    assert run.finish({"format": 1, "status": "complete"}) == tmp_path / "one"
    assert (run.complete, run.resumable, run.home) == (True, False, run.path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]
    assert [path.name for path in run.path.iterdir()] == ["manifest.json"], "checkpoints go"


@pytest.mark.parametrize(
    ("taken", "line"),
    [
        ("one", "--out: {}/one exists; choose another directory"),
        (
            "one.partial/manifest.json",
            "--out: {0}/one.partial holds an interrupted run; resume it: riskops runs resume {0}/one",
        ),
        ("one.partial/notes.txt", "--out: {}/one.partial is in the way and is no run; move it"),
    ],
)
def test_a_place_that_is_taken_is_refused(taken: str, line: str, tmp_path: Path) -> None:
    place = tmp_path / taken
    place.parent.mkdir(exist_ok=True)
    place.write_text("mine")
    with pytest.raises(StoreError, match=f"^{re.escape(line.format(tmp_path))}$"):
        RunDirectory(tmp_path / "one").create()
    assert place.read_text() == "mine"


def test_a_name_that_marks_runs_in_the_making_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"one\.partial ends in \.partial, which marks runs in the making"):
        RunDirectory(tmp_path / "one.partial").check_free()


def test_a_place_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"--out: .*file/one\.partial can't be made: Not a directory"):
        RunDirectory(tmp_path / "file" / "one").create()


def test_what_was_killed_before_its_manifest_makes_room(tmp_path: Path) -> None:
    (tmp_path / "one.partial" / "results.zarr").mkdir(parents=True)
    run = RunDirectory(tmp_path / "one").create()
    assert list(run.partial.iterdir()) == []


def test_a_run_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    run = begin(tmp_path)
    run.path.mkdir()
    with pytest.raises(StoreError, match=r"appeared while the run was made; the run is kept in .*one\.partial"):
        run.finish({"format": 1})
    assert run.resumable


def test_files_are_written_whole_and_json_has_no_nan(tmp_path: Path) -> None:
    run = begin(tmp_path)
    run.write_json("facts.json", {"b": "é", "a": None})
    assert (run.partial / "facts.json").read_text("utf-8") == '{\n "b": "é",\n "a": null\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        run.write_json("facts.json", {"a": np.nan})
    assert json.loads((run.partial / "facts.json").read_text())["b"] == "é"
    assert sorted(path.name for path in run.partial.iterdir()) == ["facts.json", "manifest.json"]


@pytest.mark.parametrize("name", ["one", "{}/one", "{}/one.partial", "one.partial"])
def test_a_run_is_found_by_id_and_by_path(name: str, tmp_path: Path) -> None:
    begin(tmp_path)
    if name == "one.partial":
        name = str(tmp_path / name)
    found = find_run(name.format(tmp_path), root=tmp_path)
    assert found.path == tmp_path / "one"


def test_a_run_is_found_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(tmp_path)
    monkeypatch.chdir(run.partial)
    assert find_run(".", root=Path("runs")).path.resolve() == run.path
    monkeypatch.chdir(tmp_path)
    assert find_run("one", root=Path("runs")).path == Path("one"), "here comes before the root"


@pytest.mark.parametrize("name", ["../one", "..", "/", "", ".", "nothing", "../../etc", "one/../../one", "ONE", "-one"])
def test_an_id_never_leaves_the_root(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``one`` lies beside the root: no id reaches it, and what is a path is taken from here, not from the root."""
    begin(tmp_path, "one")
    (tmp_path / "runs").mkdir()
    (tmp_path / "here" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "deep")
    line = f"run: {name!r} is neither the id of a run under {tmp_path / 'runs'} nor the path of one"
    with pytest.raises(StoreError, match=f"^{re.escape(line)}$"):
        find_run(name, root=tmp_path / "runs")


def test_runs_are_listed_with_their_state(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "done").symlink_to(finished_run, target_is_directory=True)
    begin(tmp_path, "cut")
    for name, text in (("torn", '{"format": 1, "what"'), ("foreign", '{"format": 9}'), ("list", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    (tmp_path / "no run").mkdir()
    rows = {run.path.name: run.summary() for run in list_runs(tmp_path)}
    assert list(rows) == ["cut", "done", "foreign", "list", "torn"]
    assert {name: row["status"] for name, row in rows.items() if name != "done"} == dict.fromkeys(
        ("cut", "foreign", "list", "torn"), "damaged manifest"
    )
    done = rows["done"]
    assert (done["status"], done["paths"], done["portfolios"], done["scenarios"]) == ("complete", 5000, 2, 4)
    assert list(list_runs(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", r"manifest\.json is damaged \(.*\)"),
        ('{"format": 2}', r"manifest\.json is not of a format this version reads"),
        ("[]", r"manifest\.json is not of a format this version reads"),
    ],
)
def test_a_damaged_manifest_is_an_error(text: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match=line):
        open_run(tmp_path)


def test_an_incomplete_run_is_never_read(finished_run: Path, tmp_path: Path) -> None:
    os.symlink(finished_run, tmp_path / "one.partial", target_is_directory=True)
    with pytest.raises(StoreError, match=r"one: the run is not complete; finish it \(riskops runs resume .*one\)"):
        open_run(tmp_path / "one")
    with pytest.raises(StoreError, match=r"nothing: is no run directory, manifest\.json is missing"):
        open_run(tmp_path / "nothing")
