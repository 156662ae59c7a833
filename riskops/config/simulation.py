"""The keys of the simulation: what is simulated, how the draws are arranged, and how exact the figures are to be."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from riskops.checks import check_level
from riskops.config.fields import Section, key
from riskops.errors import ConfigError

__all__ = ["SamplingSection", "SimulationSection", "TargetSection"]


class SamplingSection(Section):
    """How the draws are arranged to lower the variance of the figures."""

    method: Literal[
        "plain", "antithetic", "control_variate", "importance", "moment_matching", "sobol", "stratified"
    ] = key(
        "plain",
        "plain, antithetic, control_variate, importance, moment_matching, sobol or stratified",
        "Arrangement of the draws; every figure keeps an honest error. All but plain and control_variate need whole "
        "tiles of 1024 paths.",
    )
    portfolio: str | None = key(
        None,
        "the name of a portfolio or null",
        "importance, stratified: the portfolio whose losses the draws are made for; null: the first one.",
        min_length=1,
    )
    horizon: float | None = key(
        None,
        "a number of days or null",
        "importance, sobol, stratified: the horizon that the draws are made for; null: the longest one.",
        gt=0,
    )
    level: float = key(
        0.99, "a confidence level between 0 and 1", "importance: the level whose tail is drawn into.", gt=0, lt=1
    )
    replicates: int = key(
        32,
        "an integer >= 2 and <= 256",
        "sobol: independent scrambles, from whose spread the errors come; paths are a multiple of 1024 times them.",
        ge=2,
        le=256,
    )
    dimensions: int = key(
        256,
        "an integer >= 1 and <= 5120",
        "sobol: how many coordinates are Sobol points'; what follows is pseudo-random.",
        ge=1,
        le=5120,
    )

    @model_validator(mode="after")
    def _check_read(self) -> SamplingSection:
        for name, field in type(self).model_fields.items():
            unread = name != "method" and name not in _READ.get(self.method, ())
            if unread and getattr(self, name) != field.default:
                raise ConfigError(f"simulation.sampling.{name}: means nothing with method {self.method}")
        return self


#: The keys that a method of sampling reads.
_READ = {
    "importance": {"portfolio", "horizon", "level"},
    "sobol": {"horizon", "replicates", "dimensions"},
    "stratified": {"portfolio", "horizon"},
}


class TargetSection(Section):
    """An accuracy instead of a number of paths."""

    measure: Literal["value_at_risk", "expected_shortfall", "mean_loss"] = key(
        "expected_shortfall",
        "value_at_risk, expected_shortfall or mean_loss",
        "The measure whose error is judged, in the base scenario, at every portfolio and horizon.",
    )
    level: float = key(0.99, "a confidence level among risk.levels", "The confidence level judged.", gt=0, lt=1)
    relative_error: float | None = key(
        None,
        "a number above zero, or null",
        "Standard error over the measure's value that is to be reached; null: no target, simulation.paths it is.",
        gt=0,
    )


class SimulationSection(Section):
    """What is simulated."""

    paths: int = key(
        65_536,
        "an integer >= 1 and < 2**34",
        "Number of paths; the error of every figure falls with its square root.",
        ge=1,
        lt=2**34,
    )
    steps: int = key(1, "an integer >= 1 and < 2**31", "Number of steps.", ge=1, lt=2**31)
    step_days: float = key(1.0, "a number above zero", "Length of a step in trading days.", gt=0)
    seed: int = key(
        0, "an integer >= 0 and < 2**64", "Seed of the generator: the same seed gives the same paths.", ge=0, lt=2**64
    )
    dtype: Literal["float32", "float64"] = key(
        "float32", "float32 or float64", "Precision of the paths; losses and all figures are float64 in either case."
    )
    chunk_paths: int | None = key(
        None,
        "a multiple of 1024 or null",
        "Paths in a chunk; null: chosen from memory and task time. No figure depends on it.",
        ge=1024,
        multiple_of=1024,
    )
    days_per_year: float = key(252.0, "a number above zero", "Trading days in a year.", gt=0)
    sampling: SamplingSection = Field(
        default_factory=SamplingSection, description=(SamplingSection.__doc__ or "").strip()
    )
    target: TargetSection = Field(default_factory=TargetSection, description=(TargetSection.__doc__ or "").strip())
    max_seconds: float | None = key(
        None,
        "a number above zero, or null",
        "With a target: no further batch of paths begins after so many seconds; null: no bound.",
        gt=0,
    )
    max_paths: int = key(
        50_000_000,
        "an integer >= 1 and < 2**34",
        "With a target: the most paths; where it is not met by then, the result says so and gives its error.",
        ge=1,
        lt=2**34,
    )
    device: Literal["cpu", "cuda", "auto"] = key(
        "cpu",
        "cpu, cuda or auto",
        "Where paths are simulated. auto: on a CUDA device where there is one, the run is large enough to gain from it "
        "and fits in 80 % of its memory; the choice is recorded.",
    )
    device_fallback: bool = key(
        False,
        "true or false",
        "Whether to go on with the CPU where the device has no memory left; recorded. Otherwise the run stops.",
    )

    @field_validator("sampling", "target", mode="before")
    @classmethod
    def _empty_section(cls, value: object) -> object:
        """A section whose keys are all commented out is null in YAML, and means its defaults."""
        return {} if value is None else value

    @model_validator(mode="after")
    def _check_bounds(self) -> SimulationSection:
        check_level("simulation.target.level", self.target.level)
        aimless = self.target.relative_error is None
        fields = TargetSection.model_fields
        for name in ("measure", "level"):
            if aimless and getattr(self.target, name) != fields[name].default:
                raise ConfigError(f"simulation.target.{name}: means nothing without simulation.target.relative_error")
        for name in ("max_seconds", "max_paths"):
            if aimless and getattr(self, name) != type(self).model_fields[name].default:
                raise ConfigError(f"simulation.{name}: means nothing without simulation.target.relative_error")
        if self.target.relative_error is not None and self.max_paths < self.paths:
            raise ConfigError(
                f"simulation.max_paths: {self.max_paths} are fewer than simulation.paths, {self.paths}, "
                "with which a run towards a target begins"
            )
        return self
