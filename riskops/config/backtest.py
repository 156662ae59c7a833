"""The configuration of a backtest: which series, which forecasters, how they roll, and what judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from riskops.checks import check_level, check_unique
from riskops.config.cluster import ClusterSection
from riskops.config.fields import Date, Numbers, Section, key, listed
from riskops.config.files import prices_path
from riskops.config.load import overridden, validated
from riskops.config.places import ReportSection
from riskops.config.sections import PricesSection, Whole, find_portfolios, section
from riskops.errors import ConfigError, InputError
from riskops.history.backtests.registry import list_backtests
from riskops.history.forecasts import METHODS, forecaster
from riskops.textfile import read_yaml

__all__ = ["BacktestConfig", "backtest_from_mapping", "load_backtest"]

#: What a configuration of this kind says of itself.
JOB = "var_backtest"
#: The method that stands for a simulation model; its other keys are the model and its options.
MONTE_CARLO = "monte_carlo"
#: The least number of days from one model confidence set of the ensemble to the next.
COARSE = 20


class SeriesSection(Section):
    """The series of returns that are forecast."""

    assets: bool = key(True, "true or false", "Each asset of market.prices is a series of its own.")
    portfolios: Annotated[tuple[Any, ...], BeforeValidator(listed)] = key(
        (),
        "a list of portfolios: paths of files, or mappings (name, capital, weights ...)",
        "Portfolios of the assets, each a series: brought back to the same weights every day.",
    )
    others: Annotated[tuple[str, ...], BeforeValidator(listed)] = key(
        (),
        "a list of names of bundled data sets (sp500_index) or paths of price files",
        "Further prices of the same dates, such as an index; each column is a series.",
        item="the name of a bundled data set or the path of a price file",
    )
    returns: Literal["simple", "log"] = key(
        "simple", "simple or log", "Returns from one day to the next; portfolios need simple ones."
    )

    @field_validator("portfolios")
    @classmethod
    def _find_portfolios(cls, values: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        try:
            return find_portfolios(values, info.context)
        except ConfigError as problem:
            raise ConfigError(f"series.{problem}") from problem

    @field_validator("others")
    @classmethod
    def _find_others(cls, values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        check_unique("series.others", values)
        return tuple(prices_path(value, info.context, key=f"series.others[{i}]") for i, value in enumerate(values))

    @model_validator(mode="after")
    def _check_some(self) -> SeriesSection:
        if not (self.assets or self.portfolios or self.others):
            raise ConfigError("series.assets: is false, and there are no portfolios and no others: nothing to forecast")
        if self.portfolios and self.returns == "log":
            raise ConfigError("series.returns: log returns of assets do not add up to those of portfolios; take simple")
        return self


class BacktestSection(Section):
    """The forecasters, and how they roll through the history."""

    methods: Literal["all"] | tuple[Any, ...] = key(
        "all",
        "all or a list of methods: names, or mappings of kind and settings",
        "The forecasters: see `riskops describe forecasters`. {kind: monte_carlo, model: garch} is a simulation model.",
    )
    levels: Numbers = key(
        (0.95, 0.975, 0.99, 0.997),
        "a list of one or more confidence levels between 0 and 1",
        "Confidence levels: 0.99, not 99 and not 0.01.",
        item="a confidence level between 0 and 1",
        min_length=1,
    )
    horizon: int = key(
        1, "a whole number of days, at least 1", "Days ahead; forecasts are made every so many days.", ge=1
    )
    window: int = key(1000, "a whole number of days, at least 50", "Returns that a forecaster is fitted to.", ge=50)
    scheme: Literal["rolling", "expanding"] = key(
        "rolling", "rolling or expanding", "Whether the window moves, or grows from the first return on."
    )
    refit_every: int = key(
        250, "a whole number of days, at least 1", "Days from one fit of the parameters to the next.", ge=1
    )
    first: Date | None = key(
        None, "a date (2000-01-03) or null", "The first day that is forecast; null: the first after a full window."
    )
    failures: Literal["error", "nan"] = key(
        "error", "error or nan", "A fit that is impossible: ends the run, or leaves its days without a forecast."
    )

    @field_validator("methods", mode="wrap")
    @classmethod
    def _check_methods(cls, value: Any, _: Any) -> Any:
        if value == "all":
            return value
        given = listed(value)
        if not isinstance(given, tuple) or not given:
            raise ConfigError(f"backtest.methods: {value!r} is not all or a list of methods")
        for i, one in enumerate(given):
            check_method(f"backtest.methods[{i}]", one)
        return given

    @field_validator("levels")
    @classmethod
    def _check_levels(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        for i, value in enumerate(values):
            check_level(f"backtest.levels[{i}]", value)
        check_unique("backtest.levels", values)
        return tuple(sorted(values))

    @model_validator(mode="after")
    def _check_horizon(self) -> BacktestSection:
        if self.horizon > self.window // 10:
            raise ConfigError(f"backtest.horizon: {self.horizon} days need a window of {10 * self.horizon} at least")
        return self


def check_method(path: str, value: Any) -> None:
    """Refuse what is no method of ``backtest.methods``."""
    if not isinstance(value, str | Mapping):
        raise ConfigError(f"{path}: {value!r} is not the name of a method or a mapping of kind and settings")
    kind = value if isinstance(value, str) else value.get("kind")
    if kind == MONTE_CARLO:
        if isinstance(value, str) or not isinstance(value.get("model"), str):
            raise ConfigError(f"{path}: monte_carlo needs the key model: see `riskops describe models`")
        return
    if not isinstance(kind, str) or kind not in METHODS:
        raise ConfigError(f"{path}: {kind!r} is not one of {', '.join(METHODS)}, {MONTE_CARLO}")
    try:
        forecaster(value)
    except InputError as problem:
        raise ConfigError(f"{path}: {problem}") from problem


class EnsembleSection(Section):
    """The weighted mean of all methods, its weights from their losses before each day."""

    enabled: bool = key(True, "true or false", "Add the ensemble to the methods.")
    score: Literal["fissler_ziegel", "tick"] = key(
        "fissler_ziegel",
        "fissler_ziegel or tick",
        "What weights are made from: the joint score of VaR and ES, or VaR's.",
    )
    window: int = key(
        250, "a whole number of days, at least 50", "Days of losses that the weights look back on.", ge=50
    )
    learning_rate: float | None = key(
        None,
        "a number of at least 0, or null",
        "How fast weights follow the scores; null: from how far apart the scores are, day by day.",
        ge=0.0,
    )
    update_every: int = key(1, "a whole number of days, at least 1", "Days from one set of weights to the next.", ge=1)
    minimum_weight: float = key(0.0, "a number from 0 to 1", "The least weight of a method.", ge=0.0, le=1.0)
    confidence_set: float | None = key(
        None,
        "a number between 0 and 1, or null",
        "Keep the methods of the model confidence set of this level only; null: all.",
        gt=0.0,
        lt=1.0,
    )

    @model_validator(mode="after")
    def _check_set(self) -> EnsembleSection:
        if self.confidence_set is not None and self.update_every < COARSE:
            raise ConfigError(
                f"ensemble.update_every: {self.update_every} is too often for ensemble.confidence_set, which takes a "
                f"bootstrap each time; set it to {COARSE} or more"
            )
        return self


class TestsSection(Section):
    """What judges the forecasts."""

    __test__: ClassVar[bool] = False  # no test case, whatever its name says to pytest

    names: Literal["all"] | tuple[str, ...] = key(
        "all", "all or a list of names of tests", "The backtests: see `riskops describe backtests`."
    )
    simulations: int = key(
        9_999,
        "a whole number, 0 or at least 99",
        "Simulations of each null hypothesis; 0: asymptotic p-values alone.",
        ge=0,
    )
    size: float = key(0.05, "a number between 0 and 1", "The size of the tests: rejected below this.", gt=0.0, lt=1.0)
    confidence_set: float = key(
        0.25, "a number between 0 and 1", "The size of the model confidence set of the report.", gt=0.0, lt=1.0
    )
    seed: int = key(1, "an integer >= 0 and < 2**32", "The seed of all simulations and bootstraps.", ge=0, lt=2**32)

    @field_validator("names", mode="wrap")
    @classmethod
    def _check_names(cls, value: Any, _: Any) -> Any:
        if value == "all":
            return value
        names, known = listed(value), list_backtests()
        if not isinstance(names, tuple) or not names:
            raise ConfigError(f"tests.names: {value!r} is not all or a list of names of tests")
        for i, name in enumerate(names):
            if not isinstance(name, str) or name not in known:
                raise ConfigError(f"tests.names[{i}]: {name!r} is not one of {', '.join(known)}")
        check_unique("tests.names", names)
        return names

    @field_validator("simulations")
    @classmethod
    def _check_simulations(cls, value: int) -> int:
        if 0 < value < 99:
            raise ConfigError(f"tests.simulations: {value} is neither 0 nor at least 99")
        return value


class PlaceSection(Section):
    """Where runs are kept."""

    root: str = key(
        "runs", "a folder's path", "Folder of all runs, relative to where riskops is started.", min_length=1
    )


class BacktestConfig(Whole):
    """A whole configuration of a backtest."""

    job: Literal["var_backtest"] = key(..., "var_backtest", "What is computed.")
    title: str | None = key(
        None, "a line of text or null", "Title of the report; null: the file's name.", max_length=200
    )
    market: PricesSection = Field(description=(PricesSection.__doc__ or "").strip())
    series: SeriesSection = section(SeriesSection)
    backtest: BacktestSection = section(BacktestSection)
    ensemble: EnsembleSection = section(EnsembleSection)
    tests: TestsSection = section(TestsSection)
    store: PlaceSection = section(PlaceSection)
    report: ReportSection = section(ReportSection)
    cluster: ClusterSection = section(ClusterSection)


def load_backtest(path: str | Path, *, overrides: Sequence[str] = ()) -> BacktestConfig:
    """Read the configuration of a backtest and check all of it.

    Parameters
    ----------
    path
        A YAML file; relative paths in it are looked for in its folder first, then in the current one.
    overrides
        As those of :func:`load_config`.

    Returns
    -------
    BacktestConfig
        Frozen, defaults filled in.

    Raises
    ------
    InputError
        The file cannot be read, or is not YAML.
    ConfigError
        A key is unknown or missing, or a value is not what its key expects; one line each, all of them.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "small.yaml")
    ...     _ = file.write_text("job: var_backtest\\nmarket: {prices: sp500_index}")
    ...     config = load_backtest(file, overrides=["backtest.window=500"])
    >>> config.backtest.window, config.backtest.levels
    (500, (0.95, 0.975, 0.99, 0.997))
    """
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: is no mapping of keys; a backtest begins with job: {JOB} and market:")
    data = overridden(data, overrides)
    if data.get("job") != JOB:  # or every key of the other kind would be a line
        found = f"{data['job']!r} is not" if "job" in data else "is missing; expected"
        raise ConfigError(f"job: {found} {JOB}")
    return validated(BacktestConfig, data, {"directory": str(Path(path).parent)})


def backtest_from_mapping(mapping: Mapping[str, Any]) -> BacktestConfig:
    """Check the configuration of a backtest given as plain data; paths are taken as they stand.

    Parameters
    ----------
    mapping
        Sections by name, as :meth:`BacktestConfig.resolved` gives them; ``job`` may be left out.

    Returns
    -------
    BacktestConfig
        Frozen, defaults filled in.

    Raises
    ------
    ConfigError
        As :func:`load_backtest`.

    Examples
    --------
    >>> backtest_from_mapping({"market": {"prices": "sp500_index"}, "backtest": {"methods": ["historical"]}}).job
    'var_backtest'
    """
    return validated(BacktestConfig, {"job": JOB, **mapping}, None)
