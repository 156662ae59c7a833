"""A run on a device: settled before it begins, said in the manifest, and equal byte for byte to one on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from riskops.cluster import open_cluster
from riskops.errors import InputError
from riskops.run.device import settle_device
from riskops.run.example import small_job

CONFIGURATION = """
market: {prices: sp500, assets: [AAPL, BAC]}
portfolios: [{name: all, capital: 1000, weights: equal}]
model: {window: 252}
simulation: {paths: 1024, seed: 3}
risk: {levels: [0.9], horizons: [1]}
report: {html: false}
"""


def run(folder: Path, name: str, *words: str, **environment: str) -> Path:
    command = [sys.executable, "-m", "riskops", "run", str(folder / "job.yaml"), "--cluster", "synchronous", "--quiet"]
    subprocess.run(
        [*command, "--out", str(folder / name), *words],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return folder / name


def test_a_run_in_the_simulator_gives_the_bytes_of_a_run_on_the_cpu(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(CONFIGURATION)
    simulator = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    there = run(tmp_path, "there", "--set", "simulation.device=cuda", **simulator)
    here = run(tmp_path, "here")
    assert (there / "results.json").read_bytes() == (here / "results.json").read_bytes()
    manifest = json.loads((there / "manifest.json").read_text())
    assert manifest["device"]["device"] == "cuda"
    assert manifest["device"]["reason"] == "simulation.device is cuda"
    assert manifest["fallbacks"] == []
    assert json.loads((here / "manifest.json").read_text())["device"]["name"] == "cpu"


def test_a_device_that_is_not_there_is_refused_or_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskops.backend.device_count", lambda: 0)
    with open_cluster("synchronous") as cluster:
        with pytest.raises(InputError, match=r"simulation\.device: cuda was asked for and no CUDA device was found"):
            settle_device(replace(small_job(), device="cuda"), cluster=cluster)
        job, choice = settle_device(replace(small_job(), device="auto"), cluster=cluster)
    assert (job.device, choice.reason) == ("cpu", "auto: there is no CUDA device")


@pytest.mark.parametrize(
    ("free", "device", "words"),
    [(2**40, "cuda", "draws, and the work needs"), (2**20, "cpu", "the work needs")],
)
def test_auto_takes_a_device_that_gains_and_has_room(
    monkeypatch: pytest.MonkeyPatch, free: int, device: str, words: str
) -> None:
    monkeypatch.setattr("riskops.backend.free_device_memory", lambda: free)
    large = small_job()
    large = replace(large, device="auto", spec=replace(large.spec, paths=2**30, chunk_paths=2**20))
    with open_cluster("synchronous") as cluster:
        job, choice = settle_device(large, cluster=cluster)
    assert job.device == device
    assert words in choice.reason
