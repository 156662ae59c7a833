"""Configurations: what is accepted, what is refused and in which words, and that nothing gets lost on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from riskops.config import Config, config_from_mapping, config_keys, load_config, starter_config, to_yaml
from riskops.errors import ConfigError, InputError
from riskops.market import load_prices
from riskops.models import fit_options

EQUAL = {"name": "all", "capital": 100.0, "weights": "equal"}
SMALL: dict[str, Any] = {"market": {"prices": "sp500"}, "portfolios": [EQUAL]}

Loader = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Load the small configuration with ``--set`` values over it."""

    def loader(*overrides: str, text: str | None = None) -> Config:
        file = tmp_path / "small.yaml"
        file.write_text(yaml.safe_dump(SMALL) if text is None else text)
        return load_config(file, overrides=overrides)

    return loader


def lines(load: Loader, *overrides: str, text: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(*overrides, text=text)
    return str(caught.value).splitlines()


def test_defaults(load: Loader) -> None:
    config = load()
    assert config.simulation.paths == 65_536
    assert config.simulation.chunk_paths is None
    assert config.risk.levels == (0.95, 0.99)
    assert config.risk.horizons == (1.0,)
    assert config.store.losses
    assert not config.store.paths
    assert config.cluster.kind == "threads"
    assert not config.cluster.allow_insecure
    assert config.portfolios == (EQUAL,)
    assert config.stress.load() == ()


def test_model_options_are_those_of_fit(load: Loader) -> None:
    assert load().model.options() == fit_options("geometric_brownian")
    config = load("model.window=250", "model.drift={AAPL: 0.1}")
    expected = {"drift": {"AAPL": 0.1}, "window": 250, "nearest_correlation": False, "factors": None}
    assert config.model.options() == expected


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("simulation.paths=0", "simulation.paths: 0 is not an integer >= 1 and < 2**34"),
        ("simulation.paths=17179869184", "simulation.paths: 17179869184 is not an integer >= 1 and < 2**34"),
        ("simulation.paths='12'", "simulation.paths: '12' is not an integer >= 1 and < 2**34"),
        ("simulation.paths=1e6", "simulation.paths: 1000000.0 is not an integer >= 1 and < 2**34"),
        ("simulation.paths=true", "simulation.paths: True is not an integer >= 1 and < 2**34"),
        ("simulation.paths=", "simulation.paths: None is not an integer >= 1 and < 2**34"),
        ("simulation.steps=0", "simulation.steps: 0 is not an integer >= 1 and < 2**31"),
        ("simulation.step_days=.inf", "simulation.step_days: inf is not a number above zero"),
        ("simulation.step_days=.nan", "simulation.step_days: nan is not a number above zero"),
        ("simulation.step_days=1e309", "simulation.step_days: inf is not a number above zero"),
        ("simulation.step_days=0", "simulation.step_days: 0 is not a number above zero"),
        ("simulation.seed=-1", "simulation.seed: -1 is not an integer >= 0 and < 2**64"),
        ("simulation.dtype=float16", "simulation.dtype: 'float16' is not float32 or float64"),
        ("simulation.chunk_paths=1000", "simulation.chunk_paths: 1000 is not a multiple of 1024 or null"),
        ("simulation.chunk_paths=0", "simulation.chunk_paths: 0 is not a multiple of 1024 or null"),
        ("simulation.sampling.method=quasi", "simulation.sampling.method: 'quasi' is not plain, antithetic, "),
        (
            "simulation.sampling.methd=sobol",
            "simulation.sampling.methd: unknown key; did you mean simulation.sampling.m",
        ),
        ("simulation.sampling.replicates=1", "simulation.sampling.replicates: 1 is not an integer >= 2 and <= 256"),
        ("simulation.sampling.replicates=257", "simulation.sampling.replicates: 257 is not an integer >= 2 and <= 256"),
        ("simulation.sampling.dimensions=0", "simulation.sampling.dimensions: 0 is not an integer >= 1 and <= 5120"),
        ("simulation.sampling.dimensions=5121", "simulation.sampling.dimensions: 5121 is not an integer >= 1 and <= "),
        ("simulation.sampling.level=1", "simulation.sampling.level: 1 is not a confidence level between 0 and 1"),
        ("simulation.sampling.horizon=0", "simulation.sampling.horizon: 0 is not a number of days or null"),
        ("simulation.sampling.horizon=2", "simulation.sampling.horizon: means nothing with method plain"),
        (
            "simulation.sampling.portfolio=''",
            "simulation.sampling.portfolio: '' is not the name of a portfolio or null",
        ),
        ("simulation.sampling=3", "simulation.sampling: 3 is not a mapping with keys among method, "),
        (
            "simulation.target.relative_error=0",
            "simulation.target.relative_error: 0 is not a number above zero, or null",
        ),
        ("simulation.target.level=99", "simulation.target.level: 99 is not a confidence level among risk.levels"),
        ("simulation.max_paths=0", "simulation.max_paths: 0 is not an integer >= 1 and < 2**34"),
        ("simulation.max_seconds=-1", "simulation.max_seconds: -1 is not a number above zero, or null"),
        ("simulation.pths=1", "simulation.pths: unknown key; did you mean simulation.paths?"),
        ("paths=1", "paths: unknown key; did you mean simulation.paths?"),
        ("simulaton.paths=1", "simulaton: unknown key; did you mean simulation?"),
        ("risk.levels=[99]", "risk.levels[0]: 99.0 is not a confidence level between 0 and 1; did you mean 0.99?"),
        ("risk.levels=[0.9, 1]", "risk.levels[1]: 1.0 is not a confidence level between 0 and 1"),
        ("risk.levels=[0.9, yes]", "risk.levels[1]: 'yes' is not a confidence level between 0 and 1"),
        ("risk.levels=[0.9, true]", "risk.levels[1]: True is not a confidence level between 0 and 1"),
        ("risk.levels=[0.9, 0.9]", "risk.levels: 0.9 is given twice"),
        ("risk.levels=[]", "risk.levels: [] is not a list of one or more confidence levels between 0 and 1"),
        ("risk.levels=0.9", "risk.levels: 0.9 is not a list of one or more confidence levels between 0 and 1"),
        ("risk.horizons=[-1]", "risk.horizons[0]: -1.0 is not above zero"),
        ("risk.horizons=[0.5]", "risk.horizons: 0.5 is not a multiple of simulation.step_days, 1"),
        ("risk.horizons=[5]", "risk.horizons: 5 is beyond the last step, day 1; set simulation.steps to at least 5"),
        ("market.start=20", "market.start: 20 is not a date (2015-01-02) or null"),
        ("market.start='2015-13-01'", "market.start: '2015-13-01' is not a date (2015-01-02) or null"),
        ("market.assets=[]", "market.assets: [] is not a list of one or more asset names, or null"),
        ("market.assets=[A, 1]", "market.assets[1]: 1 is not the name of an asset"),
        ("market.assets=[A, A]", "market.assets: 'A' is given twice"),
        ("market.currency=usd", "market.currency: 'usd' is not a currency code of three letters"),
        ("market.gaps.forward_fill=0", "market.gaps.forward_fill: 0 is not an integer >= 1"),
        ("model.kind=heston2", "model.kind: 'heston2' is unknown; known are "),
        ("model.kind=3", "model.kind: 3 is not the name of a model"),
        ("model.windw=3", "model.windw: unknown key; did you mean model.window?"),
        ("model.window=x", "model.window: 'x' is not a whole number or null"),
        ("model.window=true", "model.window: True is not a whole number or null"),
        ("model.nearest_correlation=1", "model.nearest_correlation: 1 is not true or false"),
        ("model.days_per_year=250", "model.days_per_year: unknown key; set simulation.days_per_year"),
        ("portfolios=[]", "portfolios: [] is not a list of one or more portfolios: "),
        ("portfolios=[3]", "portfolios[0]: 3 is not a path or a mapping"),
        ("portfolios=nowhere.yaml", "portfolios[0]: 'nowhere.yaml' is no file (looked in "),
        ("portfolios=[{name: a, weights: equal}]", "portfolios[0]: portfolio 'a': capital is missing"),
        ("market.prices=nowhere.csv", "market.prices: 'nowhere.csv' is no file, and no bundled data set (sp500, "),
        ("market.prices=/nowhere.csv", "market.prices: '/nowhere.csv' is no file, and no bundled data set (sp500, "),
        ("stress.library=nowhere", "stress.library: 'nowhere' is no file, and no library of riskops (market"),
        ("stress.scenarios=crash", "stress.scenarios: 'crash' is not all or a list of scenario names"),
        ("stress.scenarios=[crash_20]", "stress.library: is missing; stress.scenarios names scenarios of a library"),
        (
            "cluster.kind=grid",
            "cluster.kind: 'grid' is not threads, synchronous, processes, address, cuda, ssh, ",
        ),
        ("cluster.kind=slurm", "cluster.memory_limit: is missing; kind slurm asks for that much for each worker"),
        ("cluster.threads_per_worker=2", "cluster.threads_per_worker: 2 has no meaning with cluster.kind: threads"),
        ("cluster.tls={ca: a}", "cluster.tls.cert: is missing; TLS needs ca, cert and key"),
        ("cluster.adaptive={minimum: 1}", "cluster.adaptive.maximum: is missing; adaptive scaling needs minimum and"),
        ("cluster.options={queue: a}", "cluster.options.queue: has no meaning with cluster.kind: threads; it is an op"),
        ("cluster.kind=address", "cluster.address: is missing; cluster.kind address needs a scheduler's address"),
        ("cluster.address=tls://h:1", "cluster.address: 'tls://h:1' is given, but cluster.kind is threads"),
        ("cluster.address=h", "cluster.address: 'h' is not a scheduler's address (tls://host:8786) or null"),
        ("cluster.memory_limit=much", "cluster.memory_limit: 'much' is not a size (4GiB) or null"),
        ("cluster.memory_limit=4", "cluster.memory_limit: 4 is not a size (4GiB) or null"),
        ("cluster.workers=0", "cluster.workers: 0 is not an integer >= 1 or null"),
        ("store.paths=1", "store.paths: 1 is not true or false"),
        ("report=3", "report: 3 is not a mapping with keys among html"),
        ("market=", "market.prices: is missing; expected the name of a bundled data set"),
        ("nonsense", "--set: 'nonsense' is not of the form key.path=value"),
        ("a..b=1", "--set: 'a..b=1' is not of the form key.path=value"),
        ("risk.levels=[0.9", "--set risk.levels: line 1 column"),
    ],
)
def test_refused_with_key_value_and_expectation(load: Loader, override: str, expected: str) -> None:
    (line,) = lines(load, override)
    assert line.startswith(expected)


