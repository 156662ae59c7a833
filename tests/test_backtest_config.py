"""Configurations of backtests: what is accepted, what is refused and in which words, and what a job makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from riskops.config import BacktestConfig, Config, config_keys, load_backtest, load_config, to_yaml
from riskops.config.backtest import backtest_from_mapping
from riskops.config.jobs import JOBS, load_job
from riskops.errors import ConfigError, InputError
from riskops.history.backtests import list_backtests
from riskops.history.forecasts import METHODS, forecaster
from riskops.market import load_prices
from riskops.run import BacktestJob, prepare
from riskops.run.backtest.prepare import method_of

SMALL: dict[str, Any] = {"job": "var_backtest", "market": {"prices": "sp500_index"}}
RISK = "market: {prices: sp500_index}\nportfolios: [{name: all, capital: 1, weights: equal}]\n"

Loader = Callable[..., BacktestConfig]


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Load the small configuration with ``--set`` values over it."""

    def loader(*overrides: str, text: str | None = None) -> BacktestConfig:
        file = tmp_path / "small.yaml"
        file.write_text(yaml.safe_dump(SMALL) if text is None else text)
        return load_backtest(file, overrides=overrides)

    return loader


def test_defaults(load: Loader) -> None:
    config = load()
    assert (config.series.assets, config.series.portfolios, config.series.others) == (True, (), ())
    assert config.backtest.levels == (0.95, 0.975, 0.99, 0.997)
    assert (config.backtest.methods, config.tests.names, config.backtest.failures) == ("all", "all", "error")
    assert (config.backtest.horizon, config.backtest.window, config.backtest.refit_every) == (1, 1000, 250)
    assert config.ensemble.enabled
    assert config.report.html
    assert config.store.root == "runs"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("job=market_risk", "job: 'market_risk' is not var_backtest"),
        ("title=3", "title: 3 is not a line of text or null"),
        ("market.prices=nowhere.csv", "market.prices: 'nowhere.csv' is no file, and no bundled data set (sp500, "),
        ("market.currency=EUR", "market.currency: unknown key; known are prices, start, end, assets, gaps"),
        ("market.start=yesterday", "market.start: 'yesterday' is not a date (2015-01-02) or null"),
        ("series.assets=1", "series.assets: 1 is not true or false"),
        ("series.assets=false", "series.assets: is false, and there are no portfolios and no others: nothing to "),
        ("series.portfolios=3", "series.portfolios: 3 is not a list of portfolios: paths of files, or mappings "),
        ("series.portfolios=[3]", "series.portfolios[0]: 3 is not a path or a mapping"),
        ("series.portfolios=[none.yaml]", "series.portfolios[0]: 'none.yaml' is no file (looked in "),
        ("series.portfolios=[{name: a}]", "series.portfolios[0]: "),
        ("series.others=[nowhere]", "series.others[0]: 'nowhere' is no file, and no bundled data set (sp500, sp500_"),
        ("series.others=[sp500, sp500]", "series.others: 'sp500' is given twice"),
        ("series.others=sp500", "series.others: 'sp500' is not a list of names of bundled data sets"),
        ("series.returns=both", "series.returns: 'both' is not simple or log"),
        ("series.retruns=log", "series.retruns: unknown key; did you mean series.returns?"),
        ("backtest.methods=ewma", "backtest.methods: 'ewma' is not all or a list of methods"),
        ("backtest.methods=[]", "backtest.methods: [] is not all or a list of methods"),
        ("backtest.methods=[ewma, 3]", "backtest.methods[1]: 3 is not the name of a method or a mapping of kind and "),
        ("backtest.methods=[emwa]", "backtest.methods[0]: 'emwa' is not one of historical, age_weighted, "),
        ("backtest.methods=[{kind: [1]}]", "backtest.methods[0]: [1] is not one of historical, age_weighted, "),
        ("backtest.methods=[{}]", "backtest.methods[0]: None is not one of historical, age_weighted, "),
        ("backtest.methods=[{kind: ewma, decay: 2}]", "backtest.methods[0]: decay: 2"),
        ("backtest.methods=[{kind: ewma, half: 2}]", "backtest.methods[0]: method: ewma has no setting 'half'; it has"),
        ("backtest.methods=[monte_carlo]", "backtest.methods[0]: monte_carlo needs the key model: see `riskops des"),
        ("backtest.methods=[{kind: monte_carlo, model: [1]}]", "backtest.methods[0]: monte_carlo needs the key model"),
        ("backtest.levels=[99]", "backtest.levels[0]: 99.0 is not a confidence level between 0 and 1; did you mean 0."),
        ("backtest.levels=[0.9, 0.9]", "backtest.levels: 0.9 is given twice"),
        ("backtest.levels=[]", "backtest.levels: [] is not a list of one or more confidence levels between 0 and 1"),
        ("backtest.levels=[0.9, x]", "backtest.levels[1]: 'x' is not a confidence level between 0 and 1"),
        ("backtest.horizon=0", "backtest.horizon: 0 is not a whole number of days, at least 1"),
        ("backtest.horizon=101", "backtest.horizon: 101 days need a window of 1010 at least"),
        ("backtest.window=49", "backtest.window: 49 is not a whole number of days, at least 50"),
        ("backtest.window=1e3", "backtest.window: 1000.0 is not a whole number of days, at least 50"),
        ("backtest.scheme=fixed", "backtest.scheme: 'fixed' is not rolling or expanding"),
        ("backtest.refit_every=0", "backtest.refit_every: 0 is not a whole number of days, at least 1"),
        ("backtest.first=1999", "backtest.first: 1999 is not a date (2000-01-03) or null"),
        ("backtest.failures=skip", "backtest.failures: 'skip' is not error or nan"),
        ("ensemble.enabled=2", "ensemble.enabled: 2 is not true or false"),
        ("ensemble.score=brier", "ensemble.score: 'brier' is not fissler_ziegel or tick"),
        ("ensemble.window=49", "ensemble.window: 49 is not a whole number of days, at least 50"),
        ("ensemble.learning_rate=-1", "ensemble.learning_rate: -1 is not a number of at least 0, or null"),
        ("ensemble.learning_rate=.inf", "ensemble.learning_rate: inf is not a number of at least 0, or null"),
        ("ensemble.update_every=0", "ensemble.update_every: 0 is not a whole number of days, at least 1"),
        ("ensemble.minimum_weight=1.1", "ensemble.minimum_weight: 1.1 is not a number from 0 to 1"),
        ("ensemble.confidence_set=1", "ensemble.confidence_set: 1 is not a number between 0 and 1, or null"),
        ("ensemble.confidence_set=0.75", "ensemble.update_every: 1 is too often for ensemble.confidence_set, which"),
        ("tests.names=kupiec", "tests.names: 'kupiec' is not all or a list of names of tests"),
        ("tests.names=[kupeic]", "tests.names[0]: 'kupeic' is not one of kupiec, binomial, "),
        ("tests.names=[[1]]", "tests.names[0]: [1] is not one of kupiec, binomial, "),
        ("tests.names=[z1, z1]", "tests.names: 'z1' is given twice"),
        ("tests.simulations=98", "tests.simulations: 98 is neither 0 nor at least 99"),
        ("tests.simulations=-1", "tests.simulations: -1 is not a whole number, 0 or at least 99"),
        ("tests.size=0", "tests.size: 0 is not a number between 0 and 1"),
        ("tests.confidence_set=1", "tests.confidence_set: 1 is not a number between 0 and 1"),
        ("tests.seed=-1", "tests.seed: -1 is not an integer >= 0 and < 2**32"),
        ("tests.seed=4294967296", "tests.seed: 4294967296 is not an integer >= 0 and < 2**32"),
        ("store.root=", "store.root: None is not a folder's path"),
        ("store.paths=true", "store.paths: unknown key; known are root"),
        ("report.html=3", "report.html: 3 is not true or false"),
        ("cluster.kind=cloud", "cluster.kind: 'cloud' is not "),
        ("simulation.paths=3", "simulation: unknown key; "),
        ("window=3", "window: unknown key; did you mean backtest.window?"),
        ("backtest=3", "backtest: 3 is not a mapping with keys among methods, levels, horizon, window, scheme, "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(load: Loader, override: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(override)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith(expected)


def test_all_problems_are_listed_at_once(load: Loader) -> None:
    with pytest.raises(ConfigError) as caught:
        load("backtest.window=1", "tests.size=2", "ensemble.score=x")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        *("backtest.window", "ensemble.score", "tests.size"),
    ]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["market.assets=[X]"], "market.assets: 'X' is unknown; known are SP500"),
        (["market.start=2023-12-28"], "market.start: 2023-12-28 lies outside the prices of sp500_index, "),
        (["backtest.methods=[ewma, ewma]"], "backtest.methods[1]: 'ewma' is given twice"),
        (
            ["backtest.methods=[{kind: block_maxima, block: 5}]", "backtest.horizon=5"],
            "backtest.methods[0]: block: 5 days hold fewer than two separate sums of 5 days; use at least 10",
        ),
        (
            ["backtest.methods=[peaks_over_threshold]", "backtest.window=60"],
            "backtest.window: 60 returns are fewer than the 100 that peaks_over_threshold needs",
        ),
        (
            ["backtest.window=8400"],
            "backtest.window: 8400 returns leave none of the 8312 returns, to 2022-12-28, to forecast",
        ),
        (
            ["backtest.first=1991-01-02"],
            "backtest.first: 252 returns before 1991-01-02 are fewer than backtest.window, 1000",
        ),
        (["backtest.first=2022-12-29"], "backtest.first: 2022-12-29 leaves none of the 8312 returns, to 2022-12-28, "),
        (
            ["backtest.first=2022-12-27", "backtest.horizon=5"],
            "backtest.first: 2022-12-27 leaves none of the 8312 returns, to 2022-12-28, to forecast over 5 days",
        ),
        (
            ["backtest.methods=[ewma, historical]", "ensemble.minimum_weight=0.6"],
            "ensemble.minimum_weight: 0.6 for each of 2 methods is more than one in all; at most 0.5",
        ),
        (
            ["series.portfolios=[{name: SP500, capital: 1, weights: equal}]"],
            "series.portfolios: 'SP500' is the name of an asset too",
        ),
        (["series.others=[sp500_index]"], "series.others: 'SP500' is the name of two price series"),
        (
            ["series.portfolios=[{name: a, capital: 1, weights: equal}]", "series.returns=log"],
            "series.returns: log returns of assets do not add up to those of portfolios; take simple",
        ),
        (
            ["series.portfolios=[{name: a, cash: 1, shares: {SP500: -1}}]"],
            "series.portfolios: 'a' is worth -",
        ),
        (
            ["backtest.methods=[{kind: monte_carlo, model: brownian}]"],
            "backtest.methods[0]: model.kind: 'brownian' is unknown; known are ",
        ),
        (
            ["backtest.methods=[{kind: monte_carlo, model: garch, path: 5}]"],
            "backtest.methods[0]: path: is no setting of monte_carlo; known are model, options, paths, seed",
        ),
        (
            ["backtest.methods=[{kind: monte_carlo, model: garch, options: 5}]"],
            "backtest.methods[0]: options: 5 is not a mapping of options of the model's fit",
        ),
    ],
)
def test_what_only_the_prices_show_is_refused_before_a_run(load: Loader, overrides: list[str], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        prepare(load(*overrides))
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith(expected)


def test_other_prices_must_have_the_same_dates(load: Loader, tmp_path: Path) -> None:
    dates = [str(d)[:10] for d in load_prices("sp500_index", start="2022-01-03")["observation"].values]
    for name, kept in (("gap.csv", [*dates[:5], *dates[6:]]), ("short.csv", dates[20:])):
        rows = "".join(f"{date},{100 + k % 7}\n" for k, date in enumerate(kept))
        (tmp_path / name).write_text("date,OTHER\n" + rows)
    base = ("market.start=2022-01-03", "backtest.window=100", "backtest.methods=[ewma]")
    for name, said in (
        ("gap.csv", rf"gap\.csv has not the dates of market\.prices; {dates[5]} is in one of them only"),
        ("short.csv", rf"start: {dates[0]} lies outside the prices of .*short\.csv, {dates[20]} to 2022-12-28"),
    ):
        with pytest.raises(ConfigError, match=r"^series\.others\[0\]: .*" + said):
            prepare(load(*base, f"series.others=[{name}]"))
    rows = "".join(f"{date},{100 + k % 7}\n" for k, date in enumerate(dates))
    (tmp_path / "same.csv").write_text("date,OTHER\n" + rows)
    job = prepare(load(*base, "series.others=[same.csv]", "series.assets=false"))
    assert job.assets == ("OTHER",)
    assert job.series["asset"].values.tolist() == ["OTHER"]


def test_a_file_without_numbers_among_the_others_names_its_key(load: Loader, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("date,OTHER\n2022-01-03,x\n")
    with pytest.raises(ConfigError, match=r"^series\.others\[0\]: "):
        prepare(load("series.others=[bad.csv]"))


def test_series_are_assets_others_and_portfolios_in_that_order(load: Loader) -> None:
    book = "[{name: second, capital: 1, weights: {KO: 1}}, {name: first, capital: 1, weights: equal}]"
    job = prepare(
        load("market={prices: sp500, assets: [KO, PEP]}", f"series={{portfolios: {book}, others: [sp500_index]}}")
    )
    assert job.series["asset"].values.tolist() == ["KO", "PEP", "SP500", "second", "first"]
    returns = job.series["simple_return"].values
    np.testing.assert_array_equal(returns[:, 3], returns[:, 0])
    np.testing.assert_allclose(returns[:, 4], (returns[:, 0] + returns[:, 1]) / 2, rtol=0, atol=1e-16)
    alone = prepare(load("market={prices: sp500, assets: [KO, PEP]}", f"series={{portfolios: {book}, assets: false}}"))
    assert alone.series["asset"].values.tolist() == ["second", "first"]
    np.testing.assert_array_equal(alone.series["simple_return"].values, returns[:, 3:])


def test_a_job_comes_back_from_its_record_and_the_order_of_its_portfolios_counts(load: Loader) -> None:
    one, two = "{name: one, capital: 1, weights: {SP500: 0.5}}", "{name: two, capital: 1, weights: equal}"
    job = prepare(load(f"series.portfolios=[{one}, {two}]", "backtest.methods=[ewma, historical]"))
    back = BacktestJob.from_record(json.loads(json.dumps(job.record(), sort_keys=True)), prices=job.prices)
    assert back.fingerprint() == job.fingerprint()
    assert list(back.weights) == ["one", "two"]
    assert back.series.identical(job.series)
    other = prepare(load(f"series.portfolios=[{two}, {one}]", "backtest.methods=[ewma, historical]"))
    assert other.fingerprint() != job.fingerprint(), "figures come in the order of the series"


def test_a_simulation_model_is_a_method_and_comes_back_from_its_record(load: Loader) -> None:
    asked = "{kind: monte_carlo, model: garch, options: {mean: zero}, paths: 2048, seed: 3}"
    job = prepare(load(f"backtest.methods=[{asked}]"))
    assert job.methods == (
        {"kind": "monte_carlo", "model": {"kind": "garch", "options": {"mean": "zero"}}, "paths": 2048, "seed": 3},
    )
    assert method_of(job.methods[0]).record() == job.methods[0]
    assert job.ensemble is None, "of one method there is none"


def test_all_is_every_method_and_every_test(load: Loader) -> None:
    job = prepare(load())
    assert [method_of(record).name for record in job.methods] == [forecaster(name).name for name in METHODS]
    assert list(job.tests) == list(list_backtests())
    assert prepare(load("ensemble.enabled=false")).ensemble is None


def test_a_resolved_configuration_is_the_configuration(load: Loader, tmp_path: Path) -> None:
    config = load(
        "backtest.methods=[ewma, {kind: historical}]", "backtest.first=2000-01-03", "backtest.levels=[0.99, 0.9]"
    )
    assert config.backtest.levels == (0.9, 0.99)
    assert backtest_from_mapping(json.loads(json.dumps(config.resolved()))) == config
    (tmp_path / "again.yaml").write_text(to_yaml(config))
    assert to_yaml(config) == to_yaml(config.resolved())
    assert load_job(tmp_path / "again.yaml") == config


def test_relative_paths_are_looked_for_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "book.yaml").write_text("name: all\ncapital: 1\nweights: equal\n")
    file = tmp_path / "here" / "job.yaml"
    file.write_text("job: var_backtest\nmarket: {prices: sp500_index}\nseries: {portfolios: [book.yaml]}\n")
    monkeypatch.chdir(tmp_path)
    config = load_backtest(file)
    assert config.series.portfolios == (str(tmp_path / "here" / "book.yaml"),)
    assert list(prepare(config).weights) == ["all"]


def test_the_key_job_tells_the_kinds_apart(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    kinds: dict[str, type] = {}
    for text in (RISK, "job: market_risk\n" + RISK, yaml.safe_dump(SMALL)):
        file.write_text(text)
        config = load_job(file)
        kinds[config.job] = type(config)
    assert kinds == {"market_risk": Config, "var_backtest": BacktestConfig}
    assert set(JOBS) == kinds.keys()


@pytest.mark.parametrize("wrong", ["backtest", "[var_backtest]", "3", "null", "{a: 1}"])
def test_an_unknown_kind_of_job_is_one_line(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"job: {wrong}\n" + RISK)
    with pytest.raises(ConfigError, match=r"^job: .* is not market_risk or var_backtest$"):
        load_job(file)


def test_the_loader_of_one_kind_refuses_a_file_of_the_other_clearly(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(SMALL))
    with pytest.raises(ConfigError, match=r"^job: 'var_backtest' is not market_risk$"):
        load_config(file)
    file.write_text(RISK)
    with pytest.raises(ConfigError, match=r"^job: is missing; expected var_backtest$"):
        load_backtest(file)
    file.write_text("- 3\n")
    with pytest.raises(
        ConfigError, match=r"job\.yaml: is no mapping of keys; a backtest begins with job: var_backtest"
    ):
        load_backtest(file)


def test_every_key_is_described() -> None:
    keys = {key.key: key for key in config_keys(BacktestConfig)}
    assert {"job", "market.prices", "series.others", "backtest.methods", "tests.names", "store.root"} <= keys.keys()
    assert "market.currency" not in keys, "a key without a meaning"
    assert keys["job"].required
    assert all(key.description and key.expects for key in keys.values() if "." in key.key)
