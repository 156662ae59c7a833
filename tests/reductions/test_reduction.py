"""Reductions over Dask: lazy, symbolic, one pass over the chunks, the same bits for every cut and scheduler."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask._task_spec import Alias
from dask.base import tokenize
from dask.blockwise import Blockwise

from riskops.reductions import (
    CoMoments,
    Histogram,
    Moments,
    Tail,
    chunk_states,
    combine_states,
    finalized,
    fuse,
    reduce_paths,
)

PATHS = 20 * 1024 - 100
GROWTH = (np.random.default_rng(0).standard_normal((2, 3, PATHS)) * 0.02).astype(np.float32)
LOSS = -1000.0 * np.expm1(GROWTH.astype(np.float64)).sum(axis=1)
EVERYTHING = fuse(tail=Tail(keep=50), moments=Moments(), histogram=Histogram(), dependence=CoMoments(select=(0,)))


def dataset(chunk: int) -> xr.Dataset:
    growth = xr.DataArray(da.from_array(GROWTH, chunks=(-1, -1, chunk)), dims=("time", "asset", "path"))
    loss = xr.DataArray(da.from_array(LOSS, chunks=(-1, chunk)), dims=("horizon", "path"))
    return xr.Dataset({"log_growth": growth, "loss": loss})


def flat(results: dict[str, Any]) -> dict[str, bytes]:
    return {f"{part}.{k}": np.asarray(v).tobytes() for part, found in results.items() for k, v in found.items()}


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes]:
    state = EVERYTHING.chunk({"log_growth": GROWTH, "loss": LOSS}, first_path=0)
    return flat(EVERYTHING.finalize(state))


@pytest.mark.parametrize("chunk", [1024, 3 * 1024, 20 * 1024])
@pytest.mark.parametrize("split_every", [2, 8])
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_same_bits(whole: dict[str, bytes], chunk: int, split_every: int, scheduler: str) -> None:
    result = reduce_paths(dataset(chunk), EVERYTHING, split_every=split_every)
    assert (result.shape, result.dtype) == ((), np.dtype(object))
    assert flat(result.compute(scheduler=scheduler).item()) == whole


def test_same_bits_in_other_processes(whole: dict[str, bytes]) -> None:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        result = client.compute(reduce_paths(dataset(4096), EVERYTHING)).result()
    assert flat(result.item()) == whole


@pytest.mark.usefixtures("refuse_compute")
def test_nothing_is_computed_while_the_graph_is_built() -> None:
    ds = dataset(2048)
    states = chunk_states(ds, EVERYTHING)
    assert (states.shape, states.dtype) == ((10,), np.dtype(object))
    finalized(combine_states(states, EVERYTHING), EVERYTHING)
    reduce_paths(ds, Tail(keep=3))


def test_layers_are_symbolic_and_named_after_the_stage() -> None:
    states = chunk_states(dataset(1024), EVERYTHING, name="tail")
    layer = states.dask.layers[states.name]
    assert states.name.startswith("tail-")
    assert isinstance(layer, Blockwise)
    assert not layer.is_materialized()
    assert chunk_states(dataset(1024), EVERYTHING).name.startswith("reduce-")


def test_each_chunk_is_made_once_and_fused_with_its_reduction() -> None:
    made: Counter[int] = Counter()
    lock = Lock()

    def make(block_info: Any = None) -> np.ndarray:
        (start, stop) = block_info[None]["array-location"][-1]
        with lock:
            made[start] += 1
        return GROWTH[..., start:stop]

    sizes = (*(2048,) * 9, PATHS - 9 * 2048)
    growth = da.map_blocks(
        make, chunks=((2,), (3,), sizes), dtype=np.float32, meta=np.empty((0, 0, 0), np.float32), name="make-growth"
    )
    loss = da.map_blocks(
        lambda g: -1000.0 * np.expm1(g.astype(np.float64)).sum(axis=1),
        growth,
        drop_axis=1,
        dtype=np.float64,
        meta=np.empty((0, 0)),
        name="make-loss",
    )
    ds = xr.Dataset({"log_growth": (("time", "asset", "path"), growth), "loss": (("horizon", "path"), loss)})
    reduce_paths(ds, EVERYTHING).compute(scheduler="threads")
    assert set(made.values()) == {1}
    assert len(made) == 10
    (graph,) = dask.optimize(reduce_paths(ds[["loss"]], fuse(tail=Tail(keep=5), moments=Moments())))
    tasks = [task for task in graph.dask.to_dict().values() if not isinstance(task, Alias)]
    combining = 2 + 1  # ten states by eight, then these two
    assert len(tasks) == len(sizes) + combining


def test_states_of_ranges_can_be_joined_later(whole: dict[str, bytes]) -> None:
    ds = dataset(2048)
    first, second = ds.isel(path=slice(0, 8192)), ds.isel(path=slice(8192, None))
    states = da.concatenate([chunk_states(first, EVERYTHING), chunk_states(second, EVERYTHING, first_path=8192)])
    assert flat(finalized(combine_states(states, EVERYTHING), EVERYTHING).compute().item()) == whole


def test_data_in_memory_and_split_leading_dims_are_taken(whole: dict[str, bytes]) -> None:
    in_memory = dataset(1024).compute(scheduler="synchronous")
    assert flat(reduce_paths(in_memory, EVERYTHING).compute().item()) == whole
    split = dataset(5120).chunk(time=1, horizon=1, asset=2)
    assert flat(reduce_paths(split, EVERYTHING).compute().item()) == whole


def test_equal_reductions_have_equal_names_and_others_do_not() -> None:
    ds = dataset(1024)
    assert chunk_states(ds, Tail(keep=5)).name == chunk_states(ds, Tail(keep=5)).name
    names = {chunk_states(ds, r).name for r in (Tail(keep=5), Tail(keep=6), Moments(), fuse(a=Moments()))}
    assert len(names) == 4
    assert tokenize(EVERYTHING, ensure_deterministic=True)


def test_fused_reads_what_its_parts_read() -> None:
    assert EVERYTHING.variables == ("loss", "log_growth")
    with pytest.raises(ValueError, match="reductions: at least one is needed"):
        fuse()


def test_refusals() -> None:
    ds = dataset(1024)
    with pytest.raises(ValueError, match="dataset: variable 'gain' is missing; it has log_growth, loss"):
        reduce_paths(ds, Moments(variable="gain"))
    with pytest.raises(ValueError, match=r"loss: dims \('path', 'horizon'\) do not end with 'path'"):
        reduce_paths(ds[["loss"]].transpose("path", "horizon"), Moments())
    with pytest.raises(ValueError, match="path: chunk 0 of 'loss' has 1000 paths, not whole tiles of 1024"):
        reduce_paths(dataset(1000), Moments())
    mixed = dataset(1024).assign(log_growth=dataset(2048)["log_growth"])
    with pytest.raises(ValueError, match="path: 'loss' and 'log_growth' are not in the same chunks"):
        reduce_paths(mixed, EVERYTHING)
    with pytest.raises(ValueError, match="first_path: 5 is not a multiple of 1024"):
        chunk_states(ds, Moments(), first_path=5)
    with pytest.raises(ValueError, match="split_every: 1 is not an integer >= 2"):
        reduce_paths(ds, Moments(), split_every=1)
    with pytest.raises(ValueError, match="path: 'loss' has no paths in a chunk"):
        reduce_paths(ds.isel(path=slice(0, 0)), Moments())


def test_errors_of_a_chunk_come_through() -> None:
    ds = dataset(1024)
    ds["loss"] = ds["loss"].where(ds["loss"] < ds["loss"].max())
    with pytest.raises(ValueError, match=r"loss: path \d+ of row \(\d,\) is NaN"):
        reduce_paths(ds, Tail(keep=5)).compute()