def test_window_must_be_in_order(load: Loader) -> None:
    (line,) = lines(load, "market.start=2020-01-02", "market.end=2020-01-02")
    assert line == "market.start: 2020-01-02 is not before market.end, 2020-01-02"


def test_all_problems_are_told_at_once(load: Loader) -> None:
    found = lines(load, "simulation.paths=0", "risk.levels=[99]", "store.root=", "title=[]")
    assert [line.split(":")[0] for line in found] == ["title", "simulation.paths", "risk.levels[0]", "store.root"]


def test_long_values_are_cut(load: Loader) -> None:
    (line,) = lines(load, f"title='{'x' * 500}'")
    assert line.endswith(" ... is not a line of text or null")
    assert len(line) < 120


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("3", "holds int, not a mapping of keys"),
        ("[1, 2]", "holds list, not a mapping of keys"),
        ("1: 2\nmarket: {prices: sp500}\nportfolios: [{name: a, capital: 1, weights: equal}]", "1: unknown key"),
    ],
)
def test_a_file_that_is_no_configuration(load: Loader, text: str, expected: str) -> None:
    (line,) = lines(load, text=text)
    assert expected in line


@pytest.mark.parametrize("text", ["market: {", "a: &x 1\nb: *x", "a: 1\na: 2", "!!python/object/apply:os.getcwd []"])
def test_bad_yaml_is_one_line(load: Loader, text: str) -> None:
    with pytest.raises(InputError) as caught:
        load(text=text)
    assert "small.yaml: line " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "nowhere.yaml")


