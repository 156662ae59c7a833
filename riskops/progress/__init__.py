"""How far a computation is: task counts from any Dask scheduler, shown as one line, logged, and kept as timings."""

from __future__ import annotations

from riskops.progress.events import FACTS, tell
from riskops.progress.tasks import StageRecord, describe_task, stage_of
from riskops.progress.watch import Progress
from riskops.progress.work import Snapshot, Work, add_records

__all__ = ["FACTS", "Progress", "Snapshot", "StageRecord", "Work", "add_records", "describe_task", "stage_of", "tell"]
