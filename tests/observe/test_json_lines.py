"""``--log-json``: every line of standard error is one JSON object, whatever happens."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import threading
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import typer
from distributed import Client, LocalCluster
from typer.testing import CliRunner

from riskops.cli import app
from riskops.cli.frame import guarded, say
from riskops.observe.json_lines import json_lines
from riskops.progress import Progress, Work, tell
from riskops.progress import telling as telling_module


def records(text: str) -> list[dict[str, Any]]:
    """The lines of a log, each held to what every line has."""
    found = [json.loads(line) for line in text.splitlines()]
    for record in found:
        age = datetime.now(UTC) - datetime.fromisoformat(record["time"])
        assert timedelta(0) <= age + timedelta(seconds=1) < timedelta(minutes=5)
        assert record["level"] in ("info", "warning", "error", "critical")
        assert record["event"]
    return found


def ask(*words: str | Path) -> tuple[int, str, list[dict[str, Any]]]:
    """Status, standard output and events of a command."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, records(result.stderr)


def test_a_run_tells_its_life(small_configuration: Path, tmp_path: Path) -> None:
    out = tmp_path / "one"
    status, stdout, events = ask("run", small_configuration, "--out", out, "--log-json", "--set", "report.html=false")
    assert status == 0
    assert stdout.endswith(f"run: {out}\n")
    names = [event["event"] for event in events]
    assert [name for name in names if name not in ("stage finished", "progress")] == ["planned", "begun", "complete"]
    assert events[0]["chunks"] == 5
    assert "tasks" not in events[0]
    assert {event.get("run") for event in events[1:]} == {"one"}
    (end,) = (event for event in events if event["event"] == "progress")
    assert (end["stage"], end["tasks"], end["paths"], end["paths_in_all"]) == (
        "done",
        end["tasks_in_all"],
        5000,
        5000,
    )
    stages = json.loads((out / "manifest.json").read_text("utf-8"))["timings"]["stages"]
    finished = {event["stage"]: event for event in events if event["event"] == "stage finished"}
    assert finished.keys() == stages.keys()
    for name, record in stages.items():
        assert finished[name]["tasks"] == record["tasks"]
        assert finished[name].get("bytes_written") == record.get("bytes_written")

    status, stdout, events = ask("runs", "replay", out, "--log-json")
    assert (status, {event["event"] for event in events}) == (0, {"planned", "stage finished", "progress"})
    assert "identical" in stdout

    status, stdout, events = ask("run", small_configuration, "--out", out, "--log-json")
    assert (status, stdout) == (2, "")
    assert [(event["event"], event["level"]) for event in events] == [("failed", "error")]
    assert str(out) in events[0]["reason"]


def test_a_plan_and_a_bad_key(small_configuration: Path) -> None:
    status, stdout, events = ask("plan", small_configuration, "--log-json", "--json")
    assert (status, [event["event"] for event in events]) == (0, ["planned"])
    assert json.loads(stdout)["chunks"] == events[0]["chunks"]
    status, stdout, events = ask("plan", small_configuration, "--log-json", "--set", "simulation.pats=1")
    assert (status, stdout, [event["event"] for event in events]) == (2, "", ["failed"])
    assert "simulation.pats" in events[0]["reason"]


def test_what_nobody_expected_is_an_event_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    @guarded
    def command(log_json: bool = False, interrupt: bool = False) -> None:
        say("riskops: a note")
        warnings.warn("of Python", stacklevel=1)
        logging.getLogger("elsewhere").warning("of a library")
        logging.getLogger("elsewhere").info("not told")
        raise KeyboardInterrupt if interrupt else ZeroDivisionError("one over none")

    for interrupt, status in ((False, 1), (True, 130)):
        with pytest.raises(typer.Exit) as left, warnings.catch_warnings(action="always"):
            command(log_json=True, interrupt=interrupt)
        assert left.value.exit_code == status
        note, python, library, end = records(capsys.readouterr().err)
        assert (note["event"], note["message"]) == ("notice", "a note")
        assert (python["event"], library["event"], library["message"]) == ("warning", "warning", "of a library")
        assert "of Python" in python["message"]
        if interrupt:
            assert (end["event"], end["reason"]) == ("interrupted", "interrupted")
        else:
            assert (end["event"], end["level"], end["reason"]) == (
                "failed",
                "critical",
                "ZeroDivisionError('one over none')",
            )
            assert "one over none" in end["traceback"]
    say("riskops: plain again")
    assert capsys.readouterr().err == "riskops: plain again\n"


def test_logging_is_left_as_it_was() -> None:
    own, root, other = (logging.getLogger(name) for name in ("riskops", None, "distributed"))
    before = [(log.level, list(log.handlers), log.propagate) for log in (own, root, other)]
    with json_lines(io.StringIO()):
        assert own.isEnabledFor(logging.INFO)
    assert [(log.level, list(log.handlers), log.propagate) for log in (own, root, other)] == before
    assert not own.isEnabledFor(logging.INFO)


def test_without_a_handler_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    tell("warning", level=logging.WARNING, message="unheard")
    assert capsys.readouterr() == ("", "")


def test_progress_is_told_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling_module, "_LOG_SECONDS", 0.05)

    def simulate(block: np.ndarray) -> np.ndarray:
        time.sleep(0.1)
        return block

    slow = da.map_blocks(simulate, da.ones(4, chunks=1), dtype=float, meta=np.empty(0), name="simulate-2")
    progress, stream = Progress(quiet=True), io.StringIO()
    progress.work = Work(paths=40, chunk_paths=10, run="r")
    with json_lines(stream), progress.watching():
        dask.compute(slow, scheduler="synchronous")
    told = [event for event in records(stream.getvalue()) if event["event"] == "progress"]
    assert len(told) >= 4
    assert told[0]["stage"] == "simulate"
    assert [event["paths"] for event in told] == sorted(event["paths"] for event in told)
    assert told[-1]["paths"] == 40
    assert any(event.get("seconds_left", 0.0) > 0.0 for event in told[:-1])


def test_a_lost_worker_is_a_warning() -> None:
    def simulate(block: np.ndarray) -> np.ndarray:
        time.sleep(0.25)
        return block

    slow = da.map_blocks(simulate, da.ones(12, chunks=1), dtype=float, meta=np.empty(0), name="simulate-3")
    stream, progress = io.StringIO(), Progress(quiet=True)
    options: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, silence_logs="CRITICAL", **options) as local,
        Client(local) as client,
    ):
        workers = client.run(os.getpid)
        victim = next(iter(workers))
        killer = threading.Timer(0.5, os.kill, (workers[victim], signal.SIGKILL))
        killer.start()
        with json_lines(stream), progress.watching(client):
            (result,) = dask.compute(slow, scheduler=client)
        killer.join()
    assert result.sum() == 12.0
    lost = [event for event in records(stream.getvalue()) if event.get("worker")]
    assert [(event["event"], event["level"], event["worker"]) for event in lost] == [("warning", "warning", victim)]
