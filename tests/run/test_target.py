"""Runs towards an accuracy: batches, what ends them, and that the figures are those of a run of as many paths."""

from __future__ import annotations

import json
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from riskops.cluster import Cluster, open_cluster
from riskops.config import load_config
from riskops.errors import ConfigError
from riskops.models import GeometricBrownianMotion
from riskops.report import as_text, summary_table
from riskops.report.formatting import level_text
from riskops.report.view import target_text
from riskops.run import RunDirectory, open_run, replay, resume, verify
from riskops.run.target import Bounds, Target, first_batch, next_batch
from riskops.simulation import Sampling, SimulationSpec
from tests.small_job import make_run

#: The small job without what the tests here do not need, towards an error that more paths than it begins with reach.
BASE = ("report.html=false", "simulation.paths=2000", "risk.historical=false", "stress.scenarios=[crash_20]")
TARGET = ("simulation.target.relative_error=0.03",)


def read(run: Path, name: str = "results.json") -> Any:
    return json.loads((run / name).read_text("utf-8"))


def rendered(run: Path) -> str:
    """The tables of the terminal, their lines joined."""
    return " ".join(as_text(summary_table(open_run(run).load())).split())


def apart(run: Path) -> dict[str, Any]:
    """``results.json`` without the target and the hash of the spec that names it."""
    return {name: value for name, value in read(run).items() if name not in ("target", "spec_hash")}


# -- batches


def spec_of(paths: int, *, chunk: int, replicates: int = 0) -> SimulationSpec:
    model = GeometricBrownianMotion(("A",), np.zeros(1), np.array([0.2]), np.eye(1))
    sampling = Sampling("sobol", replicates=replicates, dimensions=1, steps=1) if replicates else Sampling()
    return SimulationSpec(model, paths=paths, chunk_paths=chunk, sampling=sampling)


