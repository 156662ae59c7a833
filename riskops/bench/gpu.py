"""A CUDA device against the cores beside it: the same normals, paths, VaR and ES, bit for bit, and how near the device
comes to its limits.

What is counted, by hand from the sources, for each number in single precision (multiply-adds are two operations,
divisions and square roots one each although the device takes several instructions for them):

- a word of Philox4x32-10: ten rounds of two products, four exclusive ors and two sums of keys serve four words, so 20
  integer operations; a normal on top of it: 13 multiply-adds, 2 products, 3 sums, a division and a square root, so 33;
- mixing: row ``a`` takes one product and ``a`` multiply-adds: ``assets^2`` operations a path and step in all;
- a step of geometric Brownian motion: 2 sums; what is kept: 1; the loss: ``expm1`` of 18 multiply-adds, 4 products
  and 10 sums, and one multiply-add in double precision: 52 for every asset.

Bytes are those that each kernel has to read and to write once, as if no cache served the next: 4 for a draw that is
filled, 8 for mixing it, 12 for a step, 8 for what is kept, 4 and 16 for an asset's loss. Arrays of a million paths stay
in the second-level cache of recent devices, so that a share of the memory's bandwidth may come out above one. The
limits are the device's own attributes (:func:`riskops.backend.device_limits`). None of this was seen on a device yet.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from riskops import backend
from riskops.bench.paths import MODEL, PATHS, STEPS
from riskops.bench.problem import ASSETS, LEVEL, TailProblem, market_model
from riskops.bench.rows import Row
from riskops.bench.timing import Setting, Timed, core_count, on_threads, race
from riskops.portfolio.loss import loss_block
from riskops.reductions import Tail, needed_tail
from riskops.rng import TILE, fill_normals, tile_counters
from riskops.simulation import PathJob, SimulationSpec, chunk_sizes, path_job

__all__ = ["gpu"]

SUITE = "gpu"
#: Factors and paths of the normals.
ROWS, COLUMNS = 32, 1_048_576
WORD, NORMAL, LOSS = 20, 33, 52


class Count(NamedTuple):
    """What one device call moves and computes."""

    numbers: float
    unit: str
    bytes: float
    operations: float

    def rates(self, seconds: float) -> str:
        """Numbers, bytes and operations a second, with their shares of the device's limits."""
        bandwidth, arithmetic = backend.device_limits()
        moved, computed = self.bytes / seconds, self.operations / seconds
        return (
            f"{self.numbers / seconds / 1e6:,.0f} M {self.unit}/s, {moved / 1e9:,.0f} GB/s ({moved / bandwidth:.0%} of "
            f"the memory's), {computed / 1e9:,.0f} Gop/s ({computed / arithmetic:.0%} of the arithmetic's)"
        )


def gpu(setting: Setting) -> list[Row]:
    """Normals, paths of one asset, and the tail of twenty, against one core and against all."""
    if not backend.device_count():
        setting.say(f"gpu: needs a CUDA device, and none was found; install {backend.GPU_EXTRAS} where there is one")
        return []
    setting.say(f"gpu: {backend.device_name()}")
    return [*_normals(setting), *_paths(setting), *_tail(setting)]


def _rows(
    name: str,
    work: str,
    count: Count,
    ours: Callable[[], Any],
    theirs: Callable[[Executor | None], Any],
    agrees: Callable[[Any, Any], bool],
) -> list[Row]:
    cores = core_count()
    with on_threads(cores) as pool:
        mine, one, every = race(ours, lambda: theirs(None), lambda: theirs(pool), rounds=5)
    work = f"{work}: {count.rates(mine.seconds)}"

    def row(baseline: str, timed: Timed) -> Row:
        return Row(SUITE, name, work, mine.seconds, baseline, timed.seconds, agrees(mine.result, timed.result))

    return [row("one core, the same bits", one), row(f"{cores} cores, the same bits", every)]


