"""Kernels compiled once, in this process, before several worker processes would compile them at the same time.

The files in which numba keeps what it compiled are shared by all processes of a machine and written without a lock: two
that compile the same function for different types at once may leave an entry that names the other's code.
"""

from __future__ import annotations

from dataclasses import replace

import dask
from dask.local import get_sync

from riskops.cluster import Cluster
from riskops.errors import RiskopsError
from riskops.run.job import RiskJob
from riskops.run.stages import market_risk

__all__ = ["warm_kernels"]

#: Two chunks, so that merging is compiled too.
_CHUNK = 1024
_PATHS = 2 * _CHUNK


def warm_kernels(job: RiskJob, *, cluster: Cluster) -> None:
    """Compute a job over a few paths in this process, so that its kernels are in numba's files before workers look.

    With the kernels there this takes a moment. Nothing is done where the workers are threads of this process. A job
    that can't be computed over so few paths (a level far in the tail) is left to the workers.

    Parameters
    ----------
    job
        What the workers are about to compute; its device is settled.
    cluster
        Where they are.
    """
    if cluster.client is None or job.device == "cuda" or job.source is not None or job.spec.paths <= _PATHS:
        return
    few = replace(job.spec, paths=_PATHS, chunk_paths=_CHUNK)
    try:
        lazy = market_risk(replace(job, spec=few, target=None, bounds=None, store_losses=False, store_paths=False))
        dask.compute(*(array.data for array in lazy.measures.data_vars.values()), lazy.summary, scheduler=get_sync)
    except RiskopsError:
        return
