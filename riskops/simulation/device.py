"""Blocks of paths on a CUDA device: the same stretch as on the CPU, in arrays that never leave the device.

The states, the draws and the mixed shocks of a stretch live in device memory; only counters go there and only what is
kept comes back, in the task that writes or reduces it. Every path has the bits that it has on the CPU (contract C2).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops import backend
from riskops.errors import PlanError
from riskops.simulation.device_plan import device_stretch_tiles
from riskops.simulation.fallbacks import note_fallback
from riskops.simulation.place import Place
from riskops.simulation.stretch import StretchJob, block_shape, simulate_block

__all__ = ["device_block", "device_place"]


@lru_cache(maxsize=1)
def device_place() -> Place:
    """The current CUDA device, with numba's views of its arrays."""
    from riskops.rng import cuda
    from riskops.simulation import device_kernels

    return Place(
        empty=lambda shape, dtype: backend.device_view(backend.device_empty(shape, dtype)),
        put=lambda array: backend.device_view(backend.to_device(array)),
        fill_words=cuda.fill_words,
        fill_normals=cuda.fill_normals,
        fill_uniforms=cuda.fill_uniforms,
        fill_low_words=cuda.fill_low_words,
        fill_sobol_words=cuda.fill_sobol_words,
        normals_of_words=cuda.normals_of_words,
        mirror_tiles=device_kernels.mirror_tiles,
        match_tiles=device_kernels.match_tiles,
        stratify_words=device_kernels.stratify_words,
    )


def device_block(job: Any, counters: npt.NDArray[np.uint32], n: int) -> Any:
    """What :meth:`riskops.simulation.PathJob.block` returns, computed on the current device.

    Returns
    -------
    array
        CuPy's where CuPy is installed; a NumPy copy otherwise, as in the simulator.

    Raises
    ------
    PlanError
        The device has no memory left and ``job.device_fallback`` is false; when it is true, the block is computed on
        the CPU, with the same bits, and noted (:mod:`riskops.simulation.fallbacks`).
    """
    try:
        return _block(job, counters, n)
    except Exception as error:
        if not backend.is_out_of_memory(error):
            raise
        reason = f"a block of {n} paths found no room in the memory of {backend.device_name()}"
        if not job.device_fallback:
            raise PlanError(
                f"simulation.chunk_paths: {reason}; lower simulation.chunk_paths, or set simulation.device_fallback "
                "to compute such blocks on the CPU"
            ) from error
    backend.release_device_memory()
    note_fallback(first_counter=int(counters[0]), paths=n, reason="the device had no memory left")
    return replace(job, device="cpu").block(counters, n)


def _block(job: StretchJob, counters: npt.NDArray[np.uint32], n: int) -> Any:
    out = backend.device_empty(block_shape(job, n), np.dtype(job.spec.dtype))
    tiles = device_stretch_tiles(job.spec, models=len(job.models))
    simulate_block(job, counters, backend.device_view(out), tiles=tiles, place=device_place())
    return backend.leaves_device(out)
