"""Whether a simulation runs on a CUDA device: what it would need there, and the choice with its reason (contract C7).

The projection adds up the arrays that a stretch and a chunk allocate, number by number; a test holds it to what they
do allocate.
"""

from __future__ import annotations

from dataclasses import dataclass

from riskops.backend import GPU_EXTRAS
from riskops.checks import check_one_of
from riskops.errors import InputError, PlanError
from riskops.rng import TILE
from riskops.simulation.plan import Workload, chunk_sizes
from riskops.simulation.spec import SimulationSpec

__all__ = ["DeviceChoice", "choose_device", "device_memory", "device_stretch_tiles", "stretch_bytes"]

#: Draws (paths x steps x assets) from which ``auto`` takes the device. A guess until it is measured on one: so many
#: take a core about a second, far longer than starting a device, compiling for it and copying losses back.
LEAST_DRAWS = 500_000_000
#: The share of a device's free memory that ``auto`` fills.
SHARE = 0.8
#: What the arrays of one stretch may take; a chunk is one stretch unless it is larger.
STRETCH_BYTES = 2**30
#: Compiled kernels, tables and the allocator's rounding: a guess until it is measured on a device.
RESERVED_BYTES = 256 * 2**20
#: Bytes of one dimension's scrambled directions in one replicate: 33 words.
_DIRECTIONS = 33 * 4


@dataclass(frozen=True)
class DeviceChoice:
    """Where paths are simulated, why, and the device memory that they take or would take."""

    device: str
    reason: str
    memory: int


def stretch_bytes(spec: SimulationSpec, *, models: int = 1) -> int:
    """Bytes a path of the arrays that a stretch is worked through in: states, draws, and the shocks made of them."""
    assets, item = len(spec.assets), spec.itemsize
    per_path = 1  # a counter of four bytes serves four paths
    for state in spec.model.states:
        rows = assets if state.per == "asset" else 1
        per_path += models * rows * (item if state.kind == "real" else 4)
    for shock in spec.model.shocks:
        rows = shock.count(assets)
        per_path += rows * (item if shock.kind in ("normal", "uniform") else 4)
        if shock.kind == "outcome":
            per_path += rows * 4
        elif shock.mixing is not None or shock.kind == "rows":
            per_path += assets * item
    return per_path + _sampling_bytes(spec)


def _sampling_bytes(spec: SimulationSpec) -> int:
    """Bytes a path of what the arrangement of the draws keeps beside them."""
    item, low = spec.itemsize, 4 if spec.dtype == "float64" else 0
    if spec.sampling.method == "importance":
        return 2 * item + 1
    if spec.sampling.method == "stratified":
        return 4 * item + 4 + low
    if spec.sampling.method == "sobol":
        normals = [shock.count(len(spec.assets)) for shock in spec.model.shocks if shock.kind == "normal"]
        return sum(normals) * (spec.sampling.steps + 1) * item + max(normals) * (item + 4 + low)
    return 0


def device_stretch_tiles(spec: SimulationSpec, *, models: int = 1) -> int:
    """How many tiles a stretch on a device has."""
    return max(1, STRETCH_BYTES // (stretch_bytes(spec, models=models) * TILE))


def device_memory(spec: SimulationSpec, *, work: Workload, threads: int = 1) -> int:
    """Device memory of a process whose threads each hold one chunk in the making and one that waits.

    A chunk is its growth and its losses; its stretch counts once a thread.
    """
    chunk = max(chunk_sizes(spec, work=work))
    growth = work.scenarios * work.times * (len(spec.assets) + spec.sampling.weighted) * spec.itemsize
    stretch = min(chunk, device_stretch_tiles(spec, models=work.models) * TILE)
    own = stretch * stretch_bytes(spec, models=work.models)
    change = chunk * spec.itemsize if work.portfolios else 0
    directions = spec.sampling.replicates * spec.sampling.dimensions * _DIRECTIONS
    return threads * (own + 2 * chunk * (growth + 8 * work.rows) + change) + directions + RESERVED_BYTES


def choose_device(
    wanted: str,
    *,
    spec: SimulationSpec,
    work: Workload,
    free_memory: int | None,
    threads: int = 1,
    device_fallback: bool = False,
) -> DeviceChoice:
    """Decide where a simulation runs.

    Parameters
    ----------
    wanted
        ``cpu``, ``cuda`` or ``auto``.
    spec, work
        What is simulated, with its chunks settled, and what is computed from it.
    free_memory
        Bytes that can be had on the device (:func:`riskops.backend.free_device_memory`); None where there is none.
    threads
        Threads that share the device.
    device_fallback
        Whether blocks that find no room may be computed on the CPU; ``cuda`` is then not refused for its memory.

    Returns
    -------
    DeviceChoice
        ``cpu`` or ``cuda``, with the reason in words, for the manifest.

    Raises
    ------
    InputError
        ``wanted`` is none of the three, or ``cuda`` where there is no device.
    PlanError
        ``cuda``, and the device has not the memory.

    Examples
    --------
    >>> import numpy as np
    >>> from riskops.models import GeometricBrownianMotion
    >>> model = GeometricBrownianMotion(("A",), np.zeros(1), np.array([0.2]), np.eye(1))
    >>> choose_device("auto", spec=SimulationSpec(model, paths=4096), work=Workload(), free_memory=None).reason
    'auto: there is no CUDA device'
    """
    check_one_of("simulation.device", wanted, ("cpu", "cuda", "auto"))
    needed = device_memory(spec, work=work, threads=threads)
    if wanted == "cpu":
        return DeviceChoice("cpu", "simulation.device is cpu", needed)
    if wanted == "cuda":
        if free_memory is None:
            raise InputError(
                f"simulation.device: cuda was asked for and no CUDA device was found; install {GPU_EXTRAS} on a "
                "machine with an NVIDIA device, or set simulation.device to auto or cpu"
            )
        if needed > free_memory and not device_fallback:
            raise PlanError(
                f"simulation.chunk_paths: the device would need {_gib(needed)} and has {_gib(free_memory)} free; lower "
                "simulation.chunk_paths, or set simulation.device to cpu"
            )
        return DeviceChoice("cuda", "simulation.device is cuda", needed)
    if free_memory is None:
        return DeviceChoice("cpu", "auto: there is no CUDA device", needed)
    draws = spec.paths * spec.steps * len(spec.assets)
    if draws < LEAST_DRAWS:
        reason = f"auto: {draws:,} draws are fewer than the {LEAST_DRAWS:,} from which a device is taken to be faster"
        return DeviceChoice("cpu", reason, needed)
    share = f"{_gib(needed)}, {SHARE:.0%} of the free device memory is {_gib(SHARE * free_memory)}"
    if needed > SHARE * free_memory:
        return DeviceChoice("cpu", f"auto: the work needs {share}", needed)
    return DeviceChoice("cuda", f"auto: {draws:,} draws, and the work needs {share}", needed)


def _gib(count: float) -> str:
    return f"{count / 2**30:.3g} GiB"
