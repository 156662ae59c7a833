"""The recorder: what is stored whole is read, what is missing or spoilt is made again, and nothing else."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from dask.blockwise import Blockwise

from riskops.errors import StoreError
from riskops.measures import base_growth
from riskops.models import GeometricBrownianMotion
from riskops.reductions import CoMoments, chunk_states, combine_states, finalized
from riskops.run import Recorder, RunDirectory
from riskops.simulation import SimulationSpec, simulate
from riskops.simulation.records import Records
from riskops.simulation.store import checksum, stored_digests

CHUNK, PATHS = 1024, 5000
LOSSES = np.random.default_rng(1).normal(size=(2, PATHS))


class Source:
    """Losses in chunks of a tile, and the list of the chunks that were made."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self) -> xr.Dataset:
        def make(block_info: dict[None, dict[str, list[tuple[int, int]]]] | None = None) -> npt.NDArray[np.float64]:
            assert block_info is not None
            start, stop = block_info[None]["array-location"][-1]
            self.made.append(start // CHUNK)
            return LOSSES[:, start:stop]

        sizes = (CHUNK,) * (PATHS // CHUNK) + (PATHS % CHUNK,)
        data = da.map_blocks(make, chunks=((2,), sizes), dtype=np.float64, meta=np.empty((0, 0)))
        return xr.Dataset({"loss": (("portfolio", "path"), data, {"units": "money"})})


def record(run: RunDirectory, source: Source) -> tuple[npt.NDArray[np.float64], str, Recorder]:
    recorder = Recorder(run)
    kept = recorder.keep(source(), "loss")
    losses, digests = dask.compute(kept["loss"].data, recorder.digests["loss"], scheduler="synchronous")
    return losses, checksum(digests), recorder


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "one").create()


def chunk_file(run: RunDirectory, chunk: int) -> Path:
    return run.store / "loss" / "c" / "0" / str(chunk)


def test_everything_is_stored_on_the_way(run: RunDirectory) -> None:
    source = Source()
    losses, digest, recorder = record(run, source)
    assert sorted(source.made) == [0, 1, 2, 3, 4], "each chunk is made once, for the store and for who asks"
    np.testing.assert_array_equal(losses, LOSSES)
    assert recorder.found == {"loss": 0}
    assert digest == checksum(stored_digests(run.store, "loss"))
    stored = xr.open_zarr(run.store, consolidated=False)["loss"]
    np.testing.assert_array_equal(stored.values, LOSSES)
    assert (stored.dims, stored.attrs) == (("portfolio", "path"), {"units": "money"})


def missing(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    os.truncate(path, 100)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [missing, truncated, flipped, empty])
@pytest.mark.parametrize("chunks", [[0], [4], [1, 3], [2, 3], [0, 1, 2, 3, 4]])
def test_only_what_is_not_there_whole_is_made_again(
    spoil: Callable[[Path], None], chunks: list[int], run: RunDirectory
) -> None:
    _, before, _ = record(run, Source())
    for chunk in chunks:
        spoil(chunk_file(run, chunk))
    source = Source()
    losses, after, recorder = record(run, source)
    assert sorted(source.made) == chunks
    assert recorder.found == {"loss": 5 - len(chunks)}
    np.testing.assert_array_equal(losses, LOSSES)
    assert after == before == checksum(stored_digests(run.store, "loss"))


def test_a_chunk_with_nan_is_no_chunk(run: RunDirectory) -> None:
    """NaN is what a store holds where nothing was written; no loss is NaN."""
    _, before, _ = record(run, Source())
    import zarr

    zarr.open_array(run.store, path="loss", mode="r+")[:, 3000] = np.nan
    source = Source()
    assert record(run, source)[1] == before
    assert source.made == [2]


def test_an_array_of_another_shape_is_refused(run: RunDirectory) -> None:
    record(run, Source())
    other = xr.Dataset({"loss": (("portfolio", "path"), da.zeros((3, PATHS), chunks=(3, CHUNK)))})
    with pytest.raises(StoreError, match=r"loss is stored as float64 \(2, 5000\) .* not as float64 \(3, 5000\)"):
        Recorder(run).keep(other, "loss")


# -- a second reading, after the first pass


def passes(run: RunDirectory, source: Source, **options: object) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Two passes over kept losses in one graph, the second after the maximum of the first; and the tasks, in order."""
    recorder = Recorder(run)
    kept = recorder.keep(source(), "loss")["loss"].data
    top = kept.max()
    after = top.map_blocks(lambda block: np.array(block, object), dtype=object, meta=np.empty((), object), name="top")
    second = recorder.again("loss", after=after)
    assert (second.chunks, second.dtype, second.ndim) == (kept.chunks, kept.dtype, kept.ndim)
    order: list[str] = []

    def watch(key: object, *_: object) -> None:
        order.append(str(key))

    with dask.callbacks.Callback(posttask=watch), dask.config.set(scheduler="synchronous"):
        values, *_ = dask.compute(second, top, recorder.digests["loss"], **options)
    return values, order


@pytest.mark.parametrize("optimize_graph", [True, False])
@pytest.mark.parametrize("lost", [[], [1, 3], [0, 1, 2, 3, 4]], ids=["all there", "some lost", "all lost"])
def test_a_second_reading_waits_and_makes_nothing_again(
    lost: list[int], optimize_graph: bool, run: RunDirectory
) -> None:
    record(run, Source())
    for chunk in lost:
        missing(chunk_file(run, chunk))
    source = Source()
    values, order = passes(run, source, optimize_graph=optimize_graph)
    np.testing.assert_array_equal(values, LOSSES)
    assert sorted(source.made) == lost, "no chunk is made for the second reading"
    rereads = [k for k, key in enumerate(order) if "reread-loss" in key]
    assert len(rereads) == 5
    assert max(k for k, key in enumerate(order) if key.startswith("('top'")) < min(rereads)


def test_a_second_reading_is_one_symbolic_layer_apart(run: RunDirectory) -> None:
    recorder = Recorder(run)
    kept = recorder.keep(Source()(), "loss")["loss"].data
    second = recorder.again("loss", after=kept.max())
    layers = second.__dask_graph__().layers
    name = next(name for name in layers if name.startswith("reread-loss-"))
    assert isinstance(layers[name], Blockwise)
    assert second.name == name
    assert not layers[name].is_materialized()
    for chunk in range(5):
        waits = second.__dask_graph__()[(name, 0, chunk)].dependencies
        assert (recorder.digests["loss"].name, chunk, 0) in waits, "not before its chunk is written, or checked"


# -- the states of a reduction whose input is not stored


def reduced(run: RunDirectory) -> tuple[dict[str, npt.NDArray[np.float64]], Recorder, int]:
    """Co-moments over five chunks of returns through a checkpoint, and how many chunks of paths were simulated."""
    model = GeometricBrownianMotion(("A", "B"), np.zeros(2), np.array([0.2, 0.3]), np.array([[1, 0.5], [0.5, 1]]))
    growth = base_growth(simulate(SimulationSpec(model, paths=PATHS, seed=3, chunk_paths=CHUNK), times=[1]))
    recorder = Recorder(run)
    states = recorder.checkpoint(chunk_states(growth, CoMoments(), name="reduce-returns"), "returns")
    result = finalized(combine_states(states, CoMoments()), CoMoments())
    simulated = []

    def watch(key: object, *_: object) -> None:
        name = key[0] if isinstance(key, tuple) else key
        simulated.append(str(name))

    with dask.callbacks.Callback(posttask=watch):
        found = result.compute(scheduler="synchronous", optimize_graph=False).item()
    return found, recorder, sum("simulate" in name for name in simulated)


def test_states_are_kept_and_read_again(run: RunDirectory) -> None:
    first, recorder, drawn = reduced(run)
    files = sorted((run.partial / "checkpoints").iterdir())
    assert [file.name for file in files] == [f"returns-{i:06d}.record" for i in range(5)]
    assert (recorder.found["returns states"], drawn) == (0, 5)
    missing(files[0])
    for spoil, file in zip((truncated, flipped, empty), files[1:], strict=False):
        spoil(file)
    again, recorder, drawn = reduced(run)
    assert (recorder.found["returns states"], drawn) == (1, 4)
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)


def test_no_pickle_is_read(run: RunDirectory) -> None:
    """Contract C9: a checkpoint that holds objects is as good as none."""
    reduced(run)
    file = run.partial / "checkpoints" / "returns-000000.record"
    content = io.BytesIO()
    np.savez(content, level=np.array([print], object), index=np.zeros(1))
    Records(run.checkpoints, run.identity()).write("returns", 0, content.getvalue())
    assert pickle.dumps(print) in file.read_bytes() or b"print" in file.read_bytes()
    _, recorder, drawn = reduced(run)
    assert (recorder.found["returns states"], drawn) == (4, 1)


# -- chunks and states of other runs


def of(run: RunDirectory, seed: int) -> RunDirectory:
    """The run with a manifest that says what it simulates."""
    run.write_json("manifest.json", {"format": 1, "what": {"simulation": {"seed": seed, "paths": PATHS}}})
    return run


def foreign(tmp_path: Path) -> RunDirectory:
    """A run of the same shape and other numbers."""
    other = of(RunDirectory(tmp_path / "other").create(), seed=2)
    source = Source()
    recorder = Recorder(other)
    ds = source()
    kept = recorder.keep(ds.assign(loss=-ds["loss"]).assign_attrs(ds.attrs), "loss")
    dask.compute(kept["loss"].data, recorder.digests["loss"], scheduler="synchronous")
    return other


@pytest.mark.parametrize("with_record", [False, True], ids=["the chunk", "the chunk and its record"])
def test_a_chunk_of_another_run_is_made_again(with_record: bool, run: RunDirectory, tmp_path: Path) -> None:
    """Right in length, right in its CRC32C, and of other paths."""
    _, before, _ = record(of(run, seed=1), Source())
    other = foreign(tmp_path)
    shutil.copy(chunk_file(other, 2), chunk_file(run, 2))
    if with_record:
        shutil.copy(other.partial / "checkpoints" / "loss-000002.record", run.partial / "checkpoints")
    source = Source()
    losses, after, recorder = record(run, source)
    assert (source.made, recorder.found) == ([2], {"loss": 4})
    assert after == before
    np.testing.assert_array_equal(losses, LOSSES)


def test_a_chunk_in_the_place_of_another_is_made_again(run: RunDirectory) -> None:
    record(run, Source())
    shutil.copy(chunk_file(run, 1), chunk_file(run, 3))
    shutil.copy(run.partial / "checkpoints" / "loss-000001.record", run.partial / "checkpoints" / "loss-000003.record")
    source = Source()
    np.testing.assert_array_equal(record(run, source)[0], LOSSES)
    assert source.made == [3]


def test_more_paths_are_the_same_run(run: RunDirectory) -> None:
    """A run that is extended towards a target keeps what it has."""
    before = of(run, seed=1).identity()
    run.write_json("manifest.json", {"format": 1, "what": {"simulation": {"seed": 1, "paths": 2 * PATHS}}})
    assert run.identity() == before
    assert of(run, seed=2).identity() != before


@pytest.mark.parametrize("spoil", [missing, truncated, flipped, empty])
@pytest.mark.parametrize("name", ["loss-000001.record", "loss/zarr.json", "zarr.json"])
def test_records_and_metadata_that_are_spoilt_are_made_again(
    name: str, spoil: Callable[[Path], None], run: RunDirectory
) -> None:
    _, before, _ = record(run, Source())
    folder = run.partial / "checkpoints" if name.endswith(".record") else run.store
    whole = (folder / name).read_bytes()
    spoil(folder / name)
    losses, after, _ = record(run, Source())
    np.testing.assert_array_equal(losses, LOSSES)
    assert after == before
    if not (name == "zarr.json" and spoil is flipped):  # the results rewrite the group's
        assert (folder / name).read_bytes() == whole
