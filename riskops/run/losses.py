"""The stored losses of a run, lazily, as every measure of losses takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from riskops.errors import StoreError
from riskops.reductions import INDEPENDENT
from riskops.run.directory import RunDirectory, check_kind, open_run
from riskops.schema import variable
from riskops.simulation.chunkfile import stored_array
from riskops.simulation.store import read_paths

__all__ = ["stored_losses"]

_LEAD = ("scenario", "portfolio", "horizon")


def stored_losses(path: str | Path) -> xr.Dataset:
    """The losses that a complete run has stored; lazy, a chunk of the store is a chunk of the graph.

    Parameters
    ----------
    path
        The run directory.

    Returns
    -------
    Dataset
        ``loss`` ``(scenario, portfolio, horizon, path)``, with ``loss_weight`` where paths are weighted. Its attributes
        say which paths are independent, so that measures state honest errors.

    Raises
    ------
    StoreError
        The run is not complete, or stores no losses; or, when computed, a chunk is missing or damaged.

    Examples
    --------
    >>> stored_losses("nowhere")
    Traceback (most recent call last):
    riskops.errors.StoreError: nowhere: is no run directory, manifest.json is missing
    """
    run = RunDirectory(Path(path))
    results, manifest = open_run(path), run.manifest()
    check_kind(run, manifest)
    if "loss" not in manifest["arrays"]:
        raise StoreError(f"{path}: stores no losses (store.losses is false), and nothing else has them")
    coords = {dim: results[dim] for dim in _LEAD if dim in results.coords}
    names = {"loss": (*_LEAD, "path")} | (
        {"loss_weight": ("horizon", "path")} if "loss_weight" in manifest["arrays"] else {}
    )
    found = {}
    for name, dims in names.items():
        stored = stored_array(run.arrays, name)
        like = xr.DataArray(np.broadcast_to(np.zeros((), stored.dtype), stored.shape), name=name)
        data = read_paths(run.arrays, like, 0, stored.shape[-1])
        found[name] = variable(name, dims, data, coords={dim: coords[dim] for dim in dims if dim in coords})
    kept = {name: results.attrs[name] for name in ("title", "currency", INDEPENDENT) if name in results.attrs}
    return xr.Dataset(found, attrs=kept)
