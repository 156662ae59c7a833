"""Where an array lives: the only module that knows CuPy, and imports it only when an array is not NumPy's.

On a device, arrays that leave a block of work are CuPy's where CuPy is installed. The kernels take numba's view of
them (:func:`device_view`), which costs a launch a fifth of what a CuPy array costs it. Without CuPy, which is how
numba-cuda's simulator runs (``NUMBA_ENABLE_CUDASIM=1``), all of them are numba's own.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.errors import MissingExtraError

__all__ = [
    "GPU_EXTRAS",
    "array_namespace",
    "copy_of",
    "device_count",
    "device_empty",
    "device_limits",
    "device_name",
    "device_of",
    "device_view",
    "free_device_memory",
    "is_on_device",
    "is_out_of_memory",
    "leaves_device",
    "release_device_memory",
    "synchronize",
    "to_device",
    "to_host",
]

#: What to install for a device, as every text about it says.
GPU_EXTRAS = "riskops[gpu-cuda12] or riskops[gpu-cuda13]"
#: The driver's number for a lack of device memory (CUDA_ERROR_OUT_OF_MEMORY).
_OUT_OF_MEMORY = 2
#: Single-precision multiply-adds a clock of one multiprocessor, by compute capability; 128 for those that are not here.
_LANES = {(7, 0): 64, (7, 5): 64, (8, 0): 64}


def _has_cupy() -> bool:
    return find_spec("cupy") is not None


def _cupy() -> ModuleType:
    if not _has_cupy():
        raise MissingExtraError(f"cupy: not installed; install {GPU_EXTRAS}")
    return import_module("cupy")


def _cuda() -> ModuleType:
    """numba-cuda; the module of the same name inside numba is not asked, it is no longer kept up."""
    if find_spec("numba_cuda") is None:
        raise MissingExtraError(f"numba-cuda: not installed; install {GPU_EXTRAS}")
    cuda = import_module("numba.cuda")
    # The last stretch of a block may be short: that a small grid leaves a device idle is no news to warn of.
    setattr(import_module("numba.cuda.core.config"), "CUDA_LOW_OCCUPANCY_WARNINGS", 0)  # noqa: B010
    return cuda


def is_on_device(array: object) -> bool:
    """Whether an array is CuPy's, numba's, or another's on a device; those of numba's simulator count as such."""
    return hasattr(array, "__cuda_array_interface__") or getattr(array, "__cuda_ndarray__", False) is True


def array_namespace(array: object) -> ModuleType:
    """The module whose functions take ``array``: ``cupy`` for an array on a device, ``numpy`` for anything else."""
    return _cupy() if is_on_device(array) else np


def device_of(array: object) -> str:
    """``"cpu"``, or ``"cuda:N"`` for an array on the N-th device."""
    return f"cuda:{_cupy().asarray(array).device.id}" if is_on_device(array) else "cpu"


def device_count() -> int:
    """The number of CUDA devices this process sees; 0 without numba-cuda or a driver, 1 in the simulator."""
    if find_spec("numba_cuda") is None:
        return 0
    cuda = _cuda()
    return len(cuda.gpus) if cuda.is_available() else 0


def device_name() -> str:
    """The name of the current device."""
    name = getattr(_cuda().get_current_device(), "name", "CUDA simulator")
    return name.decode() if isinstance(name, bytes) else str(name)


def free_device_memory() -> int | None:
    """Bytes that can still be had on the current device, those that CuPy keeps for reuse included; None without a
    device. The simulator has no end of them."""
    if not device_count():
        return None
    free = _cuda().current_context().get_memory_info().free
    if free == float("inf"):
        return 2**62
    return int(free) + (_cupy().get_default_memory_pool().free_bytes() if _has_cupy() else 0)


def device_limits() -> tuple[float, float]:
    """The current device's bytes a second from its memory and single-precision operations a second, by its own
    attributes: clock and width of the bus; multiprocessors, lanes and clock, a multiply-add counted as two."""
    device = _cuda().get_current_device()
    bandwidth = 2.0 * device.MEMORY_CLOCK_RATE * 1e3 * device.GLOBAL_MEMORY_BUS_WIDTH / 8.0
    lanes = _LANES.get(tuple(device.compute_capability), 128)
    return bandwidth, 2.0 * device.MULTIPROCESSOR_COUNT * lanes * device.CLOCK_RATE * 1e3


def device_empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """An array on the current device whose numbers are not set."""
    return _cupy().empty(shape, dtype) if _has_cupy() else _cuda().device_array(shape, np.dtype(dtype))


def to_device(array: npt.NDArray[Any]) -> Any:
    """A copy of a NumPy array on the current device."""
    array = np.ascontiguousarray(array)
    return _cupy().asarray(array) if _has_cupy() else _cuda().to_device(array)


def device_view(array: Any) -> Any:
    """numba's view of an array on a device, which keeps it alive; kernels take it as it is."""
    return array if hasattr(array, "copy_to_host") else _cuda().as_cuda_array(array)


def copy_of(array: Any) -> Any:
    """A copy of a contiguous array where it is."""
    if not is_on_device(array):
        return np.array(array)
    copied = device_view(device_empty(tuple(array.shape), array.dtype))
    copied.copy_to_device(device_view(array))
    return copied


def leaves_device(array: Any) -> Any:
    """What a task hands on: a CuPy array as it is, numba's as a NumPy copy, since Dask can't cut the latter."""
    return to_host(array) if hasattr(array, "copy_to_host") else array


def to_host(array: Any) -> npt.NDArray[Any]:
    """``array`` as a NumPy array; one on a device is copied, one on the host is not."""
    host: npt.NDArray[Any]
    if hasattr(array, "copy_to_host"):  # numba's own, which need no CuPy
        host = array.copy_to_host()
    else:
        host = _cupy().asnumpy(array) if is_on_device(array) else np.asarray(array)
    return host


def synchronize() -> None:
    """Wait until the current device has done what it was asked to."""
    _cuda().synchronize()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of CuPy or of numba says that the device has no memory left."""
    kind, code = type(error), getattr(error, "code", None)
    if kind.__name__ == "OutOfMemoryError":
        return kind.__module__.startswith("cupy")
    return kind.__name__ == "CudaAPIError" and code is not None and int(code) == _OUT_OF_MEMORY


def release_device_memory() -> None:
    """Give the driver back what CuPy keeps for reuse."""
    if _has_cupy():
        _cupy().get_default_memory_pool().free_all_blocks()
