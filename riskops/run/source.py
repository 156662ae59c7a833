"""A stored run that is read in the place of simulating: which of its rows, and the lazy arrays they become.

A chunk of the stored array is a chunk of the graph, so nothing is held but the chunks at work. A scenario that only
moves today's prices is made from the stored paths of the same model: the engine adds such a move to what it keeps, one
addition a number, and the same addition here gives the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.errors import StoreError
from riskops.run.directory import RunDirectory, manifest_hash, open_run
from riskops.schema import variable
from riskops.simulation.rows import keep_rows
from riskops.simulation.store import array_checksum, read_paths

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """What is read of which run; plain numbers, so that the manifest holds all of it.

    Parameters
    ----------
    run
        The absolute path of a complete run.
    manifest_sha256
        The hash that its manifest gives of itself: another one means another run.
    array
        ``log_growth``, from which losses are made, or ``loss`` itself.
    shape
        Of the stored array without its paths: scenarios, then times and assets, or portfolios and horizons.
    scenarios, shifted
        The stored row of each scenario, and whether the scenario's instant move of prices is added to it.
    times
        The stored positions of the times, or of the horizons where losses are read.
    portfolios
        The stored rows of the portfolios, where losses are read.
    dependence
        Whether covariances and correlations are taken from the run's results, which hold them exactly.
    path_bytes
        What is read of a path.
    """

    run: str
    manifest_sha256: str
    array: Literal["log_growth", "loss"]
    shape: tuple[int, ...]
    scenarios: tuple[int, ...]
    shifted: tuple[bool, ...]
    times: tuple[int, ...]
    portfolios: tuple[int, ...] = ()
    dependence: bool = False
    path_bytes: int = 0

    def record(self) -> dict[str, Any]:
        """The source as plain JSON values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Source:
        """The inverse of :meth:`record`."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in record.items()}
        return cls(**plain)

    def check(self) -> dict[str, Any]:
        """The manifest of the run; a run that is gone, or is not the one that was begun with, is a ``StoreError``."""
        run = RunDirectory(Path(self.run))
        if not run.complete:
            raise StoreError(f"{self.run}: the run that is read is gone; put it back, or begin anew from another one")
        manifest = run.manifest()
        if self.manifest_sha256 != manifest.get("manifest_sha256") or self.manifest_sha256 != manifest_hash(manifest):
            raise StoreError(
                f"{self.run}: is not the run that this analysis reads: its manifest does not have the sha256 "
                f"{self.manifest_sha256[:12]}"
            )
        return manifest

    def paths(self, simulated: xr.Dataset, *, shifts: npt.NDArray[np.float64]) -> xr.Dataset:
        """The paths of a job, read; where losses are read, the paths stay what they are and nothing asks for them.

        Parameters
        ----------
        simulated
            The lazy paths of the job, which give names, coordinates and chunks.
        shifts
            ``(scenario, asset)``: what each scenario adds to the log growth of its model.
        """
        if self.array != "log_growth":
            return simulated
        growth = simulated["log_growth"]
        moves = np.where(np.array(self.shifted)[:, None], shifts, 0.0).astype(growth.dtype)
        options = {"rows": self.scenarios, "times": self.times, "shifted": self.shifted, "moves": moves}
        found = {"log_growth": self._picked(growth, self.shape, _pick_growth, **options)}
        if "likelihood_ratio" in simulated:
            ratio = simulated["likelihood_ratio"]
            found["likelihood_ratio"] = self._picked(ratio, self.shape[1:2], _pick, places=(self.times,))
        return simulated.assign(found)

    def losses(self, made: xr.Dataset) -> xr.Dataset:
        """The losses of a job, read; where paths are read they are made from those, and stay what they are.

        Parameters
        ----------
        made
            The lazy losses of the job, which give names, coordinates and chunks.
        """
        if self.array != "loss":
            return made
        places = (self.scenarios, self.portfolios, self.times)
        found = {"loss": self._picked(made["loss"], self.shape, _pick, places=places)}
        if "loss_weight" in made:
            weight = made["loss_weight"]
            found["loss_weight"] = self._picked(weight, self.shape[2:], _pick, places=(self.times,))
        return made.assign(found)

    def _picked(self, like: xr.DataArray, shape: Sequence[int], function: Any, **options: Any) -> xr.DataArray:
        """The array ``like``, its rows picked from the stored one of its name, chunk by chunk."""
        self.check()
        name, paths = str(like.name), like.shape[-1]
        stored = xr.DataArray(np.broadcast_to(np.zeros((), like.dtype), (*shape, paths)), name=name)
        read = read_paths(RunDirectory(Path(self.run)).arrays, stored, 0, paths)
        if read.chunks[-1] != like.data.chunks[-1]:
            raise StoreError(f"{self.run}: {name} is stored in chunks of {read.chunks[-1][0]} paths, which is not said")
        data = da.map_blocks(
            function,
            read,
            what=f"{self.run}: {name}",
            chunks=like.data.chunks,
            dtype=like.dtype,
            meta=np.empty((0,) * like.ndim, like.dtype),
            name=f"pick-{name}-{tokenize(read.name, function, options)}",
            **options,
        )
        return like.copy(data=data)

    def dependence_figures(self, like: xr.Dataset) -> xr.Dataset:
        """Covariances and correlations of the run, at the horizons of ``like``, whose variables they replace.

        They depend on the paths of the base scenario alone, each horizon on its own.
        """
        expected, stored = self.check()["arrays"], open_run(self.run)
        found = {}
        for name, array in like.data_vars.items():
            whole = stored[name].compute()
            if array_checksum(whole.values) != expected[name]:
                raise StoreError(f"{self.run}: results.zarr/{name}: checksum does not match")
            values = whole.sel(horizon=array["horizon"].values).values
            data = da.from_array(values, chunks=values.shape, name=f"taken-{name}-{tokenize(values)}")
            found[name] = variable(
                str(name), tuple(str(d) for d in array.dims), data, coords={str(d): array[d] for d in array.dims}
            )
        return xr.Dataset(found)


def _whole(block: npt.NDArray[Any], what: str) -> None:
    """A chunk that is missing reads as NaN, which no stored number is."""
    if np.isnan(block).any():
        raise StoreError(f"{what}: a chunk is missing; `riskops runs verify` says what else is")


def _pick(block: npt.NDArray[Any], what: str, places: Sequence[Sequence[int]]) -> npt.NDArray[Any]:
    """Some rows of every leading axis, in their order."""
    _whole(block, what)
    if all(tuple(rows) == tuple(range(size)) for rows, size in zip(places, block.shape, strict=False)):
        return block
    return block[np.ix_(*places)]


def _pick_growth(
    block: npt.NDArray[Any],
    what: str,
    rows: Sequence[int],
    times: Sequence[int],
    shifted: Sequence[bool],
    moves: npt.NDArray[Any],
) -> npt.NDArray[Any]:
    """Some scenarios and times, moved as the engine moves what it keeps."""
    _whole(block, what)
    if not any(shifted) and (tuple(rows), tuple(times)) == tuple(tuple(range(size)) for size in block.shape[:2]):
        return block
    out = np.empty((len(rows), len(times), *block.shape[2:]), block.dtype)
    for s, row in enumerate(rows):
        for t, time in enumerate(times):
            if shifted[s]:
                keep_rows(out[s, t], block[row, time], moves[s])
            else:
                out[s, t] = block[row, time]
    return out
