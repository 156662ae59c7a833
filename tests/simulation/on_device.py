"""Compute blocks on a CUDA device, or in numba-cuda's simulator, and compare them to the last bit with given ones.

Started by tests/simulation/test_device.py in a process of its own, because the simulator must be chosen before numba
is imported; there every function is plain Python. Arguments: a pickle-free archive of what the CPU gave, and the names
of the cases in it to run, all when none is named. Run by hand with ``save FILE`` it writes that archive.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import dask
import numpy as np
import numpy.typing as npt

from riskops import backend
from riskops.models.built_in import BUILT_IN
from riskops.portfolio import portfolio_loss
from riskops.portfolio.loss import loss_block
from riskops.reductions import Moments, reduce_paths
from riskops.rng import tile_counters
from riskops.simulation import PathJob, SimulationSpec, path_job, simulate
from riskops.simulation.events import PriceMove
from tests.models.examples import example
from tests.models.toy_models import example_models
from tests.simulation.arrangements import samplings
from tests.simulation.examples import book_of, brownian, prices_of

__all__ = ["cases", "compute", "different", "end_to_end", "losses"]

FEW, TILE = 20, 1024
Case = Callable[[str], PathJob]


class Falling:
    """A scenario that moves prices at once and, on the first day ahead, those that have fallen, or all by one."""

    name = "falling"
    events = (
        PriceMove(step=1, log_moves=(-0.2, 0.1), state="log_growth", value=0.0),
        PriceMove(step=1, log_moves=(-0.05, -0.03), state="log_growth", comparison="above", value=-0.05, asset=1),
    )

    def apply(self, model: Any) -> Any:
        return model.shocked(volatility=1.5)

    def price_shock(self, prices: Any) -> npt.NDArray[np.float64]:
        return np.array([-0.1, 0.05])


class Plain(Falling):
    """The model as it is."""

    name, events = "base", ()

    def apply(self, model: Any) -> Any:
        return model

    def price_shock(self, prices: Any) -> npt.NDArray[np.float64]:
        return np.zeros(2)


def _job(model: Any, sampling: Any, dtype: str) -> Case:
    steps = 3 if sampling.steps > 2 else 2
    spec = SimulationSpec(model, paths=4096, steps=steps, seed=5, dtype=dtype, sampling=sampling)  # type: ignore[arg-type]
    return lambda device: path_job(spec, device=device)  # type: ignore[arg-type]


def _scenarios(device: str) -> PathJob:
    model = example("garch")
    spec = SimulationSpec(model, paths=4096, steps=2, seed=7)
    return path_job(spec, scenarios=[Plain(), Falling()], prices=prices_of(model.assets), device=device)  # type: ignore[arg-type]


def cases() -> dict[str, tuple[Case, int]]:
    """The jobs by name and how many paths of each: every model, every kind of shock, every arrangement, events."""
    found: dict[str, tuple[Case, int]] = {"scenarios": (_scenarios, FEW)}
    for kind in [*sorted(BUILT_IN), "geometric_brownian_factors"]:
        for sampling in samplings(example(kind)):
            for dtype in ("float32", "float64"):
                n = FEW if sampling.groups.unit == "path" else TILE
                found[f"{kind} {sampling.method} {dtype}"] = (_job(example(kind), sampling, dtype), n)
    return found


def toys() -> dict[str, tuple[Case, int]]:
    """Models whose steps are plain ``njit`` functions, which the simulator runs and a device does not."""
    found = {}
    for kind, model in example_models().items():
        for sampling in list(samplings(model))[:2]:
            n = FEW if sampling.groups.unit == "path" else TILE
            found[f"{kind} {sampling.method} float32"] = (_job(model, sampling, "float32"), n)
    return found


def compute(names: list[str], device: str) -> dict[str, npt.NDArray[Any]]:
    """The blocks of these cases."""
    every = cases() | toys()
    found = {}
    for name in names:
        job, n = every[name]
        found[name] = backend.to_host(job(device).block(tile_counters(TILE, n), n))
    return found


def losses(dtype: str, *, paths: int = FEW, on_device: bool) -> npt.NDArray[np.float64]:
    """Losses of four portfolios over three assets, in two scenarios at two of three times."""
    rng = np.random.default_rng(3)
    growth = rng.normal(0.0, 0.1, (2, 3, 3, paths)).astype(dtype)
    exposure, steps = rng.normal(0.0, 100.0, (4, 3)), np.array([0, 2])
    whole = loss_block(backend.to_device(growth) if on_device else growth, exposure, steps)
    part = loss_block(backend.to_device(growth[0]) if on_device else growth[0], exposure, steps)
    assert backend.is_on_device(whole) == on_device
    np.testing.assert_array_equal(backend.to_host(part), backend.to_host(whole)[0])
    return backend.to_host(whole)


def end_to_end(device: str, *, paths: int = TILE + FEW) -> dict[str, npt.NDArray[Any]]:
    """Paths, losses and their moments through the graph, in two chunks."""
    spec = SimulationSpec(brownian(), paths=paths, steps=1, seed=3, chunk_paths=max(TILE, paths // 4 // TILE * TILE))
    simulated = simulate(spec, times=[1], device=device)  # type: ignore[arg-type]
    lost = portfolio_loss(simulated, book=book_of([[1.0, 2.0, 3.0]]))
    growth, loss, moments = dask.compute(
        simulated["log_growth"].data, lost["loss"].data, reduce_paths(lost, Moments()), scheduler="synchronous"
    )
    summary = moments.item()
    return {"growth": backend.to_host(growth), "loss": backend.to_host(loss), "mean": np.asarray(summary["mean"])}


def different(expected: dict[str, npt.NDArray[Any]], found: dict[str, npt.NDArray[Any]]) -> list[str]:
    """The names under which not every bit is the same."""
    return [name for name in expected if expected[name].tobytes() != found[name].tobytes()]


def save(file: str, names: list[str]) -> None:
    """Write what the CPU gives for these cases."""
    blocks = compute([name for name in names if not name.startswith("whole:")], "cpu")
    if "whole:losses" in names:
        blocks |= {f"losses {dtype}": losses(dtype, on_device=False) for dtype in ("float32", "float64")}
    if "whole:graph" in names:
        blocks |= {f"graph {name}": array for name, array in end_to_end("cpu").items()}
    np.savez(file, allow_pickle=False, **blocks)


def check(file: str) -> list[str]:
    """The names of the archive under which a device gives other bits."""
    with np.load(file, allow_pickle=False) as archive:
        expected = {name: archive[name] for name in archive.files}
    found = compute([name for name in expected if not name.startswith(("losses ", "graph "))], "cuda")
    if "losses float32" in expected:
        found |= {f"losses {dtype}": losses(dtype, on_device=True) for dtype in ("float32", "float64")}
    if "graph loss" in expected:
        found |= {f"graph {name}": array for name, array in end_to_end("cuda").items()}
    return different(expected, found)


if __name__ == "__main__":
    if sys.argv[1] == "save":
        save(sys.argv[2], sys.argv[3:] or list(cases()))
    else:
        print("different:", *check(sys.argv[1]), sep="\n")
