"""The keys of a configuration: what each means, what it may hold, and what stands there when it is left out.

Values are taken as they are: text is never read as a number, a boolean is no number, infinities and NaN are refused.
Each field carries its description and, in words, what it expects: both serve ``riskops describe config``, the comments
of a starter configuration and the text of every error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import to_jsonable_python

from riskops.checks import check_level, check_positive, check_unique
from riskops.config.cluster import ClusterSection
from riskops.config.fields import Date, Names, Numbers, Section, check_gaps, inline_portfolio, key, listed
from riskops.config.files import library_path, loadings_path, portfolio_path, prices_path
from riskops.config.options import model_options
from riskops.config.places import ReportSection, StoreSection
from riskops.config.simulation import SimulationSection
from riskops.errors import ConfigError
from riskops.scenarios import Scenario, load_library

__all__ = [
    "Config",
    "MarketSection",
    "ModelSection",
    "PricesSection",
    "RiskSection",
    "SimulationSection",
    "StressSection",
    "Whole",
    "find_portfolios",
    "section",
]


class PricesSection(Section):
    """Prices, and which of them are used."""

    prices: str = key(
        ...,
        "the name of a bundled data set (sp500, sp500_index) or the path of a price file",
        "Daily prices: a bundled data set, or a file ending in .csv, .csv.gz, .parquet or .zarr.",
        min_length=1,
    )
    start: Date | None = key(
        None, "a date (2015-01-02) or null", "First date used; null: the first one that the prices have."
    )
    end: Date | None = key(
        None,
        "a date (2022-12-28) or null",
        "Last date used, and the as-of date of every figure; null: the last one that the prices have.",
    )
    assets: Names | None = key(
        None,
        "a list of one or more asset names, or null",
        "The assets used, in this order; null: all.",
        item="the name of an asset",
        min_length=1,
    )
    gaps: Annotated[Any, AfterValidator(check_gaps)] = key(
        "error",
        "error, drop_assets, drop_dates or {forward_fill: days}",
        "What to do about missing prices. Every change is listed in the manifest.",
    )

    @field_validator("prices")
    @classmethod
    def _find_prices(cls, value: str, info: ValidationInfo) -> str:
        return prices_path(value, info.context)

    @field_validator("assets")
    @classmethod
    def _unique_assets(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        check_unique("market.assets", value or ())
        return value

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ConfigError(f"market.start: {self.start} is not before market.end, {self.end}")
        return self


class MarketSection(PricesSection):
    """Prices, and which of them are used."""

    currency: str = key("USD", "a currency code of three letters", "The currency of the prices.", pattern=r"^[A-Z]{3}$")


class ModelSection(Section):
    """The model of the prices; its options are keys here."""

    model_config = ConfigDict(extra="allow")

    kind: str = key("geometric_brownian", "the name of a model", "The model: see `riskops describe models`.")

    @model_validator(mode="before")
    @classmethod
    def _fill_options(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        kind = data.get("kind", cls.model_fields["kind"].default)
        options = model_options(kind, {k: v for k, v in data.items() if k != "kind"})
        if "factors" in options:
            options["factors"] = loadings_path(options["factors"], info.context)
        return {"kind": kind, **options}

    def options(self) -> dict[str, Any]:
        """The options of the model's ``fit``, those left out with their defaults."""
        return dict(self.__pydantic_extra__ or {})


