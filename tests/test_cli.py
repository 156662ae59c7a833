"""The commands as a user gives them: what they print, the status they end with, and one clear line for bad input."""

from __future__ import annotations

import csv
import gc
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

import riskops
from riskops.cli import app
from riskops.cli.frame import interrupts_kept
from riskops.config import load_config
from riskops.models import describe_models
from riskops.scenarios import load_library
from riskops.schema import MEASURES
from tests.small_job import CONFIGURATION, edit_json

RISKOPS = [sys.executable, "-m", "riskops"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command starts in an empty folder."""
    monkeypatch.chdir(tmp_path)


def ask(*words: str | Path) -> Result:
    """Give a command in this process; an error that it did not expect is the test's."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def answer(*words: str | Path, status: int = 0) -> str:
    """What a command prints to standard output."""
    result = ask(*words)
    assert result.exit_code == status, result.stderr
    return result.stdout


def refusal(*words: str | Path) -> str:
    """The one line of a refused command, which leaves nothing behind."""
    before = sorted(Path().rglob("*"))
    result = ask(*words)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert sorted(Path().rglob("*")) == before, "something was left behind"
    prefix, line, end = re.fullmatch(r"(riskops: )(.*)(\n)", result.stderr).groups()  # type: ignore[union-attr]
    assert (prefix, end) == ("riskops: ", "\n")
    return line


@pytest.fixture
def small(small_configuration: Path) -> Path:
    """A configuration of one's own to change."""
    return Path(shutil.copy(small_configuration, "small.yaml"))


def own_prices(path: Path, *, rows: int = 60, change: Callable[[list[list[Any]]], Any] = lambda _: None) -> Path:
    """A price file of two assets, changed before it is written."""
    days = np.arange(np.datetime64("2021-01-01"), np.datetime64("2022-01-01"))
    days = days[np.is_busday(days)][:rows]
    walk = np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.01, (rows, 2)), axis=0))
    table = [[str(day), *(100 * row).round(4).tolist()] for day, row in zip(days, walk, strict=True)]
    change(table)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["date", "ALPHA", "BETA"], *table])
    return path


# -- help and start-up


@pytest.mark.parametrize(
    "words",
    [
        *([], ["init"], ["run"], ["plan"], ["profile"], ["bench"], ["runs"], ["cluster"], ["describe"]),
        *(["runs", name] for name in ("list", "show", "verify", "resume", "replay", "publish", "compare", "curve")),
        *(["cluster", name] for name in ("certificates", "scheduler", "worker", "script")),
        *(["describe", name] for name in ("models", "measures", "scenarios", "config")),
    ],
    ids=" ".join,
)
def test_help_is_plain_and_whole(words: list[str]) -> None:
    text = answer(*words, "--help")
    assert text.startswith("Usage: ")
    assert "..." not in re.sub(r"(ARGS\]|NAME,)\.\.\.", "", text), "a line that is cut off explains nothing"
    assert max(map(len, text.splitlines())) <= 100
    assert text.isascii()
    for option in re.findall(r"^  (--\S+)", text, re.MULTILINE):
        assert re.search(rf"^  {option} .*(\n {{4}}.*)*[.\]]$", text, re.MULTILINE), f"{option} is not explained"


def test_the_version_is_printed() -> None:
    assert answer("--version") == f"riskops {riskops.__version__}\n"


