"""Stages and their books, on every scheduler, and what is shown of them."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from riskops.progress import Progress, describe_task, stage_of
from riskops.progress import display as display_module
from riskops.progress.remote import RemoteTasks
from riskops.progress.tasks import Counts, TaskBook

CHUNKS = 6


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs="CRITICAL",
        ) as local,
        Client(local) as connected,
    ):
        yield connected


def chain(fails: bool = False) -> list[da.Array]:
    """Two results over one layer, so that it is not fused away."""

    def simulate(block_id: tuple[int, ...]) -> np.ndarray:
        return np.full((1, 4), float(block_id[1]))

    def lose(block: np.ndarray) -> np.ndarray:
        if fails and block[0, 0] == 3.0:
            raise ValueError("a task's own error")
        return -block

    paths = da.map_blocks(simulate, chunks=((1,), (4,) * CHUNKS), dtype=float, meta=np.empty((0, 0)), name="simulate-0")
    losses = da.map_blocks(lose, paths, dtype=float, meta=np.empty((0, 0)), name="portfolio-loss-1")
    return [losses, paths]


def compute(progress: Progress, client: Client | None, fails: bool = False) -> None:
    with progress.watching(client):
        dask.compute(*chain(fails), scheduler="threads" if client is None else client)


@pytest.mark.parametrize(
    ("key", "stage"),
    [
        (("simulate-0f3a9c", 0, 3), "simulate"),
        ("('simulate-0f3a9c', 0, 3)", "simulate"),
        ("stress-drawdown-6a1b", "stress-drawdown"),
        ("write_loss-12ab", "write-loss"),
        ("finalize-hlgfinalizecompute-6a", "collect"),
        ("0f3a9c", "collect"),
        (("(odd", 1), "(odd"),
        ("(odd", "(odd"),
        ((), "()"),
    ],
)
def test_a_stage_is_the_layer_without_its_token(key: object, stage: str) -> None:
    assert stage_of(key) == stage  # type: ignore[arg-type]


def test_a_task_is_described_by_stage_and_chunk() -> None:
    assert describe_task("('simulate-0f3a9c', 0, 3)") == "task simulate, chunk (0, 3)"
    assert describe_task("report-1") == "task report"


@given(st.lists(st.tuples(st.sampled_from(["add", "start", "finish", "stop", "lose", "fail"]), st.integers(0, 5))))
def test_the_books_never_show_more_done_than_there_is(events: list[tuple[str, int]]) -> None:
    book = TaskBook()
    done = set()
    for event, number in events:
        key = (f"stage-{number % 2}1", number)
        book.add([key])
        if event == "finish":
            book.finish(key, 0.5)
            done.add(key)
        elif event != "add":
            getattr(book, event)(key)
            done -= {key} if event == "lose" else set()
    counts = book.counts()
    assert sum(counts.done.values()) == len(done)
    assert all(0 <= counts.done.get(name, 0) <= total for name, total in counts.total.items())
    assert all(0 <= running <= counts.total[name] for name, running in counts.running.items())


def test_time_left_weighs_each_stage_by_its_own_mean() -> None:
    counts = Counts(
        total={"simulate": 10, "reduce": 100}, done={"simulate": 5}, running={"simulate": 2}, seconds={"simulate": 10.0}
    )
    assert counts.stage() == "simulate"
    # Two workers so far (10 s of work in 5 s); 5 tasks of 2 s and 100 of which nothing is known, taken as 2 s as well.
    assert counts.remaining(5.0) == pytest.approx((5 * 2.0 + 100 * 2.0) / 2.0)
    assert Counts({"simulate": 1}, {}, {}, {}).remaining(5.0) is None


@pytest.mark.parametrize("where", ["local", "distributed"])
def test_every_task_is_counted_once_and_timed(where: str, client: Client) -> None:
    progress = Progress(quiet=True)
    for times in (1, 2):
        compute(progress, client if where == "distributed" else None)
        assert progress.stages["simulate"]["tasks"] == times * CHUNKS
        assert progress.stages["portfolio-loss"]["tasks"] == times * CHUNKS
    assert set(progress.stages) == {"simulate", "portfolio-loss", "collect"}
    assert all(record["seconds"] > 0.0 for record in progress.stages.values())


@pytest.mark.parametrize("where", ["local", "distributed"])
def test_a_failed_computation_names_its_task_and_is_not_shown_as_done(where: str, client: Client) -> None:
    stream = io.StringIO()
    progress = Progress(console=Console(file=stream, width=200))
    with pytest.raises(ValueError, match="a task's own error"):
        compute(progress, client if where == "distributed" else None, fails=True)
    assert "task portfolio-loss, chunk (0, 3)" in progress.suspects
    line = stream.getvalue().strip()
    done, total = map(int, re.fullmatch(r"stopped, (\d+) of (\d+) tasks, \d+ s", line).groups())  # type: ignore[union-attr]
    assert done < total


@pytest.mark.parametrize("where", ["local", "distributed"])
def test_the_bar_fills_only_at_the_end(where: str, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display_module, "_BAR_SECONDS", 0.001)
    stream = io.StringIO()
    compute(
        Progress(console=Console(file=stream, force_terminal=True, width=120)),
        client if where == "distributed" else None,
    )
    text = re.sub(r"\x1b\[[\d;?]*[mhlAK]", "\n", stream.getvalue())
    tallies = [(int(done), int(total)) for done, total in re.findall(r"(\d+) of (\d+) tasks", text)]
    assert tallies == sorted(tallies)
    assert tallies[-1] == (2 * CHUNKS + 2, 2 * CHUNKS + 2)
    assert "done" in text.rpartition("starting")[2]


def test_plain_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display_module, "_LINE_SECONDS", 0.02)
    stream = io.StringIO()

    def simulate(block: np.ndarray) -> np.ndarray:
        time.sleep(0.1)
        return block

    wait = da.map_blocks(simulate, da.ones(4, chunks=1), dtype=float, meta=np.empty(0), name="simulate-2")
    with Progress(console=Console(file=stream, width=200)).watching():
        dask.compute(wait, scheduler="synchronous")
    lines = stream.getvalue().splitlines()
    assert "\x1b" not in stream.getvalue()
    assert any(line.startswith("simulate, ") and line.endswith(" left") for line in lines[:-1])
    assert lines[-1].startswith("done, ")


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    compute(Progress(quiet=True), None)
    assert capsys.readouterr() == ("", "")


def test_it_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    compute(Progress(), None)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("done, ")


def test_the_scheduler_is_left_as_it_was_and_others_are_not_counted(client: Client) -> None:
    def plugins() -> set[str]:
        return set(client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.plugins)))

    before = plugins()
    progress = Progress(quiet=True)
    with Client(client.scheduler.address, set_as_default=False) as other, progress.watching(client):
        assert len(plugins()) == len(before) + 1
        dask.compute(*chain(), scheduler=other)
    assert progress.stages == {}
    assert plugins() == before


def test_results_that_are_there_already_count_as_done(client: Client) -> None:
    kept = client.persist(chain()[1])
    client.gather(client.futures_of(kept))
    with RemoteTasks(client) as tasks:
        dask.compute(kept + 1.0, scheduler=client)
        counts = tasks.counts()
    assert counts.done == counts.total


def test_a_scheduler_without_the_plugin_gives_the_last_books(client: Client) -> None:
    with RemoteTasks(client) as tasks:
        dask.compute(*chain(), scheduler=client)
        last = tasks.counts()
        client.unregister_scheduler_plugin(tasks._name)
        assert tasks.counts() == last
    assert last.done["simulate"] == CHUNKS


def test_a_lost_result_is_to_be_done_again() -> None:
    book = TaskBook()
    book.add([("simulate-0", 0)])
    book.finish(("simulate-0", 0), 1.0)
    book.lose(("simulate-0", 0))
    assert book.counts().done == {"simulate": 0}
    book.start(("simulate-0", 0))
    book.finish(("simulate-0", 0), 1.0)
    assert book.counts().done == {"simulate": 1}
    assert book.counts().seconds == {"simulate": 2.0}
