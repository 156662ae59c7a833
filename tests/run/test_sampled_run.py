"""Whole runs of weighted and of dependent paths: cut differently, killed and resumed, to the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import dask
import numpy as np
import pytest

from riskops.measures import (
    base_growth,
    comoments_reduction,
    histogram_reduction,
    moments_reduction,
    tail_reduction,
    tail_risk,
)
from riskops.portfolio import portfolio_loss
from riskops.reductions import fuse, reduce_paths
from riskops.run import open_run
from riskops.simulation import PathJob, paths_of
from tests.measures.test_sampled_measures import BOOK, job_of
from tests.run.test_execute import continued, cut_run
from tests.small_job import make_run

WEIGHTED = (
    "simulation.sampling.method=importance", "simulation.paths=6144", "store.paths=true", "report.html=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def weighted_run(small_configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(small_configuration, tmp_path_factory.mktemp("weighted") / "one", *WEIGHTED)


def test_weights_are_stored_with_what_they_weight(weighted_run: Path) -> None:
    arrays = json.loads((weighted_run / "manifest.json").read_text("utf-8"))["arrays"]
    assert {"loss", "loss_weight", "log_growth", "likelihood_ratio"} <= arrays.keys()


def test_figures_of_a_stored_run_keep_their_honest_errors(weighted_run: Path) -> None:
    """What is measured on the losses of an opened run has the errors that the run itself states."""
    stored = open_run(weighted_run)
    assert stored.attrs["independent"] == "quadruple"
    again = tail_risk(stored[["loss", "loss_weight"]].chunk(path=-1), level=stored["level"].values.tolist()).compute()
    for name in ("value_at_risk", "expected_shortfall_standard_error", "effective_sample_size"):
        np.testing.assert_array_equal(again[name], stored[name].transpose(*again[name].dims))


@pytest.mark.parametrize("after", [1, 9, 17])
def test_a_killed_weighted_run_resumes_to_the_same_bytes(
    after: int, weighted_run: Path, small_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "one"
    cut_run(small_configuration, place, monkeypatch, *WEIGHTED, after=after)
    continued(place)
    assert (place / "results.json").read_bytes() == (weighted_run / "results.json").read_bytes()
    held, whole = (json.loads((run / "manifest.json").read_text("utf-8")) for run in (place, weighted_run))
    assert held["arrays"] == whole["arrays"]
    names = ("loss", "loss_weight", "log_growth", "likelihood_ratio")
    assert sum(held["resumed_chunks"][name] for name in names) == after


@pytest.mark.parametrize("overrides", [WEIGHTED, ("simulation.sampling.method=sobol", "simulation.paths=65536")])
def test_the_cutting_does_not_change_the_figures(
    overrides: tuple[str, ...], small_configuration: Path, tmp_path: Path
) -> None:
    runs = [
        make_run(small_configuration, tmp_path / str(chunk), *overrides, f"simulation.chunk_paths={chunk}")
        for chunk in (2048, 16_384)
    ]
    one, other = ((run / "results.json").read_bytes() for run in runs)
    assert one == other


def test_weights_and_losses_come_from_one_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    job, drawn = job_of("importance"), []
    block = PathJob.block
    monkeypatch.setattr(PathJob, "block", lambda self, counters, n: drawn.append(n) or block(self, counters, n))
    paths = paths_of(job)
    losses, growth = portfolio_loss(paths, book=BOOK), base_growth(paths)
    together = fuse(
        tail=tail_reduction(losses, level=(0.9,)),
        moments=moments_reduction(losses),
        histogram=histogram_reduction(losses),
    )
    dask.compute(
        reduce_paths(losses, together), reduce_paths(growth, comoments_reduction(growth)), scheduler="synchronous"
    )
    assert sum(drawn) == job.spec.paths
