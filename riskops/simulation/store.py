"""Arrays over paths in a Zarr group: written chunk by chunk inside the graph, checksummed by tile, read back whole
or not at all.

A chunk of the store is a chunk of the graph, so every write is one whole chunk, with a CRC32C behind it and NaN as fill
value. The block that writes returns the sha256 of each of its tiles; the checksum of the array is the sha256 over
those, in order, and so does not depend on the chunks (contract C5).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from dask.base import tokenize
from dask.layers import ArraySliceDep
from zarr.codecs import BytesCodec, Crc32cCodec
from zarr.storage import MemoryStore

from riskops.backend import to_host
from riskops.errors import StoreError
from riskops.rng import TILE
from riskops.simulation.chunkfile import (
    DIGEST_BYTES,
    METADATA,
    StoredArray,
    read_metadata,
    stored_array,
    tile_digests,
)
from riskops.simulation.location import Location, write_object, zarr_store
from riskops.simulation.records import Records

__all__ = [
    "array_checksum",
    "check_reserved",
    "checksum",
    "create_store",
    "digest_paths",
    "open_store",
    "read_again",
    "read_paths",
    "reserve",
    "stored_chunks",
    "stored_digests",
    "write_paths",
    "write_small",
]


def create_store(store: Location) -> None:
    """Make an empty Zarr group; one that exists is left as it is, unless its metadata say nothing of a group."""
    found = read_metadata(store)
    if found is None or (found.get("zarr_format"), found.get("node_type")) != (3, "group"):
        _write_group(store)


def _write_group(store: Location) -> None:
    group = {"attributes": {}, "zarr_format": 3, "node_type": "group"}
    write_object(store / METADATA, json.dumps(group, indent=2).encode())


def open_store(store: Location) -> xr.Dataset:
    """Open a Zarr group with xarray, lazily."""
    opened, group = zarr_store(store)
    return xr.open_zarr(opened, group=group, consolidated=False)


def _metadata(array: xr.DataArray, chunk_paths: int) -> bytes:
    """The metadata of an array over paths, as zarr writes them."""
    memory: dict[str, Any] = {}
    zarr.create_array(
        MemoryStore(memory),
        shape=array.shape,
        chunks=(*array.shape[:-1], min(chunk_paths, array.shape[-1])),
        dtype=array.dtype,
        serializer=BytesCodec(endian="little"),
        compressors=[Crc32cCodec()],
        fill_value=np.nan,
        dimension_names=[str(d) for d in array.dims],
        attributes={str(k): v for k, v in array.attrs.items()},
        zarr_format=3,
    )
    return bytes(memory[METADATA].to_bytes())


def reserve(store: Location, array: xr.DataArray, *, chunk_paths: int) -> None:
    """Write the metadata of an array over paths, without a chunk; the last dim is ``path``."""
    write_object(store / str(array.name) / METADATA, _metadata(array, chunk_paths))


def check_reserved(store: Location, array: xr.DataArray, *, chunk_paths: int) -> None:
    """Reserve an array that may be there: hold it to the shape, dtype and chunks of ``array``.

    One of fewer paths, all in whole chunks, is extended, and anything else is refused: nothing in it could be used.
    Metadata that are missing or damaged are written anew.
    """
    name = str(array.name)
    wanted = StoredArray(store, name, array.shape, str(array.dtype), min(chunk_paths, array.shape[-1]))
    try:
        found = stored_array(store, name)
    except StoreError:
        found = wanted
    shorter = found.shape[:-1] == wanted.shape[:-1] and found.shape[-1] < wanted.shape[-1]
    extended = shorter and found.shape[-1] % found.chunk_paths == 0
    if (found.dtype, found.chunk_paths) != (wanted.dtype, wanted.chunk_paths) or not (
        extended or found.shape == wanted.shape
    ):
        raise StoreError(f"{store.parent.name}: {name} is stored as {found.describe()}, not as {wanted.describe()}")
    reserve(store, array, chunk_paths=chunk_paths)


def checksum(digests: npt.NDArray[np.uint8]) -> str:
    """The checksum of an array from the digests of its tiles, in order."""
    return hashlib.sha256(np.ascontiguousarray(digests).tobytes()).hexdigest()


def array_checksum(array: npt.NDArray[Any]) -> str:
    """The checksum of a small array without a path dim, taken as one tile; texts are joined by a zero byte."""
    if array.dtype.kind in "OUT":
        data = "\0".join(map(str, array.ravel().tolist())).encode()
    else:
        data = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes()
    return hashlib.sha256(hashlib.sha256(data).digest()).hexdigest()


def write_paths(
    array: xr.DataArray, store: Location, *, first_path: int = 0, records: Records | None = None
) -> da.Array:
    """Write an array over paths lazily into the place that :func:`reserve` made.

    Parameters
    ----------
    array
        Dask-backed, chunked along ``path`` only, in chunks of the store.
    store
        The Zarr group.
    first_path
        Global number of the array's first path.
    records
        Where the digests of each chunk are recorded once it is stored; None: nowhere.

    Returns
    -------
    dask.array.Array
        The tile digests ``(tile, 32)`` uint8; computing them writes the chunks.
    """
    data = array.data
    tiles = tuple(-(-size // TILE) for size in data.chunks[-1])
    return da.map_blocks(
        _write_block,
        data,
        target=stored_array(store, str(array.name)),
        first_path=first_path,
        records=records,
        drop_axis=list(range(data.ndim - 1)),
        new_axis=1,
        chunks=(tiles, (DIGEST_BYTES,)),
        dtype=np.uint8,
        meta=np.empty((0, 0), np.uint8),
        name=f"write-{array.name}-{tokenize(data.name, str(store), first_path)}",
    )


def _write_block(
    block: npt.NDArray[Any],
    target: StoredArray,
    first_path: int,
    records: Records | None,
    block_info: Mapping[Any, Any] | None = None,
) -> npt.NDArray[np.uint8]:
    assert block_info is not None  # map_blocks gives it to every real block
    block = to_host(block)
    index = target.write(first_path + block_info[0]["array-location"][-1][0], block)
    digests = tile_digests(block)
    if records is not None:
        records.write(target.name, index, digests.tobytes())
    return digests


def read_paths(store: Location, array: xr.DataArray, start: int, stop: int) -> da.Array:
    """Read a range of whole chunks of a stored array lazily; ``array`` gives name, dtype and shape."""
    source = stored_array(store, str(array.name))
    size = source.chunk_paths
    sizes = tuple(min(size, stop - first) for first in range(start, stop, size))
    return da.map_blocks(
        _read_block,
        source=source,
        first_path=start,
        chunks=(*((length,) for length in array.shape[:-1]), sizes),
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
        name=f"read-{array.name}-{tokenize(str(store), start, stop)}",
    )


def _read_block(source: StoredArray, first_path: int, block_info: Mapping[Any, Any] | None = None) -> npt.NDArray[Any]:
    assert block_info is not None  # map_blocks gives it to every real block
    start, stop = block_info[None]["array-location"][-1]
    return source.read((first_path + start) // source.chunk_paths)[..., : stop - start]


def read_again(store: Location, array: xr.DataArray, *, digests: da.Array, after: da.Array) -> da.Array:
    """Read a stored array a second time, each chunk once its tile digests and ``after``, a 0-d array, are there.

    The layer shares no key with what made the array, so that Dask lets go of the first chunks; the digests have to be
    asked for in the same call, or Dask may write and read again in one task.
    """
    data = array.data
    leading = {f"axis {k}": length for k, length in enumerate(array.shape[:-1])}
    return da.blockwise(
        _reread_block,
        (*leading, "path"),
        ArraySliceDep(data.chunks[-1:]),
        ("path",),
        digests,
        ("path", "digest"),
        after,
        (),
        new_axes=leading,
        adjust_chunks={"path": data.chunks[-1]},
        align_arrays=False,
        source=stored_array(store, str(array.name)),
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
        name=f"reread-{array.name}-{tokenize(str(store), digests.name, after.name)}",
    )


def _reread_block(place: tuple[slice], written: Any, after: Any, *, source: StoredArray) -> npt.NDArray[Any]:
    return source.read(place[0].start // source.chunk_paths)


def digest_paths(array: da.Array) -> da.Array:
    """The tile digests ``(tile, 32)`` of a lazy array over paths, without writing it."""
    tiles = tuple(-(-size // TILE) for size in array.chunks[-1])
    return da.map_blocks(
        tile_digests,
        array,
        drop_axis=list(range(array.ndim - 1)),
        new_axis=1,
        chunks=(tiles, (DIGEST_BYTES,)),
        dtype=np.uint8,
        meta=np.empty((0, 0), np.uint8),
        name=f"digest-{tokenize(array.name)}",
    )


def stored_chunks(store: Location, name: str, *, records: Records | None = None) -> list[bool]:
    """Which chunks of an array are there and whole: present, right in length and in their CRC32C, without NaN; and,
    where there are records, what their record says: no other run's."""
    array = stored_array(store, name)

    def whole(index: int) -> bool:
        recorded = None if records is None else records.read(name, index)
        if records is not None and recorded is None:
            return False
        try:
            digests = array.digests(index)
        except StoreError:
            return False
        return recorded is None or digests.tobytes() == recorded

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(whole, range(array.chunks)))


