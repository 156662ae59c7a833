"""Where an array lives: the only module that knows CuPy, and imports it only when an array is not NumPy's."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.errors import MissingExtraError

__all__ = ["array_namespace", "device_of", "to_host"]


def _cupy() -> ModuleType:
    if find_spec("cupy") is None:
        raise MissingExtraError("cupy: not installed; install riskops[gpu-cuda12] or riskops[gpu-cuda13]")
    return import_module("cupy")


def _on_device(array: object) -> bool:
    return hasattr(array, "__cuda_array_interface__")


def array_namespace(array: object) -> ModuleType:
    """The module whose functions take ``array``: ``cupy`` for an array on a device, ``numpy`` for anything else."""
    return _cupy() if _on_device(array) else np


def device_of(array: object) -> str:
    """``"cpu"``, or ``"cuda:N"`` for an array on the N-th device."""
    return f"cuda:{_cupy().asarray(array).device.id}" if _on_device(array) else "cpu"


def to_host(array: Any) -> npt.NDArray[Any]:
    """``array`` as a NumPy array; one on a device is copied, one on the host is not."""
    host: npt.NDArray[Any] = _cupy().asnumpy(array) if _on_device(array) else np.asarray(array)
    return host