@pytest.mark.parametrize(
    "words", [["runz"], ["run"], ["run", "a.yaml", "--worker", "2"], ["run", "a.yaml", "--workers", "x"]]
)
def test_a_command_that_does_not_exist_ends_with_status_2(words: list[str]) -> None:
    result = ask(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


def test_help_is_there_at_once() -> None:
    """The fastest of three tries counts: the machine may be busy."""
    tries = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([*RISKOPS, "--help"], check=True, capture_output=True)
        tries.append(time.perf_counter() - start)
    assert min(tries) < 0.7


def test_a_run_imports_nothing_that_it_has_no_use_for(small: Path) -> None:
    code = (
        "import sys; from riskops.cli import app\n"
        f"words = ['run', {str(small)!r}, '--out', 'one', '--quiet', '--set', 'report.html=false']\n"
        "app(words, standalone_mode=False)\n"
        "print({'bokeh', 'distributed', 'scipy.stats', 'IPython', 'matplotlib', 'cupy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-2:] == ["run: one", "set()"]


# -- run, plan, init


def test_run_prints_the_table_and_the_place(small: Path) -> None:
    result = ask("run", small, "--out", "one", "--cluster", "synchronous")
    assert result.exit_code == 0
    assert "A small job" in result.stdout
    assert "covid_2020_q1" in result.stdout
    assert result.stdout.splitlines()[-1] == "report: one/report.html"
    assert "of" in result.stderr, "the progress"
    assert Path("one/report.html").is_file()
    assert not Path("one.partial").exists()


def test_a_quiet_run_says_where_it_is_and_nothing_else(small: Path, finished_run: Path) -> None:
    result = ask(
        "run", small, "--quiet", "--set", "report.html=false", "--set", "store.root=deep/runs", "--workers", "1"
    )
    assert result.exit_code == 0
    place = re.fullmatch(r"run: (deep/runs/small-\d{8}t\d{6}z)\n", result.stdout)
    assert place is not None
    assert result.stderr == ""
    assert Path(place[1], "results.json").read_bytes() == (finished_run / "results.json").read_bytes()
    assert answer("runs", "show", Path(place[1]).name, "--root", "deep/runs").count("equal") >= 1


@pytest.mark.parametrize(
    ("override", "where", "value"),
    [
        ("title=Other", ["title"], "Other"),
        ("simulation.seed=18446744073709551615", ["simulation", "seed"], 2**64 - 1),
        ("risk.levels=[0.9, 0.975]", ["risk", "levels"], [0.9, 0.975]),
        ("market.assets=[AAPL, JPM, XOM]", ["market", "assets"], ["AAPL", "JPM", "XOM"]),
        ("market.end=2020-12-30", ["market", "end"], "2020-12-30"),
        ("stress={library: null}", ["stress", "library"], None),
        ("portfolios=[{name: a, capital: 5, weights: equal}]", ["portfolios", 0, "name"], "a"),
        ("model.nearest_correlation=true", ["model", "nearest_correlation"], True),
    ],
)
def test_set_takes_any_key(override: str, where: list[str | int], value: object, small: Path) -> None:
    answer("run", small, "--out", "one", "--quiet", "--set", override, "--set", "report.html=false")
    found = json.loads(Path("one/configuration.json").read_text())
    for key in where:
        found = found[key]
    assert found == value


def test_plan_says_what_would_run_and_writes_nothing(small: Path) -> None:
    before = sorted(Path().rglob("*"))
    plan = json.loads(answer("plan", small, "--json"))
    assert (plan["paths"], plan["chunk_paths"], plan["chunks"]) == (5000, 1024, 5)
    assert {"tasks", "bytes_on_disk", "peak_memory"} <= plan.keys()
    text = answer("plan", small, "--set", "simulation.paths=4194304", "--set", "simulation.chunk_paths=null")
    assert "4,194,304" in text
    assert re.search(r"bytes on disk +[\d,.]+ [MG]iB", text)
    assert re.search(r"peak memory +[\d,.]+ [MG]iB", text)
    assert sorted(Path().rglob("*")) == before


def test_plan_refuses_what_will_not_fit(small: Path) -> None:
    line = refusal("plan", small, "--set", "simulation.paths=10_000_000_000")
    assert re.fullmatch(r"(store\.root|simulation\.paths or risk\.levels): .* and .*; lower .*", line)


@pytest.mark.parametrize("name", ["my prices.csv", "prices.csv.gz"])
def test_init_writes_a_configuration_that_runs(name: str) -> None:
    plain = own_prices(Path("plain.csv"), rows=200)
    if name.endswith(".gz"):
        import gzip

        Path(name).write_bytes(gzip.compress(plain.read_bytes()))
    else:
        plain.rename(name)
    target = f"{name.split('.')[0]}.yaml"
    said = answer("init", name)
    assert said == f"{target}: look through it, then riskops run '{target}'\n".replace("'prices.yaml'", "prices.yaml")
    text = Path(target).read_text()
    assert "2 assets, 200 dates from 2021-01-01" in text
    config = load_config(target)
    assert config.stress.load(), "scenarios that apply to these prices"
    assert {"covid_2020_q1", "energy_shock"}.isdisjoint(s.name for s in config.stress.load())
    assert yaml.safe_load(text)["market"]["prices"] == name, "a path that still holds when the folder is moved"
    last = answer(
        "run", target, "--quiet", "--set", "simulation.paths=2048", "--set", "report.html=false", "--out", "one"
    )
    assert last == "run: one\n"
    assert refusal("init", name) == f"--out: {target} exists; choose another file"


def test_init_knows_the_bundled_prices_and_other_folders() -> None:
    answer("init", "sp500", "--out", "all.yaml")
    config = load_config("all.yaml")
    assert (config.market.prices, config.stress.scenarios) == ("sp500", "all")
    own_prices(Path("plain.csv"))
    Path("deep").mkdir()
    answer("init", "plain.csv", "--out", "deep/plain.yaml")
    assert load_config("deep/plain.yaml").market.prices == str(Path("plain.csv").absolute())


# -- the commands on runs


def test_runs_list(finished_run: Path, run_copy: Path) -> None:
    assert ask("runs", "list").stderr == "riskops: no runs under runs\n"
    assert answer("runs", "list", "--json") == "[]\n"
    root = run_copy.parent
    (root / "torn").mkdir()
    (root / "torn" / "manifest.json").write_text('{"format": 1}')
    text = answer("runs", "list", "--root", root)
    assert re.search(r"copy +market_risk +complete +\d{4}-\d\d-\d\d \d\d:\d\d +5,000 +A small job", text)
    assert re.search(r"torn +– +damaged manifest", text)
    rows = json.loads(answer("runs", "list", "--root", root, "--json"))
    assert [row["run"] for row in rows] == ["copy", "torn"]


def test_runs_show(finished_run: Path) -> None:
    text = answer("runs", "show", finished_run)
    assert text == answer("runs", "show", finished_run.name, "--root", finished_run.parent)
    assert "long_short" in text
    manifest = json.loads(answer("runs", "show", finished_run, "--json"))
    assert manifest == json.loads((finished_run / "manifest.json").read_text())


def test_runs_verify(finished_run: Path, run_copy: Path) -> None:
    assert answer("runs", "verify", finished_run) == f"{finished_run}: every file and array is what the manifest says\n"
    for name in ("results.json", "figures.csv"):
        (run_copy / name).write_text("{}")
    result = ask("runs", "verify", run_copy)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"riskops: {run_copy}: {name}: sha256 does not match" for name in ("figures.csv", "results.json")
    ]


def test_runs_replay_and_compare(finished_run: Path, run_copy: Path) -> None:
    text = answer("runs", "replay", finished_run, "--quiet", "--cluster", "synchronous")
    assert re.fullmatch(r".*/finished: all \d+ figures are identical; fitting .* gives the recorded parameters\n", text)
    assert answer("runs", "compare", finished_run, run_copy) == "all figures are identical\n"
    assert answer("runs", "compare", finished_run, run_copy, "--json") == "[]\n"
    edit_json(run_copy / "results.json", ["figures", 0, "value"], 1.25)
    result = ask("runs", "replay", run_copy, "--quiet", "--workers", "1")
    assert result.exit_code == 1
    assert "1.25" in result.stdout
    assert re.search(r"riskops: .*copy: 1 of \d+ figures differ; fitting", result.stderr)
    result = ask("runs", "compare", finished_run, run_copy)
    assert (result.exit_code, result.stderr) == (1, "riskops: figures that differ: 1\n")
    assert "1.25" in result.stdout
    differences = json.loads(answer("runs", "compare", run_copy, finished_run, "--json", status=1))
    assert [d["first"] for d in differences] == [1.25]


def test_runs_are_refused_that_are_none(finished_run: Path, run_copy: Path) -> None:
    nothing = "is neither the id of a run under runs nor the path of one"
    for command in ("show", "verify", "resume", "replay"):
        assert refusal("runs", command, "nothing") == f"run: 'nothing' {nothing}"
        assert refusal("runs", command, "../../etc") == f"run: '../../etc' {nothing}"
    assert refusal("runs", "compare", finished_run, "nothing") == f"run: 'nothing' {nothing}"
    assert refusal("runs", "resume", finished_run) == f"{finished_run}: the run is complete, there is nothing to resume"
    run_copy.rename("one.partial")
    for words in (["show"], ["verify"], ["replay"], ["compare", finished_run]):
        line = refusal("runs", *words, "one")
        assert line == "one: the run is not complete; finish it (riskops runs resume one)"


# -- describe


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("models", [row["model"] for row in describe_models()]),
        ("measures", list(MEASURES)),
        ("scenarios", [scenario.name for scenario in load_library("market")]),
        ("config", ["simulation.paths", "risk.levels", "model.window", "cluster.kind", "store.root", "report.html"]),
    ],
)
def test_describe(what: str, names: list[str]) -> None:
    text = answer("describe", what)
    rows = json.loads(answer("describe", what, "--json"))
    for name in names:
        assert re.search(rf"^ {re.escape(name)} ", text, re.MULTILINE), name
        assert any(name in row.values() for row in rows)
    assert max(map(len, text.splitlines())) <= 100


