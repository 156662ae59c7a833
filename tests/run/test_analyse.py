"""A stored run analysed again: the bytes of a run that simulates the same, from what is stored, or one clear line."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from riskops.cli import app
from riskops.cluster import open_cluster
from riskops.config import load_analysis
from riskops.errors import ConfigError, StoreError
from riskops.run import (
    RunDirectory,
    analyse,
    open_run,
    open_stored,
    plan_job,
    prepare_analysis,
    replay,
    resume,
    verify,
)
from riskops.simulation import engine
from tests.small_job import make_run, write_configuration

LIBRARY = """
- {name: crash_40, all_prices: -0.4}
- {name: rotation, price_shocks: {XOM: -0.1, AAPL: 0.2}}
- {name: turmoil_and_crash, volatility: 2.0, all_prices: -0.1}
- {name: calm, volatility: 0.5}
- {name: later, events: [{day: 2, all_prices: -0.1}]}
"""
TILT = "{name: tilt, capital: 1000, weights: {XOM: 0.7, AAPL: 0.3}}"
EQUAL = "{name: equal, capital: 1000000, weights: equal}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of the runs, and a library of scenarios."""
    folder = tmp_path_factory.mktemp("analyse")
    (folder / "library.yaml").write_text("scenarios:" + LIBRARY.replace("\n", "\n  "), "utf-8")
    write_configuration(folder)
    return folder


@pytest.fixture(scope="module")
def with_paths(home: Path) -> Path:
    """A run of five steps that keeps all of them."""
    return make_run(home / "small.yaml", home / "with_paths", "store={paths: true, times: all}", "report.html=false")


@pytest.fixture(scope="module")
def with_losses(home: Path) -> Path:
    """The same run, as it is kept by default."""
    return make_run(home / "small.yaml", home / "with_losses", "report.html=false")


def analysed(source: Path, out: Path, *overrides: str, kind: str = "synchronous") -> Path:
    """Analyse a run with these settings."""
    stored = open_stored(RunDirectory(source))
    config = load_analysis(overrides=["report.html=false", *overrides], portfolios=stored.portfolios)
    with open_cluster(kind) as cluster:
        return analyse(stored, config, out=out, cluster=cluster)


def simulated(home: Path, out: Path, *overrides: str) -> Path:
    """What a run of its own makes of the same settings, cut otherwise."""
    return make_run(home / "small.yaml", out, "report.html=false", "simulation.chunk_paths=2048", *overrides)


def same(one: Path, two: Path) -> bool:
    """Whether two runs have the same results, byte by byte, and record the same computation."""
    what = [RunDirectory(run).manifest()["what"] for run in (one, two)]
    return what[0] == what[1] and (one / "results.json").read_bytes() == (two / "results.json").read_bytes()


# -- the same bytes


def test_levels_portfolios_and_scenarios_from_paths(home: Path, with_paths: Path, tmp_path: Path) -> None:
    settings = (
        f"portfolios=[{TILT}, {EQUAL}]",
        f"stress={{library: {home}/library.yaml, scenarios: [rotation, turmoil_and_crash, crash_40]}}",
        "risk={levels: [0.8, 0.95], horizons: [2, 5]}",
    )
    again = analysed(with_paths, tmp_path / "again", *settings, kind="threads")
    assert same(again, simulated(home, tmp_path / "simulated", *settings))
    assert verify(RunDirectory(again)) == []
    source = RunDirectory(again).manifest()["how"]["source"]
    assert (source["array"], source["run"]) == ("log_growth", str(with_paths))
    assert source["manifest_sha256"] == RunDirectory(with_paths).manifest()["manifest_sha256"]
    # the base, then moves added to it, to it scaled up, and to the base again
    assert (source["scenarios"], source["shifted"]) == ([0, 0, 2, 0], [False, True, True, True])


