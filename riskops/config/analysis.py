"""The configuration of an analysis: that of a run without what the paths are made from, which the stored run settles.

What is left out of ``portfolios``, ``risk`` and ``stress`` is as in the run; ``store``, ``report`` and ``cluster`` say
what becomes of the analysis itself, and have the defaults that they have in a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from riskops.config.cluster import ClusterSection
from riskops.config.fields import key, listed
from riskops.config.load import overridden, validated
from riskops.config.places import ReportSection, StoreSection
from riskops.config.sections import (
    MarketSection,
    ModelSection,
    RiskSection,
    SimulationSection,
    StressSection,
    Whole,
    find_portfolios,
    section,
)
from riskops.errors import ConfigError
from riskops.textfile import read_yaml

__all__ = ["AnalysisConfig", "AnalysisStress", "analysis_from_mapping", "load_analysis"]


class AnalysisStress(StressSection):
    """Scenarios, made from the stored paths: of a library, or without one some of those of the run."""

    @model_validator(mode="after")
    def _check_names(self) -> AnalysisStress:
        if "library" in self.model_fields_set and self.library is None and self.scenarios != "all":
            raise ConfigError("stress.library: is null; leave it out to name scenarios of the run")
        return self


def _of_run(what: str) -> Any:
    return key(
        None, "nothing, or what the run has", f"Comes from the run: {what}. May be given as long as it is the same."
    )


class AnalysisConfig(Whole):
    """A whole configuration of an analysis."""

    #: The sections that the run settles.
    from_run: ClassVar[tuple[str, ...]] = ("market", "model", "simulation")

    title: str | None = key(
        None, "a line of text or null", "Title of the report; null: that of the run.", max_length=200
    )
    market: MarketSection | None = _of_run("the prices")
    portfolios: Annotated[tuple[Any, ...] | None, BeforeValidator(listed)] = key(
        None,
        "null, or a list of portfolios: names of the run's own, paths, or mappings (name, capital, weights ...)",
        "The portfolios: names of some of the run's own, paths of YAML or CSV files, or portfolios written out here; "
        "null: those of the run.",
        min_length=1,
    )
    model: ModelSection | None = _of_run("the fitted model")
    simulation: SimulationSection | None = _of_run("paths, steps, seed")
    risk: RiskSection | None = Field(None, description="What is measured; a key that is left out is as in the run.")
    stress: AnalysisStress | None = Field(
        None, description="Scenarios, made from the stored paths; left out: those of the run."
    )
    store: StoreSection = section(StoreSection)
    report: ReportSection = section(ReportSection)
    cluster: ClusterSection = section(ClusterSection)

    @field_validator("portfolios")
    @classmethod
    def _find_portfolios(cls, values: tuple[Any, ...] | None, info: ValidationInfo) -> tuple[Any, ...] | None:
        if values is None:
            return None
        own = (info.context or {}).get("portfolios", ())
        found: list[Any] = []
        for i, value in enumerate(values):
            if isinstance(value, str) and value in own:
                found.append(value)
            else:
                found += _other_portfolio(value, info.context, own, i)
        return tuple(found)


def _other_portfolio(value: Any, context: Any, own: Sequence[str], i: int) -> tuple[Any, ...]:
    try:
        return find_portfolios([value], context, first=i)
    except ConfigError as problem:
        if not isinstance(value, str) or not own:
            raise
        raise ConfigError(f"{problem}; portfolios of the run are {', '.join(own)}") from problem


def load_analysis(
    path: str | Path | None = None, *, overrides: Sequence[str] = (), portfolios: Sequence[str] = ()
) -> AnalysisConfig:
    """Read the configuration of an analysis and check all of it.

    Parameters
    ----------
    path
        A YAML file; None: the overrides are all there is.
    overrides
        As those of :func:`load_config`.
    portfolios
        The names of the run's own portfolios, which the configuration may name.

    Returns
    -------
    AnalysisConfig
        Frozen; what is left out, and so is as in the run, is None or not among ``model_fields_set``.

    Raises
    ------
    InputError
        The file cannot be read, or is not YAML.
    ConfigError
        A key is unknown, or a value is not what its key expects; one line each, all of them.

    Examples
    --------
    >>> load_analysis(overrides=["risk.levels=[0.9, 0.999]"]).risk.levels
    (0.9, 0.999)
    """
    data = {} if path is None else read_yaml(path)
    data = {} if data is None else data  # every key commented out: the run once more
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds {type(data).__name__}, not a mapping of keys")
    folder = "." if path is None else str(Path(path).parent)
    return analysis_from_mapping(overridden(data, overrides), directory=folder, portfolios=portfolios)


def analysis_from_mapping(
    mapping: Mapping[str, Any], *, directory: str | None = None, portfolios: Sequence[str] = ()
) -> AnalysisConfig:
    """Check the configuration of an analysis given as plain data.

    Parameters
    ----------
    mapping
        Sections by name.
    directory
        Where relative paths are looked for first; None takes paths as they stand.
    portfolios
        The names of the run's own portfolios.

    Returns
    -------
    AnalysisConfig
        As :func:`load_analysis`.

    Raises
    ------
    ConfigError
        As :func:`load_analysis`.

    Examples
    --------
    >>> analysis_from_mapping({"simulations": {}})
    Traceback (most recent call last):
    riskops.errors.ConfigError: simulations: unknown key; did you mean simulation?
    """
    context: dict[str, Any] = {"portfolios": tuple(portfolios)}
    return validated(AnalysisConfig, mapping, context if directory is None else context | {"directory": directory})