def test_describe_takes_a_library_of_ones_own() -> None:
    Path("own.yaml").write_text("scenarios: [{name: flood, all_prices: -0.1}]")
    assert "flood" in answer("describe", "scenarios", "--library", "own.yaml")
    assert refusal("describe", "scenarios", "--library", "other.yaml") == "other.yaml: no such file"


# -- bad input: one line, status 2, nothing left behind


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("simulation.path=5", "simulation.path: unknown key; did you mean simulation.paths?"),
        ("simulations.paths=5", "simulations: unknown key; did you mean simulation?"),
        ("simulation.paths=many", "simulation.paths: 'many' is not an integer >= 1 and < 2**34"),
        ("simulation.paths=1.5", "simulation.paths: 1.5 is not an integer >= 1 and < 2**34"),
        ("simulation.paths=0", "simulation.paths: 0 is not an integer >= 1 and < 2**34"),
        ("simulation.chunk_paths=1000", "simulation.chunk_paths: 1000 is not a multiple of 1024 or null"),
        ("simulation.step_days=.inf", "simulation.step_days: inf is not a number above zero"),
        ("risk.levels=[99]", "risk.levels[0]: 99.0 is not a confidence level between 0 and 1"),
        (
            "risk.levels=[0.9, 0.9999]",
            "simulation.paths: 5000 carry no 95 % interval at level 0.9999; at least 36887 are",
        ),
        ("risk.horizons=[6]", "risk.horizons: 6 is beyond the last step, day 5; set simulation.steps to at least 6"),
        ("market.prices=none.csv", "market.prices: 'none.csv' is no file, and no bundled data set"),
        ("market.end=2019-01-03", "model: log_return: 1 observations are too few; at least 2 are needed"),
        ("portfolios=[missing.yaml]", "portfolios[0]: 'missing.yaml' is no file"),
        (
            "portfolios=[{name: a, shares: {TSLA: 5}}]",
            "portfolio 'a': asset 'TSLA' has no prices; known are XOM, AAPL, JPM",
        ),
        (
            "portfolios=[{name: a, money: {AAPL: 1.0e+308, XOM: 1.0e+308}}]",
            "portfolio 'a': 1e+308 money of 'AAPL' is too large",
        ),
        (
            "market.start=2030-01-01",
            "market.start: 2030-01-01 lies outside the prices of sp500, 1990-01-02 to 2022-12-28",
        ),
        ("market.assets=[XOM, FOO]", "market.assets: 'FOO' is unknown; known are AAPL, AMD,"),
        ("model.window=2", "model: correlation: is not positive definite (smallest eigenvalue "),
        ("model.kind=magic", "model.kind: 'magic' is unknown; known are bootstrap, filtered_historical"),
        ("stress.scenarios=[flood]", "stress.scenarios: 'flood' is unknown; known are august_2011"),
        (
            "stress.scenarios=[energy_shock]",
            "scenario energy_shock: price_shocks: 'CVX' is unknown; known are AAPL, JPM, XOM",
        ),
        ("paths", "--set: 'paths' is not of the form key.path=value"),
        ("simulation.paths=[", "--set simulation.paths"),
        ("cluster.workers=0", "cluster.workers: 0 is not an integer >= 1 or null"),
    ],
)
def test_a_bad_value_is_refused(override: str, line: str, small: Path) -> None:
    found = refusal("run", small, "--out", "one", "--set", override)
    assert found.startswith(line), found