def test_set_values_are_yaml_and_make_what_is_on_the_way(load: Loader) -> None:
    config = load("risk.levels=[0.9, 0.5]", "market.gaps.forward_fill=3", "store.root=my runs", "title=a=b")
    assert config.risk.levels == (0.5, 0.9)
    assert config.market.gaps == {"forward_fill": 3}
    assert config.store.root == "my runs"
    assert config.title == "a=b"


def test_the_later_set_wins(load: Loader) -> None:
    assert load("simulation.seed=1", "simulation.seed=2").simulation.seed == 2


def test_extremes_are_accepted(load: Loader) -> None:
    config = load("simulation.seed=18446744073709551615", "simulation.paths=17179869183", "cluster.memory_limit=4GiB")
    assert config.simulation.seed == 2**64 - 1
    assert config.simulation.paths == 2**34 - 1


def test_whole_numbers_serve_as_numbers(load: Loader) -> None:
    config = load("simulation.step_days=5", "simulation.steps=2", "risk.horizons=[10, 5]")
    assert config.risk.horizons == (5.0, 10.0)


def test_horizons_are_compared_as_the_decimals_they_print_as(load: Loader) -> None:
    # 0.3 / 0.1 is 2.9999999999999996 in floating point
    config = load("simulation.step_days=0.1", "simulation.steps=3", "risk.horizons=[0.3]")
    assert config.risk.horizons == (0.3,)


