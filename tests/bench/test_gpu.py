"""The suite for a device: a line without one; with one, simulated by the CPU, rows that agree and rates counted by
hand."""

from __future__ import annotations

import numpy as np
import pytest

from riskops import backend
from riskops.bench import run_suites
from riskops.bench.gpu import Count
from riskops.rng import cuda, fill_normals
from riskops.simulation import device


def test_without_a_device_the_suite_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "device_count", lambda: 0)
    said: list[str] = []
    assert run_suites(["gpu"], say=said.append) == []
    assert said[1].startswith("gpu: needs a CUDA device, and none was found; install riskops[gpu-cuda12]")


def test_rates_are_counts_over_time_and_shares_of_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "device_limits", lambda: (4e12, 6e13))
    assert Count(2e9, "normals", 8e9, 1e11).rates(0.01) == (
        "200,000 M normals/s, 800 GB/s (20% of the memory's), 10,000 Gop/s (17% of the arithmetic's)"
    )


def test_the_rows_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a device would do is done by the CPU here: the loops, the comparison and the texts are held to run."""
    for name, function in {
        "device_count": lambda: 1,
        "device_name": lambda: "the CPU",
        "device_limits": lambda: (1e12, 1e12),
        "device_empty": np.empty,
        "device_view": lambda array: array,
        "to_device": lambda array: array,
        "synchronize": lambda: None,
    }.items():
        monkeypatch.setattr(backend, name, function)
    monkeypatch.setattr(cuda, "fill_normals", fill_normals)
    monkeypatch.setattr(device, "_block", lambda job, counters, n: device.replace(job, device="cpu").block(counters, n))
    rows = run_suites(["gpu"], say=lambda line: None, scale=0.001)
    assert [row.name for row in rows] == ["normals", "normals", "paths", "paths", "tail", "tail"]
    assert all(row.agrees and row.ours_s > 0 for row in rows)
    assert "M path steps/s" in rows[2].work


@pytest.mark.gpu
def test_the_suite_runs_on_a_device() -> None:
    rows = run_suites(["gpu"], say=print)
    assert len(rows) == 6
    assert all(row.agrees for row in rows)
    for row in rows:
        print(row.record())