def spoil(row: int, column: int, value: object) -> Callable[[list[list[Any]]], None]:
    def change(table: list[list[Any]]) -> None:
        table[row][column] = value

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (spoil(10, 1, 0), r"own\.csv: asset 'ALPHA' on 2021-01-15: price 0\.0 is not positive and finite"),
        (spoil(10, 1, -3.5), r"own\.csv: asset 'ALPHA' on 2021-01-15: price -3\.5 is not positive and finite"),
        (spoil(20, 2, "NaN"), r"own\.csv: asset 'BETA' has no price on 2021-01-29 \(.*\); set gaps .* to go on"),
        (spoil(20, 2, "inf"), r"own\.csv: asset 'BETA' on 2021-01-29: price inf is not positive and finite"),
        (spoil(20, 2, "n/a?"), r"own\.csv: line 22, asset 'BETA': 'n/a\?' is not a number"),
        (spoil(11, 0, "2021-01-15"), r"own\.csv: date 2021-01-15 is given twice"),
        (spoil(11, 0, "2020-01-15"), r"own\.csv: date 2020-01-15 follows 2021-01-15; dates must ascend"),
        (spoil(11, 0, "sometime"), r"own\.csv: line 13: 'sometime' is not a date \(YYYY-MM-DD\)"),
        (lambda table: table.clear(), r"own\.csv: holds no rows of prices"),
    ],
    ids=["zero", "negative", "NaN", "infinite", "text", "duplicate date", "unsorted", "no date", "empty"],
)
def test_bad_prices_are_refused(change: Callable[[list[list[Any]]], None], line: str) -> None:
    own_prices(Path("own.csv"), change=change)
    for words in (["init", "own.csv"], ["run", "own.yaml", "--out", "one"]):
        Path("own.yaml").unlink(missing_ok=True)
        if words[0] == "run":
            Path("own.yaml").write_text(
                "{market: {prices: own.csv}, portfolios: [{name: a, capital: 1, weights: equal}]}"
            )
        assert re.fullmatch(line, refusal(*words).removeprefix(f"{Path.cwd()}/"))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("market: [", "small.yaml: line 1 column 10: is not YAML"),
        ("just words", "small.yaml: holds str, not a mapping of keys"),
        ("", "small.yaml: is empty"),
        ("\x00\x01", "small.yaml: is not YAML"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nmarket: [*b, *b]", "small.yaml: line 2 column 8: alias *a is not accepted"),
        (
            "market: !!python/object/apply:os.system [ls]",
            "small.yaml: line 1 column 9: is not YAML: could not determine",
        ),
        ("[" * 50_000, "small.yaml: is nested too deeply"),
        ("title: " + "x" * 2_000_000, "small.yaml: is larger than the limit of 1000000 bytes"),
        (CONFIGURATION + "\nrisk: {levels: [0.9]}\n", "small.yaml: line 11 column 1: key 'risk' is given twice"),
    ],
    ids=["torn", "text", "empty", "binary", "bomb", "object", "deep", "large", "twice"],
)
def test_what_is_no_configuration_is_refused(content: str, line: str) -> None:
    Path("small.yaml").write_text(content)
    found = refusal("run", "small.yaml", "--out", "one")
    assert found.startswith(line), found


