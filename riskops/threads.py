"""One thread under a task: the thread pools of the linear algebra libraries, pinned in workers and around calibration.

With several threads a fit's last bits depend on how many there are (contract C2), and pools under Dask's own workers
fight over the same processors.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import scipy

__all__ = ["ONE_THREAD", "pinned_threads"]

ONE_THREAD = dict.fromkeys(("MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""The environment that pins every library which a new process loads."""

_SYMBOLS = tuple(
    (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
    for prefix in ("scipy_", "")
    for suffix in ("64_", "")
)


_lock = threading.Lock()
_inside = 0  # how many blocks are pinned now; they may be nested, and run in several threads at once
_restore = ExitStack()
_told: tuple[str, ...] = ()


@contextmanager
def pinned_threads() -> Iterator[tuple[str, ...]]:
    """Run the block with one thread in every linear algebra pool that NumPy and SciPy brought along.

    The environment pins what is loaded inside the block, processes included. Libraries that are loaded already read it
    no more, so the OpenBLAS of the wheels is told directly; one that came from elsewhere is left as it is. Blocks may
    be nested, and run in several threads at once: the first to enter pins, the last to leave restores.

    Returns
    -------
    tuple of str
        The libraries that were told, for the manifest; use it as a context manager.

    Examples
    --------
    >>> with pinned_threads() as libraries:
    ...     all("openblas" in name for name in libraries)
    True
    """
    global _inside, _told
    with _lock:
        if not _inside:
            _told = _restore.enter_context(_pinned())
        _inside += 1
    try:
        yield _told
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _restore.close()


@contextmanager
def _pinned() -> Iterator[tuple[str, ...]]:
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    pools = _pools()
    threads = {name: get() for name, (get, _) in pools.items()}
    os.environ.update(ONE_THREAD)
    try:
        for _, set_threads in pools.values():
            set_threads(1)
        yield tuple(pools)
    finally:
        for name, (_, set_threads) in pools.items():
            set_threads(threads[name])
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _pools() -> dict[str, tuple[Callable[[], int], Callable[[int], None]]]:
    """The OpenBLAS libraries inside the wheels, each with the functions that read and set its number of threads."""
    pools = {}
    for package in (np, scipy):
        home = Path(str(package.__file__)).parent
        for folder in (home.with_name(f"{home.name}.libs"), home / ".dylibs"):
            for path in sorted(folder.glob("*openblas*")):
                # The loader returns the library that is in use already, not a second copy.
                library = ctypes.CDLL(str(path))
                for get_name, set_name in _SYMBOLS:
                    if hasattr(library, get_name) and hasattr(library, set_name):
                        pools[path.name] = (getattr(library, get_name), getattr(library, set_name))
    return pools
