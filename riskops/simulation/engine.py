"""The lazy paths: one symbolic Dask layer whose blocks are pure functions of the spec and the global path numbers.

A block is worked through in short stretches of paths that stay in the processor's cache. For every step the shocks are
drawn once and serve every scenario (common random numbers); scenarios that differ in their prices alone share one
simulation as well, unless the model says that today's price enters its dynamics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import dask.array as da
import numba
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.checks import check_one_of
from riskops.errors import InputError
from riskops.models import Model
from riskops.reductions import INDEPENDENT
from riskops.rng import TILE, tile_counters
from riskops.scalar import log_f64
from riskops.schema import validate, variable
from riskops.simulation.device import device_block
from riskops.simulation.events import PathEvent, read_prices, resolve_events
from riskops.simulation.plan import Workload, chunk_sizes
from riskops.simulation.spec import SimulationSpec
from riskops.simulation.stretch import block_shape, simulate_block, stretch_tiles

__all__ = ["PathJob", "ScenarioLike", "path_job", "simulate"]


class ScenarioLike(Protocol):
    """What the engine needs of a scenario: a name, the model under it, and instant price moves (simple returns)."""

    @property
    def name(self) -> str: ...

    def apply(self, model: Model) -> Model: ...

    def price_shock(self, prices: xr.Dataset) -> npt.NDArray[np.float64]: ...


@dataclass(frozen=True, eq=False)
class PathJob:
    """All that a block of paths is made from: the distinct models, and what each scenario takes from them."""

    spec: SimulationSpec
    steps: tuple[int, ...]
    scenarios: tuple[str, ...]
    models: tuple[Model, ...]
    model_of: tuple[int, ...]
    start_shift: npt.NDArray[np.float64]  # (model, asset): enters the state
    output_shift: npt.NDArray[np.float64]  # (scenario, asset): added to what is kept
    events: tuple[tuple[PathEvent, ...], ...]  # of each model, in their order
    device: Literal["cpu", "cuda"] = "cpu"
    device_fallback: bool = False  # whether a block that finds no room on the device is computed on the CPU

    def __dask_tokenize__(self) -> object:
        shifts = (self.start_shift.tobytes(), self.output_shift.tobytes())
        models = tuple(model.fingerprint() for model in self.models)
        events = tuple(tuple(event.fingerprint() for event in some) for some in self.events)
        what = (self.spec.fingerprint(), self.steps, self.scenarios, models, self.model_of, shifts, events)
        return ("PathJob", *what, self.device, self.device_fallback)

    def select(self, scenarios: Sequence[str], steps: Sequence[int]) -> PathJob:
        """The same job for some of its scenarios and steps only."""
        rows = [self.scenarios.index(name) for name in scenarios]
        used = sorted({self.model_of[row] for row in rows})
        return replace(
            self,
            steps=tuple(steps),
            scenarios=tuple(scenarios),
            models=tuple(self.models[m] for m in used),
            model_of=tuple(used.index(self.model_of[row]) for row in rows),
            start_shift=self.start_shift[used],
            output_shift=self.output_shift[rows],
            events=tuple(self.events[m] for m in used),
        )

    def block(self, counters: npt.NDArray[np.uint32], n: int) -> Any:
        """Log growth ``(scenario, time, asset, n)`` of the paths that the counters stand for, 256 counters a tile.

        Where the sampling weights the paths, their likelihood ratios stand behind the last asset. Where it makes paths
        depend on each other, only whole tiles can be drawn. The array is where the job's device is, with the same bits;
        :func:`riskops.backend.to_host` brings it here.
        """
        if n % TILE and self.spec.sampling.groups.unit != "path":
            raise InputError(
                f"n: {n} paths are not whole tiles, which sampling.method {self.spec.sampling.method} draws"
            )
        if self.device == "cuda":
            return device_block(self, counters, n)
        out = np.empty(block_shape(self, n), np.dtype(self.spec.dtype))
        simulate_block(self, counters, out, tiles=stretch_tiles(self.spec))
        return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _log_moves(moves, out):  # type: ignore[no-untyped-def]
    """Log growth of simple returns, by our own logarithm: the last bits of NumPy's depend on the processor."""
    for i in range(len(moves)):
        out[i] = log_f64(1.0 + moves[i])


