"""A scheduler that is ready to compute, and what a plan has to know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask

from riskops.cluster.attendance import Attendance
from riskops.cluster.connection import package_versions
from riskops.cluster.failures import describe_failure, locating, note_task
from riskops.errors import ClusterError, InputError
from riskops.progress import Progress

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster"]


@dataclass(frozen=True)
class Cluster:
    """A scheduler that is ready to compute, and what a plan has to know of it."""

    kind: str
    """One of :data:`riskops.cluster.KINDS`."""
    workers: int
    """Workers; a thread of the threaded scheduler counts as one, and of an adaptive cluster the most it may have."""
    threads: int
    """Tasks that run at once, over all workers."""
    memory_per_worker: int
    """Bytes that one worker may use."""
    dashboard_link: str | None = None
    """Where the Dask dashboard is, if there is one."""
    client: Client | None = field(default=None, repr=False)
    """The client of a distributed scheduler; None for the schedulers inside this process."""
    _options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def compute(
        self, *collections: Any, progress: Progress | None = None, chunk_paths: int | None = None
    ) -> tuple[Any, ...]:
        """Compute everything in one pass and return the results in order.

        Parameters
        ----------
        collections
            Lazy datasets, arrays and delayed values; what is not lazy is returned as it is.
        progress
            Shows how far the computation is and keeps the time of each stage; nothing is shown without it.
        chunk_paths
            Paths of a chunk, where the work is cut into chunks of paths; errors then name the first path of theirs.

        Returns
        -------
        tuple
            One in-memory result for each argument.

        Raises
        ------
        ClusterError
            If memory ran out, workers died under a task, no worker was left for long, or the scheduler was lost. A
            task's own exception is raised as it is, with a note that names the task.
        """
        watch = Progress(quiet=True) if progress is None else progress
        attendance = Attendance(self.client)
        options, failed = dict(self._options), list[str]()
        if self.client is None and options:
            options["scheduler"] = locating(options["scheduler"], failed)
        try:
            with watch.watching(self.client), attendance:
                results: tuple[Any, ...] = dask.compute(*collections, **options)
                return results
        except Exception as error:
            suspects = failed or watch.suspects
            line = describe_failure(
                error, kind=self.kind, suspects=suspects, client=self.client, chunk_paths=chunk_paths
            )
            if line is None:
                note_task(error, suspects=suspects, chunk_paths=chunk_paths)
                raise
            if attendance.given_up:
                line = attendance.line(self.kind)
            raise ClusterError(line) from error

    def versions(self) -> dict[str, str]:
        """Return the versions of Python and of the packages that figures depend on; every node has the same ones."""
        return {name: version or "not installed" for name, version in package_versions().items()}

    @contextmanager
    def performance_report(self, path: str | Path) -> Iterator[None]:
        """Record what the block computes into a self-contained HTML page at ``path``: each task, when and where."""
        if self.client is not None:
            from distributed import performance_report

            with self.client.as_current(), performance_report(filename=str(path), mode="inline"):
                yield
            return
        from dask.diagnostics import Profiler, ResourceProfiler, visualize

        with Profiler() as tasks, ResourceProfiler(dt=0.25) as resources:
            yield
        if not tasks.results:
            raise InputError(f"performance_report: nothing was computed, so there is nothing to write to {path}")
        visualize([tasks, resources], filename=str(path), show=False, save=True, mode="inline")
