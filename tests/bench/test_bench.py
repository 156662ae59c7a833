"""The benchmarks at a small size: rows that say what they must, values that agree, and peers that are no strawmen."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import riskops.bench.store as store_suite
from riskops.bench import SUITES, Row, Target, bench_table, run_suites, timing
from riskops.bench.agreement import plain_philox, sample_of_normal, within_errors
from riskops.bench.numpy_peer import growth, quantile_and_mean_beyond, scenario_losses
from riskops.bench.suites import DEFAULT
from riskops.errors import InputError, PlanError
from riskops.rng import fill_words, tile_counters

KEYS = {"suite", "name", "work", "ours_s", "baseline", "baseline_s", "ratio", "agrees"}
ROW = Row("paths", "kernels", "1 M paths", 0.25, "NumPy", 2.5, True, Target(least_ratio=8.0))


@pytest.mark.parametrize("suite", ["draws", "paths", "var", "store"])
def test_suite_gives_rows_that_agree(suite: str) -> None:
    said: list[str] = []
    rows = run_suites([suite], say=said.append, scale=0.01)
    assert rows
    assert any(suite in line for line in said)
    for row in rows:
        record = row.record()
        assert set(record) == KEYS
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert row.suite == suite
        assert row.agrees, row
        assert row.ours_s > 0
        assert row.baseline_s > 0
        assert row.ratio == row.baseline_s / row.ours_s
        assert row.met is (None if row.target is None else row.target.met(row.ours_s, row.baseline_s))


@pytest.mark.slow
def test_start_up_is_measured_in_fresh_processes() -> None:
    (row,) = run_suites(["startup"], say=lambda line: None, scale=0.01)
    assert row.agrees
    assert row.baseline_s > 0
    assert row.target is not None


def test_all_suites_have_their_place() -> None:
    assert list(DEFAULT) == ["draws", "paths", "var", "store", "startup", "models"]
    assert list(SUITES) == [*DEFAULT, "sampling", "scale", "overhead", "history", "gpu"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["draws", "speed"],
            "suite: 'speed' is unknown; "
            "known are draws, gpu, history, models, overhead, paths, sampling, scale, startup, store, var",
        ),
        (["draws", "draws"], "suite: 'draws' is given twice"),
        (
            [],
            "suite: none is given; known are draws, paths, var, store, startup, models, sampling, scale, overhead, "
            "history, gpu",
        ),
    ],
)
def test_wrong_suites_are_refused_before_anything_runs(names: list[str], message: str) -> None:
    with pytest.raises(InputError) as problem:
        run_suites(names, say=pytest.fail)
    assert str(problem.value) == message


def test_targets() -> None:
    assert ROW.met is True
    assert replace(ROW, baseline_s=1.9).met is False
    assert replace(ROW, target=None).met is None
    assert Target(most_beyond=0.5).met(3.4, 3.0)
    assert not Target(most_beyond=0.5).met(3.6, 3.0)
    assert [str(Target(least_ratio=1.8)), str(Target(most_beyond=0.5))] == ["≥ 1.8", "≤ 0.5 s more"]


def test_table_shows_targets_and_disagreement() -> None:
    rows = [ROW, replace(ROW, ours_s=1.0, agrees=False), replace(ROW, suite="store", target=None)]
    out = io.StringIO()
    Console(file=out, width=120).print(bench_table(rows))
    text = out.getvalue()
    assert "≥ 8 met" in text
    assert "≥ 8 MISSED" in text
    assert text.count("NO") == 1
    assert "250.0 ms" in text
    assert "2.50 s" in text


def test_notes_follow_the_table_and_details_the_record() -> None:
    row = replace(ROW, notes=("a note",), details={"rate": 2.0})
    out = io.StringIO()
    Console(file=out, width=120).print(bench_table([row]))
    assert out.getvalue().rstrip().endswith("paths: kernels: a note")
    assert set(row.record()) == KEYS | {"details"}
    assert row.record()["details"] == {"rate": 2.0}


def test_race_takes_turns_and_the_best_round() -> None:
    calls: list[str] = []
    cleared: list[int] = []

    def contestant(name: str) -> str:
        calls.append(name)
        return name

    timed = timing.race(
        lambda: contestant("a"), lambda: contestant("b"), rounds=4, between=lambda: cleared.append(len(calls))
    )
    assert calls == ["a", "b"] * 5
    assert cleared == list(range(1, 11))
    assert [t.result for t in timed] == ["a", "b"]
    assert all(0 <= t.seconds < 1 for t in timed)


def test_second_philox_is_the_first() -> None:
    words = np.empty((1, 3000), np.uint32)
    fill_words(words, tile_counters(0, 3000), seed=2**40 + 7, step=3, stream=5, first_factor=11)
    assert np.array_equal(words[0], plain_philox(3000, seed=2**40 + 7, step=3, factor=11, stream=5))


def test_agreement_can_fail() -> None:
    sample = np.random.default_rng(1).standard_normal(100_000)
    assert sample_of_normal(sample, 0.0, 1.0)
    assert not sample_of_normal(sample + 0.02, 0.0, 1.0)
    assert not sample_of_normal(sample * 1.02, 0.0, 1.0)
    assert within_errors(1.0, 1.4, 0.1)
    assert not within_errors(1.0, 1.41, 0.1)


def test_numpy_peer_gives_the_distribution_that_it_is_asked_for() -> None:
    sample = growth(50_000, 4, drift=0.01, deviation=0.1, seed=3, block=4096)
    assert sample_of_normal(sample, 0.04, 0.2)
    one = np.ones(1, np.float32)
    losses = scenario_losses(50_001, drift=0 * one, mixing=np.full((1, 1), 0.2, np.float32), exposure=2 * one, seed=3)
    assert sample_of_normal(np.log1p(-losses / 2), 0.0, 0.2)


def test_partial_sort_gives_order_statistic_and_mean_beyond() -> None:
    losses = np.random.default_rng(2).permutation(np.arange(1.0, 101.0))
    assert quantile_and_mean_beyond(losses, 4) == (96.0, 98.5)


def test_store_is_measured_on_a_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("disk / ext4 rw 0 0\nmemory /dev/shm tmpfs rw 0 0\n", "utf-8")
    monkeypatch.setattr(store_suite, "MOUNTS", mounts, raising=True)
    assert store_suite.disk_folder(1).is_dir()
    mounts.write_text("memory / tmpfs rw 0 0\n", "utf-8")
    with pytest.raises(PlanError, match=r"bench: neither .* is a disk with 2 bytes free; set TMPDIR"):
        store_suite.disk_folder(1)