def path_job(
    spec: SimulationSpec,
    *,
    times: Sequence[float] | None = None,
    scenarios: Sequence[ScenarioLike] | None = None,
    prices: xr.Dataset | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    device_fallback: bool = False,
) -> PathJob:
    """Resolve a spec, the times to keep and the scenarios into the job that every block of paths is drawn from.

    Parameters
    ----------
    spec
        What to simulate.
    times
        The times to keep, in days; None keeps all of them, 0 included.
    scenarios
        Scenarios to simulate with the same draws, in this order.
    prices
        Price Dataset that resolves the scenarios' price moves; needed with ``scenarios``.
    device, device_fallback
        As :func:`simulate`.

    Returns
    -------
    PathJob
        Small and eager: the distinct models, the steps, and what each scenario takes from them. Measures that draw
        single paths again, such as :func:`riskops.measures.tail_contributions`, take it.

    Raises
    ------
    InputError
        As :func:`simulate`.

    Examples
    --------
    >>> import numpy as np
    >>> from riskops.models import GeometricBrownianMotion
    >>> model = GeometricBrownianMotion(("A", "B"), np.zeros(2), np.array([0.2, 0.3]), np.eye(2))
    >>> job = path_job(SimulationSpec(model, paths=2048, steps=10, seed=1), times=[1, 10])
    >>> job.scenarios, job.steps
    (('base',), (1, 10))
    """
    check_one_of("device", device, ("cpu", "cuda"))
    steps = spec.steps_of(times)
    base = _Unshocked()
    given: Sequence[ScenarioLike] = (base,) if scenarios is None else scenarios
    names = tuple(scenario.name for scenario in given)
    if len(set(names)) < len(names) or not names:
        raise InputError(f"scenarios: {', '.join(names) or 'none'}: names must be unique and at least one is needed")
    if prices is None and scenarios is not None:
        raise InputError("prices: the price dataset is needed to resolve the scenarios' price moves")
    prices = None if prices is None else _in_order(prices, spec.assets)
    models: dict[tuple[Any, ...], tuple[Model, npt.NDArray[np.float64], tuple[PathEvent, ...]]] = {}
    model_of: list[int] = []
    outputs: list[npt.NDArray[np.float64]] = []
    zeros = np.zeros(len(spec.assets))
    for scenario in given:
        model = scenario.apply(spec.model)
        shift = np.zeros(len(spec.assets))
        if prices is not None:
            _log_moves(scenario.price_shock(prices), shift)
        events = resolve_events(scenario, spec=spec, model=model)
        inside = model.price_enters_dynamics or read_prices(events)
        inner, outer = (shift, zeros) if inside else (zeros, shift)
        key = (model.fingerprint(), inner.tobytes(), *(event.fingerprint() for event in events))
        models.setdefault(key, (model, inner, events))
        model_of.append(list(models).index(key))
        outputs.append(outer)
    return PathJob(
        spec=spec,
        steps=steps,
        scenarios=names,
        models=tuple(model for model, _, _ in models.values()),
        model_of=tuple(model_of),
        start_shift=np.stack([shift for _, shift, _ in models.values()]),
        output_shift=np.stack(outputs),
        events=tuple(events for _, _, events in models.values()),
        device=device,
        device_fallback=device_fallback,
    )


def _in_order(prices: xr.Dataset, assets: Sequence[str]) -> xr.Dataset:
    """The prices in the order of the model's assets: price moves are matched by name, like the model's parameters."""
    known = [str(name) for name in validate(prices, "price")["asset"].values]
    if set(known) != set(assets):
        raise InputError(f"prices: assets {', '.join(known)} are not those of the model, {', '.join(assets)}")
    return prices if known == list(assets) else prices.sel(asset=list(assets))


class _Unshocked:
    """The spec's own model and today's prices, for simulations that name no scenarios."""

    name = "base"

    def apply(self, model: Model) -> Model:
        return model

    def price_shock(self, prices: xr.Dataset) -> npt.NDArray[np.float64]:
        return np.zeros(prices.sizes["asset"])


