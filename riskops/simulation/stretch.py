"""A stretch of paths worked through step by step, in arrays that stay in the processor's cache, or on a device.

For every step the shocks are drawn once and serve every scenario (common random numbers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from riskops.models import Model, Shock
from riskops.models.base import Array
from riskops.rng import TILE
from riskops.simulation.draws import Antithetic, Draws, Importance, MomentMatched, Stratified
from riskops.simulation.events import PathEvent, apply_events
from riskops.simulation.place import HOST, Place
from riskops.simulation.rows import copy_rows, keep_rows, set_rows
from riskops.simulation.shocks import MixedShocks
from riskops.simulation.sobol_draws import SobolDraws
from riskops.simulation.spec import SimulationSpec

__all__ = ["Stretch", "StretchJob", "block_shape", "simulate_block", "stretch_tiles"]

#: Numbers of one state that a stretch of paths may hold: few enough for a cache, and the cost of a call is lost in
#: them.
STRETCH_NUMBERS = 131_072
#: Normals of all steps that Sobol draws may hold, where a tile has fewer.
SOBOL_NUMBERS = 2_097_152


def stretch_tiles(spec: SimulationSpec) -> int:
    """How many tiles a stretch has; Sobol draws hold all steps of one at once, and get fewer for it."""
    tiles = STRETCH_NUMBERS // (len(spec.assets) * TILE)
    if spec.sampling.method == "sobol":
        tiles = min(tiles, SOBOL_NUMBERS // (len(spec.assets) * spec.sampling.steps * TILE))
    return max(1, tiles)


class StretchJob(Protocol):
    """What a stretch needs of a job; see :class:`riskops.simulation.PathJob`."""

    @property
    def spec(self) -> SimulationSpec: ...

    @property
    def steps(self) -> tuple[int, ...]: ...

    @property
    def models(self) -> tuple[Model, ...]: ...

    @property
    def scenarios(self) -> tuple[str, ...]: ...

    @property
    def model_of(self) -> tuple[int, ...]: ...

    @property
    def start_shift(self) -> npt.NDArray[np.float64]: ...

    @property
    def output_shift(self) -> npt.NDArray[np.float64]: ...

    @property
    def events(self) -> tuple[tuple[PathEvent, ...], ...]: ...


def block_shape(job: StretchJob, n: int) -> tuple[int, int, int, int]:
    """``(scenario, time, asset, path)``, with a row behind the last asset where paths are weighted."""
    return len(job.scenarios), len(job.steps), len(job.spec.assets) + job.spec.sampling.weighted, n


def simulate_block(job: StretchJob, counters: Array, out: Array, *, tiles: int, place: Place = HOST) -> None:
    """Fill a block at its place, one stretch of so many tiles after the other; the counters are on the host."""
    n = out.shape[3]
    stretch: Stretch | None = None
    for first in range(0, n, tiles * TILE):
        stop = min(first + tiles * TILE, n)
        if stretch is None or stretch.paths != stop - first:
            stretch = Stretch(job, stop - first, place)
        stretch.simulate(counters[first // 4 : (first // TILE + tiles) * (TILE // 4)], out[:, :, :, first:stop])


class Stretch:
    """The arrays that a stretch of paths is worked through in; one stretch after the other uses them."""

    def __init__(self, job: StretchJob, paths: int, place: Place = HOST) -> None:
        spec, dtype = job.spec, np.dtype(job.spec.dtype)
        self.paths, self._job = paths, job
        self._tables = [_placed(_tables(model, spec.step_years, spec.dtype), place) for model in job.models]
        self._offsets = [place.put(row) for row in job.output_shift.astype(dtype)]
        initial = [_initial(m, shift, dtype) for m, shift in zip(job.models, job.start_shift, strict=True)]
        self._initial = [_placed(values, place) for values in initial]
        self._states = [{k: place.empty((len(v), paths), v.dtype) for k, v in values.items()} for values in initial]
        shocks, assets = job.models[0].shocks, len(spec.assets)
        tables = _tables(spec.model, spec.step_years, spec.dtype)
        self._draws = draws_of(spec, shocks, n=paths, tables=tables, place=place)
        # one set of arrays serves all models in turn: each is advanced before the next is mixed
        self._shocks = MixedShocks(shocks, self._draws.arrays, assets=assets, dtype=dtype, place=place)

    def simulate(self, counters: Array, out: Array) -> None:
        """Fill ``out`` ``(scenario, time, asset, path)``, where the stretch is, with the log growth of the paths of
        these counters, which are on the host."""
        job, assets = self._job, len(self._job.spec.assets)
        for state, values in zip(self._states, self._initial, strict=True):
            for name, array in state.items():
                set_rows(array, values[name])
        self._draws.start(counters)
        if any(model.draws_start for model in job.models):
            self._draws.draw(0)
            for model, state, table in zip(job.models, self._states, self._tables, strict=True):
                model.begin(state, self._shocks.of(table, state), table)
        kept = 0
        for step in range(job.steps[-1] + 1):
            if step > 0:
                self._draws.draw(step)
                for model, state, table in zip(job.models, self._states, self._tables, strict=True):
                    model.advance(state, self._shocks.of(table, state), table)
                for events, state in zip(job.events, self._states, strict=True):
                    if events:
                        apply_events(events, step, job.spec.time_of(step), state)
            if step == job.steps[kept]:
                for row, m in enumerate(job.model_of):
                    keep_rows(out[row, kept, :assets], self._states[m]["log_growth"], self._offsets[row])
                    if self._draws.weights is not None:
                        copy_rows(out[row, kept, assets : assets + 1], self._draws.weights)
                kept += 1


def draws_of(
    spec: SimulationSpec, shocks: Sequence[Shock], *, n: int, tables: Mapping[str, Array], place: Place = HOST
) -> Draws:
    """The draws of ``n`` paths in the arrangement of the spec."""
    kind: type[Draws] = _DRAWS[spec.sampling.method]
    return kind(
        shocks,
        spec.sampling,
        seed=spec.seed,
        n=n,
        assets=len(spec.assets),
        dtype=np.dtype(spec.dtype),
        tables=tables,
        place=place,
    )


_DRAWS: dict[str, type[Draws]] = {
    "plain": Draws,
    "antithetic": Antithetic,
    "control_variate": Draws,
    "importance": Importance,
    "moment_matching": MomentMatched,
    "sobol": SobolDraws,
    "stratified": Stratified,
}


@lru_cache(maxsize=32)
def _tables(model: Model, step_years: float, dtype: str) -> dict[str, Array]:
    """The tables of a model in the simulation's dtype, made once a process; integer tables (thresholds) stay."""
    return {
        name: np.ascontiguousarray(table, dtype if np.issubdtype(table.dtype, np.floating) else table.dtype)
        for name, table in model.tables(step_years).items()
    }


def _placed(arrays: Mapping[str, Array], place: Place) -> dict[str, Array]:
    return {name: place.put(array) for name, array in arrays.items()}


def _initial(model: Model, shift: npt.NDArray[np.float64], dtype: np.dtype) -> dict[str, Array]:
    """The initial value of every state, ``(asset or 1,)``, in the dtype it is simulated in."""
    initial = model.start()
    return {
        state.name: (initial[state.name] + (shift if state.name == "log_growth" else 0.0)).astype(
            dtype if state.kind == "real" else np.int32
        )
        for state in model.states
    }
