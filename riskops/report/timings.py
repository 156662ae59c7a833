"""Where the time of a run went: a table of its stages, and one that holds a run against its bare kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.text import Text

from riskops.report.formatting import DASH
from riskops.report.tables import open_table

__all__ = ["TimingRow", "profile_table", "timing_rows", "timings_table"]

COLUMNS = ("Stage", "Tasks", "Seconds", "Share", "Mean a task", "Paths a second", "Written")


@dataclass(frozen=True)
class TimingRow:
    """A stage of a run: tasks, seconds summed over the workers, the share of all seconds, and its rates."""

    stage: str
    tasks: int
    seconds: float
    share: float
    mean: float
    paths_per_second: float | None
    bytes_written: int | None

    def texts(self) -> tuple[str, ...]:
        """The row as a table shows it."""
        return (
            self.stage,
            f"{self.tasks:,}",
            f"{self.seconds:,.3f}",
            f"{100 * self.share:.1f} %",
            _seconds(self.mean),
            DASH if self.paths_per_second is None else f"{self.paths_per_second:,.0f}",
            DASH if self.bytes_written is None else f"{self.bytes_written / 2**20:,.1f} MiB",
        )


def timing_rows(timings: Mapping[str, Any]) -> list[TimingRow]:
    """The stages of a manifest's ``timings``, the longest first.

    Parameters
    ----------
    timings
        ``seconds`` of the whole, and ``stages`` by name with ``tasks``, ``seconds`` summed over the workers, and where
        they apply ``paths`` and ``bytes_written``.

    Returns
    -------
    list of TimingRow
        Shares are of the seconds of all stages; paths a second are those of one worker that does nothing else.

    Examples
    --------
    >>> rows = timing_rows({"seconds": 1.0, "stages": {"simulate": {"tasks": 4, "seconds": 2.0, "paths": 4096}}})
    >>> rows[0].share, rows[0].mean, rows[0].paths_per_second
    (1.0, 0.5, 2048.0)
    """
    stages: Mapping[str, Mapping[str, Any]] = timings["stages"]
    total = sum(record["seconds"] for record in stages.values())
    rows = []
    for name, record in stages.items():
        seconds, paths = record["seconds"], record.get("paths")
        rows.append(
            TimingRow(
                stage=name,
                tasks=record["tasks"],
                seconds=seconds,
                share=seconds / total if total else 0.0,
                mean=seconds / record["tasks"] if record["tasks"] else 0.0,
                paths_per_second=paths / seconds if paths and seconds else None,
                bytes_written=record.get("bytes_written"),
            )
        )
    return sorted(rows, key=lambda row: -row.seconds)


def timings_table(timings: Mapping[str, Any]) -> Group:
    """Lay out where the time of a run went, stage by stage.

    Parameters
    ----------
    timings
        As :func:`timing_rows`.

    Returns
    -------
    rich.console.Group
        A row a stage, the longest first, and what the seconds mean.

    Examples
    --------
    >>> from riskops.report import as_text
    >>> stages = {"simulate": {"tasks": 4, "seconds": 2.0, "paths": 4096}}
    >>> "2,048" in as_text(timings_table({"seconds": 1.2, "stages": stages}))
    True
    """
    rows = timing_rows(timings)
    tasks, busy = sum(row.tasks for row in rows), sum(row.seconds for row in rows)
    body = [row.texts() for row in rows] + [(), ("all", f"{tasks:,}", f"{busy:,.3f}", "", "", "", "")]
    note = f"{timings['seconds']:,.3f} s from beginning to end; seconds of stages are summed over the workers."
    return Group(open_table("", COLUMNS, body, names=1), Text(note, style="dim"))


def profile_table(profile: Mapping[str, Any]) -> Group:
    """Lay out a profile: every stage, and the kernels in it, bare and in the run.

    Parameters
    ----------
    profile
        The record of a profile: ``stages`` with ``kernels``, and the totals.

    Returns
    -------
    rich.console.Group
        A row a stage with its kernels below it, and where the workers' time went beside the kernels.

    Examples
    --------
    >>> from riskops.report import as_text
    >>> kernels = [{"kernel": "draws", "calls": 40, "bare_seconds": 0.6}]
    >>> stage = {"stage": "simulate", "tasks": 4, "bare_seconds": 1.0, "run_seconds": 1.1, "kernels": kernels}
    >>> names = ("bare_seconds", "busy_seconds", "moving_seconds", "idle_seconds", "capacity_seconds", "wall_seconds")
    >>> totals = dict(zip(names, (1.0, 1.1, 0.0, 0.1, 1.2, 0.6), strict=True))
    >>> how = {"paths": 4096, "chunks": 4, "chunk_paths": 1024, "tasks": 4, "cluster": "threads", "threads": 2}
    >>> "+10 %" in as_text(profile_table({"stages": [stage]} | totals | how))
    True
    """
    busy = profile["busy_seconds"]
    body: list[tuple[str, ...]] = []
    for stage in profile["stages"]:
        share = stage["run_seconds"] / busy if busy else 0.0
        body.append(
            (
                stage["stage"],
                f"{stage['tasks']:,}",
                f"{stage['bare_seconds']:,.3f}",
                f"{stage['run_seconds']:,.3f}",
                _ratio(stage["run_seconds"], stage["bare_seconds"]),
                f"{100 * share:.1f} %",
            )
        )
        for kernel in stage["kernels"]:
            body.append((f"  {kernel['kernel']}", f"{kernel['calls']:,}", f"{kernel['bare_seconds']:,.3f}", "", "", ""))
    bare = profile["bare_seconds"]
    body += [(), ("all", f"{profile['tasks']:,}", f"{bare:,.3f}", f"{busy:,.3f}", _ratio(busy, bare), "100.0 %")]
    columns = ("Stage and kernel", "Tasks, calls", "Bare seconds", "In the run", "Overhead", "Share")
    return Group(
        Text(
            f"{profile['paths']:,} paths in {profile['chunks']:,} chunks of {profile['chunk_paths']:,}; "
            f"cluster {profile['cluster']}, {profile['threads']} tasks at once"
        ),
        open_table("", columns, body, names=1),
        open_table("Where the time of the run went", ("", "Seconds", "Share"), _balance(profile), names=1),
        Text(
            "Bare: the same tasks one after the other in one thread, no scheduler. Kernels: seconds of their own.",
            "dim",
        ),
    )


def _balance(profile: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    capacity = profile["capacity_seconds"]
    rows = {
        "kernels, as fast as bare": profile["bare_seconds"],
        "tasks slower than bare": profile["busy_seconds"] - profile["bare_seconds"],
        "fetching inputs, unpacking tasks": profile["moving_seconds"],
        "scheduler, waiting, idle": profile["idle_seconds"],
        f"{profile['threads']} x {profile['wall_seconds']:,.3f} s": capacity,
    }
    return [
        (name, f"{value:,.3f}", f"{100 * value / capacity:.1f} %" if capacity else "") for name, value in rows.items()
    ]


def _ratio(run: float, bare: float) -> str:
    return f"{100 * (run / bare - 1):+.0f} %" if bare > 0.0005 else DASH


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if value >= 0.1 else f"{1e3 * value:.3g} ms"
