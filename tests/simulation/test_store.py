"""The store: what is written comes back, its digest does not know the chunks, and no damage goes unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

from riskops.errors import StoreError
from riskops.portfolio import portfolio_loss
from riskops.run import Recorder, RunDirectory
from riskops.schema import variable
from riskops.simulation import PathJob, simulate
from riskops.simulation.store import (
    array_checksum,
    checksum,
    create_store,
    digest_paths,
    read_paths,
    reserve,
    stored_chunks,
    stored_digests,
    write_paths,
    write_small,
)
from tests.simulation.examples import book_of, spec_of

PATHS = 4500  # the last tile is short


def losses(*, chunk: int = 1024, dtype: str = "float32") -> xr.DataArray:
    spec = spec_of(paths=PATHS, chunk_paths=chunk, dtype=dtype)
    book = book_of([[1e6, -2e5, 3e5], [0.0, 1.0, 1.0]])
    return portfolio_loss(simulate(spec, times=[1]), book=book)["loss"]


def growth(*, chunk: int = 1024) -> xr.DataArray:
    return simulate(spec_of(paths=PATHS, chunk_paths=chunk, steps=2))["log_growth"]


def written(store: Path, array: xr.DataArray) -> np.ndarray:
    """Write the array and return the digests of its tiles."""
    create_store(store)
    reserve(store, array, chunk_paths=array.data.chunks[-1][0])
    return write_paths(array, store).compute()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "run" / "results.zarr"


@pytest.mark.parametrize("make", [losses, growth], ids=["float64", "float32"])
@pytest.mark.parametrize("chunk", [1024, 3072, 8192])
def test_what_is_written_is_read_back(store: Path, make: Callable[..., xr.DataArray], chunk: int) -> None:
    array = make(chunk=chunk)
    digests = written(store, array)
    name = str(array.name)
    back = read_paths(store, array, 0, PATHS)
    assert back.chunks == array.data.chunks
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back.compute(), array.values)
    np.testing.assert_array_equal(digests, stored_digests(store, name))
    np.testing.assert_array_equal(digests, digest_paths(array.data).compute())
    assert stored_chunks(store, name) == [True] * len(array.data.chunks[-1])
    with xr.open_zarr(store, consolidated=False) as opened:
        assert opened[name].dims == array.dims
        assert opened[name].attrs["units"] == array.attrs["units"]
        np.testing.assert_array_equal(opened[name].values, array.values)


def test_writing_is_lazy(store: Path) -> None:
    array = losses()
    create_store(store)
    reserve(store, array, chunk_paths=1024)
    write_paths(array, store)
    assert stored_chunks(store, "loss") == [False] * 5


def test_the_checksum_is_the_same_for_all_chunks_and_that_of_the_definition(tmp_path: Path) -> None:
    found = {checksum(written(tmp_path / f"{chunk}", losses(chunk=chunk))) for chunk in (1024, 2048, 3072, 8192)}
    values = losses().values
    tiles = [np.ascontiguousarray(values[..., k : k + 1024]).astype("<f8").tobytes() for k in range(0, PATHS, 1024)]
    expected = hashlib.sha256(b"".join(hashlib.sha256(tile).digest() for tile in tiles)).hexdigest()
    assert found == {expected}


def test_the_checksum_knows_every_bit_and_the_order() -> None:
    values = losses().values
    flipped = values.copy()
    flipped[1, 0, -1] = np.nextafter(flipped[1, 0, -1], np.inf)
    swapped = values.copy()
    swapped[..., :1024], swapped[..., 1024:2048] = values[..., 1024:2048], values[..., :1024]
    array = losses().data
    sums = {
        checksum(digest_paths(dask.array.from_array(v, chunks=array.chunks)).compute())
        for v in (values, flipped, swapped)
    }
    assert len(sums) == 3


def test_checksums_of_small_arrays_know_values_and_not_byte_order() -> None:
    values = np.array([[1.0, 2.0], [3.0, np.nan]])
    assert array_checksum(values) == array_checksum(values.astype(">f8")) == array_checksum(values.copy(order="F"))
    assert array_checksum(values) != array_checksum(values.T)
    assert array_checksum(np.array(["ab", "c"])) != array_checksum(np.array(["a", "bc"]))
    assert array_checksum(np.array(["ab", "c"])) == array_checksum(np.array(["ab", "c"], dtype=object))


def chunk_file(store: Path, index: int) -> Path:
    file = store / "loss" / "c" / "0" / "0" / str(index)
    assert file.is_file()
    return file


def flip_a_bit(store: Path) -> None:
    data = bytearray(chunk_file(store, 2).read_bytes())
    data[1000] ^= 1
    chunk_file(store, 2).write_bytes(data)


def shorten(store: Path) -> None:
    chunk_file(store, 2).write_bytes(chunk_file(store, 2).read_bytes()[:-100])


def empty(store: Path) -> None:
    chunk_file(store, 2).write_bytes(b"")


def remove(store: Path) -> None:
    chunk_file(store, 2).unlink()


def write_nan(store: Path) -> None:
    array = zarr.open_array(store, path="loss", mode="r+")
    block = array[..., 2048:3072]
    block[1, 0, 7] = np.nan
    array[..., 2048:3072] = block


HARM = {
    flip_a_bit: r"run: loss, paths 2048 to 3072: damaged \(.*\)",
    shorten: r"run: loss, paths 2048 to 3072: damaged \(.*\)",
    empty: r"run: loss, paths 2048 to 3072: damaged \(.*\)",
    remove: r"run: loss, paths 2048 to 3072: missing",
    write_nan: r"run: loss, paths 2048 to 3072: missing",
}


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_harm_is_found(store: Path, harm: Callable[[Path], None]) -> None:
    written(store, losses())
    harm(store)
    assert stored_chunks(store, "loss") == [True, True, False, True, True]
    with pytest.raises(StoreError, match=f"^{HARM[harm]}$"):
        stored_digests(store, "loss")
    np.testing.assert_array_equal(  # the chunks beside it are not affected
        stored_digests(store, "loss", start=3072), stored_digests(store, "loss", start=3072, stop=PATHS)
    )


@pytest.mark.parametrize("harm", [flip_a_bit, shorten], ids=lambda harm: harm.__name__)
def test_a_lazy_read_of_a_damaged_chunk_is_an_error(store: Path, harm: Callable[[Path], None]) -> None:
    array = losses()
    written(store, array)
    harm(store)
    with pytest.raises(StoreError, match=r"^run: loss, paths 2048 to 3072: damaged"):
        read_paths(store, array, 0, PATHS).compute()
    read_paths(store, array, 3072, PATHS).compute()


def test_small_variables_and_texts_come_back(store: Path) -> None:
    create_store(store)
    book = book_of([[1.0, 2.0, 3.0]])
    write_small(book.assign_coords(portfolio=["a longer name"]), store)
    with xr.open_zarr(store, consolidated=False) as back:
        np.testing.assert_array_equal(back["exposure"].values, [[1.0, 2.0, 3.0]])
        assert back["portfolio"].values.tolist() == ["a longer name"]
    target = next(file for file in (store / "exposure" / "c").rglob("*") if file.is_file())
    data = bytearray(target.read_bytes())
    data[3] ^= 16
    target.write_bytes(data)
    with xr.open_zarr(store, consolidated=False) as back, pytest.raises(ValueError, match=r"(?i)checksum"):
        back["exposure"].load()


# Recorder.keep: what a resumed run does with what it finds


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first path of every block that is simulated."""
    first_paths: list[int] = []
    block = PathJob.block

    def counted(self: PathJob, counters: Any, n: int) -> Any:
        first_paths.append(int(counters[0]) * 4)
        return block(self, counters, n)

    monkeypatch.setattr(PathJob, "block", counted)
    return first_paths


