"""What befell a computation, in one line that names the setting to change."""

from __future__ import annotations

from collections.abc import Sequence

from riskops.progress import describe_task

__all__ = ["describe_failure"]

_INSIDE = ("threads", "synchronous")


def describe_failure(error: Exception, *, kind: str, suspects: Sequence[str]) -> str | None:
    """Return the line for an error that comes from the cluster and not from a task; None for any other.

    Parameters
    ----------
    error
        What a computation raised.
    kind
        The kind of the cluster.
    suspects
        The tasks that ran or failed, in words; the last that is known of them.

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
        return f"{setting}: memory ran out in {' or '.join(suspects) or 'the computation'}; {advice}"
    if inside:
        return None
    from distributed.client import FutureCancelledError, FuturesCancelledError
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        return (
            f"cluster.memory_limit: {error.allowed_failures + 1} workers died one after the other in "
            f"{describe_task(error.task)}, most likely out of memory; {advice}"
        )
    if isinstance(error, FutureCancelledError | FuturesCancelledError | CommClosedError):
        return f"cluster.{kind}: the scheduler was lost in mid-run; a run that was begun can be resumed"
    return None