def test_a_missing_file_is_refused() -> None:
    assert refusal("run", "none.yaml") == "none.yaml: no such file"
    assert refusal("plan", ".") == ".: is a directory, a file was expected"
    assert "none.csv" in refusal("init", "none.csv")


def test_a_place_that_is_taken_or_cannot_be_written_is_refused(small: Path) -> None:
    Path("one").mkdir()
    assert refusal("run", small, "--out", "one") == "--out: one exists; choose another directory"
    Path("file").write_text("")
    assert refusal("run", small, "--out", "file/one").startswith("--out: file/one.partial can't be made: ")
    own_prices(Path("own.csv"))
    assert refusal("init", "own.csv", "--out", "none/own.yaml").startswith("--out: none/own.yaml can't be written: ")


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("thread", "--cluster: 'thread' is not threads, synchronous, processes, cuda, ssh, slurm, pbs, lsf, "),
        ("tcp://10.1.2.3:8786", "cluster.address: tcp://10.1.2.3:8786 is neither on this machine nor encrypted"),
        ("tls://127.0.0.1:8786", "cluster.address: tls://127.0.0.1:8786 needs certificates"),
        ("gopher://127.0.0.1:8786", "cluster.address: 'gopher://127.0.0.1:8786' is not an address such as"),
    ],
)
def test_a_scheduler_that_may_not_be_used_is_refused(where: str, line: str, small: Path) -> None:
    assert refusal("run", small, "--out", "one", "--cluster", where).startswith(line)