def test_an_empty_section_means_its_defaults(load: Loader) -> None:
    assert load("simulation=", "stress=").simulation == load().simulation


def test_the_sections_of_the_simulation_may_be_empty(load: Loader) -> None:
    config = load("simulation.sampling=", "simulation.target=")
    assert config.simulation == load().simulation
    assert config.simulation.sampling.method == "plain"
    assert config.simulation.target.relative_error is None


def test_a_sampling_that_is_resolved_comes_back(load: Loader) -> None:
    overrides = ("method=importance", "level=0.975", "horizon=1", "portfolio=all")
    target = ("simulation.target.relative_error=0.02", "simulation.target.level=0.95", "simulation.max_seconds=60")
    config = load(*(f"simulation.sampling.{one}" for one in overrides), *target)
    assert config.simulation.sampling.horizon == 1.0
    assert config_from_mapping(config.resolved()) == config


def test_paths_are_looked_for_beside_the_file_then_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, here = tmp_path / "configs", tmp_path / "here"
    for folder in (beside, here):
        folder.mkdir()
        (folder / "both.yaml").write_text("name: a\n")
    (here / "only.yaml").write_text("name: b\n")
    (beside / "prices.csv").write_text("date,A\n")
    file = beside / "c.yaml"
    file.write_text("market: {prices: prices.csv}\nportfolios: [both.yaml, only.yaml]\nstore: {root: kept}\n")
    monkeypatch.chdir(here)
    config = load_config(file)
    assert config.market.prices == str(beside / "prices.csv")
    assert config.portfolios == (str(beside / "both.yaml"), str(here / "only.yaml"))
    assert config.store.root == "kept"
    assert load_config(Path("..") / "configs" / "c.yaml") == config
    assert load_config(file, overrides=["portfolios=only.yaml"]).portfolios == (str(here / "only.yaml"),)


def test_scenarios_are_loaded_from_the_library(load: Loader) -> None:
    assert len(load("stress.library=market").stress.load()) > 5
    config = load("stress.library=market", "stress.scenarios=[crash_20, volatility_doubled]")
    assert [scenario.name for scenario in config.stress.load()] == ["crash_20", "volatility_doubled"]


def test_a_configuration_does_not_change(load: Loader) -> None:
    with pytest.raises(ValidationError):
        load().simulation.paths = 3