def test_nothing_is_simulated(with_paths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a block was simulated")

    monkeypatch.setattr(engine, "simulate_block", refused)
    analysed(with_paths, tmp_path / "a", f"portfolios=[{TILT}]", "risk.contributions=false", "risk.horizons=[3]")


def test_what_is_left_out_is_as_in_the_run(with_losses: Path, tmp_path: Path) -> None:
    again = analysed(with_losses, tmp_path / "again")
    assert same(again, with_losses)
    assert RunDirectory(again).manifest()["how"]["source"]["array"] == "loss"


def test_some_of_the_stored_losses(home: Path, with_losses: Path, tmp_path: Path) -> None:
    settings = ("risk={levels: [0.9, 0.975], horizons: [5]}", "stress.scenarios=[crash_20, covid_2020_q1]")
    again = analysed(with_losses, tmp_path / "again", "portfolios=long_short", *settings)
    alone = "portfolios=[{name: long_short, cash: 250000, shares: {AAPL: 1000, XOM: -500}}]"
    assert same(again, simulated(home, tmp_path / "simulated", alone, *settings))


def test_dependence_is_made_from_the_paths_where_the_run_has_none(home: Path, tmp_path: Path) -> None:
    few = ("simulation.paths=3000", "stress.library=null", "stress.scenarios=all")
    source = simulated(home, tmp_path / "source", *few, "risk.dependence=false", "store.paths=true")
    again = analysed(source, tmp_path / "again", "risk.dependence=true")
    assert not RunDirectory(again).manifest()["how"]["source"]["dependence"]
    assert same(again, simulated(home, tmp_path / "simulated", *few))


@pytest.mark.parametrize(("method", "paths"), [("importance", True), ("importance", False), ("control_variate", True)])
def test_arranged_draws(method: str, paths: bool, home: Path, tmp_path: Path) -> None:
    drawn = ("simulation.paths=4096", f"simulation.sampling={{method: {method}}}", "stress.scenarios=[crash_20]")
    source = simulated(home, tmp_path / "source", *drawn, f"store.paths={str(paths).lower()}")
    settings = ["risk.levels=[0.9, 0.95]"]
    if paths:  # one more portfolio, behind that which the draws are made for
        settings.append(f"portfolios=[{EQUAL}, {TILT}]")
    again = analysed(source, tmp_path / "again", *settings)
    assert same(again, simulated(home, tmp_path / "simulated", *drawn, *settings))


def test_an_analysis_is_a_run_like_any_other(home: Path, with_paths: Path, tmp_path: Path) -> None:
    settings = (f"portfolios=[{TILT}]", "risk.horizons=[4, 5]", "store={paths: true, times: [3]}")
    again = analysed(with_paths, tmp_path / "again", *settings)
    kept = open_run(again)
    assert kept["log_growth"]["time"].values.tolist() == [3.0, 4.0, 5.0]
    assert open_run(with_paths)["log_growth"].sel(time=kept["time"].values).equals(kept["log_growth"])
    with open_cluster("synchronous") as cluster:
        assert replay(RunDirectory(again), cluster=cluster).identical
    third = analysed(again, tmp_path / "third", f"portfolios=[{EQUAL}]", "risk.horizons=[3]")
    assert same(third, simulated(home, tmp_path / "simulated", f"portfolios=[{EQUAL}]", "risk.horizons=[3]"))


# -- interrupted


@pytest.fixture
def cut_off(with_paths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A source that may be spoilt, and an analysis of it that was cut off when all its losses were written."""
    source = tmp_path / "source"
    shutil.copytree(with_paths, source)

    def refused(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["riskops.run.execute"], "finish_run", refused)
        with pytest.raises(KeyboardInterrupt):
            analysed(source, tmp_path / "again", "risk.horizons=[3]", f"portfolios=[{TILT}]")
    return source, tmp_path / "again"


def finish(place: Path) -> Path:
    with open_cluster("synchronous") as cluster:
        return resume(RunDirectory(place), cluster=cluster)


def test_an_interrupted_analysis_goes_on(cut_off: tuple[Path, Path], home: Path, tmp_path: Path) -> None:
    _, place = cut_off
    settings = ("risk.horizons=[3]", f"portfolios=[{TILT}]")
    assert same(finish(place), simulated(home, tmp_path / "simulated", *settings))


def test_it_does_not_go_on_without_its_source(cut_off: tuple[Path, Path]) -> None:
    source, place = cut_off
    shutil.rmtree(source)
    with pytest.raises(StoreError, match=r"source: the run that is read is gone; put it back, or begin anew"):
        finish(place)
    assert RunDirectory(place).resumable


def test_nor_with_another_source(cut_off: tuple[Path, Path], with_losses: Path) -> None:
    source, place = cut_off
    shutil.copy(with_losses / "manifest.json", source / "manifest.json")
    with pytest.raises(StoreError, match=r"source: is not the run that this analysis reads: its manifest does not"):
        finish(place)


# -- what can't be had


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("stress={library: LIBRARY, scenarios: [calm]}", "stress.scenarios: calm can't be .*: it changes the model; "),
        ("stress={library: LIBRARY, scenarios: [later]}", "stress.scenarios: later can't be .*: its events happen wi"),
        ("stress.scenarios=[crash_40]", "'crash_40' is not among those of .*, covid_2020_q1, volatility_doubled, cr"),
        ("stress={library: null, scenarios: [crash_20]}", "stress.library: is null; leave it out to name"),
        ("risk.horizons=[6]", "risk.horizons: 6.0 days is not a multiple of step_days=1 between 0 and 5"),
        ("risk.levels=[0.9999]", "simulation.paths: 5000 carry no 95 % interval at level 0.9999; at least"),
        ("portfolios=[equal, equal]", "portfolios: 'equal' is given twice"),
        ("portfolios=[third]", "portfolios.0.: 'third' is no file.*; portfolios of the run are "),
        (
            "simulation.seed=8",
            "simulation.seed: is not as in .*; an analysis reads the paths of its run, so leave sim",
        ),
        ("model.kind=student_t", "model.kind: is not as in"),
        ("risk.level=0.9", "risk.level: unknown key; did you mean risk.levels?"),
        ("store.times=all", "store.times: means nothing without store.paths"),
    ],
)
def test_refused_with_paths(settings: str, line: str, home: Path, with_paths: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=line):
        analysed(with_paths, tmp_path / "again", settings.replace("LIBRARY", str(home / "library.yaml")))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (f"portfolios=[{TILT}]", "portfolios: 'tilt' is not among those whose losses are stored"),
        ("stress={library: LIBRARY, scenarios: [crash_40]}", "stress.scenarios: crash_40 is not among those whose"),
        ("risk.horizons=[2]", "risk.horizons: day 2 is not among the horizons of the stored losses"),
        ("store.paths=true", "store.paths: is true, and an analysis that reads losses has none"),
    ],
)
def test_refused_with_losses(settings: str, line: str, home: Path, with_losses: Path, tmp_path: Path) -> None:
    hint = ".*with_losses does not store its paths, .*: set store.paths to true in a run of its own"
    with pytest.raises(ConfigError, match=line + hint):
        analysed(with_losses, tmp_path / "again", settings.replace("LIBRARY", str(home / "library.yaml")))


def test_refused_where_the_price_enters_the_dynamics(tmp_path: Path) -> None:
    configuration = tmp_path / "pegged.yaml"
    prices = Path("configs/models/pegged_synthetic_prices.csv").absolute()
    tokens = {
        "market": {"prices": str(prices)},
        "portfolios": [{"name": "half", "capital": 1.0, "weights": "equal"}],
        "model": {"kind": "pegged", "fixed": {"jump_intensity": 0.02}},
        "simulation": {"paths": 2048, "days_per_year": 365.0},
        "risk": {"levels": [0.9]},
        "stress": {"library": str(tmp_path / "library.yaml")},
    }
    (tmp_path / "library.yaml").write_text("scenarios: [{name: down, all_prices: -0.1}]", "utf-8")
    configuration.write_text(yaml.safe_dump(tokens), "utf-8")
    source = make_run(configuration, tmp_path / "source", "store.paths=true", "report.html=false")
    assert same(analysed(source, tmp_path / "again", "store.paths=true"), source), "a stored scenario is read"
    (tmp_path / "library.yaml").write_text("scenarios: [{name: further, all_prices: -0.2}]", "utf-8")
    with pytest.raises(ConfigError, match=r"further can't be had .*: today's price enters the dynamics of"):
        analysed(source, tmp_path / "third", f"stress={{library: {tmp_path}/library.yaml}}")


def test_a_damaged_source(with_paths: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(with_paths, source)
    chunk = sorted((source / "results.zarr" / "log_growth" / "c").rglob("*"))[-1]
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"source: log_growth, paths 4096 to 5000: damaged"):
        analysed(source, tmp_path / "again", f"portfolios=[{TILT}]")
    manifest = json.loads((source / "manifest.json").read_text("utf-8"))
    (source / "manifest.json").write_text(json.dumps(manifest | {"seed": "8"}), "utf-8")
    with pytest.raises(StoreError, match=r"manifest.json: its own sha256 does not match"):
        open_stored(RunDirectory(source))


# -- the plan and the command


def test_the_plan_reads_and_draws_nothing(with_paths: Path, with_losses: Path) -> None:
    jobs = []
    for run, portfolio in ((with_paths, f"[{TILT}]"), (with_losses, "[equal]")):
        stored = open_stored(RunDirectory(run))
        config = load_analysis(overrides=[f"portfolios={portfolio}"], portfolios=stored.portfolios)
        jobs.append(prepare_analysis(stored, config))
    with open_cluster("synchronous") as cluster:
        plans = [plan_job(job, cluster=cluster, place=Path()) for job in jobs]
        simulating = plan_job(replace(jobs[0], source=None), cluster=cluster, place=Path())
    assert [plan.numbers_drawn for plan in plans] == [0, 0]
    assert jobs[0].workload.read_bytes == 4 * 4 * 5 * 3, "four scenarios, five times, three assets in single precision"
    assert jobs[1].workload.read_bytes == 8 * 4 * 2 * 2
    assert plans[0].bytes_on_disk == simulating.bytes_on_disk, "losses alone are written"
    assert plans[0].peak_memory > simulating.peak_memory, "what is read has five times, what is simulated two"


def test_sections_of_the_run_are_held_to_what_is_given(with_paths: Path, tmp_path: Path) -> None:
    stored = open_stored(RunDirectory(with_paths))
    paths = stored.job.spec.paths
    prepare_analysis(stored, load_analysis(overrides=[f"simulation.paths={paths}"]))
    with pytest.raises(StoreError, match=r"again: is inside the run that is read; choose another --out"):
        analysed(with_paths, with_paths / "again")


def test_the_command(home: Path, with_paths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sections that the run settles may stand in the file, as in that of the run."""
    monkeypatch.chdir(tmp_path)
    settings = {"title": "Again", "portfolios": [yaml.safe_load(TILT)], "risk": {"levels": [0.9], "horizons": [1]}}
    whole = yaml.safe_load((home / "small.yaml").read_text("utf-8"))
    del whole["stress"]
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(whole | settings), "utf-8")
    words = ["analyse", str(with_paths), "--config", "again.yaml", "--out", "again", "--cluster", "synchronous"]
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, "report: again/report.html" in result.stdout) == (0, True), result.output
    assert "read from the run with_paths" in Path("again/report.html").read_text("utf-8")
    portfolio, level = f"portfolios=[{TILT}]", "risk={levels: [0.9], horizons: [1]}"
    assert same(Path("again"), simulated(home, tmp_path / "simulated", "title=Again", portfolio, level))
    result = CliRunner().invoke(app, ["analyse", str(with_paths), "--set", "risk.horizons=[9]"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