def test_a_scheduler_that_does_not_answer_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds are given to it; two here, for patience is the only difference."""
    monkeypatch.setattr("riskops.cluster.connection.CONNECT_SECONDS", 2.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: closed to whoever calls
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        start = time.perf_counter()
        line = refusal("run", small, "--out", "one", "--cluster", address)
    assert line == f"cluster.address: tcp://{address} does not answer within 2 s"
    assert time.perf_counter() - start < 10


# -- what befalls a run


def begun(words: list[str], chunks: Path, *, at_least: int) -> subprocess.Popen[str]:
    """Start a run and wait until some chunks of losses are stored."""
    child = subprocess.Popen(
        [*RISKOPS, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while len(list(chunks.glob("*"))) < at_least:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return child


@pytest.mark.parametrize("where", ["threads", "processes"])
def test_an_interrupted_run_can_be_resumed(where: str, small: Path) -> None:
    options = ["--set", "simulation.paths=40960", "--set", "report.html=false", "--cluster", where, "--workers", "2"]
    place = Path("my runs/one")
    child = begun(
        ["run", str(small), "--out", str(place), *options],
        Path("my runs/one.partial/results.zarr/loss/c/0/0/0"),
        at_least=3,
    )
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
    said, complaint = child.communicate(timeout=60)
    assert (child.returncode, said) == (130, ""), complaint
    assert complaint.splitlines()[-1] == (
        "riskops: interrupted; what was computed is kept: riskops runs resume 'my runs/one'"
    )
    assert "Traceback" not in complaint
    assert not place.exists()
    assert refusal("run", small, "--out", place).endswith(
        "holds an interrupted run; resume it: riskops runs resume 'my runs/one'"
    )
    assert answer("runs", "resume", place, "--quiet", "--cluster", "threads") == "run: my runs/one\n"
    assert json.loads((place / "manifest.json").read_text())["resumed_chunks"]["loss"] >= 3
    answer("run", small, "--out", "undisturbed", "--quiet", *options[:4])
    assert (place / "results.json").read_bytes() == Path("undisturbed/results.json").read_bytes()
    answer("runs", "verify", place)


def test_an_interrupt_in_a_callback_of_the_garbage_collector_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    def pressed(phase: str, _info: dict[str, int]) -> None:
        if phase == "stop":
            gc.callbacks.remove(pressed)
            signal.raise_signal(signal.SIGINT)

    def work() -> None:
        with interrupts_kept():
            gc.collect()
            time.sleep(60)

    hook = sys.unraisablehook
    gc.callbacks.append(pressed)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - began < 10.0
    assert capsys.readouterr().err == ""
    assert sys.unraisablehook is hook

    class Failing:
        def __del__(self) -> None:
            raise OSError("of another kind")

    seen: list[object] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "unraisablehook", lambda lost: seen.append(lost.exc_type))
        with interrupts_kept():
            Failing()
    assert seen == [OSError]


def test_an_interrupt_before_anything_was_begun_leaves_nothing(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for name, line in (("prepare", "interrupted"), ("execute", "interrupted; nothing was begun")):
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["riskops.run"], name, interrupted)
            result = ask("run", small, "--out", "one")
        assert (result.exit_code, result.stdout, result.stderr) == (130, "", f"riskops: {line}\n")
        assert not list(Path().glob("one*"))


def test_a_scheduler_lost_in_mid_run_is_said_with_the_way_on(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise riskops.ClusterError("cluster.address: the scheduler was lost in mid-run")

    monkeypatch.setattr("riskops.cluster.Cluster.compute", lost)
    result = ask("run", small, "--out", "one", "--quiet")
    assert result.exit_code == 2
    assert result.stderr == (
        "riskops: cluster.address: the scheduler was lost in mid-run; "
        "what was computed is kept: riskops runs resume one\n"
    )


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[bool]:
    """A disk of that size, mounted at the place: True; False where this user may not mount one."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    mounted = shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_said_and_the_run_goes_on_once_there_is_room(small: Path, finished_run: Path) -> None:
    """On a disk of its own where one can be mounted, else where no file may grow: both are full in mid-run."""
    losses = sum(path.stat().st_size for path in (finished_run / "results.zarr" / "loss").rglob("*") if path.is_file())
    with small_disk(Path("disk"), f"{losses // 2}") as mounted:
        limit = "" if mounted else "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n"
        # the plan would refuse so small a disk at once, and rightly so: here another user fills it meanwhile
        code = (
            "import resource, shutil, sys\nfrom riskops.cli import app\n"
            "usage = shutil.disk_usage('.')\nshutil.disk_usage = lambda _: usage._replace(free=2**40)\n"
            f"{limit}app(sys.argv[1:])\n"
        )
        words = ["run", str(small), "--out", "disk/one", "--quiet", "--cluster", "synchronous"]
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        problem = "No space left on device" if mounted else "File too large"
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"riskops: store.root: {problem}; what was computed is kept in disk/one.partial: "
            "make room, then riskops runs resume disk/one\n"
        )
        assert [path.name for path in Path("disk").iterdir()] == ["one.partial"]
        assert mounted == (
            refusal("run", small, "--out", "disk/two", *words[4:]).startswith("store.root: the run needs")
        )
        shutil.copytree("disk/one.partial", "moved.partial")
    answer("runs", "resume", "moved", "--quiet")
    assert Path("moved/results.json").read_bytes() == (finished_run / "results.json").read_bytes()


