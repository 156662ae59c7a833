"""The packages that stand behind some kinds of cluster: loaded when they are asked for, named when they are missing."""

from __future__ import annotations

import importlib
import signal
from typing import Any

from riskops.errors import MissingExtraError

__all__ = ["needed"]

#: By kind of cluster: the module, the package that brings it, and the extras of riskops that install it.
_PACKAGES = {
    "cuda": ("dask_cuda", "dask-cuda", "riskops[gpu-cuda12]' or 'riskops[gpu-cuda13]"),
    "ssh": ("asyncssh", "asyncssh", "riskops[ssh]"),
    "slurm": ("dask_jobqueue", "dask-jobqueue", "riskops[jobqueue]"),
    "pbs": ("dask_jobqueue", "dask-jobqueue", "riskops[jobqueue]"),
    "lsf": ("dask_jobqueue", "dask-jobqueue", "riskops[jobqueue]"),
    "kubernetes": ("dask_kubernetes.operator", "dask-kubernetes", "riskops[kubernetes]"),
}


def needed(kind: str) -> Any:
    """Return the module that a kind of cluster stands on.

    Raises
    ------
    MissingExtraError
        It is not installed; the line names the extra that installs it.
    """
    module, package, extra = _PACKAGES[kind]
    handler = signal.getsignal(signal.SIGINT)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtraError(f"cluster.kind: {kind} needs {package}: pip install '{extra}'") from None
    finally:
        # Importing dask-jobqueue makes Ctrl-C leave the interpreter without a word; here it ends the computation.
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)