def simulate(
    spec: SimulationSpec,
    *,
    times: Sequence[float] | None = None,
    scenarios: Sequence[ScenarioLike] | None = None,
    prices: xr.Dataset | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    device_fallback: bool = False,
) -> xr.Dataset:
    """Simulate paths lazily; nothing is drawn until the result is computed, and only the times asked for are kept.

    Parameters
    ----------
    spec
        What to simulate. Paths do not depend on ``spec.chunk_paths``.
    times
        The times to keep, in days, ascending multiples of ``spec.step_days``; None keeps all of them, 0 included.
    scenarios
        Scenarios to simulate with the same draws; the result then has a ``scenario`` dim, in this order.
    prices
        Price Dataset that resolves the scenarios' price moves; needed with ``scenarios``.
    device
        ``cuda`` draws every chunk on the CUDA device of the worker that makes it, with the same bits; the chunks are
        CuPy arrays where CuPy is installed.
    device_fallback
        Whether a chunk that finds no room in the device's memory is computed on the CPU instead; it is then noted
        (:func:`riskops.simulation.collect_fallbacks`). Otherwise computing stops with a ``PlanError``.

    Returns
    -------
    Dataset
        ``log_growth`` ``([scenario,] time, asset, path)``: the logarithm of the simulated price over today's unshocked
        price; ``time`` in days. ``path`` is the chunked dim and has no coordinate.

    Raises
    ------
    InputError
        A time between steps or beyond the last, a scenario that does not apply to the model or the data.

    Notes
    -----
    Contract C1: the draw of a path, step and factor is a pure function of their numbers and the seed. There are no NaN
    in the result: parameters are finite by the checks of the model.

    Examples
    --------
    >>> import numpy as np
    >>> from riskops.models import GeometricBrownianMotion
    >>> model = GeometricBrownianMotion(("A", "B"), np.zeros(2), np.array([0.2, 0.3]), np.eye(2))
    >>> paths = simulate(SimulationSpec(model, paths=2048, steps=10, seed=1), times=[1, 10])
    >>> paths["log_growth"].sizes["path"], paths["time"].values.tolist()
    (2048, [1.0, 10.0])
    """
    job = path_job(
        spec, times=times, scenarios=scenarios, prices=prices, device=device, device_fallback=device_fallback
    )
    return paths_of(job, drop_scenario=scenarios is None)


def paths_of(
    job: PathJob, *, drop_scenario: bool = False, first_path: int = 0, stop_path: int | None = None
) -> xr.Dataset:
    """The lazy paths of a job, or of the range of whole chunks that begins at ``first_path``."""
    spec = job.spec
    stop = spec.paths if stop_path is None else stop_path
    work = Workload(times=len(job.steps), scenarios=len(job.scenarios), models=len(job.models))
    sizes = chunk_sizes(spec, work=work, first_path=first_path, stop_path=stop)
    assets = len(spec.assets)
    lead = (len(job.scenarios), len(job.steps), assets + spec.sampling.weighted)
    simulated = da.map_blocks(
        _block,
        job=job,
        first_path=first_path,
        chunks=(*((size,) for size in lead), sizes),
        dtype=np.dtype(spec.dtype),
        meta=np.empty((0, 0, 0, 0), spec.dtype),
        name=f"simulate-{tokenize(job, first_path, stop, sizes)}",
    )
    times = ("time", [spec.time_of(step) for step in job.steps], {"units": "days"})
    dims: tuple[str, ...] = ("scenario", "time", "asset", "path")
    coords: dict[str, Any] = {"time": times, "asset": list(spec.assets)}
    growth = simulated[:, :, :assets] if spec.sampling.weighted else simulated
    if drop_scenario:
        growth, dims = growth[0], dims[1:]
    else:
        coords["scenario"] = list(job.scenarios)
    ds = variable("log_growth", dims, growth, coords=coords).to_dataset()
    if spec.sampling.weighted:  # the draws, and so the ratios, are the same for every scenario
        ratios = simulated[0, :, assets].astype(np.float64)
        ds["likelihood_ratio"] = variable("likelihood_ratio", ("time", "path"), ratios, coords={"time": times})
    attrs = {"seed": str(spec.seed), "step_days": spec.step_days, "spec_sha256": spec.fingerprint()}
    return ds.assign_attrs(attrs | {INDEPENDENT: spec.sampling.groups.text})


def _block(job: PathJob, first_path: int, block_info: Mapping[Any, Any] | None = None) -> Any:
    assert block_info is not None  # map_blocks gives it to every real block
    start, stop = block_info[None]["array-location"][-1]
    return job.block(tile_counters(first_path + start, stop - start), stop - start)
