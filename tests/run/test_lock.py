"""One writer a run: who holds the lock is named, who is gone loses it, and what can't be judged stays."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import riskops
from riskops.errors import StoreError
from riskops.run import RunDirectory, lock
from riskops.run.lock import owned


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "one").create()
    run.write_json("manifest.json", {"format": 1, "status": "partial"})
    return run


def left_behind(run: RunDirectory, **changes: Any) -> None:
    """A lock of this process, but for the changes."""
    (run.partial / "lock.json").write_text(json.dumps(lock._owner() | changes))


def test_the_lock_names_its_owner_and_goes(run: RunDirectory) -> None:
    with owned(run):
        held = json.loads((run.partial / "lock.json").read_text())
        assert (held["pid"], held["riskops"]) == (os.getpid(), riskops.__version__)
        assert held["started"] is not None
    assert not (run.partial / "lock.json").exists()


def test_two_writers_are_one_too_many(run: RunDirectory) -> None:
    line = rf"one: process {os.getpid()} on .* \(riskops .*, since .*\) works on it \(lock\.json\); .* --break-lock"
    with owned(run):
        before = (run.partial / "lock.json").read_bytes()
        with pytest.raises(StoreError, match=line), owned(run):
            pass
        assert (run.partial / "lock.json").read_bytes() == before, "the owner keeps it"


def test_another_process_is_refused_until_it_is_killed(run: RunDirectory, caplog: pytest.LogCaptureFixture) -> None:
    script = (
        "import sys, time; from pathlib import Path; from riskops.run import RunDirectory\n"
        "from riskops.run.lock import owned\n"
        "with owned(RunDirectory(Path(sys.argv[1]))): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(run.path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {other.pid} on "), owned(run):
            pass
        other.kill()
        while lock._started(other.pid) is not None:  # until it is gone, or waits to be collected
            pass
        with owned(run):
            assert json.loads((run.partial / "lock.json").read_text())["pid"] == os.getpid()
    assert re.search(f"took the lock over from process {other.pid} on .*, which is gone", caplog.text)


GONE = {
    "no such process": {"pid": 2**22 + 7},
    "its number is another process's now": {"started": 1},
    "the machine was started anew": {"boot": "another", "pid": 1},
    "and the clock was put back": {"pid": 2**22 + 7, "since": "2999-01-01T00:00:00+00:00"},
}
UNKNOWN = {
    "another machine": {"host": "elsewhere", "machine": "other", "boot": "another", "pid": 2**22 + 7},
    "another machine of that name": {"machine": "other", "boot": "another", "pid": 2**22 + 7},
    "another container": {"pid_namespace": "pid:[1]", "pid": 2**22 + 7},
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with an id; not every container has one."""
    (tmp_path / "machine").write_text("0123456789abcdef")
    monkeypatch.setattr(lock, "MACHINE", tmp_path / "machine")


@pytest.mark.parametrize("changes", GONE.values(), ids=GONE)
@pytest.mark.usefixtures("machine")
def test_who_is_gone_loses_it(changes: dict[str, Any], run: RunDirectory, caplog: pytest.LogCaptureFixture) -> None:
    left_behind(run, **changes)
    with owned(run):
        pass
    assert "which is gone" in caplog.text
    assert not (run.partial / "lock.json").exists()


@pytest.mark.parametrize("changes", UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.usefixtures("machine")
def test_who_cannot_be_judged_keeps_it_until_the_user_breaks_it(
    changes: dict[str, Any], run: RunDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    left_behind(run, **changes)
    with pytest.raises(StoreError, match="works on it"), owned(run):
        pass
    with owned(run, break_lock=True):
        pass
    assert "was told to go (--break-lock)" in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}'])
def test_a_torn_lock_is_a_lock(text: str, run: RunDirectory) -> None:
    (run.partial / "lock.json").write_text(text)
    with pytest.raises(StoreError, match=r"an owner that can't be read works on it .*--break-lock"), owned(run):
        pass
    with owned(run, break_lock=True):
        pass


def test_of_many_that_find_a_lock_left_behind_one_gets_it(run: RunDirectory) -> None:
    left_behind(run, pid=2**22 + 7)
    won: list[int] = []

    def attempt(number: int) -> None:
        try:
            lock._take(run, lock._owner(), break_lock=False)
        except StoreError:
            return
        won.append(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, range(16)))
    assert len(won) == 1


def test_what_was_taken_away_is_not_removed(run: RunDirectory) -> None:
    with owned(run), owned(run, break_lock=True):
        theirs = (run.partial / "lock.json").read_bytes()
        assert theirs
    with owned(run):
        left_behind(run, token="theirs")
    assert (run.partial / "lock.json").exists()


def test_a_finished_run_holds_no_lock(run: RunDirectory) -> None:
    with owned(run):
        run.finish({"format": 1, "status": "complete"})
    assert [path.name for path in run.path.iterdir()] == ["manifest.json"]
