"""A second pass over the same chunks: made again under other keys, after the first pass, with flat memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from threading import Lock
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.blockwise import Blockwise
from dask.graph_manipulation import checkpoint

from riskops.errors import InputError
from riskops.reductions import Moments, reduce_paths
from riskops.reductions.second_pass import again, again_dataset

CHUNKS, SIZE = 64, 1024


class Life:
    """How many chunks were made, live now, and lived at once at most."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.clear()

    def clear(self) -> None:
        self.made = self.live = self.peak = 0

    def born(self, chunk: np.ndarray) -> None:
        with self.lock:
            self.made, self.live = self.made + 1, self.live + 1
            self.peak = max(self.peak, self.live)
        weakref.finalize(chunk, self.died)

    def died(self) -> None:
        with self.lock:
            self.live -= 1


LIFE = Life()


def make(block_info: Any = None) -> np.ndarray:
    first, stop = block_info[None]["array-location"][0]
    chunk = np.arange(first, stop, dtype=float)
    LIFE.born(chunk)
    return chunk


def made() -> da.Array:
    return da.map_blocks(make, chunks=((SIZE,) * CHUNKS,), dtype=float, meta=np.empty(0), name="made-0")


def persisted() -> da.Array:
    with dask.config.set(scheduler="synchronous"):
        return made().persist()


#: How an array may have been built, and how often a pass makes each chunk.
BUILT: dict[str, tuple[Callable[[], da.Array], int]] = {
    "one layer": (made, CHUNKS),
    "arithmetic": (lambda: made() * 2 + 1, CHUNKS),
    "slice": (lambda: made()[5 * SIZE - 7 : 20 * SIZE], 16),
    "steps": (lambda: made()[::3], CHUNKS),
    "rechunked": (lambda: made().rechunk(4 * SIZE), CHUNKS),
    "joined": (lambda: da.concatenate([made(), made() + 5]), CHUNKS),
    "stacked": (lambda: da.stack([made(), -made()]).sum(axis=0), CHUNKS),
    "cumulated": (lambda: made().cumsum(axis=0), CHUNKS),
    "taken": (lambda: made()[np.arange(CHUNKS * SIZE - 1, -1, -7)], CHUNKS),
    "NumPy": (lambda: da.from_array(np.arange(9.0 * SIZE), chunks=SIZE), 0),
    "persisted": (persisted, 0),
    "slice of persisted": (lambda: persisted()[100:], 0),
    "delayed": (lambda: da.from_delayed(dask.delayed(np.arange)(100.0), (100,), float), 0),
}


@pytest.mark.parametrize("built", BUILT)
def test_a_second_pass_makes_the_same_chunks_again(built: str) -> None:
    build, each = BUILT[built]
    array = build()
    first = array.sum()
    second = again(array, after=first)
    assert second.name == again(array, after=array.sum()).name
    assert (second.chunks, second.dtype) == (array.chunks, array.dtype)
    LIFE.clear()
    total, values = dask.compute(first, second, scheduler="threads")
    assert LIFE.made == 2 * each
    np.testing.assert_array_equal(values, array.compute(scheduler="synchronous"))
    assert values.sum() == pytest.approx(total)
    third = again(second, after=second.max())
    np.testing.assert_array_equal(third.compute(scheduler="synchronous"), values)


def passes(array: da.Array, second: Callable[..., da.Array]) -> tuple[da.Array, da.Array]:
    """Two passes, of which the second needs what the first gives."""
    mean = array.mean()
    return mean, abs(second(array, after=mean) - mean).sum()


@pytest.mark.parametrize("built", ["one layer", "arithmetic", "slice", "rechunked", "joined"])
def test_memory_stays_flat_on_threads(built: str) -> None:
    array = BUILT[built][0]()
    LIFE.clear()
    dask.compute(*passes(array, again), scheduler="threads", num_workers=2)
    assert LIFE.peak <= 14, "a rechunked block is made of four"


def test_without_it_every_chunk_stays() -> None:
    LIFE.clear()
    dask.compute(*passes(made(), lambda array, after: array), scheduler="threads", num_workers=2)
    assert (LIFE.peak, LIFE.made) == (CHUNKS, CHUNKS)


@pytest.mark.parametrize("built", ["one layer", "slice", "rechunked"])
def test_memory_stays_flat_on_workers(built: str) -> None:
    from distributed import Client, LocalCluster

    array = BUILT[built][0]()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster),
    ):
        LIFE.clear()
        found = dask.compute(*passes(array, again))
        peak, count = LIFE.peak, LIFE.made
    values = array.compute(scheduler="synchronous")
    assert found == pytest.approx((values.mean(), abs(values - values.mean()).sum()))
    assert count == 2 * BUILT[built][1]
    assert peak <= 16


def test_what_a_second_pass_reads_twice_is_made_once() -> None:
    base = made()
    ds = xr.Dataset({"loss": ("path", base * 2), "loss_weight": ("path", base + 1)})
    first = reduce_paths(ds, Moments())
    second = again_dataset(ds, after=first)
    LIFE.clear()
    dask.compute(first, second, scheduler="threads")
    assert LIFE.made == 2 * CHUNKS


@pytest.mark.usefixtures("refuse_compute")
def test_symbolic_layers_stay_so_and_fuse_to_one_task_a_chunk() -> None:
    first = da.ones(1).sum()
    second = again(made() * 2 + 1, after=first)
    layers = {name.split("-")[0]: layer for name, layer in second.dask.layers.items()}
    for name in ("made", "mul", "add"):
        assert isinstance(layers[name], Blockwise)
        assert not layers[name].is_materialized()
    (optimised,) = dask.optimize(abs(second))
    (gate,) = dask.optimize(checkpoint(first))
    assert CHUNKS < len(optimised.dask) <= CHUNKS + len(gate.dask)


def test_a_first_pass_of_many_chunks_is_refused() -> None:
    with pytest.raises(InputError, match=r"^after: 64 chunks are not one, which a first pass ends in$"):
        again(made(), after=made())