def stored_digests(store: Location, name: str, *, start: int = 0, stop: int | None = None) -> npt.NDArray[np.uint8]:
    """Read an array again, chunk by chunk, and return the digests of its tiles; a missing or damaged chunk is an
    error."""
    array = stored_array(store, name)
    last = array.chunks if stop is None else -(-stop // array.chunk_paths)
    return np.concatenate([array.digests(index) for index in range(start // array.chunk_paths, last)])


def write_small(ds: xr.Dataset, store: Path) -> None:
    """Write in-memory variables and all coordinates into the group, each as one chunk with its CRC32C.

    What an interrupted attempt left under one of these names is written anew.
    """
    _write_group(store)  # with no attribute of an earlier attempt
    for name in ds.variables:
        shutil.rmtree(store / str(name), ignore_errors=True)
    plain = ds.copy()
    for name, v in plain.variables.items():
        if v.dtype.kind == "U":  # variable-length in the store: fixed-length text has no Zarr v3 specification
            plain = plain.assign({name: (v.dims, v.values.astype(object), v.attrs)})
        plain[name].encoding = {}
    encoding: dict[Any, dict[str, Any]] = {
        name: {"compressors": (Crc32cCodec(),)} | ({"chunks": v.shape} if v.ndim and v.size else {})
        for name, v in plain.variables.items()
    }
    plain.to_zarr(store, mode="a", zarr_format=3, consolidated=False, encoding=encoding, write_empty_chunks=True)
