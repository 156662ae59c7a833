"""How the draws of a run are arranged to lower the variance of its figures: part of the spec, recorded with it.

Every arrangement keeps the contracts: a draw stays a pure function of seed, path, step, factor and stream (C1), and
paths depend on each other only inside groups whose sums are independent, from which the errors are made (C3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

from riskops.checks import check_finite, check_integer, check_one_of
from riskops.errors import InputError
from riskops.models import Model
from riskops.reductions import Groups
from riskops.rng import MAX_PATHS

__all__ = ["METHODS", "PILOT_PATHS", "Sampling"]

#: The arrangements, and the groups of paths that each leaves independent.
METHODS = {
    "plain": "path",
    "antithetic": "pair",
    "control_variate": "path",
    "importance": "quadruple",
    "moment_matching": "tile",
    "sobol": "replicate",
    "stratified": "tile",
}

#: Paths of a pilot: the last ones that the generator can number, which no arranged run may reach.
PILOT_PATHS = 65_536

#: Vectors by the name of a shock: one number a factor.
ByShock = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Sampling:
    """An arrangement of the draws.

    Parameters
    ----------
    method
        ``plain``: independent paths. ``antithetic``: lanes 2 and 3 of every tile take the opposite draws of lanes 0 and
        1. ``control_variate``: plain draws, figures corrected by the portfolio's mean loss, which is known.
        ``importance``: three lanes of four drawn under normals shifted by ``shift`` and words tilted by ``tilt``, with
        likelihood ratios as weights; the fourth lane keeps every weight below 4. ``moment_matching``: the normals of
        each step, factor and tile shifted and scaled to mean zero and deviation one. ``sobol``: scrambled Sobol
        points in the order of a Brownian bridge and principal components. ``stratified``: the sum of the normals along
        ``direction`` over ``steps`` stratified in 1024 strata a tile.
    replicates
        ``sobol``: independent scrambles, from whose spread the errors come.
    dimensions
        ``sobol``: how many coordinates are Sobol's; those that follow are pseudo-random.
    steps
        ``sobol``, ``stratified``: the step at which the bridge, or the stratified sum, ends.
    direction
        ``stratified``: a unit vector over the normals of a step, by shock.
    shift
        ``importance``: what is added to the normals of every step, by shock.
    tilt
        ``importance``: the probabilities of the outcomes, by shock: ``(asset * outcome)`` numbers, asset by asset.
    rotation
        ``sobol``: orthogonal ``(factor, factor)`` that turns components into the normals of a mixed shock, row by row.

    Raises
    ------
    InputError
        When a number is out of range, or a part that the method needs is missing.

    Examples
    --------
    >>> Sampling("antithetic").groups.text, Sampling("sobol", replicates=16, steps=10).groups.text
    ('pair', 'replicate 16')
    """

    method: Literal[
        "plain", "antithetic", "control_variate", "importance", "moment_matching", "sobol", "stratified"
    ] = "plain"
    replicates: int = 0
    dimensions: int = 0
    steps: int = 0
    direction: ByShock = field(default_factory=dict)
    shift: ByShock = field(default_factory=dict)
    tilt: ByShock = field(default_factory=dict)
    rotation: ByShock = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_one_of("sampling.method", self.method, tuple(METHODS))
        check_integer("sampling.replicates", self.replicates, at_least=2 if self.method == "sobol" else 0)
        check_integer("sampling.dimensions", self.dimensions, at_least=1 if self.method == "sobol" else 0)
        check_integer("sampling.steps", self.steps, at_least=1 if self.method in ("sobol", "stratified") else 0)
        for name in ("direction", "shift", "tilt", "rotation"):
            vectors = {str(shock): tuple(map(float, vector)) for shock, vector in getattr(self, name).items()}
            for shock, vector in vectors.items():
                check_finite(f"sampling.{name}.{shock}", vector)
            object.__setattr__(self, name, vectors)
        if self.method == "stratified" and not self.direction:
            raise InputError("sampling.direction: stratified draws need one")
        if self.method == "importance" and not (self.shift or self.tilt):
            raise InputError("sampling.shift: importance sampling needs a shift or a tilt")

    @property
    def groups(self) -> Groups:
        """The groups of paths that are independent of each other."""
        return Groups(METHODS[self.method], self.replicates if self.method == "sobol" else 0)  # type: ignore[arg-type]

    @property
    def weighted(self) -> bool:
        """Whether paths carry likelihood ratios."""
        return self.method == "importance"

    @property
    def whole_tiles(self) -> bool:
        """Whether a path can be drawn only together with its whole tile."""
        return self.method in ("moment_matching", "sobol")

    def check(self, model: Model, *, paths: int) -> None:
        """Refuse a model or a number of paths that the arrangement does not serve."""
        try:
            self.groups.number(paths)
        except InputError as problem:
            raise InputError(f"simulation.{problem}, by sampling.method {self.method}") from problem
        if self.method != "plain" and paths > MAX_PATHS - PILOT_PATHS:
            raise InputError(f"simulation.paths: {paths} leave no paths to the pilot of sampling.method {self.method}")
        if self.method in ("plain", "control_variate"):
            return
        normals = {shock.name for shock in model.shocks if shock.kind == "normal"}
        if self.method in ("moment_matching", "sobol", "stratified") and not normals:
            raise InputError(
                f"sampling.method: {self.method} arranges normals, and model {model.kind} draws none; "
                "antithetic serves it"
            )
        for name, known in (("direction", normals), ("shift", normals), ("rotation", normals)):
            for shock in getattr(self, name):
                if shock not in known:
                    raise InputError(f"sampling.{name}: model {model.kind} has no normal shock {shock!r}")

    def record(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON holds it; :meth:`from_record` is its inverse."""
        out: dict[str, Any] = {"method": self.method}
        for part in fields(self)[1:]:
            value = getattr(self, part.name)
            if value:
                out[part.name] = {k: list(v) for k, v in value.items()} if isinstance(value, dict) else value
        return out

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make the arrangement again, bit for bit."""
        return cls(**record)
