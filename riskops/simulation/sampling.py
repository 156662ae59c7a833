"""How the draws of a run are arranged to lower the variance of its figures: part of the spec, recorded with it.

Every arrangement keeps the contracts: a draw stays a pure function of seed, path, step, factor and stream (C1), and
paths depend on each other only inside groups whose sums are independent, from which the errors are made (C3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

import numpy as np

from riskops.checks import check_finite, check_integer, check_one_of
from riskops.errors import InputError
from riskops.models import Model
from riskops.reductions import Groups
from riskops.rng import MAX_PATHS, MAX_REPLICATES

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
#: The vectors, and the kind of shock that each is given for.
VECTORS = {"direction": "normal", "shift": "normal", "tilt": "outcome", "rotation": "normal"}
#: How far a length or a sum of probabilities may be off one.
ROUNDING = 1e-6


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
        each step, factor and tile shifted and scaled to mean zero and deviation one; tiles stay independent, so their
        spread is an honest error, and a bias of the order of 1/1024 of the spread is left. ``sobol``: scrambled Sobol
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
        When a number is out of range, or a part that the method needs is missing; a direction that is not of length
        one, a rotation that is not orthogonal.

    Examples
    --------
    >>> Sampling("antithetic").groups.text, Sampling("sobol", replicates=16, dimensions=8, steps=10).groups.text
    ('pair', 'replicate 16')
    """

    method: Literal[
        "plain", "antithetic", "control_variate", "importance", "moment_matching", "sobol", "stratified"
    ] = "plain"
    replicates: int = 0
    dimensions: int = 0
    steps: int = 0
    direction: ByShock = field(default_factory=dict, hash=False)
    shift: ByShock = field(default_factory=dict, hash=False)
    tilt: ByShock = field(default_factory=dict, hash=False)
    rotation: ByShock = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_one_of("sampling.method", self.method, tuple(METHODS))
        least, most = 2 if self.method == "sobol" else 0, MAX_REPLICATES
        check_integer("sampling.replicates", self.replicates, at_least=least, below=most + 1)
        check_integer("sampling.dimensions", self.dimensions, at_least=1 if self.method == "sobol" else 0)
        check_integer("sampling.steps", self.steps, at_least=1 if self.method in ("sobol", "stratified") else 0)
        for name in VECTORS:
            vectors = {str(shock): tuple(map(float, vector)) for shock, vector in getattr(self, name).items()}
            for shock, vector in vectors.items():
                check_finite(f"sampling.{name}.{shock}", vector)
            object.__setattr__(self, name, vectors)
        if self.method == "stratified" and not self.direction:
            raise InputError("sampling.direction: stratified draws need one")
        if self.method == "importance" and not (self.shift or self.tilt):
            raise InputError("sampling.shift: importance sampling needs a shift or a tilt")
        length = math.sqrt(math.fsum(x * x for vector in self.direction.values() for x in vector))
        if self.direction and abs(length - 1.0) > ROUNDING:
            raise InputError(f"sampling.direction: its length is {length:.6g}, not one")
        for shock, vector in self.rotation.items():
            _check_orthogonal(f"sampling.rotation.{shock}", vector)

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

    def check(self, model: Model, *, paths: int, steps: int) -> None:
        """Refuse a model, or a number of paths or steps, that the arrangement does not serve."""
        try:
            self.groups.number(paths)
        except InputError as problem:
            raise InputError(f"simulation.{problem}, by sampling.method {self.method}") from problem
        if self.method != "plain" and paths > MAX_PATHS - PILOT_PATHS:
            raise InputError(f"simulation.paths: {paths} leave no paths to the pilot of sampling.method {self.method}")
        if self.method in ("plain", "control_variate"):
            return
        if self.steps > steps:
            raise InputError(f"sampling.steps: {self.steps} are more than simulation.steps, {steps}")
        if self.method in ("moment_matching", "sobol", "stratified") and not any(
            shock.kind == "normal" for shock in model.shocks
        ):
            raise InputError(
                f"sampling.method: {self.method} arranges normals, and model {model.kind} draws none; "
                "antithetic serves it"
            )
        self._check_vectors(model)

    def _check_vectors(self, model: Model) -> None:
        """Hold every vector to the shocks of the model: their kinds and how many factors they have."""
        shocks = {shock.name: shock for shock in model.shocks}
        for name, kind in VECTORS.items():
            for shock, vector in getattr(self, name).items():
                if shock not in shocks or shocks[shock].kind != kind:
                    raise InputError(f"sampling.{name}: model {model.kind} has no {kind} shock {shock!r}")
                factors = shocks[shock].count(len(model.assets))
                wanted = factors * factors if name == "rotation" else factors
                if not vector or (len(vector) % factors if name == "tilt" else len(vector) != wanted):
                    raise InputError(f"sampling.{name}.{shock}: {len(vector)} numbers are not for {factors} factors")
                if name == "tilt":
                    _check_probabilities(f"sampling.tilt.{shock}", vector, factors)

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


def _check_orthogonal(name: str, vector: tuple[float, ...]) -> None:
    """The rows of a square matrix, given row by row, have length one and right angles."""
    size = math.isqrt(len(vector))
    matrix = np.array(vector[: size * size]).reshape(size, size)
    if size * size != len(vector) or not np.allclose(matrix @ matrix.T, np.eye(size), rtol=0.0, atol=ROUNDING):
        raise InputError(f"{name}: its {len(vector)} numbers are not an orthogonal matrix, row by row")


def _check_probabilities(name: str, vector: tuple[float, ...], factors: int) -> None:
    """The probabilities of each factor's outcomes are not negative and sum to one."""
    outcomes = len(vector) // factors
    for start in range(0, len(vector), outcomes):
        row = vector[start : start + outcomes]
        if min(row) < 0.0 or abs(math.fsum(row) - 1.0) > ROUNDING:
            raise InputError(f"{name}: {list(row)} are not the probabilities of outcomes, which sum to one")
