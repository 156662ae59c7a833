"""Arrays over paths in a Zarr group: written chunk by chunk inside the graph, checksummed by tile, read back whole
or not at all.

A chunk of the store is a chunk of the graph, so every write is one whole chunk, with a CRC32C behind it and NaN as fill
value. The block that writes returns the sha256 of each of its tiles; the checksum of the array is the sha256 over
those, in order, and so does not depend on the chunks (contract C5).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
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

from riskops.backend import to_host
from riskops.errors import StoreError
from riskops.rng import TILE

__all__ = [
    "array_checksum",
    "check_reserved",
    "checksum",
    "create_store",
    "digest_paths",
    "read_again",
    "read_paths",
    "reserve",
    "stored_chunks",
    "stored_digests",
    "write_paths",
    "write_small",
]

DIGEST_BYTES = 32


def create_store(store: Path) -> None:
    """Make an empty Zarr group; one that exists is left as it is."""
    zarr.open_group(store, mode="a", zarr_format=3)


def reserve(store: Path, array: xr.DataArray, *, chunk_paths: int) -> None:
    """Write the metadata of an array over paths, without a chunk; the last dim is ``path``."""
    zarr.open_group(store, mode="a", zarr_format=3).create_array(
        str(array.name),
        shape=array.shape,
        chunks=(*array.shape[:-1], min(chunk_paths, array.shape[-1])),
        dtype=array.dtype,
        serializer=BytesCodec(endian="little"),
        compressors=[Crc32cCodec()],
        fill_value=np.nan,
        dimension_names=[str(d) for d in array.dims],
        attributes={str(k): v for k, v in array.attrs.items()},
        config={"write_empty_chunks": True},
    )


def check_reserved(store: Path, array: xr.DataArray, *, chunk_paths: int) -> None:
    """Hold a stored array to the shape, dtype and chunks of ``array``; one of fewer paths, all in whole chunks, is
    extended, and anything else is refused: nothing in it could be used."""
    found = zarr.open_array(store, path=str(array.name), mode="r")
    held = (found.shape, str(found.dtype), found.chunks[-1])
    wanted = (array.shape, str(array.dtype), min(chunk_paths, array.shape[-1]))
    same_rows = (found.shape[:-1], *held[1:]) == (array.shape[:-1], *wanted[1:])
    if same_rows and found.shape[-1] < array.shape[-1] and found.shape[-1] % found.chunks[-1] == 0:
        zarr.open_array(store, path=str(array.name), mode="r+").resize(array.shape)
    elif held != wanted:
        texts = [f"{dtype} {shape} in chunks of {chunk} paths" for shape, dtype, chunk in (held, wanted)]
        raise StoreError(f"{store.parent.name}: {array.name} is stored as {texts[0]}, not as {texts[1]}")


def _tile_digests(block: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The sha256 of each tile of a block, ``(tile, 32)``: the tile's numbers in little-endian C order."""
    little = block.astype(block.dtype.newbyteorder("<"), copy=False)
    tiles = -(-block.shape[-1] // TILE)
    digests = np.empty((tiles, DIGEST_BYTES), np.uint8)
    for t in range(tiles):
        tile = np.ascontiguousarray(little[..., t * TILE : (t + 1) * TILE])
        digests[t] = np.frombuffer(hashlib.sha256(tile.data).digest(), np.uint8)
    return digests


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


def write_paths(array: xr.DataArray, store: Path, *, first_path: int = 0) -> da.Array:
    """Write an array over paths lazily into the place that :func:`reserve` made.

    Parameters
    ----------
    array
        Dask-backed, chunked along ``path`` only, in chunks of the store.
    store
        The Zarr group.
    first_path
        Global number of the array's first path.

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
        store=str(store),
        variable=str(array.name),
        first_path=first_path,
        drop_axis=list(range(data.ndim - 1)),
        new_axis=1,
        chunks=(tiles, (DIGEST_BYTES,)),
        dtype=np.uint8,
        meta=np.empty((0, 0), np.uint8),
        name=f"write-{array.name}-{tokenize(data.name, str(store), first_path)}",
    )


def read_paths(store: Path, array: xr.DataArray, start: int, stop: int) -> da.Array:
    """Read a range of whole chunks of a stored array lazily; ``array`` gives name, dtype and shape."""
    size = zarr.open_array(store, path=str(array.name), mode="r").chunks[-1]
    sizes = tuple(min(size, stop - first) for first in range(start, stop, size))
    return da.map_blocks(
        _read_block,
        store=str(store),
        variable=str(array.name),
        first_path=start,
        chunks=(*((length,) for length in array.shape[:-1]), sizes),
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
        name=f"read-{array.name}-{tokenize(str(store), start, stop)}",
    )


def read_again(store: Path, array: xr.DataArray, *, digests: da.Array, after: da.Array) -> da.Array:
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
        store=str(store),
        variable=str(array.name),
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
        name=f"reread-{array.name}-{tokenize(str(store), digests.name, after.name)}",
    )


def _reread_block(place: tuple[slice], written: Any, after: Any, *, store: str, variable: str) -> npt.NDArray[Any]:
    return _read(Path(store), variable, place[0].start, place[0].stop)


def _read_block(
    store: str, variable: str, first_path: int, block_info: Mapping[Any, Any] | None = None
) -> npt.NDArray[Any]:
    assert block_info is not None  # map_blocks gives it to every real block
    start, stop = block_info[None]["array-location"][-1]
    return _read(Path(store), variable, first_path + start, first_path + stop)


def digest_paths(array: da.Array) -> da.Array:
    """The tile digests ``(tile, 32)`` of a lazy array over paths, without writing it."""
    tiles = tuple(-(-size // TILE) for size in array.chunks[-1])
    return da.map_blocks(
        _tile_digests,
        array,
        drop_axis=list(range(array.ndim - 1)),
        new_axis=1,
        chunks=(tiles, (DIGEST_BYTES,)),
        dtype=np.uint8,
        meta=np.empty((0, 0), np.uint8),
        name=f"digest-{tokenize(array.name)}",
    )


def _write_block(
    block: npt.NDArray[Any],
    store: str,
    variable: str,
    first_path: int,
    block_info: Mapping[Any, Any] | None = None,
) -> npt.NDArray[np.uint8]:
    assert block_info is not None  # map_blocks gives it to every real block
    block = to_host(block)
    start, stop = block_info[0]["array-location"][-1]
    target = zarr.open_array(store, path=variable, mode="r+", config={"write_empty_chunks": True})
    target[..., first_path + start : first_path + stop] = block
    return _tile_digests(block)


def _read(store: Path, name: str, start: int, stop: int) -> npt.NDArray[Any]:
    try:
        return np.asarray(zarr.open_array(store, path=name, mode="r")[..., start:stop])
    except (ValueError, RuntimeError, OSError, KeyError) as problem:
        raise StoreError(f"{store.parent.name}: {name}, paths {start} to {stop}: damaged ({problem})") from problem


def stored_chunks(store: Path, name: str) -> list[bool]:
    """Which chunks of an array are there and whole: present, right in length and in their CRC32C, without NaN."""
    array = zarr.open_array(store, path=name, mode="r")
    size, paths = array.chunks[-1], array.shape[-1]
    whole = []
    for index in range(-(-paths // size)):
        key = f"{name}/" + array.metadata.encode_chunk_key((0,) * (array.ndim - 1) + (index,))
        if not (store / key).exists():
            whole.append(False)
            continue
        try:
            block = _read(store, name, index * size, min((index + 1) * size, paths))
            whole.append(not bool(np.isnan(block).any()))
        except StoreError:
            whole.append(False)
    return whole


def stored_digests(store: Path, name: str, *, start: int = 0, stop: int | None = None) -> npt.NDArray[np.uint8]:
    """Read an array again, chunk by chunk, and return the digests of its tiles; a missing or damaged chunk is an
    error."""
    array = zarr.open_array(store, path=name, mode="r")
    size, paths = array.chunks[-1], array.shape[-1] if stop is None else stop
    parts = []
    for first in range(start, paths, size):
        block = _read(store, name, first, min(first + size, paths))
        if np.isnan(block).any():
            raise StoreError(f"{store.parent.name}: {name}, paths {first} to {first + block.shape[-1]}: missing")
        parts.append(_tile_digests(block))
    return np.concatenate(parts)


def write_small(ds: xr.Dataset, store: Path) -> None:
    """Write in-memory variables and all coordinates into the group, each as one chunk with its CRC32C.

    What an interrupted attempt left under one of these names is written anew.
    """
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
