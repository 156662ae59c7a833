"""From tasks to what people ask for: paths, bytes written, their rates and the time left.

A scheduler counts tasks. What a task stands for, the job knows: so many paths a chunk, so many bytes a path that a
stage writes. :class:`Work` holds that, and a :class:`Snapshot` joins it with the counts of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from riskops.progress.tasks import Counts, StageRecord

__all__ = ["Snapshot", "Work", "add_records"]

#: Stages that bring paths in, and stages that each path passes through, by the first words of their names.
SOURCES = ("simulate", "read")
ALONG_PATHS = (
    *(*SOURCES, "portfolio-loss", "reduce", "write", "checkpoint"),
    *("reread", "digest", "excess-sums", "rank-summary", "order-statistics", "attribute"),
)
#: Last words of the names of stages that only merge what the chunks gave.
MERGING = ("partial", "aggregate", "combine")


@dataclass(frozen=True)
class Work:
    """What the tasks of a job stand for; counts are right to within the last, shorter chunk, and exact at the end."""

    paths: int = 0
    """Paths of the whole job."""
    chunk_paths: int = 0
    """Paths a chunk."""
    bytes_per_path: Mapping[str, int] = field(default_factory=dict)
    """By stage that writes, the bytes of a path in the store."""
    run: str | None = None
    """The run's name, for those who watch several."""

    def paths_of(self, stage: str, tasks: int) -> int | None:
        """The paths that so many tasks of a stage stand for; None for a stage that does not go along the paths.

        Examples
        --------
        >>> work = Work(paths=20_000, chunk_paths=8192, bytes_per_path={"write-loss": 24})
        >>> work.paths_of("simulate", 2), work.paths_of("simulate", 3), work.paths_of("tail-risk", 1)
        (16384, 20000, None)
        >>> work.bytes_of("write-loss", 2)
        393216
        """
        along = any(stage == name or stage.startswith(f"{name}-") for name in ALONG_PATHS)
        if not along or stage.endswith(MERGING) or not self.chunk_paths:
            return None
        return min(tasks * self.chunk_paths, self.paths)

    def bytes_of(self, stage: str, tasks: int) -> int:
        """The bytes that so many tasks of a stage have written."""
        return self.bytes_per_path.get(stage, 0) * (self.paths_of(stage, tasks) or 0)

    def made(self, tasks: Mapping[str, int]) -> int:
        """The paths that were simulated, or read back, by so many tasks a stage."""
        drawn = self.paths_of("simulate", tasks.get("simulate", 0)) or 0
        read = [self.paths_of(name, done) or 0 for name, done in tasks.items() if name.startswith("read-")]
        return min(drawn + max(read, default=0), self.paths)


@dataclass(frozen=True)
class Snapshot:
    """A computation at one moment."""

    counts: Counts
    work: Work
    elapsed: float
    """Seconds since it began."""

    @property
    def done(self) -> int:
        """Tasks that are done."""
        return sum(self.counts.done.values())

    @property
    def total(self) -> int:
        """Tasks in all."""
        return sum(self.counts.total.values())

    @property
    def paths(self) -> int:
        """Paths that were simulated or read back."""
        return self.work.made(self.counts.done)

    @property
    def paths_per_second(self) -> float:
        """Paths a second since the beginning."""
        return self.paths / self.elapsed if self.elapsed > 0.0 else 0.0

    @property
    def bytes_written(self) -> int:
        """Bytes of paths and losses that are in the store, without what Zarr adds."""
        return sum(self.work.bytes_of(name, done) for name, done in self.counts.done.items())

    @property
    def left(self) -> float | None:
        """Seconds left; None while nothing is known."""
        return self.counts.remaining(self.elapsed)

    def records(self) -> dict[str, StageRecord]:
        """What the manifest keeps of each stage."""
        out: dict[str, StageRecord] = {}
        for name, done in self.counts.done.items():
            record = StageRecord(tasks=done, seconds=self.counts.seconds.get(name, 0.0))
            paths, written = self.work.paths_of(name, done), self.work.bytes_of(name, done)
            if paths is not None:
                record["paths"] = paths
            if written:
                record["bytes_written"] = written
            out[name] = record
        return out


def add_records(one: Mapping[str, StageRecord], two: Mapping[str, StageRecord]) -> dict[str, StageRecord]:
    """The sum of two computations, stage by stage.

    Examples
    --------
    >>> add_records({"simulate": {"tasks": 1, "seconds": 0.5}}, {"simulate": {"tasks": 2, "seconds": 1.0, "paths": 9}})
    {'simulate': {'tasks': 3, 'seconds': 1.5, 'paths': 9}}
    """
    out: dict[str, StageRecord] = {name: record.copy() for name, record in one.items()}
    for name, more in two.items():
        into = out.setdefault(name, StageRecord(tasks=0, seconds=0.0))
        into["tasks"] += more["tasks"]
        into["seconds"] += more["seconds"]
        if "paths" in more:
            into["paths"] = into.get("paths", 0) + more["paths"]
        if "bytes_written" in more:
            into["bytes_written"] = into.get("bytes_written", 0) + more["bytes_written"]
    return out
