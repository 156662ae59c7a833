"""How far a computation is: task counts from any Dask scheduler, shown as one line and kept as timings."""

from __future__ import annotations

from riskops.progress.display import Progress
from riskops.progress.tasks import StageRecord, describe_task, stage_of

__all__ = ["Progress", "StageRecord", "describe_task", "stage_of"]
