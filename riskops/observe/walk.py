"""Carry a graph out with nothing around it: each task's function called in turn, in one thread, and timed.

That is what the work itself costs: no scheduler, no threads that share memory and caches, no transfers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dask._task_spec import convert_legacy_graph
from dask.order import order
from dask.typing import Key

from riskops.progress import StageRecord, stage_of

__all__ = ["Walk"]


class Walk:
    """A scheduler for ``dask.compute(..., scheduler=walk)`` that keeps tasks and seconds by stage.

    Parameters
    ----------
    enter
        Called with the stage of every task before it is carried out.

    Examples
    --------
    >>> import dask
    >>> walk = Walk()
    >>> dask.compute(dask.delayed(abs)(-3, dask_key_name="size-1"), scheduler=walk)
    (3,)
    >>> walk.stages["size"]["tasks"]
    1
    """

    def __init__(self, enter: Callable[[str], None] = lambda stage: None) -> None:
        self._enter = enter
        self.stages: dict[str, StageRecord] = {}

    def __call__(self, dsk: Any, keys: Iterable[Key], **_options: Any) -> list[Any]:
        """The results of these keys; a result that no task needs any more is let go."""
        graph = convert_legacy_graph(dsk if isinstance(dsk, Mapping) else dsk.__dask_graph__())
        wanted = list(keys)
        users = dict.fromkeys(graph, 0)
        for task in graph.values():
            for key in task.dependencies:
                users[key] += 1
        for key in wanted:
            users[key] += 1
        values: dict[Key, Any] = {}
        rank = order(graph)
        for key in sorted(graph, key=rank.__getitem__):
            task, stage = graph[key], stage_of(key)
            given = {need: values[need] for need in task.dependencies}
            self._enter(stage)
            began = time.perf_counter()
            values[key] = task(given)
            seconds = time.perf_counter() - began
            record = self.stages.setdefault(stage, StageRecord(tasks=0, seconds=0.0))
            record["tasks"] += 1
            record["seconds"] += seconds
            for need in task.dependencies:
                users[need] -= 1
                if not users[need]:
                    del values[need]
        return [values[key] for key in wanted]
