"""What a reduction is, how several become one, and how they run over a Dataset of Dask arrays, lazily.

A reduction is a frozen value that says what to compute of a chunk of paths (``chunk``), how the states of adjacent
chunks merge (``combine``) and what comes out (``finalize``). Nothing else in the project knows how paths are reduced: a
new statistic is a new value. :func:`fuse` makes one reduction of several, so that each chunk of paths is made, or read,
once for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize
from dask.layers import ArrayValuesDep

from riskops.backend import to_host
from riskops.checks import check_integer
from riskops.errors import InputError
from riskops.reductions.tree import TILE

__all__ = [
    "Array",
    "Fused",
    "Reduction",
    "boxed",
    "chunk_states",
    "combine_states",
    "finalized",
    "first_tile_of",
    "fuse",
    "reduce_paths",
    "rows_of",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Reduction(ABC):
    """A reduction over ``path``: subclass it as a frozen dataclass whose fields are its settings.

    A state must pickle, and must not depend on how the paths were cut into chunks of whole tiles or on the order in
    which adjacent states were combined, down to the last bit, once it is finalised (contract C2).
    """

    @property
    @abstractmethod
    def variables(self) -> tuple[str, ...]:
        """The variables it reads."""

    @abstractmethod
    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> Any:
        """The state of one chunk: its arrays ``(..., path)`` by name; ``first_path``, its first, divides by 1024."""

    @abstractmethod
    def combine(self, states: Sequence[Any]) -> Any:
        """The state of adjacent chunks from theirs, given in path order."""

    @abstractmethod
    def finalize(self, state: Any) -> dict[str, Any]:
        """The results by name, the leading dims restored."""


@dataclass(frozen=True)
class Fused(Reduction):
    """Several reductions as one: its state and its results are theirs by name."""

    parts: tuple[tuple[str, Reduction], ...]

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for _, part in self.parts for name in part.variables))

    def chunk(self, block: Mapping[str, Array], *, first_path: int) -> dict[str, Any]:
        return {name: part.chunk(block, first_path=first_path) for name, part in self.parts}

    def combine(self, states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {name: part.combine([state[name] for state in states]) for name, part in self.parts}

    def finalize(self, state: Mapping[str, Any]) -> dict[str, Any]:
        return {name: part.finalize(state[name]) for name, part in self.parts}


def fuse(**reductions: Reduction) -> Fused:
    """Make one reduction of several; what it finalises to is a dict of their results by these names.

    Examples
    --------
    >>> from riskops.reductions import Histogram, Moments
    >>> fuse(moments=Moments(), histogram=Histogram()).variables
    ('loss',)
    """
    if not reductions:
        raise InputError("reductions: at least one is needed")
    return Fused(tuple(reductions.items()))


def rows_of(array: Array) -> Array:
    """The block as contiguous ``(row, path)``; a view where it is contiguous already."""
    return np.ascontiguousarray(array).reshape(-1, array.shape[-1])


def first_tile_of(first_path: int) -> int:
    """The number of the tile that begins at that path."""
    if first_path % TILE:
        raise InputError(f"first_path: {first_path} is not a multiple of {TILE}")
    return first_path // TILE


def boxed(value: Any, shape: tuple[int, ...] = ()) -> Array:
    """An object array of one entry: Dask would take a bare dict or dataclass apart, or lose it."""
    box = np.empty(shape, dtype=object)
    box[(0,) * len(shape)] = value
    return box


def _arrays(ds: xr.Dataset, reduction: Reduction) -> dict[str, da.Array]:
    """The Dask arrays it reads, leading dims in one chunk, all with the same chunks of whole tiles along ``path``."""
    arrays: dict[str, da.Array] = {}
    for name in reduction.variables:
        if name not in ds:
            raise InputError(f"dataset: variable {name!r} is missing; it has {', '.join(map(str, ds)) or 'none'}")
        if not ds[name].dims or ds[name].dims[-1] != "path":
            raise InputError(f"{name}: dims {ds[name].dims} do not end with 'path'")
        data = ds[name].data
        array = data if isinstance(data, da.Array) else da.from_array(data, chunks=-1)
        leading = dict.fromkeys(range(array.ndim - 1), -1)
        arrays[name] = array.rechunk(leading) if any(k > 1 for k in array.numblocks[:-1]) else array
    first, *others = arrays
    sizes = arrays[first].chunks[-1]
    for other in others:
        if arrays[other].chunks[-1] != sizes:
            raise InputError(f"path: {first!r} and {other!r} are not in the same chunks")
    if 0 in sizes:
        raise InputError(f"path: {first!r} has no paths in a chunk")
    for k, size in enumerate(sizes[:-1]):
        if size % TILE:
            raise InputError(f"path: chunk {k} of {first!r} has {size} paths, not whole tiles of {TILE}")
    return arrays


def _chunk(first_path: Any, beside: Array | None, *blocks: Any, reduction: Reduction) -> Array:
    found = {} if beside is None else dict(beside.item())
    for name, nested in zip(reduction.variables, blocks, strict=True):
        block = nested
        while isinstance(block, list):  # one level for each leading dim, which is a single chunk
            (block,) = block
        found[name] = to_host(block)
    return boxed(reduction.chunk(found, first_path=int(first_path)), (1,))


def chunk_states(
    ds: xr.Dataset, reduction: Reduction, *, first_path: int = 0, beside: da.Array | None = None, name: str = "reduce"
) -> da.Array:
    """The state of every chunk of ``path``, lazily: a 1-d object array with one entry a chunk.

    Parameters
    ----------
    ds
        Holds the variables that the reduction reads, ``(..., path)``, in the same chunks of whole tiles along ``path``;
        only the last chunk may end in a short tile.
    reduction
        What to compute.
    first_path
        The number of the first path of ``ds`` in its run, a multiple of 1024.
    beside
        0-d object array that holds a dict: what every chunk is given beside its variables, such as what an earlier pass
        has found.
    name
        What the dashboard calls the stage.

    Returns
    -------
    Array
        Object array ``(chunk,)``; the layer is symbolic and fuses with the one that makes the paths.

    Raises
    ------
    InputError
        A variable is missing, ``path`` is not its last dim, or its chunks are not whole tiles or differ.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from riskops.reductions import Moments
    >>> losses = xr.Dataset({"loss": ("path", np.arange(4096.0))}).chunk(path=1024)
    >>> chunk_states(losses, Moments()).shape
    (4,)
    """
    first_tile_of(check_integer("first_path", first_path, at_least=0))
    arrays = _arrays(ds, reduction)
    sizes = next(iter(arrays.values())).chunks[-1]
    starts = first_path + np.concatenate([[0], np.cumsum(sizes[:-1], dtype=np.int64)]).astype(np.int64)
    given = [] if beside is None else [beside.name]
    pairs: list[Any] = []
    for k, array in enumerate(arrays.values()):
        pairs += [array, (*(f"{k}.{axis}" for axis in range(array.ndim - 1)), "path")]
    return da.blockwise(
        _chunk,
        ("path",),
        ArrayValuesDep((sizes,), starts),
        ("path",),
        beside,
        None if beside is None else (),
        *pairs,
        reduction=reduction,
        adjust_chunks={"path": 1},
        align_arrays=False,
        dtype=object,
        meta=np.empty((0,), dtype=object),
        name=f"{name}-{tokenize([array.name for array in arrays.values()], reduction, first_path, *given)}",
    )


def _keep(states: Array, axis: Any, keepdims: bool) -> Array:
    return states


def _combine(states: Any, axis: Any, keepdims: bool, *, reduction: Reduction) -> Array:
    given = [array.item() for array in (states if isinstance(states, list) else [states])]
    return boxed(given[0] if len(given) == 1 else reduction.combine(given), (1,) if keepdims else ())


def combine_states(states: da.Array, reduction: Reduction, *, split_every: int = 8, name: str = "reduce") -> da.Array:
    """Combine the states of adjacent chunks along a tree, lazily: a 0-d object array.

    Parameters
    ----------
    states
        Object array ``(chunk,)``, one state a chunk, in path order: one :func:`chunk_states` made, or several of them
        concatenated.
    reduction
        The reduction that made them.
    split_every
        How many states one task combines; the result does not depend on it.
    name
        What the dashboard calls the stage.

    Returns
    -------
    Array
        0-d object array that holds the state of all.

    Raises
    ------
    InputError
        ``split_every`` is below 2.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from riskops.reductions import Moments
    >>> losses = xr.Dataset({"loss": ("path", np.arange(4096.0))}).chunk(path=1024)
    >>> combine_states(chunk_states(losses, Moments()), Moments()).shape
    ()
    """
    combine = partial(_combine, reduction=reduction)
    return da.reduction(
        states,
        _keep,
        combine,
        combine=combine,
        axis=0,
        concatenate=False,
        split_every=check_integer("split_every", split_every, at_least=2),
        dtype=object,
        meta=np.empty((), dtype=object),
        name=name,
    )


def _finalize(state: Array, reduction: Reduction) -> Array:
    return boxed(reduction.finalize(state.item()), ())


def finalized(state: da.Array, reduction: Reduction, *, name: str = "finalize") -> da.Array:
    """The results from the combined state, lazily: a 0-d object array that holds the dict of ``finalize``.

    Parameters
    ----------
    state
        What :func:`combine_states` returns.
    reduction
        The reduction that made it.
    name
        What the dashboard calls the stage.

    Returns
    -------
    Array
        0-d object array; ``.compute().item()`` is the dict.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from riskops.reductions import Moments
    >>> losses = xr.Dataset({"loss": ("path", np.arange(4096.0))}).chunk(path=1024)
    >>> state = combine_states(chunk_states(losses, Moments()), Moments())
    >>> float(finalized(state, Moments()).compute().item()["mean"])
    2047.5
    """
    return da.map_blocks(
        _finalize,
        state,
        reduction=reduction,
        dtype=object,
        meta=np.empty((), dtype=object),
        name=f"{name}-{tokenize(state.name, reduction)}",
    )


def reduce_paths(ds: xr.Dataset, reduction: Reduction, *, split_every: int = 8, name: str = "reduce") -> da.Array:
    """Reduce the paths of a Dataset, lazily: one pass over the chunks, a tree of merges, one object at the end.

    Parameters
    ----------
    ds
        Holds the variables that the reduction reads, ``(..., path)``, in the same chunks of whole tiles along ``path``.
    reduction
        What to compute; :func:`fuse` makes one of several.
    split_every
        How many states one task combines; the result does not depend on it.
    name
        What the dashboard calls the stage.

    Returns
    -------
    Array
        0-d object array; ``.compute().item()`` is the dict of ``reduction.finalize``.

    Raises
    ------
    InputError
        As :func:`chunk_states`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from riskops.reductions import Moments
    >>> losses = xr.Dataset({"loss": ("path", np.arange(4096.0))}).chunk(path=1024)
    >>> float(reduce_paths(losses, Moments()).compute().item()["mean"])
    2047.5
    """
    states = chunk_states(ds, reduction, name=name)
    return finalized(combine_states(states, reduction, split_every=split_every, name=name), reduction)