class RiskSection(Section):
    """What is measured."""

    levels: Numbers = key(
        (0.95, 0.99),
        "a list of one or more confidence levels between 0 and 1",
        "Confidence levels of value at risk and expected shortfall: 0.99, not 99 and not 0.01.",
        item="a confidence level between 0 and 1",
        min_length=1,
    )
    horizons: Numbers = key(
        (1.0,),
        "a list of one or more numbers of days",
        "Horizons in trading days, each a multiple of step_days.",
        item="a number of days above zero",
        min_length=1,
    )
    historical: bool = key(
        True, "true or false", "Set historical-simulation figures of the same portfolios beside the simulated ones."
    )
    dependence: bool = key(
        True, "true or false", "Covariances and correlations of the assets' simulated returns at every horizon."
    )
    contributions: bool = key(
        True,
        "true or false",
        "What each asset contributes to value at risk and expected shortfall; it draws the tail's paths again.",
    )

    @field_validator("levels")
    @classmethod
    def _check_levels(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        for i, value in enumerate(values):
            check_level(f"risk.levels[{i}]", value)
        check_unique("risk.levels", values)
        return tuple(sorted(values))

    @field_validator("horizons")
    @classmethod
    def _check_horizons(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        for i, value in enumerate(values):
            check_positive(f"risk.horizons[{i}]", value)
        check_unique("risk.horizons", values)
        return tuple(sorted(values))


class StressSection(Section):
    """Scenarios, computed from the same draws as the base."""

    library: str | None = key(
        None,
        "market, the path of a scenario library or null",
        "Scenario library: `market` is the one that comes with riskops; null: no stress.",
        min_length=1,
    )
    scenarios: Literal["all"] | tuple[str, ...] = key(
        "all", "all or a list of scenario names", "Scenarios to take from the library, in this order."
    )

    @field_validator("library")
    @classmethod
    def _find_library(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else library_path(value, info.context)

    @field_validator("scenarios", mode="wrap")
    @classmethod
    def _check_scenarios(cls, value: Any, _: Any) -> Any:
        if value == "all":
            return value
        names = listed(value)
        if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):
            raise ConfigError(f"stress.scenarios: {value!r} is not all or a list of scenario names")
        check_unique("stress.scenarios", names)
        return names

    @model_validator(mode="after")
    def _check_names(self) -> StressSection:
        if self.library is None and self.scenarios != "all":
            raise ConfigError("stress.library: is missing; stress.scenarios names scenarios of a library")
        return self

    def load(self) -> tuple[Scenario, ...]:
        """The scenarios asked for, without the base; none without a library."""
        if self.library is None:
            return ()
        return load_library(self.library, names=None if self.scenarios == "all" else self.scenarios)


def find_portfolios(values: Sequence[Any], context: Mapping[str, Any] | None, *, first: int = 0) -> tuple[Any, ...]:
    """Paths of files that are there, and mappings that hold a portfolio."""
    found: list[Any] = []
    for i, value in enumerate(values, start=first):
        if isinstance(value, str):
            found.append(portfolio_path(f"portfolios[{i}]", value, context))
        else:
            found.append(inline_portfolio(f"portfolios[{i}]", value))
    return tuple(found)


def section(kind: type[Section]) -> Any:
    return Field(default_factory=kind, description=(kind.__doc__ or "").strip())


class Whole(Section):
    """What whole configurations share: empty sections, one portfolio without a list, and the way back to plain data."""

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, data: Any) -> Any:
        """A section whose keys are all commented out is null in YAML, and means its defaults."""
        if not isinstance(data, dict):
            return data
        sections = {k for k, f in cls.model_fields.items() if isinstance(f.annotation, type)}
        return {k: {} if v is None and k in sections else v for k, v in data.items()}

    @field_validator("portfolios", mode="before", check_fields=False)
    @classmethod
    def _one_path(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    def resolved(self) -> dict[str, Any]:
        """Every key with its value, defaults filled in, as plain data that YAML and JSON hold."""
        return to_jsonable_python(self.model_dump(), inf_nan_mode="constants")


class Config(Whole):
    """A whole configuration."""

    job: Literal["market_risk"] = key(
        "market_risk", "market_risk", "What is computed; `riskops describe backtest` lists the keys of var_backtest."
    )
    title: str | None = key(
        None, "a line of text or null", "Title of the report; null: the file's name.", max_length=200
    )
    market: MarketSection = Field(description=(MarketSection.__doc__ or "").strip())
    portfolios: Annotated[tuple[Any, ...], BeforeValidator(listed)] = key(
        ...,
        "a list of one or more portfolios: paths of files, or mappings (name, capital, weights ...)",
        "The portfolios: paths of YAML or CSV files, or portfolios written out here.",
        min_length=1,
    )
    model: ModelSection = section(ModelSection)
    simulation: SimulationSection = section(SimulationSection)
    risk: RiskSection = section(RiskSection)
    stress: StressSection = section(StressSection)
    store: StoreSection = section(StoreSection)
    report: ReportSection = section(ReportSection)
    cluster: ClusterSection = section(ClusterSection)

    @field_validator("portfolios")
    @classmethod
    def _find_portfolios(cls, values: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        return find_portfolios(values, info.context)

    @model_validator(mode="after")
    def _check_horizons(self) -> Config:
        step = Fraction(repr(self.simulation.step_days))
        last = self.simulation.steps * step
        problems = []
        for horizon in self.risk.horizons:
            exact = Fraction(repr(horizon))
            if exact % step:
                problems.append(f"{horizon:g} is not a multiple of simulation.step_days, {self.simulation.step_days:g}")
            elif exact > last:
                problems.append(
                    f"{horizon:g} is beyond the last step, day {float(last):g}; set simulation.steps to at least "
                    f"{exact / step}"
                )
        if problems:
            raise ConfigError("\n".join(f"risk.horizons: {problem}" for problem in problems))
        target = self.simulation.target
        if target.relative_error is not None and target.level not in self.risk.levels:
            raise ConfigError(f"simulation.target.level: {target.level!r} is not among risk.levels")
        if target.relative_error is not None and not self.store.losses:
            raise ConfigError("store.losses: must be true with simulation.target, which reads back what it has")
        arranged = self.simulation.sampling.horizon
        if arranged is not None and arranged not in self.risk.horizons:
            raise ConfigError(f"simulation.sampling.horizon: {arranged!r} is not among risk.horizons")
        return self
