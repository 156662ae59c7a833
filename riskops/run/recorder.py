"""A run in the making, as the graph sees it: arrays are kept chunk by chunk, and what is already there is not made
again.

``keep`` returns the same array with every chunk that is stored whole read from the store instead, so that Dask never
visits the work behind it; ``checkpoint`` does the same for the states of a reduction whose input is not stored.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any
from zipfile import BadZipFile

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.errors import StoreError
from riskops.reductions.tree import TileTree
from riskops.run.directory import RunDirectory
from riskops.simulation.records import Records
from riskops.simulation.store import (
    check_reserved,
    create_store,
    digest_paths,
    read_again,
    read_paths,
    stored_chunks,
    write_paths,
)

__all__ = ["Recorder"]


class Recorder:
    """Collects the lazy writes of one run; computing :attr:`digests` performs them."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = RunDirectory(run.path.absolute())  # workers may have been started in another folder
        self.digests: dict[str, da.Array] = {}
        self.found: dict[str, int] = {}
        self._kept: dict[str, xr.DataArray] = {}
        self._store = self._run.arrays
        self._records = Records(self._run.checkpoints, self._run.identity())

    def keep(self, ds: xr.Dataset, name: str) -> xr.Dataset:
        """Store an array over paths and return the dataset with the chunks that are already there read back.

        A chunk is there when it is whole and its record says that it is of this run. An array that is stored already
        in another shape, dtype or cutting is a ``StoreError``.
        """
        array, data, store = ds[name], ds[name].data, self._store
        sizes = data.chunks[-1]
        create_store(store)
        check_reserved(store, array, chunk_paths=sizes[0])
        whole = stored_chunks(store, name, records=self._records)
        self.found[name] = sum(whole)
        bounds = np.cumsum([0, *sizes]).tolist()
        parts, digests = [], []
        for there, first, last in _stretches(whole):
            start, stop = bounds[first], bounds[last]
            if there:
                part = read_paths(store, array, start, stop)
                digests.append(digest_paths(part))
            else:
                part = data if not any(whole) else data.blocks[(..., slice(first, last))]
                digests.append(write_paths(_like(array, part), store, first_path=start, records=self._records))
            parts.append(part)
        self.digests[name] = da.concatenate(digests, axis=0) if len(digests) > 1 else digests[0]
        kept = da.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
        self._kept[name] = _like(array, kept)
        return ds.assign({name: (array.dims, kept, array.attrs)})

    def again(self, name: str, *, after: da.Array) -> da.Array:
        """A second reading of an array that was kept: its chunks come from the store, whatever made them.

        Parameters
        ----------
        name
            An array that :meth:`keep` stored in this run.
        after
            A 0-d array; no chunk is read before it is there.

        Returns
        -------
        dask.array.Array
            Shape, dtype and chunks of the kept array. Each block waits for ``after`` and for its own chunk to be
            written or checked; compute it together with :attr:`digests`.
        """
        return read_again(self._store, self._kept[name], digests=self.digests[name], after=after)

    def checkpoint(self, states: da.Array, name: str) -> da.Array:
        """Write the state of each chunk, a tree of tiles, beside the run while it is made; read those that are
        there."""
        there = [_readable(self._records, name, index) for index in range(states.shape[0])]
        self.found[f"{name} states"] = sum(there)
        parts = []
        for ready, first, last in _stretches(there):
            part = states if not any(there) else states.blocks[first:last]
            function = _load_state if ready else _save_state
            token = tokenize(str(self._records.folder), first, part.name)
            inputs = [] if ready else [part]
            parts.append(
                da.map_blocks(
                    function,
                    *inputs,
                    records=self._records,
                    name_of_states=name,
                    first=first,
                    chunks=((1,) * (last - first),),
                    dtype=object,
                    meta=np.empty((0,), object),
                    name=f"{'load' if ready else 'checkpoint'}-{name}-{token}",
                )
            )
        return da.concatenate(parts) if len(parts) > 1 else parts[0]


def _like(array: xr.DataArray, part: da.Array) -> xr.DataArray:
    return xr.DataArray(part, dims=array.dims, name=array.name, attrs=array.attrs)


def _stretches(flags: Sequence[bool]) -> list[tuple[bool, int, int]]:
    """Runs of equal flags: (flag, first chunk, one beyond the last)."""
    out, start = [], 0
    for flag, group in groupby(flags):
        stop = start + len(list(group))
        out.append((flag, start, stop))
        start = stop
    return out


def _readable(records: Records, name: str, index: int) -> bool:
    found = records.read(name, index)
    if found is None:
        return False
    try:
        _tree(_arrays(found))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return False
    return True


def _arrays(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a state; no pickle is read."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _flat(tree: TileTree) -> dict[str, npt.NDArray[Any]]:
    return {"level": tree.level, "index": tree.index} | {f"value {k}": v for k, v in tree.values.items()}


def _tree(arrays: Mapping[str, npt.NDArray[Any]]) -> TileTree:
    values = {k.removeprefix("value "): v for k, v in arrays.items() if k.startswith("value ")}
    return TileTree(arrays["level"], arrays["index"], values)


def _save_state(
    block: npt.NDArray[Any],
    records: Records,
    name_of_states: str,
    first: int,
    block_info: Mapping[Any, Any] | None = None,
) -> npt.NDArray[Any]:
    assert block_info is not None  # map_blocks gives it to every real block
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **_flat(block.item()))
    records.write(name_of_states, first + block_info[None]["chunk-location"][0], content.getvalue())
    return block


def _load_state(
    records: Records, name_of_states: str, first: int, block_info: Mapping[Any, Any] | None = None
) -> npt.NDArray[Any]:
    assert block_info is not None  # map_blocks gives it to every real block
    index = first + block_info[None]["chunk-location"][0]
    content = records.read(name_of_states, index)
    if content is None:
        raise StoreError(f"{records.folder}: {name_of_states}, state {index}: gone or damaged since the run resumed")
    out = np.empty(1, object)
    out[0] = _tree(_arrays(content))
    return out
