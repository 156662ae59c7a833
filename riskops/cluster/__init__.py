"""Where a computation runs: the one place that makes a scheduler or talks to one, and that closes it again.

Library functions build graphs and use whatever scheduler is active; a pipeline opens a cluster around them and asks
once. Inside the block the cluster is also Dask's active scheduler, so a notebook's ``.compute()`` goes there too.
What can go wrong with a scheduler is turned into a ``ClusterError`` that names the setting to change.
"""

from __future__ import annotations

from riskops.cluster.certificates import write_certificates
from riskops.cluster.handle import Cluster
from riskops.cluster.jobqueue import job_script
from riskops.cluster.memory import total_memory
from riskops.cluster.open import open_cluster
from riskops.cluster.settings import KINDS

__all__ = ["KINDS", "Cluster", "job_script", "open_cluster", "total_memory", "write_certificates"]
