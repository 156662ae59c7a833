"""The chunks of an array over paths as Zarr v3 lays them out: little-endian C order and a CRC32C, one file a chunk.

They are written and read here, not through zarr: one copy less each way, no metadata read for each block, and a chunk
that is missing is an error and never NaN. Zarr and xarray read the same files.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from riskops.errors import StoreError
from riskops.rng import TILE
from riskops.simulation.location import Location, read_object, write_object

__all__ = ["DIGEST_BYTES", "METADATA", "StoredArray", "read_metadata", "stored_array", "tile_digests"]

DIGEST_BYTES = 32
METADATA = "zarr.json"
CRC_BYTES = 4


@dataclass(frozen=True)
class StoredArray:
    """An array over paths in a store: where it is, and how it is cut along its last dim."""

    store: Location
    name: str
    shape: tuple[int, ...]
    dtype: str
    chunk_paths: int

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.shape[-1] // self.chunk_paths)

    def describe(self) -> str:
        """The array in words."""
        return f"{self.dtype} {self.shape} in chunks of {self.chunk_paths} paths"

    def chunk(self, index: int) -> Location:
        """The file of a chunk."""
        place = self.store / self.name / "c"
        for part in (*(0,) * (len(self.shape) - 1), index):
            place = place / str(part)
        return place

    def bounds(self, index: int) -> tuple[int, int]:
        """The first path of a chunk, and the one after its last."""
        return index * self.chunk_paths, min((index + 1) * self.chunk_paths, self.shape[-1])

    def write(self, first_path: int, block: npt.NDArray[Any]) -> int:
        """Write the block that begins at a path as a whole chunk, the last one filled up with NaN; its number comes
        back."""
        index, offset = divmod(first_path, self.chunk_paths)
        assert offset == 0, "blocks are chunks"
        little = np.ascontiguousarray(block, np.dtype(self.dtype).newbyteorder("<"))
        if block.shape[-1] < self.chunk_paths:
            whole = np.full((*block.shape[:-1], self.chunk_paths), np.nan, little.dtype)
            whole[..., : block.shape[-1]] = little
            little = whole
        data = little.reshape(-1).view(np.uint8)
        write_object(self.chunk(index), data, google_crc32c.value(data).to_bytes(CRC_BYTES, "little"))
        return index

    def read(self, index: int) -> npt.NDArray[Any]:
        """The numbers of a chunk; one that is missing or damaged is a ``StoreError``."""
        start, stop = self.bounds(index)
        data = read_object(self.chunk(index))
        where = f"{self.store.parent.name}: {self.name}, paths {start} to {stop}"
        if data is None:
            raise StoreError(f"{where}: missing")
        dtype = np.dtype(self.dtype).newbyteorder("<")
        shape = (*self.shape[:-1], self.chunk_paths)
        size = int(np.prod(shape)) * dtype.itemsize
        if data.size != size + CRC_BYTES:
            raise StoreError(f"{where}: damaged ({data.size} bytes instead of {size + CRC_BYTES})")
        if google_crc32c.value(data[:size]) != int.from_bytes(data[size:].tobytes(), "little"):
            raise StoreError(f"{where}: damaged (its CRC32C does not match)")
        block = data[:size].view(dtype).reshape(shape)[..., : stop - start]
        return np.ascontiguousarray(block, np.dtype(self.dtype))

    def digests(self, index: int) -> npt.NDArray[np.uint8]:
        """The tile digests of a chunk as it is stored; NaN, which no simulated path holds, is an error as well."""
        block = self.read(index)
        if np.isnan(block).any():
            start, stop = self.bounds(index)
            raise StoreError(f"{self.store.parent.name}: {self.name}, paths {start} to {stop}: missing")
        return tile_digests(block)


def tile_digests(block: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The sha256 of each tile of a block, ``(tile, 32)``: the tile's numbers in little-endian C order."""
    little = block.astype(block.dtype.newbyteorder("<"), copy=False)
    tiles = -(-block.shape[-1] // TILE)
    digests = np.empty((tiles, DIGEST_BYTES), np.uint8)
    for t in range(tiles):
        tile = np.ascontiguousarray(little[..., t * TILE : (t + 1) * TILE])
        digests[t] = np.frombuffer(hashlib.sha256(tile.data).digest(), np.uint8)
    return digests


def read_metadata(place: Location) -> dict[str, Any] | None:
    """The metadata of a group or an array; None where it is missing or is no JSON object."""
    found = read_object(place / METADATA)
    try:
        parsed = None if found is None else json.loads(found.tobytes())
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def stored_array(store: Location, name: str) -> StoredArray:
    """The array of that name as its metadata describe it; metadata that are missing or damaged are a ``StoreError``."""
    found = read_metadata(store / name)
    try:
        if found is None:
            raise KeyError(METADATA)
        shape = tuple(int(length) for length in found["shape"])
        chunk = [int(length) for length in found["chunk_grid"]["configuration"]["chunk_shape"]]
        dtype = str(np.dtype(found["data_type"]))
        if len(chunk) != len(shape) or chunk[:-1] != list(shape[:-1]) or chunk[-1] < 1:
            raise ValueError(f"chunks {chunk}")
    except (KeyError, TypeError, ValueError, IndexError) as problem:
        raise StoreError(f"{store.parent.name}: {name}: {METADATA} is missing or damaged") from problem
    return StoredArray(store, name, shape, dtype, chunk[-1])