def _equal(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> bool:
    return one.tobytes() == two.tobytes()


def _normals(setting: Setting) -> list[Row]:
    from riskops.rng import cuda

    n = setting.count(COLUMNS)
    counters, out = tile_counters(0, n), np.empty((ROWS, n), np.float32)
    there = backend.device_view(backend.device_empty(out.shape, out.dtype))
    counters_there = backend.device_view(backend.to_device(counters))

    def ours() -> Any:
        cuda.fill_normals(there, counters_there, seed=1, step=1, stream=0)
        backend.synchronize()
        return there

    def theirs(pool: Executor | None) -> npt.NDArray[np.float32]:
        def fill(first: int) -> None:
            stop = min(first + 64 * TILE, n)
            own = counters[first // 4 : -(-stop // TILE) * TILE // 4]
            fill_normals(out[:, first:stop], own, seed=1, step=1, stream=0)

        list((map if pool is None else pool.map)(fill, range(0, n, 64 * TILE)))
        return out

    numbers = float(ROWS * n)
    count = Count(numbers, "normals", 4.0 * numbers, (WORD + NORMAL) * numbers)
    work = f"{numbers / 1e6:.3g} M normals float32, left on the device"
    return _rows("normals", work, count, ours, theirs, lambda mine, host: _equal(backend.to_host(mine), host))


def _paths(setting: Setting) -> list[Row]:
    spec = SimulationSpec(MODEL, paths=setting.count(PATHS), steps=STEPS, seed=1)
    here = path_job(spec, times=[STEPS])

    def theirs(pool: Executor | None) -> npt.NDArray[np.float32]:
        return _blocks(here, pool)

    steps = float(spec.paths * STEPS)
    count = Count(steps, "path steps", (4 + 8 + 12) * steps, (WORD + NORMAL + 1 + 2) * steps)
    work = f"terminal log growth of {spec.paths:,} paths x {STEPS} steps, copied to the host"
    ours = partial(_on_device, replace(here, device="cuda"))
    return _rows("paths", work, count, ours, theirs, _equal)


def _on_device(job: PathJob) -> npt.NDArray[np.float32]:
    paths = job.spec.paths
    return backend.to_host(job.block(tile_counters(0, paths), paths))[0, 0, 0]


def _blocks(job: PathJob, pool: Executor | None) -> npt.NDArray[np.float32]:
    sizes = chunk_sizes(job.spec)
    out = np.empty(job.spec.paths, np.float32)

    def block(first: int, size: int) -> None:
        out[first : first + size] = job.block(tile_counters(first, size), size)[0, 0, 0]

    list((map if pool is None else pool.map)(block, np.cumsum([0, *sizes[:-1]]).tolist(), sizes))
    return out


def _tail(setting: Setting) -> list[Row]:
    """One day of twenty correlated assets to the sorted tail: paths and losses on the device, the tail on the host."""
    problem = TailProblem(SimulationSpec(market_model(), paths=setting.count(PATHS), steps=1, seed=1))
    paths, job, exposure = problem.spec.paths, replace(problem.job, device="cuda"), problem.exposure
    reduction = Tail(keep=needed_tail(LEVEL, paths))

    def ours() -> dict[str, Any]:
        lost = loss_block(job.block(tile_counters(0, paths), paths), exposure, np.zeros(1, np.int64))
        return reduction.finalize(reduction.chunk({"loss": backend.to_host(lost)[0]}, first_path=0))

    def agrees(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
        return _equal(mine["loss"], theirs["loss"]) and _equal(mine["path"], theirs["path"])

    numbers = float(paths * ASSETS)
    operations = (WORD + NORMAL + 2 + 1 + LOSS) * numbers + paths * ASSETS**2
    count = Count(float(paths), "paths", (4 + 8 + 12 + 8 + 20) * numbers, operations)
    work = f"VaR and ES of {paths:,} scenarios x {ASSETS} assets, losses copied to the host"
    return _rows("tail", work, count, ours, problem.tail, agrees)
