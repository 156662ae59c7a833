"""One loop over a block of paths, for the CPU and for CUDA: the decorator of a model's kernel.

A kernel is a plain function over arrays whose last axis runs over paths, and over tables. On the CPU it is compiled as
it stands and loops over the paths of the block, which LLVM turns into vector instructions. On a device the very same
function is compiled once more and every thread calls it with the part of each array that is its path's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import update_wrapper
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from riskops.backend import device_view, is_on_device, to_device
from riskops.errors import InputError

__all__ = ["PathKernel", "path_kernel"]

THREADS = 256
#: Threads that a device runs in step: a block of fewer paths than ``THREADS`` has whole multiples of these.
WARP = 32


class PathKernel:
    """A compiled loop over paths; called with host arrays it runs here, with device arrays on their device."""

    def __init__(self, function: Callable[..., None], tables: Sequence[str]) -> None:
        names = list(inspect.signature(function).parameters)
        for table in tables:
            if table not in names:
                raise InputError(f"kernel {function.__name__}: has no argument {table!r}")
        if names[: len(names) - len(tables)] != [name for name in names if name not in tables]:
            raise InputError(f"kernel {function.__name__}: its tables, {', '.join(tables)}, must be its last arguments")
        update_wrapper(self, function)
        #: The function itself, as it runs in plain Python.
        self.py_func = function
        self._along = len(names) - len(tables)
        self._tables = len(tables)
        cached = Path(function.__code__.co_filename).is_file()  # what was typed into a session has no place for a cache
        self._host = njit(cache=cached, nogil=True, error_model="numpy")(function)
        self._device: Any = None

    def __call__(self, *arrays: Any) -> None:
        if is_on_device(arrays[0]):
            self._launch(arrays)
        else:
            self._host(*arrays)

    def _launch(self, arrays: Sequence[Any]) -> None:
        paths = arrays[0].shape[arrays[0].ndim - 1]
        if self._device is None:
            self._device = _device_kernel(self._host, self._along, self._tables)
        if paths:
            given = [device_view(to_device(array)) if isinstance(array, np.ndarray) else array for array in arrays]
            threads = min(THREADS, -(-paths // WARP) * WARP)
            self._device[-(-paths // threads), threads](*given)


def _device_kernel(function: Any, along: int, tables: int) -> Any:
    """The kernel whose thread calls ``function`` with its path's part of the first ``along`` arrays.

    Device code takes no variable arguments, so the kernel of each arity is written out here, from these names alone.
    """
    from numba import cuda

    columns = [f"a{k}" for k in range(along)]
    rest = [f"t{k}" for k in range(tables)]
    taken = ", ".join([*(f"{name}[..., path : path + 1]" for name in columns), *rest])
    source = (
        f"def kernel({', '.join([*columns, *rest])}):\n"
        "    path = cuda.grid(1)\n"
        "    if path < a0.shape[a0.ndim - 1]:\n"
        f"        function({taken})\n"
    )
    scope: dict[str, Any] = {"cuda": cuda, "function": function}
    exec(compile(source, f"<device kernel of {function.__name__}>", "exec"), scope)
    return cuda.jit(scope["kernel"])


def path_kernel(*, tables: Sequence[str] = ()) -> Callable[[Callable[..., None]], PathKernel]:
    """Make a model's loop over a block of paths run on the CPU and on CUDA.

    Parameters
    ----------
    tables
        The names of the function's last arguments, which do not run over paths.

    Returns
    -------
    PathKernel
        To be called with the arrays in the order of the function's arguments.

    Raises
    ------
    InputError
        When the tables are not the last arguments of the function.

    Notes
    -----
    The function takes arrays ``(asset or 1, path)``, or of more dims, the last of which is ``path``, first, at least
    one, then tables, which may also be single numbers. It calls scalar functions alone (:mod:`riskops.scalar`,
    :mod:`riskops.tables`), allocates nothing, and treats every path by itself. Tables that are NumPy's are copied to
    the device of the arrays at every call.

    Examples
    --------
    >>> import numpy as np
    >>> @path_kernel(tables=("drift",))
    ... def add(log_growth, drift):
    ...     for asset in range(log_growth.shape[0]):
    ...         for path in range(log_growth.shape[1]):
    ...             log_growth[asset, path] += drift[asset]
    >>> growth = np.zeros((2, 3))
    >>> add(growth, np.array([1.0, 2.0]))
    >>> growth[1].tolist()
    [2.0, 2.0, 2.0]
    """
    return lambda function: PathKernel(function, tables)
