"""What befell a computation, in one line that names the chunk and the setting to change.

A worker that dies leaves no word of why. What evidence there is lies on the scheduler: which workers were removed while
they ran a task, and which of those their nannies had ended for passing the limit of memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dask.typing import Key
from dask.utils import format_bytes

from riskops.errors import RiskopsError
from riskops.progress import describe_task

if TYPE_CHECKING:
    from distributed import Client, Scheduler
    from distributed.scheduler import KilledWorker

__all__ = ["describe_failure", "locating", "note_task", "with_paths"]

_INSIDE = ("threads", "synchronous")

#: Tasks whose last index counts chunks from the first path; those of parts of a run count from the part's start.
_FROM_FIRST_PATH = re.compile(r"task (simulate|portfolio-loss(?:-reduce)?|attribute), chunk \((?:0, )*(\d+),?\)")


def with_paths(task: str, chunk_paths: int | None) -> str:
    """Return a task's description with its chunk as one number and the chunk's first path, where they are known.

    Examples
    --------
    >>> with_paths("task simulate, chunk (0, 0, 17)", 4096)
    'task simulate, chunk 17 (from path 69,632)'
    >>> with_paths("task tail-aggregate", 4096)
    'task tail-aggregate'
    """
    if chunk_paths is None:
        return task

    def named(found: re.Match[str]) -> str:
        index = int(found[2])
        return f"task {found[1]}, chunk {index} (from path {index * chunk_paths:,})"

    return _FROM_FIRST_PATH.sub(named, task)


def describe_failure(
    error: Exception,
    *,
    kind: str,
    suspects: Sequence[str],
    client: Client | None = None,
    chunk_paths: int | None = None,
) -> str | None:
    """Return the line for an error that comes from the cluster and not from a task; None for any other.

    Parameters
    ----------
    error
        What a computation raised.
    kind
        The kind of the cluster.
    suspects
        The tasks that ran or failed, in words; the last that is known of them.
    client
        Of the scheduler, which is asked how workers died.
    chunk_paths
        Paths of a chunk, if the computation is cut into chunks of paths.

    Returns
    -------
    str or None
        One line: what happened, in which task, and which setting to change.

    Examples
    --------
    >>> print(describe_failure(MemoryError(), kind="threads", suspects=["task tail"]))
    simulation.chunk_paths: memory ran out in task tail; lower simulation.chunk_paths or cluster.workers
    """
    inside = kind in _INSIDE
    advice = "lower simulation.chunk_paths or " + ("cluster.workers" if inside else "raise cluster.memory_limit")
    if isinstance(error, MemoryError):
        setting = "simulation.chunk_paths" if inside else "cluster.memory_limit"
        where = " or ".join(with_paths(task, chunk_paths) for task in suspects)
        return f"{setting}: memory ran out in {where or 'the computation'}; {advice}"
    if inside:
        return None
    from distributed.client import FutureCancelledError, FuturesCancelledError
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker, NoWorkerError

    if isinstance(error, KilledWorker):
        return _killed(error, kind, client, with_paths(describe_task(error.task), chunk_paths), advice)
    if isinstance(error, NoWorkerError):
        return f"cluster.{kind}: no worker was there for {error.timeout:g} s; start workers and resume the run"
    if isinstance(error, FutureCancelledError | FuturesCancelledError | CommClosedError):
        return f"cluster.{kind}: the scheduler was lost in mid-run; a run that was begun can be resumed"
    return None


def _killed(error: KilledWorker, kind: str, client: Client | None, task: str, advice: str) -> str:
    """The line for a task under which workers died: over their limit of memory, or of a cause that is not known."""
    died = error.allowed_failures + 1
    workers = "one worker died" if died == 1 else f"{died} workers died one after the other"
    over = _over_memory(client, error.task)
    if over:
        limit = format_bytes(error.last_worker.memory_limit)
        return (
            f"cluster.memory_limit: {workers} in {task}, {len(over)} of them ended for their memory, "
            f"{format_bytes(max(over))} of the {limit} that a worker may use; {advice}"
        )
    return (
        f"cluster.{kind}: {workers} in {task}, none seen above its limit of memory: either the task ends its process, "
        f"or the system did for want of memory; for the latter {advice}"
    )


def _over_memory(client: Client | None, task: Key) -> list[int]:
    """The memory, in bytes, of each worker that was ended for it while it ran a task, as far as the scheduler knows."""
    if client is None:
        return []
    try:
        found: list[int] = client.run_on_scheduler(_ended_for_memory, task)
    except (OSError, RuntimeError):
        return []
    return found


def _ended_for_memory(task: Key, dask_scheduler: Scheduler | None = None) -> list[int]:
    """Runs on the scheduler, which keeps its last events: a nanny reports there whom it ends, before it does."""
    if dask_scheduler is None:
        return []
    removed: list[dict[str, Any]] = [
        event for _, event in dask_scheduler.get_events("all") if event.get("action") == "remove-worker"
    ]
    under_it = {event["worker"] for event in removed if task in event["processing-tasks"]}
    ended = {event["worker"]: int(event["rss"]) for _, event in dask_scheduler.get_events("worker-restart-memory")}
    return [ended[worker] for worker in under_it if worker in ended]


def note_task(error: Exception, *, suspects: Sequence[str], chunk_paths: int | None = None) -> None:
    """Note on a task's own exception in which task, and chunk, it was raised; errors that riskops words stay as is."""
    if isinstance(error, RiskopsError) or not suspects:
        return
    error.add_note("raised in " + " or ".join(with_paths(task, chunk_paths) for task in suspects))


def locating(get: Callable[..., Any], failed: list[str]) -> Callable[..., Any]:
    """The same scheduler of this process, which also enters the task that raised, in words, into ``failed``.

    Only the frame in which Dask runs the task knows it, and Dask cuts that out of the traceback on the way.
    """

    def located(*args: Any, **kwargs: Any) -> Any:
        try:
            return get(*args, **kwargs)
        except Exception as error:
            trace = error.__traceback__
            while trace is not None:
                if trace.tb_frame.f_code.co_name == "execute_task" and "key" in trace.tb_frame.f_locals:
                    failed[:] = [describe_task(trace.tb_frame.f_locals["key"])]
                trace = trace.tb_next
            raise

    return located