def test_resume_goes_on_where_the_run_was_begun(run_copy: Path) -> None:
    run_copy.rename("one.partial")
    edit_json(Path("one.partial/manifest.json"), ["configuration", "cluster", "kind"], "synchronous")
    result = ask("runs", "resume", "one")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "report: one/report.html"
    assert json.loads(Path("one/manifest.json").read_text())["cluster"]["kind"] == "synchronous"


def test_a_run_begun_from_python_without_a_configuration_is_resumed_on_threads(run_copy: Path) -> None:
    run_copy.rename("one.partial")
    edit_json(Path("one.partial/manifest.json"), ["configuration"], {})
    result = ask("runs", "resume", "one", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert json.loads(Path("one/manifest.json").read_text())["cluster"]["kind"] == "threads"


def test_a_name_that_the_system_refuses_is_one_line(small: Path) -> None:
    name = "x" * 300
    line = refusal("run", small, "--out", name, "--quiet")
    assert name in line
    assert line.endswith("File name too long")


# -- schedulers


def test_dashboard_keeps_a_report_of_the_tasks(small: Path, finished_run: Path) -> None:
    result = ask("run", small, "--out", "one", "--dashboard", "--set", "report.html=false", "--workers", "2")
    assert result.exit_code == 0
    assert (
        "riskops: threads has no live dashboard, --cluster processes has; a report of the tasks is kept"
        in result.stderr
    )
    assert "simulate" in Path("one/performance.html").read_text("utf-8")
    assert Path("one/results.json").read_bytes() == (finished_run / "results.json").read_bytes()
    answer("runs", "verify", "one")


def test_processes_say_where_their_dashboard_is(small: Path, finished_run: Path) -> None:
    words = [*RISKOPS, "run", str(small), "--out", "one", "--cluster", "processes", "--workers", "1"]
    done = subprocess.run([*words, "--set", "report.html=false"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.match(r"dashboard: http://127\.0\.0\.1:\d+/status\n", done.stderr)
    assert not Path("one/performance.html").exists()
    assert Path("one/results.json").read_bytes() == (finished_run / "results.json").read_bytes()


def test_a_running_scheduler_is_used(small: Path, finished_run: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        host="127.0.0.1",
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
    ) as local:
        address = local.scheduler_address
        result = ask("run", small, "--out", "one", "--quiet", "--set", "report.html=false", "--cluster", address)
        assert (result.exit_code, result.stdout) == (0, "run: one\n"), result.stderr
    manifest = json.loads(Path("one/manifest.json").read_text())
    assert manifest["cluster"] == {"kind": "address", "workers": 2, "threads": 2}
    assert Path("one/results.json").read_bytes() == (finished_run / "results.json").read_bytes()
    assert address not in Path("one/results.json").read_text()


def test_bench_refuses_a_suite_that_does_not_exist() -> None:
    assert refusal("bench", "--suite", "nothing").startswith("suite: 'nothing' is unknown; known are draws, ")
