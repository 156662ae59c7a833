"""What a benchmark says: a row for each comparison, with the target that DESIGN.md sets for it, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

__all__ = ["Row", "Target", "bench_table"]


@dataclass(frozen=True)
class Target:
    """A bound from DESIGN.md, "Speed": the least and the most ratio, or the most seconds beyond the baseline."""

    least_ratio: float | None = None
    most_beyond: float | None = None
    most_ratio: float | None = None

    def __str__(self) -> str:
        if self.least_ratio is not None and self.most_ratio is not None:
            return f"{self.least_ratio:.3g} to {self.most_ratio:.3g}"
        if self.least_ratio is not None:
            return f"≥ {self.least_ratio:.3g}"
        return f"≤ {self.most_beyond:g} s more"

    def met(self, ours_s: float, baseline_s: float) -> bool:
        """Whether the two times keep the bound."""
        by_ratio = self.least_ratio is None or baseline_s >= self.least_ratio * ours_s
        by_ratio = by_ratio and (self.most_ratio is None or baseline_s <= self.most_ratio * ours_s)
        return by_ratio and (self.most_beyond is None or ours_s - baseline_s <= self.most_beyond)


@dataclass(frozen=True)
class Row:
    """One comparison: the same work done by riskops and by a baseline, in one process and on the same cores.

    ``agrees`` says that both gave the same values: equal ones where the draws are the same, else within four standard
    errors of one another. ``notes`` are lines that follow the table, ``details`` what a record holds beyond the
    columns. With the unit ``B`` both numbers are bytes, not seconds.
    """

    suite: str
    name: str
    work: str
    ours_s: float
    baseline: str
    baseline_s: float
    agrees: bool
    target: Target | None = None
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """How many times longer the baseline takes."""
        return self.baseline_s / self.ours_s

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.target.met(self.ours_s, self.baseline_s)

    def record(self) -> dict[str, Any]:
        """The row as a plain mapping, for JSON; ``details`` only where there are any."""
        record = {
            "suite": self.suite,
            "name": self.name,
            "work": self.work,
            "ours_s": self.ours_s,
            "baseline": self.baseline,
            "baseline_s": self.baseline_s,
            "ratio": self.ratio,
            "agrees": self.agrees,
        }
        if self.unit != "s":
            record |= {"unit": self.unit}
        return record | ({"details": dict(self.details)} if self.details else {})


def bench_table(rows: Sequence[Row]) -> Table:
    """Lay the rows out for a terminal, with the targets where DESIGN.md sets one.

    Parameters
    ----------
    rows
        What :func:`riskops.bench.run_suites` returned.

    Returns
    -------
    rich.table.Table
        A line a row; the ratio is the baseline's time over ours.

    Examples
    --------
    >>> bench_table([Row("draws", "words", "1 M", 0.1, "NumPy", 0.4, True)]).row_count
    1
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column, share in (("Work", 3), ("Baseline", 2)):
        table.add_column(column, overflow="fold", ratio=share)
    for column in ("Ours", "Theirs", "Ratio", "Agrees", "Target"):
        table.add_column(column, justify="right", no_wrap=True)
    suite = None
    for row in rows:
        if suite not in (None, row.suite):
            table.add_section()
        suite = row.suite
        table.add_row(
            Text.assemble((f"{row.suite}: {row.name}", "bold"), f", {row.work}"),
            Text(row.baseline),
            _amount(row.ours_s, row.unit),
            _amount(row.baseline_s, row.unit),
            f"{row.ratio:.2f}",
            Text("yes") if row.agrees else Text("NO", style="bold red"),
            _target(row),
        )
    notes = [f"{row.suite}: {row.name}: {note}" for row in rows for note in row.notes]
    table.caption = Text("\n".join(["Ratio is theirs over ours; best of several interleaved rounds.", *notes]))
    table.caption_justify = "left"
    return table


def _amount(number: float, unit: str) -> str:
    return f"{number / 2**20:,.0f} MiB" if unit == "B" else _seconds(number)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms" if seconds < 1.0 else f"{seconds:,.2f} s"


def _target(row: Row) -> Text:
    if row.target is None:
        return Text()
    return Text(f"{row.target} met", style="green") if row.met else Text(f"{row.target} MISSED", style="bold red")
