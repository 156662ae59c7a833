"""One line that says how far a computation is: stage, tasks, paths and their rate, bytes written, time left.

On a terminal it is a bar that is redrawn; elsewhere (a log file) it is a plain line every ten seconds and one at the
end. Both go to standard error, so that the output of a command can be piped.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from riskops.progress.work import Snapshot

__all__ = ["Display", "format_bytes", "format_seconds"]

_BAR_SECONDS = 0.3
_LINE_SECONDS = 10.0


def format_seconds(seconds: float) -> str:
    """Return a duration as people say it.

    Examples
    --------
    >>> format_seconds(7.4), format_seconds(200), format_seconds(7500)
    ('7 s', '3 min 20 s', '2 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_bytes(count: float) -> str:
    """Return a number of bytes as people say it.

    Examples
    --------
    >>> format_bytes(812), format_bytes(336 * 2**20), format_bytes(20e9)
    ('812 B', '336 MiB', '18.6 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


class Display:
    """Shows snapshots on a console: a bar on a terminal, lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = _make_bar(console) if console.is_terminal else None
        self._row = self._bar.add_task("", total=1.0, stage="starting", tally="", times="") if self._bar else None
        self.seconds = _LINE_SECONDS if self._bar is None else _BAR_SECONDS

    def start(self) -> None:
        """Begin to show."""
        if self._bar is not None:
            self._bar.start()

    def stop(self) -> None:
        """Leave the last line where it is."""
        if self._bar is not None:
            self._bar.stop()

    def show(self, now: Snapshot, ending: str | None) -> None:
        """Show where the computation is; ``ending`` says how it ended."""
        stage = ending or now.counts.stage()
        left = None if ending else now.left
        times = format_seconds(now.elapsed) + (f", {format_seconds(left)} left" if left is not None else "")
        tally = ", ".join(_tally(now))
        if self._bar is None or self._row is None:
            self._console.print(", ".join(part for part in (stage, tally, times) if part), highlight=False)
        else:
            total = max(now.total, 1)
            self._bar.update(self._row, total=total, completed=now.done, stage=stage, tally=tally, times=times)
            self._bar.refresh()


def _tally(now: Snapshot) -> list[str]:
    parts = [f"{now.done} of {now.total} tasks"] if now.total else []
    if now.paths:
        parts += [f"{now.paths:,} paths", f"{now.paths_per_second:,.0f} paths/s"]
    if now.bytes_written:
        parts.append(f"{format_bytes(now.bytes_written)} written")
    if now.counts.lost:
        parts.append(f"workers lost: {len(now.counts.lost)}")
    return parts


def _make_bar(console: Console) -> Bar:
    columns = (
        TextColumn("{task.fields[stage]}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[tally]}"),
        TextColumn("{task.fields[times]}", style="progress.remaining"),
    )
    return Bar(*columns, console=console, auto_refresh=False)