@settings(max_examples=30)
@given(
    paths=st.integers(1, 2**34 - 1),
    seed=st.integers(0, 2**64 - 1),
    step_days=st.floats(0.001, 100),
    levels=st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=5, unique=True),
    title=st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=50),
    kind=st.sampled_from(["threads", "synchronous", "processes"]),
)
def test_resolved_configurations_come_back(tmp_path_factory: pytest.TempPathFactory, **values: Any) -> None:
    step = values["step_days"]
    config = config_from_mapping(
        SMALL
        | {"title": values["title"], "cluster": {"kind": values["kind"]}}
        | {"simulation": {"paths": values["paths"], "seed": values["seed"], "step_days": step}}
        | {"risk": {"levels": values["levels"], "horizons": [step]}}
    )
    assert config_from_mapping(config.resolved()) == config
    assert config_from_mapping(json.loads(json.dumps(config.resolved(), allow_nan=False))) == config
    file = tmp_path_factory.getbasetemp() / "back.yaml"
    file.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(file) == config
    assert to_yaml(config.resolved()) == to_yaml(config)


def test_resolved_holds_every_key_as_plain_data(load: Loader) -> None:
    plain = load("market.start=2015-01-02").resolved()
    assert plain["market"]["start"] == "2015-01-02"
    assert plain["risk"]["levels"] == [0.95, 0.99]

    def keys_of(name: str, value: Any) -> set[str]:
        if not isinstance(value, dict) or not value:
            return {name}
        return {key for inner in value for key in keys_of(f"{name}.{inner}" if name else inner, value[inner])}

    plainly = [key.key for key in config_keys() if not key.key.startswith(("model.", "cluster.options."))]
    assert keys_of("", plain) == {*plainly} | {f"model.{name}" for name in ("kind", *fit_options("geometric_brownian"))}


def test_every_key_is_described() -> None:
    keys = config_keys()
    assert len({(key.key, key.description) for key in keys}) == len(keys), "models may have options of one name"
    assert len({key.key for key in keys if not key.key.startswith("model.")}) == sum(
        not key.key.startswith("model.") for key in keys
    )
    for key in keys:
        assert key.expects
        assert len(key.description) > 10
        json.dumps(key.default, allow_nan=False)
    assert [key.key for key in keys if key.required] == ["market.prices", "portfolios"]


@pytest.mark.parametrize("name", ["sp500", "my prices: 2022.csv"])
def test_starter_is_a_configuration_with_every_key(tmp_path: Path, name: str) -> None:
    prices = load_prices("sp500", start="2021-01-04", assets=["AAPL", "XOM"])
    (tmp_path / name).write_text("a price file stands here")
    (tmp_path / "starter.yaml").write_text(starter_config(name, prices))
    config = load_config(tmp_path / "starter.yaml")
    assert config.market.prices == (name if name == "sp500" else str(tmp_path / name))
    assert config.model.options()["window"] is None
    assert config.portfolios[0]["weights"] == "equal"
    given = yaml.safe_load((tmp_path / "starter.yaml").read_text())
    for section, values in config.resolved().items():
        assert section in given
        if isinstance(values, dict):
            assert set(given[section]) == set(values)


def test_starter_says_what_each_key_means() -> None:
    text = starter_config("sp500", load_prices("sp500", start="2021-01-04"))
    for key in config_keys():
        if not key.key.startswith(("model.", "cluster.options.")):
            assert f"# {key.description[:40]}" in text


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("simulation.sampling.replicates=16", "simulation.sampling.replicates: means nothing with method plain"),
        ("simulation.sampling.portfolio=all", "simulation.sampling.portfolio: means nothing with method plain"),
        (
            "simulation.sampling.method=sobol simulation.sampling.horizon=2",
            "simulation.sampling.horizon: 2.0 is not among risk.horizons",
        ),
        ("simulation.target.measure=mean_loss", "simulation.target.measure: means nothing without"),
        ("simulation.max_seconds=5", "simulation.max_seconds: means nothing without simulation.target.relative_error"),
        ("simulation.max_paths=1024", "simulation.max_paths: means nothing without simulation.target.relative_error"),
    ],
)
def test_a_key_that_nothing_reads_is_refused(tmp_path: Path, override: str, line: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("market: {prices: sp500}\nportfolios: [{name: all, capital: 100, weights: equal}]\n")
    with pytest.raises(ConfigError, match=line):
        load_config(file, overrides=override.split())
