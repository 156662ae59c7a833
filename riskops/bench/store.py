"""Store: simulating paths and writing them in one graph, against the slower of doing either alone.

Written means on the disk: both ways end with a flush of every file, as a run does before it is called complete.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr

from riskops.bench.problem import ASSETS, market_model
from riskops.bench.rows import Row, Target
from riskops.bench.timing import Setting, core_count, on_threads, race
from riskops.errors import PlanError
from riskops.simulation import SimulationSpec, simulate
from riskops.simulation.store import create_store, digest_paths, reserve, stored_digests, write_paths

__all__ = ["disk_folder", "store"]

SUITE = "store"
PATHS, TIMES = 1_000_000, 12
NAME = "log_growth"
#: File systems that live in memory: writing there would measure nothing.
IN_MEMORY = ("ramfs", "tmpfs")
MOUNTS = Path("/proc/mounts")


def store(setting: Setting) -> list[Row]:
    """About a gigabyte at full size, written several times and removed again."""
    spec = SimulationSpec(market_model(), paths=setting.count(PATHS), steps=TIMES, seed=5)
    paths = simulate(spec, times=range(1, TIMES + 1))[NAME]
    place = Path(tempfile.mkdtemp(prefix=".riskops-bench-", dir=disk_folder(paths.nbytes)))
    try:
        return [_row(paths, place)]
    finally:
        shutil.rmtree(place)


def disk_folder(size: int) -> Path:
    """The temporary directory, or the working one, if it lies on a disk with room for ``size`` bytes twice."""
    for folder in (Path(tempfile.gettempdir()), Path.cwd()):
        room = shutil.disk_usage(folder).free > 2 * size
        if room and os.access(folder, os.W_OK) and _file_system(folder) not in IN_MEMORY:
            return folder
    raise PlanError(
        f"bench: neither {tempfile.gettempdir()} nor {Path.cwd()} is a disk with {2 * size} bytes free; set TMPDIR"
    )


def _file_system(folder: Path) -> str:
    """The kind of file system that holds a folder; empty where the system does not say."""
    if not MOUNTS.exists():
        return ""
    mounts = [line.split()[1:3] for line in MOUNTS.read_text("utf-8").splitlines()]
    home = folder.resolve()
    holding = [(len(point), kind) for point, kind in mounts if home.is_relative_to(point)]
    return max(holding)[1] if holding else ""


def _row(paths: xr.DataArray, place: Path) -> Row:
    cores, numbers, chunks = core_count(), count(), paths.data.numblocks[-1]

    def new_store() -> Path:
        home = place / f"{next(numbers)}.zarr"
        create_store(home)
        reserve(home, paths, chunk_paths=paths.data.chunks[-1][0])
        return home

    def clear() -> None:
        for home in place.iterdir():
            shutil.rmtree(home)

    def persist() -> npt.NDArray[np.uint8]:
        digests: npt.NDArray[np.uint8] = write_paths(paths, home := new_store()).compute()
        _flush(home)
        return digests

    # A consumer that keeps nothing: each chunk of paths is made and dropped.
    alone = paths.data.map_blocks(_drop, chunks=((1,),) * (paths.ndim - 1) + ((1,) * chunks,), dtype=np.float32)
    # Written again and again: what they hold is as hard to compress as the others, and memory stays small.
    blocks = [paths.data.blocks[..., k].compute() for k in range(min(2, chunks))]
    bounds = np.cumsum((0, *paths.data.chunks[-1])).tolist()

    def write() -> None:
        home = new_store()
        array = zarr.open_array(home, path=NAME, mode="r+", config={"write_empty_chunks": True})

        def write_chunk(k: int) -> None:
            first, stop = bounds[k : k + 2]
            array[..., first:stop] = blocks[k % len(blocks)][..., : stop - first]

        list(pool.map(write_chunk, range(chunks)))
        _flush(home)

    with on_threads(cores) as pool:
        agrees = _is_kept(paths, new_store())
        clear()
        together, simulating, writing = race(persist, alone.compute, write, rounds=4, seconds=40.0, between=clear)
    timed: dict[str, Any] = {"simulating": simulating.seconds, "zarr writing the same chunks": writing.seconds}
    quicker, slower = sorted(timed, key=lambda name: timed[name])
    return Row(
        SUITE,
        "simulate and persist",
        f"{paths.sizes['path']:,} paths x {TIMES} days x {ASSETS} assets, {paths.nbytes / 1e9:.2g} GB, {cores} threads",
        together.seconds,
        f"{slower} alone; {quicker} alone takes {timed[quicker]:.2f} s (all flushed)",
        timed[slower],
        agrees,
        Target(least_ratio=1 / 1.3),
    )


def _flush(folder: Path) -> None:
    for file in folder.rglob("*"):
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _drop(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return block[..., :1].copy()


def _is_kept(paths: xr.DataArray, home: Path) -> bool:
    """Whether the digests of the paths as written, as read back, and as simulated without a store are the same."""
    written = write_paths(paths, home).compute()
    read, made = stored_digests(home, NAME), digest_paths(paths.data).compute()
    return np.array_equal(written, read) and np.array_equal(written, made)
