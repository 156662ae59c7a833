"""The same chunks once more, after a first pass has ended: a second pass over lazy paths in the same graph.

Two passes that named the same chunks would share them: Dask would make each chunk once and hold all of them in memory
until the second pass. Here the layers that make the chunks stand in the graph a second time, under keys of their own,
and begin when the first pass is done.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import dask.array as da
import xarray as xr
from dask._task_spec import Alias, Task, TaskRef, convert_legacy_graph
from dask.base import clone_key
from dask.blockwise import Blockwise
from dask.graph_manipulation import checkpoint, chunks
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer

from riskops.errors import InputError

__all__ = ["again", "again_dataset"]


def again(array: da.Array, *, after: da.Array) -> da.Array:
    """The same array, made again from its sources once ``after`` is computed; lazy.

    Parameters
    ----------
    array
        What the second pass reads.
    after
        What the first pass gives, small. Arrays made again after the same one share what they have in common.

    Returns
    -------
    Array
        Equal to ``array``, chunk by chunk, with no key in common with it but those of data in memory.

    Raises
    ------
    InputError
        ``after`` has more than one chunk.

    Notes
    -----
    Symbolic layers stay symbolic and fuse as before: one task a chunk. What is in memory already (a persisted or a
    NumPy array) is read where it is, and what Dask rechunked through its disk (``p2p``) is not moved again. Keys follow
    from those of ``array`` and ``after``, so that equal graphs stay equal.

    Examples
    --------
    >>> import dask.array as da
    >>> x = da.arange(4096, chunks=1024)
    >>> apart = x - again(x, after=x.sum())
    >>> int(abs(apart).sum().compute())
    0
    """
    if after.npartitions != 1:
        raise InputError(f"after: {after.npartitions} chunks are not one, which a first pass ends in")
    graph: HighLevelGraph = array.dask
    gate, seed = checkpoint(after), after.name
    behind = _behind(graph, array.name)
    known = {key for name in behind for key in graph.layers[name].get_output_keys()}
    made = {name for name in behind if not _in_memory(graph.layers[name], known)}
    keys = {key for name in made for key in graph.layers[name].get_output_keys()}
    layers: dict[str, Layer] = dict(gate.dask.layers)
    dependencies: dict[str, set[str]] = {name: set(found) for name, found in gate.dask.dependencies.items()}
    for name in behind:
        layer, needs = graph.layers[name], set(graph.dependencies[name])
        if name not in made:
            layers[name], dependencies[name] = layer, needs
            continue
        if isinstance(layer, Blockwise):
            layers[clone_key(name, seed)], bound = layer.clone(keys=keys, seed=seed, bind_to=gate.key)
        else:
            layers[clone_key(name, seed)], bound = _cloned(layer, keys, known, seed, gate.key)
        renamed = {clone_key(need, seed) if need in made else need for need in needs}
        dependencies[clone_key(name, seed)] = renamed | ({gate.key} if bound else set())
    name = clone_key(array.name, seed) if array.name in made else array.name
    return da.Array(HighLevelGraph(layers, dependencies), name, array.chunks, dtype=array.dtype, meta=array._meta)


def again_dataset(ds: xr.Dataset, *, after: da.Array) -> xr.Dataset:
    """The same Dataset with every Dask array in it made :func:`again`; lazy.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from riskops.reductions import Moments, reduce_paths
    >>> losses = xr.Dataset({"loss": ("path", np.arange(4096.0))}).chunk(path=1024)
    >>> second = again_dataset(losses, after=reduce_paths(losses, Moments()))
    >>> second.equals(losses)
    True
    """
    lazy = {name: array for name, array in ds.data_vars.items() if isinstance(array.data, da.Array)}
    return ds.assign({name: array.copy(data=again(array.data, after=after)) for name, array in lazy.items()})


def _behind(graph: HighLevelGraph, name: str) -> list[str]:
    """The layers that an array is made from and its own."""
    found, left = [], [name]
    while left:
        one = left.pop()
        if one not in found:
            found.append(one)
            left += graph.dependencies[one]
    return found


def _in_memory(layer: Layer, known: Set[Any]) -> bool:
    """Whether a layer computes nothing that could be computed again: data, futures, or a rechunk through the disk."""
    if isinstance(layer, Blockwise):
        return False
    if type(layer).__module__.startswith("distributed."):
        return True
    nodes = convert_legacy_graph(dict(layer), all_keys=known)
    return not any(isinstance(node, Task | Alias) or node.dependencies for node in nodes.values())


def _cloned(layer: Layer, keys: Set[Any], known: Set[Any], seed: str, gate: str) -> tuple[Layer, bool]:
    """The tasks under other keys; those that need none of the cloned ones wait for the gate."""
    found: dict[Any, Any] = {}
    bound = False
    for key, node in convert_legacy_graph(dict(layer), all_keys=known).items():
        other = clone_key(key, seed)
        renamed = {need: clone_key(need, seed) for need in node.dependencies if need in keys}
        if isinstance(node, Alias):  # its own substitute keeps the key where the target stays
            found[other] = Alias(other, renamed.get(node.target, node.target))
        elif renamed or not isinstance(node, Task):
            found[other] = node.substitute(renamed, key=other)
        else:
            found[other], bound = Task(other, chunks.bind, node, TaskRef(gate)), True
    return MaterializedLayer(found, annotations=layer.annotations), bound
