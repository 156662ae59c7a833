"""What is to be simulated: a frozen spec, apart from how the work is cut and where it runs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from riskops.checks import check_integer, check_one_of, check_positive
from riskops.errors import InputError
from riskops.models import Model, from_record
from riskops.rng import MAX_PATHS, TILE
from riskops.simulation.sampling import Sampling

__all__ = ["SimulationSpec"]


@dataclass(frozen=True)
class SimulationSpec:
    """Paths of one model: everything on which a figure may depend, and the chunk size, on which none does.

    Parameters
    ----------
    model
        A calibrated model; its parameters are part of the spec.
    paths
        Number of paths, below 2^34.
    steps, step_days
        Number of steps and the length of one in trading days; the time axis is ``0, step_days, ..., steps *
        step_days``.
    seed
        64-bit seed: the Philox key.
    dtype
        ``float32`` (fast, the default) or ``float64``.
    chunk_paths
        Paths in a chunk, a multiple of 1024, or None to let :func:`riskops.simulation.plan` choose.
    days_per_year
        Trading days in a year, by which yearly parameters are scaled.
    sampling
        How the draws are arranged to lower the variance; plain by default.

    Examples
    --------
    >>> import numpy as np
    >>> from riskops.models import GeometricBrownianMotion
    >>> model = GeometricBrownianMotion(("A",), np.array([0.05]), np.array([0.2]), np.eye(1))
    >>> spec = SimulationSpec(model, paths=4096, steps=10, seed=7)
    >>> spec.times[-1], spec.step_of(5.0)
    (10.0, 5)
    """

    model: Model
    paths: int
    steps: int = 1
    step_days: float = 1.0
    seed: int = 0
    dtype: Literal["float32", "float64"] = "float32"
    chunk_paths: int | None = None
    days_per_year: float = 252.0
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        check_integer("simulation.paths", self.paths, at_least=1, below=MAX_PATHS)
        check_integer("simulation.steps", self.steps, at_least=1, below=2**31)
        check_positive("simulation.step_days", self.step_days)
        check_integer("simulation.seed", self.seed, at_least=0, below=2**64)
        check_one_of("simulation.dtype", self.dtype, ("float32", "float64"))
        check_positive("simulation.days_per_year", self.days_per_year)
        if self.chunk_paths is not None:
            check_integer("simulation.chunk_paths", self.chunk_paths, at_least=TILE)
            if self.chunk_paths % TILE:
                raise InputError(f"simulation.chunk_paths: {self.chunk_paths} is not a multiple of {TILE}")
        self.sampling.check(self.model, paths=self.paths, steps=self.steps)

    @property
    def assets(self) -> tuple[str, ...]:
        """The assets of the model, in order."""
        return self.model.assets

    @property
    def times(self) -> tuple[float, ...]:
        """All simulated times in days, 0 included."""
        return tuple(self.time_of(step) for step in range(self.steps + 1))

    @property
    def step_years(self) -> float:
        """The length of a step in years."""
        return self.step_days / self.days_per_year

    def time_of(self, step: int) -> float:
        """The time of a step in days: the decimal product, so that step 3 of 0.1 days is 0.3 as it is written."""
        return float(step * Fraction(repr(float(self.step_days))))

    def step_of(self, time: float, *, name: str = "time") -> int:
        """The step at which ``time`` (days) falls; a time between steps or beyond the last one is an error."""
        step = round(time / self.step_days)
        if not 0 <= step <= self.steps or not math.isclose(self.time_of(step), time, rel_tol=1e-9, abs_tol=1e-12):
            raise InputError(
                f"{name}: {time!r} days is not a multiple of step_days={self.step_days:g} "
                f"between 0 and {self.time_of(self.steps):g}"
            )
        return step

    def steps_of(self, times: Sequence[float] | None, *, name: str = "times") -> tuple[int, ...]:
        """The steps of several times, ascending and unique; all of them when ``times`` is None."""
        if times is None:
            return tuple(range(self.steps + 1))
        steps = tuple(self.step_of(float(time), name=name) for time in times)
        if not steps or any(b <= a for a, b in pairwise(steps)):
            raise InputError(f"{name}: {list(times)} is not ascending and unique")
        return steps

    def record(self) -> dict[str, Any]:
        """The spec as a plain mapping, model and all, without the cutting; :meth:`from_record` is its inverse."""
        return {
            "model": self.model.record(),
            "paths": self.paths,
            "steps": self.steps,
            "step_days": float(self.step_days),
            "seed": self.seed,
            "dtype": self.dtype,
            "days_per_year": float(self.days_per_year),
            "sampling": self.sampling.record(),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any], *, chunk_paths: int | None = None) -> SimulationSpec:
        """Make the spec again from its record, bit for bit."""
        rest = {name: value for name, value in record.items() if name not in ("model", "sampling")}
        sampling = Sampling.from_record(record["sampling"])
        return cls(model=from_record(record["model"]), chunk_paths=chunk_paths, sampling=sampling, **rest)

    def fingerprint(self) -> str:
        """The sha256 of the record: equal for specs that give equal figures."""
        text = json.dumps(self.record(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def itemsize(self) -> int:
        """Bytes of one simulated number."""
        return int(np.dtype(self.dtype).itemsize)
