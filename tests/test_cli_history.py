"""The commands over history: ``riskops var``, and what there is to choose from for a backtest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from riskops.cli import app
from riskops.config import load_job
from riskops.history import assess, list_forecasters
from riskops.history.backtests import list_backtests
from riskops.market import load_prices, simple_returns

FEW = ("--method", "historical,ewma", "--window", "300", "--judged", "100")

BACKTEST = """
job: var_backtest
market: {prices: sp500_index, start: 2021-06-01}
backtest: {methods: [historical, ewma], levels: [0.95, 0.99], window: 250}
ensemble: {window: 60}
tests: {names: [kupiec, z2], simulations: 99}
report: {html: false}
"""


def riskops(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def refused(*words: str) -> str:
    status, out, err = riskops(*words)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    return line


# -- riskops var


def test_var_prints_a_line_for_each_method_and_the_advice() -> None:
    status, out, err = riskops("var", "sp500_index", *FEW)
    assert (status, err) == (0, "")
    assert "SP500: loss over 1 day at 99 %, per cent of the value" in out
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("historical", "ewma", "ensemble")] == [
        *("historical", "ewma", "ensemble"),
    ]
    assert "1 breaches are expected" in out
    assert "Recommended: " in out
    assert "nan" not in out


def test_var_as_json_has_the_figures_of_the_library() -> None:
    status, out, _ = riskops("var", "sp500_index", *FEW, "--level", "0.975", "--level", "0.99", "--json")
    assert status == 0
    records = json.loads(out)
    returns = simple_returns(load_prices("sp500_index"))
    found = assess(returns, methods=["historical", "ewma"], level=[0.975, 0.99], window=300, judged=100).compute()
    assert [(record["level"], record["method"]) for record in records] == [
        (level, method) for level in (0.975, 0.99) for method in ("historical", "ewma", "ensemble")
    ]
    for record in records:
        one = found.sel({"method": record["method"], "level": record["level"]})
        assert record["series"] == "SP500"
        assert record["value_at_risk"] == one["forecast_value_at_risk"].item()
        assert record["expected_shortfall"] == one["forecast_expected_shortfall"].item()
        assert record["breaches"] == one["breaches"].item()
        assert record["judged_forecasts"] == 100
    weights = [record["ensemble_weight"] for record in records if record["level"] == 0.99]
    assert weights[2] is None
    assert np.isclose(weights[0] + weights[1], 1.0)


def test_var_of_several_assets_is_that_of_equal_parts() -> None:
    status, out, _ = riskops("var", "sp500", *FEW, "--end", "2010-12-31", "--json")
    assert status == 0
    assert {record["series"] for record in json.loads(out)} == {"equal parts of 20 assets"}
    status, out, _ = riskops("var", "sp500", *FEW, "--asset", "XOM", "--horizon", "10")
    assert status == 0
    assert "XOM: loss over 10 days at 99 %" in out
    assert "equal weights; 10 forecasts of the judged days are fewer than 50" in " ".join(out.split())


def test_var_reads_a_file(tmp_path: Path) -> None:
    prices = load_prices("sp500_index", start="2020-01-02")
    rows = zip(prices["observation"].values, prices["price"].values[:, 0], strict=True)
    text = "date,OWN\n" + "".join(f"{str(day)[:10]},{price}\n" for day, price in rows)
    (tmp_path / "own.csv").write_text(text)
    status, out, _ = riskops("var", str(tmp_path / "own.csv"), *FEW)
    assert status == 0
    assert out.lstrip().startswith("OWN: loss over 1 day")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--method", "emwa"), "riskops: method: 'emwa' is not one of "),
        (("--method", "ewma,ewma"), "riskops: methods: 'ewma' is given twice"),
        (("--level", "99"), "riskops: level: 99.0 is not a confidence level between 0 and 1; did you mean 0.99?"),
        (("--asset", "XOM"), "riskops: assets: 'XOM' is unknown; known are SP500"),
        (("--end", "1992-01-02"), "riskops: window: 1000 returns, and 250 days to judge by, are more than the 506"),
        (("--end", "soon"), "riskops: end: 'soon' is not a date (YYYY-MM-DD)"),
        (("--horizon", "300"), "riskops: judged: 250 days hold no loss over 300 days; take 300 or more"),
        (("--judged", "5"), "riskops: judged: 5 is not an integer >= 20"),
        (("--window", "0"), "riskops: window: 0 is not an integer >= 2"),
    ],
)
def test_var_says_in_one_line_what_is_wrong(words: tuple[str, ...], expected: str) -> None:
    chosen = () if "--method" in words else ("--method", "historical,ewma")
    assert refused("var", "sp500_index", *chosen, *words).startswith(expected)


def test_var_of_no_prices() -> None:
    assert refused("var", "nowhere.csv") == "riskops: nowhere.csv: no such file"


# -- what there is


def test_forecasters_and_backtests_are_listed() -> None:
    for command, key, known in (("forecasters", "method", list_forecasters()), ("backtests", "test", list_backtests())):
        status, out, _ = riskops("describe", command, "--json")
        assert status == 0
        rows: list[dict[str, Any]] = json.loads(out)
        assert [row[key] for row in rows] == list(known)
        assert all(all(row.values()) for row in rows)
        status, out, _ = riskops("describe", command)
        assert status == 0
        assert all(name in out for name in known)


def test_the_keys_of_a_backtest_are_listed() -> None:
    status, out, _ = riskops("describe", "backtest", "--json")
    assert status == 0
    rows = {row["key"]: row for row in json.loads(out)}
    assert rows["backtest.window"]["default"] == 1000
    assert rows["job"]["required"]
    assert not {"simulation.paths", "market.currency"} & rows.keys()
    status, out, _ = riskops("describe", "backtest")
    assert status == 0
    assert all(name in out for name in rows)


def test_a_starter_says_what_it_computes_and_loads(tmp_path: Path) -> None:
    prices = load_prices("sp500_index", start="2020-01-02")
    rows = zip(prices["observation"].values, prices["price"].values[:, 0], strict=True)
    (tmp_path / "own.csv").write_text("date,OWN\n" + "".join(f"{str(day)[:10]},{price}\n" for day, price in rows))
    target = tmp_path / "own.yaml"
    status, _, _ = riskops("init", str(tmp_path / "own.csv"), "--out", str(target))
    assert status == 0
    assert "job: market_risk" in target.read_text()
    assert load_job(target).job == "market_risk"


# -- a backtest from the command line


def test_a_backtest_is_run_shown_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(BACKTEST)
    status, out, _ = riskops("run", "small.yaml", "--out", "runs/first")
    assert status == 0
    assert out.splitlines()[-1] == "run: runs/first"
    assert all(name in out for name in ("historical", "ewma", "ensemble"))
    status, out, _ = riskops("runs", "show", "first")
    assert status == 0
    assert all(name in out for name in ("historical", "ewma", "ensemble"))
    status, out, _ = riskops("runs", "show", "first", "--timings")
    assert status == 0
    assert "forecast-roll" in out
    status, out, _ = riskops("runs", "list")
    assert status == 0
    assert "var_backtest" in out
    assert riskops("runs", "verify", "first")[0] == 0
    status, out, _ = riskops("runs", "replay", "first", "--quiet")
    assert status == 0
    assert "figures are identical; parameters are fitted again in a replay" in out
    status, out, _ = riskops("runs", "compare", "first", "first")
    assert (status, out) == (0, "all figures are identical\n")
    for words in (("analyse", "first"), ("runs", "curve", "first", "--portfolio", "SP500")):
        assert refused(*words) == "riskops: runs/first: is a run of var_backtest, which has no simulated losses"
    assert refused("profile", "small.yaml").startswith(
        "riskops: job: profile sets kernels against Dask in a simulation"
    )


def test_a_plan_says_what_a_backtest_takes(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(BACKTEST)
    status, out, _ = riskops("plan", str(tmp_path / "small.yaml"), "--json")
    assert status == 0
    planned = json.loads(out)
    assert (planned["methods"], planned["series"], planned["tasks"]) == (3, 1, 2)
    status, out, _ = riskops("plan", str(tmp_path / "small.yaml"))
    assert status == 0
    assert "forecasts" in out