def kept(run: RunDirectory) -> tuple[Recorder, xr.Dataset]:
    recorder = Recorder(run)
    return recorder, recorder.keep(losses().to_dataset(), "loss")


def test_only_what_is_missing_or_damaged_is_simulated_again(tmp_path: Path, simulated: list[int]) -> None:
    run = RunDirectory(tmp_path / "run").create()
    recorder, ds = kept(run)
    with dask.config.set(scheduler="synchronous"):
        values, digests = dask.compute(ds["loss"].data, recorder.digests["loss"])
        assert sorted(simulated) == [0, 1024, 2048, 3072, 4096]  # once each, although two things were asked for
        assert recorder.found == {"loss": 0}

        flip_a_bit(run.store)
        chunk_file(run.store, 4).unlink()
        simulated.clear()
        recorder, ds = kept(run)
        assert recorder.found == {"loss": 3}
        again, digests_again = dask.compute(ds["loss"].data, recorder.digests["loss"])
        assert sorted(simulated) == [2048, 4096]
        np.testing.assert_array_equal(again, values)
        np.testing.assert_array_equal(digests_again, digests)
        assert stored_chunks(run.store, "loss") == [True] * 5

        simulated.clear()
        recorder, ds = kept(run)
        np.testing.assert_array_equal(ds["loss"].values, values)
        assert checksum(recorder.digests["loss"].compute()) == checksum(digests)
        assert simulated == []


def test_keeping_computes_nothing_and_changes_no_name(tmp_path: Path, refuse_compute: None) -> None:
    run = RunDirectory(tmp_path / "run").create()
    _, ds = kept(run)
    assert ds["loss"].dims == ("portfolio", "horizon", "path")
    assert ds["loss"].attrs == variable("loss", ds["loss"].dims, ds["loss"].data).attrs
    assert stored_chunks(run.store, "loss") == [False] * 5


def test_what_was_kept_of_another_job_is_refused(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run").create()
    kept(run)
    text = "run.partial: loss is stored as float64 (2, 1, 4500) in chunks of 1024 paths, not as float64 "
    with pytest.raises(StoreError) as caught:
        Recorder(run).keep(losses(chunk=2048).to_dataset(), "loss")
    assert str(caught.value) == text + "(2, 1, 4500) in chunks of 2048 paths"
    with pytest.raises(StoreError) as caught:
        Recorder(run).keep(losses().isel(portfolio=[0]).to_dataset(), "loss")
    assert str(caught.value) == text + "(1, 1, 4500) in chunks of 1024 paths"