@given(
    paths=st.integers(1, 300_000),
    tiles=st.integers(1, 64),
    room=st.integers(0, 5_000_000),
    replicates=st.sampled_from([0, 2, 5, 32]),
)
def test_batches_are_whole_chunks_that_double_within_the_bound(
    paths: int, tiles: int, room: int, replicates: int
) -> None:
    if replicates:
        paths = 1024 * replicates * max(1, paths // 32_768)
    spec, unit = spec_of(paths, chunk=1024 * tiles, replicates=replicates), 1024 * np.lcm(tiles, max(replicates, 1))
    bounds = Bounds(max_paths=paths + room)
    if -(-paths // unit) * unit > bounds.max_paths:
        with pytest.raises(ConfigError, match=r"^simulation.max_paths: \d+ hold no batch of whole chunks, \d+ paths"):
            first_batch(spec, bounds=bounds)
        return
    counts: list[int] = [first_batch(spec, bounds=bounds)]
    assert paths <= counts[0] < paths + unit
    while (following := next_batch(spec_of(counts[-1], chunk=1024 * tiles), bounds=bounds)) is not None:
        if replicates:
            following = next_batch(spec_of(counts[-1], chunk=1024 * tiles, replicates=replicates), bounds=bounds)
            if following is None:
                break
        assert counts[-1] < following <= 2 * counts[-1]
        counts.append(following)
    assert all(count % unit == 0 and count <= bounds.max_paths for count in counts)
    assert all(after == 2 * before for before, after in pairwise(counts[:-1]))
    assert bounds.max_paths - counts[-1] < unit, "all the room is used in the end"


# -- what is judged


def figures_of(value: Any, error: Any, *, measure: str = "expected_shortfall") -> xr.Dataset:
    dims = ("scenario", "portfolio", "horizon", "level") if np.ndim(value) == 4 else ("portfolio",)
    coords = {"scenario": ["base", "crash"], "level": [0.95, 0.99]}
    return xr.Dataset(
        {measure: (dims, value), f"{measure}_standard_error": (dims, error)},
        coords={name: labels for name, labels in coords.items() if name in dims},
    )


def test_the_worst_relative_error_of_the_base_at_the_level_is_judged() -> None:
    value, error = np.ones((2, 2, 2, 2)), np.full((2, 2, 2, 2), 0.01)
    error[0, 1, 0, 1] = 0.02
    error[1] = error[..., 0] = 0.5  # the other scenario and the other level are not looked at
    value[0, 1, 1, 1] = -0.2  # a gain counts by its size
    target = Target("expected_shortfall", 0.99, 0.04)
    figures = figures_of(value, error)
    assert target.reached(figures) == pytest.approx(0.05)
    outcome = target.outcome(figures)
    assert outcome == target.record() | {"reached": target.reached(figures), "met": False}
    assert Target("expected_shortfall", 0.99, 0.05000001).outcome(figures)["met"]
    assert Target("mean_loss", 0.99, 0.01).reached(figures_of([1.0], [0.01], measure="mean_loss")) == 0.01


@pytest.mark.parametrize(("value", "error"), [(0.0, 0.1), (0.0, 0.0), (np.nan, 0.1), (1.0, np.nan), (1.0, np.inf)])
def test_a_figure_without_a_relative_error_is_not_met(value: float, error: float) -> None:
    measures = figures_of([2.0, value], [0.001, error], measure="mean_loss")
    outcome = Target("mean_loss", 0.99, 0.9).outcome(measures)
    assert (outcome["reached"], outcome["met"]) == (None, False)
    json.dumps(outcome, allow_nan=False)


def test_the_line_of_tables_and_reports() -> None:
    outcome = {"measure": "value_at_risk", "level": 0.99, "relative_error": 0.01, "reached": 0.01234, "met": False}
    attrs = {"paths": 4096}
    line = target_text(outcome, attrs)
    assert line == f"relative error of value at risk at {level_text(0.99)} within 0.01: NOT met, 0.0123 at 4,096 paths"
    assert ": met, 0.0123" in target_text(outcome | {"met": True}, attrs)
    assert "NOT met, without an error at 4,096" in target_text(outcome | {"reached": None}, attrs)
    mean = target_text(outcome | {"measure": "mean_loss"}, attrs)
    assert mean.startswith("relative error of mean loss within 0.01: NOT met")


# -- runs


@pytest.fixture(scope="module")
def met(small_configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that meets its target after some batches."""
    return make_run(small_configuration, tmp_path_factory.mktemp("runs") / "met", *BASE, *TARGET)


@pytest.fixture(scope="module")
def direct(small_configuration: Path, met: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of as many paths without a target."""
    paths = f"simulation.paths={read(met)['paths']}"
    return make_run(small_configuration, tmp_path_factory.mktemp("runs") / "direct", *BASE, paths)


def test_a_run_that_meets_its_target_says_so(met: Path) -> None:
    results, manifest = read(met), read(met, "manifest.json")
    outcome, record = results["target"], manifest["target"]
    assert outcome == {name: record[name] for name in outcome}
    assert outcome["met"]
    assert 0 < outcome["reached"] <= outcome["relative_error"] == 0.03
    assert (outcome["measure"], outcome["level"], record["ended_by"]) == ("expected_shortfall", 0.99, "target")
    counts = [batch["paths"] for batch in record["batches"]]
    assert counts[0] == 2048
    assert len(counts) >= 2
    assert all(b == 2 * a for a, b in pairwise(counts))
    assert counts[-1] == results["paths"] == manifest["what"]["simulation"]["paths"]
    errors = [batch["relative_error"] for batch in record["batches"]]
    assert all(error > 0.03 for error in errors[:-1])
    assert errors[-1] == outcome["reached"]
    # the figures themselves
    judged = [
        record["standard_error"] / abs(record["value"])
        for record in results["figures"]
        if record["measure"] == "expected_shortfall" and record["scenario"] == "base" and record["level"] == 0.99
    ]
    assert max(judged) == outcome["reached"]
    assert manifest["how"]["bounds"] == {"max_paths": 50_000_000, "max_seconds": None}
    assert open_run(met).attrs["target"] == outcome


def test_it_is_the_run_of_as_many_paths(met: Path, direct: Path, small_configuration: Path, tmp_path: Path) -> None:
    assert apart(met) == apart(direct)
    assert (met / "figures.csv").read_bytes() == (direct / "figures.csv").read_bytes()
    one, other = (read(run, "manifest.json") for run in (met, direct))
    assert one["arrays"] == other["arrays"]
    assert "loss" in one["arrays"]
    # begun with as many paths, the same target is met at once, to the last byte
    at_once = make_run(
        small_configuration, tmp_path / "at_once", *BASE, *TARGET, f"simulation.paths={read(met)['paths']}"
    )
    assert (at_once / "results.json").read_bytes() == (met / "results.json").read_bytes()
    assert len(read(at_once, "manifest.json")["target"]["batches"]) == 1


def test_it_does_not_depend_on_the_cut_or_the_scheduler(met: Path, small_configuration: Path, tmp_path: Path) -> None:
    # chunks of which the batches of the first run are whole ones
    with_chunks = (*BASE, *TARGET, "simulation.chunk_paths=2048")
    other = make_run(small_configuration, tmp_path / "other", *with_chunks, kind="threads", workers=2)
    assert (other / "results.json").read_bytes() == (met / "results.json").read_bytes()
    assert read(other, "manifest.json")["arrays"] == read(met, "manifest.json")["arrays"]


def test_verify_and_replay_are_clean(met: Path) -> None:
    assert verify(RunDirectory(met)) == []
    with open_cluster("synchronous") as cluster:
        found = replay(RunDirectory(met), cluster=cluster)
    assert found.identical
    assert found.facts == ()


@pytest.mark.parametrize("method", ["importance", "sobol"])
def test_arranged_draws_are_extended_too(method: str, small_configuration: Path, tmp_path: Path) -> None:
    few = ("simulation.sampling.replicates=2",) if method == "sobol" else ()
    sampling = (f"simulation.sampling.method={method}", *few, "simulation.paths=2048")
    target = ("simulation.target.relative_error=0.01", "simulation.max_paths=10000")
    run = make_run(small_configuration, tmp_path / "run", *BASE, *sampling, *target)
    counts = [batch["paths"] for batch in read(run, "manifest.json")["target"]["batches"]]
    assert len(counts) >= 2
    paths = f"simulation.paths={counts[-1]}"
    direct = make_run(small_configuration, tmp_path / "direct", *BASE, *sampling, paths)
    assert apart(run) == apart(direct)
    arrays = [read(one, "manifest.json")["arrays"] for one in (run, direct)]
    assert arrays[0] == arrays[1]
    assert ("loss_weight" in arrays[0]) == (method == "importance")


# -- bounds


def test_a_run_that_the_number_of_paths_ends(small_configuration: Path, tmp_path: Path) -> None:
    target = ("simulation.target.relative_error=0.001", "simulation.max_paths=7000", "report.html=true")
    run = make_run(small_configuration, tmp_path / "run", *BASE, *target)
    outcome, record = read(run)["target"], read(run, "manifest.json")["target"]
    assert not outcome["met"]
    assert outcome["reached"] > 0.001
    assert record["ended_by"] == "max_paths"
    assert [batch["paths"] for batch in record["batches"]] == [2048, 4096, 6144]
    said = f"within 0.001: NOT met, {outcome['reached']:.3g} at 6,144 paths"
    assert said in (run / "report.html").read_text("utf-8")
    assert said in rendered(run)
    assert verify(RunDirectory(run)) == []


def test_a_run_that_time_ends(small_configuration: Path, tmp_path: Path) -> None:
    target = ("simulation.target.relative_error=0.001", "simulation.max_seconds=0.0001")
    run = make_run(small_configuration, tmp_path / "run", *BASE, *target)
    record = read(run, "manifest.json")["target"]
    assert (record["met"], record["ended_by"], len(record["batches"])) == (False, "max_seconds", 1)
    assert read(run)["paths"] == 2048
    assert record["ended_by"] not in json.dumps(read(run)), "how it ended is not what it is"
    with open_cluster("synchronous") as cluster:
        assert replay(RunDirectory(run), cluster=cluster).identical


def test_a_bound_without_room_leaves_nothing(small_configuration: Path, tmp_path: Path) -> None:
    target = ("simulation.target.relative_error=0.001", "simulation.max_paths=2001")
    with pytest.raises(ConfigError) as caught:
        make_run(small_configuration, tmp_path / "run", *BASE, *target)
    assert str(caught.value) == (
        "simulation.max_paths: 2001 hold no batch of whole chunks, 2048 paths; "
        "raise it or set a smaller simulation.chunk_paths"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_ends_it_with_what_there_is(
    small_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=8_600_000))
    run = make_run(small_configuration, tmp_path / "run", *BASE, "simulation.target.relative_error=0.0001")
    record = read(run, "manifest.json")["target"]
    assert not record["met"]
    assert record["ended_by"].startswith("plan: store.root: the run needs ")
    assert len(record["batches"]) >= 1


# -- killed and resumed


class Cut(Exception):
    """The run was killed here."""


def cut(configuration: Path, place: Path, monkeypatch: pytest.MonkeyPatch, *, before: int) -> None:
    """Begin the run that meets its target, and die when it asks for the given computation."""
    compute, asked = Cluster.compute, []

    @wraps(compute)
    def dying(self: Cluster, *args: Any, **options: Any) -> Any:
        asked.append(1)
        if len(asked) == before:
            raise Cut
        return compute(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Cluster, "compute", dying)
        with pytest.raises(Cut):
            make_run(configuration, place, *BASE, *TARGET)


def continued(place: Path) -> Path:
    with open_cluster("synchronous") as cluster:
        return resume(RunDirectory(place), cluster=cluster)


@pytest.mark.parametrize("batches", [0, 1, 2, -1])
def test_a_run_killed_between_batches_ends_in_the_same_bytes(
    batches: int, met: Path, small_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many batches; -1: after the last, in the computation of the figures."""
    whole = read(met, "manifest.json")
    done = len(whole["target"]["batches"]) if batches < 0 else batches
    cut(small_configuration, tmp_path / "run", monkeypatch, before=done + 1)
    assert not (tmp_path / "run").exists()
    run = continued(tmp_path / "run")
    assert (run / "results.json").read_bytes() == (met / "results.json").read_bytes()
    manifest = read(run, "manifest.json")
    assert manifest["arrays"] == whole["arrays"]
    assert manifest["target"] == whole["target"]
    assert manifest["resumed_chunks"]["loss"] == sum(b["paths"] for b in whole["target"]["batches"][:done][-1:]) // 1024
    assert verify(RunDirectory(run)) == []


def test_a_run_killed_inside_a_batch_ends_in_the_same_bytes(
    met: Path, small_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import riskops.simulation.store as store

    write, written = store._write_block, []

    @wraps(write)
    def dying(*args: Any, **kwargs: Any) -> Any:
        if len(written) == 3:  # two chunks are the first batch
            raise Cut
        written.append(1)
        return write(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write_block", dying)
        with pytest.raises(Cut):
            make_run(small_configuration, tmp_path / "run", *BASE, *TARGET)
    run = continued(tmp_path / "run")
    assert (run / "results.json").read_bytes() == (met / "results.json").read_bytes()
    assert read(run, "manifest.json")["arrays"] == read(met, "manifest.json")["arrays"]
    assert read(run, "manifest.json")["resumed_chunks"]["loss"] == 3


def test_chunks_of_earlier_batches_are_not_simulated_again(
    met: Path, small_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from riskops.simulation import PathJob

    block, first_paths = PathJob.block, []

    @wraps(block)
    def counted(self: PathJob, counters: Any, n: int) -> Any:
        if len(self.scenarios) > 1:  # attribution draws tail paths again, for the base alone
            first_paths.append(int(counters[0]) * 4)
        return block(self, counters, n)

    monkeypatch.setattr(PathJob, "block", counted)
    run = make_run(small_configuration, tmp_path / "run", *BASE, *TARGET)
    assert sorted(first_paths) == list(range(0, read(run)["paths"], 1024))


# -- configurations


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["simulation.target.level=0.95"], "simulation.target.level: 0.95 is not among risk.levels"),
        (["store.losses=false"], "store.losses: must be true with simulation.target, which reads back what it has"),
        (
            ["simulation.max_paths=1999"],
            "simulation.max_paths: 1999 are fewer than simulation.paths, 2000, with which a run towards a target ",
        ),
        (["simulation.target.measure=median"], "simulation.target.measure: 'median' is not value_at_risk, "),
        (["simulation.target.relative_error=0"], "simulation.target.relative_error: 0 is not a number above zero"),
        (["simulation.max_seconds=0"], "simulation.max_seconds: 0 is not a number above zero, or null"),
    ],
)
def test_configurations_that_are_refused(small_configuration: Path, overrides: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(small_configuration, overrides=[*BASE, *TARGET, *overrides])
    assert str(caught.value).startswith(line)
    if overrides == ["store.losses=false"]:
        load_config(small_configuration, overrides=[*BASE, *overrides])  # without a target it is no matter
