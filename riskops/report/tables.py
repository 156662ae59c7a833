"""Tables for the terminal: a run's summary, the differences of two runs, and a plan."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

import xarray as xr
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from riskops.report.formatting import DASH, Figure, Money, count_text, horizon_text, level_text, short_name
from riskops.report.view import SummaryRow, View

__all__ = ["as_text", "compare_table", "listing_table", "open_table", "plan_table", "summary_table", "terminal"]

#: Columns of output that is no terminal; the tables fit them.
WIDTH = 100
#: Portfolios that the terminal shows.
MOST = 20


def terminal(file: TextIO | None = None) -> Console:
    """Make the console that tables are printed to: as wide as the terminal, or 100 plain columns elsewhere.

    Parameters
    ----------
    file
        Where to print; standard output when None.

    Returns
    -------
    rich.console.Console
        Its ``print`` takes what the functions of this module return.

    Examples
    --------
    >>> terminal(io.StringIO()).width
    100
    """
    console = Console(file=file, highlight=False)
    return console if console.is_terminal else Console(file=file, highlight=False, width=WIDTH, no_color=True)


def as_text(renderable: RenderableType) -> str:
    """Write a table as plain text.

    Parameters
    ----------
    renderable
        What a function of this module returned.

    Returns
    -------
    str
        Lines of at most 100 columns, without colours.

    Examples
    --------
    >>> print(as_text(plan_table({"paths": 65536})).strip())
    paths  65,536
    """
    file = io.StringIO()
    terminal(file).print(renderable)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def summary_table(results: xr.Dataset) -> Group:
    """Lay out the risk of every portfolio, simulated beside historical, and its stress tests.

    Parameters
    ----------
    results
        Measures by their schema names; ``value_at_risk`` and ``expected_shortfall`` are needed.

    Returns
    -------
    rich.console.Group
        For each portfolio a head, VaR and ES with standard error at each horizon and level, the historical figures
        beside them, and the scenarios at the highest level and the longest horizon.

    Raises
    ------
    InputError
        When a needed measure is missing.

    Examples
    --------
    >>> from riskops.report.example import example_results
    >>> "10.00 ± 0.50" in as_text(summary_table(example_results()))
    True
    """
    view = View(results)
    parts: list[RenderableType] = [_facts(view), Text()]
    shown = view.largest(MOST)
    for portfolio in shown:
        money = view.money(portfolio)
        parts += [_head(view, portfolio), _risk_table(view.summary(portfolio), money)]
        if view.stressed:
            parts.append(_stress_table(view, portfolio, money))
    if len(shown) < len(view.portfolios):
        left = f"{len(view.portfolios) - len(shown):,} more portfolios are in the report and in figures.csv; these have"
        parts.append(Text(f"{left} the largest expected shortfall, at {level_text(view.levels[-1])}."))
    parts += [Text(note, style="dim") for note in _notes(view)]
    return Group(*parts)


def _notes(view: View) -> list[str]:
    notes = [
        "Losses are positive, gains negative; ± is one standard error, for simulated figures that of the paths.",
        "Where ± does not fit the width it is left out: the report and figures.csv have every error.",
    ]
    if view.stressed:
        notes.append(
            "At once: the loss by the price moves alone. Scenarios share the base's draws, so changes are sharp."
        )
    if any(row.too_few for name in view.largest(MOST) for row in view.summary(name)):
        notes.append("* Too few independent observations beyond the level for a standard error.")
    return notes


def _facts(view: View) -> Table:
    grid = Table.grid(padding=(0, 2))
    if view.attrs.get("title"):
        grid.add_row(Text("Run"), Text(str(view.attrs["title"]), style="bold"))
    for label, text in view.facts():
        grid.add_row(Text(label), Text(text))
    return grid


def _head(view: View, portfolio: str) -> Text:
    head = Text(portfolio or "Portfolio", style="bold")
    value = view.portfolio_value(portfolio)
    if value is not None:
        head.append(f"  worth {view.money(portfolio).with_unit(value)}", style="not bold")
    if view.text("as_of") != DASH:
        head.append(f" on {view.text('as_of')}", style="not bold")
    return head


def open_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, names: int) -> Table:
    """An open table whose first ``names`` columns hold names; too wide a number breaks at its ±, and none is cut.

    An empty row stands for a gap.
    """
    table = Table(title=Text(title), title_justify="left", title_style="", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < names else "right", overflow="fold", no_wrap=i < names)
    for row in rows:
        if row:
            table.add_row(*map(Text, row))
        else:
            table.add_section()
    return table


def _fits(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table of these cells needs no more than ``WIDTH`` columns: two beside each column, two at the ends."""
    cells = [columns, *(row for row in rows if row)]
    return sum(max(map(len, column)) for column in zip(*cells, strict=True)) + 2 * len(columns) + 2 <= WIDTH


def _risk_table(rows: Sequence[SummaryRow], money: Money) -> Table:
    """VaR and ES; the errors of the historical figures where they fit."""
    columns = ("Horizon", "Level", "VaR", "ES", "Historical VaR", "Historical ES")

    def cells(past: Callable[[Figure], str]) -> list[list[str]]:
        found: list[list[str]] = []
        for before, row in zip((None, *rows), rows, strict=False):
            again = before is not None and before.horizon == row.horizon
            if before is not None and not again:
                found.append([])
            found.append(
                [
                    "" if again else horizon_text(row.horizon),
                    level_text(row.level),
                    money.with_error(row.value_at_risk),
                    money.with_error(row.expected_shortfall),
                    past(row.historical_value_at_risk),
                    past(row.historical_expected_shortfall),
                ]
            )
        return found

    full = cells(lambda figure: money.with_error(figure) + _mark(figure))
    shown = full if _fits(columns, full) else cells(lambda figure: money.text(figure.value) + _mark(figure))
    return open_table(f"Value at risk and expected shortfall, {money.unit}", columns, shown, names=2)


def _mark(figure: Figure) -> str:
    """What refers to the note on historical figures without an error."""
    return " *" if figure.value is not None and figure.standard_error is None else ""


def _stress_table(view: View, portfolio: str, money: Money) -> Table:
    """VaR and ES under every scenario, and the change of ES; the errors of VaR and ES where they fit."""
    horizon, level = view.horizons[-1], view.levels[-1]
    columns = ("Scenario", "At once", "VaR", "ES", "Change of ES")
    stress = view.stress(portfolio, horizon=horizon, level=level)

    def cells(amount: Callable[[Figure], str]) -> list[list[str]]:
        return [
            [
                short_name(row.scenario),
                money.text(row.stress_loss.value),
                amount(row.value_at_risk),
                amount(row.expected_shortfall),
                money.with_error(row.expected_shortfall_change, sign=True),
            ]
            for row in stress
        ]

    full = cells(money.with_error)
    shown = full if _fits(columns, full) else cells(lambda figure: money.text(figure.value))
    title = f"Stress at {level_text(level)} over {horizon_text(horizon)}, {money.unit}"
    return open_table(title, columns, shown, names=1)


def compare_table(differences: Sequence[Mapping[str, Any]], *, most: int = 40) -> Table:
    """Lay out records that differ, one a row; a column is a key that some record fills.

    Parameters
    ----------
    differences
        Records with names and numbers, such as a figure's coordinates with the keys ``left`` and ``right``.
    most
        Rows to show; a last line counts the others.

    Returns
    -------
    rich.table.Table
        Numbers in full precision; what does not apply is a dash.

    Examples
    --------
    >>> print(as_text(compare_table([{"measure": "mean_loss", "level": None, "left": 1.5, "right": 1.25}])).strip())
    measure    left  right
     ───────────────────────
     mean_loss   1.5   1.25
    """
    filled = {key: None for record in differences for key, value in record.items() if value is not None}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for key in filled:
        number = any(isinstance(record.get(key), (int, float)) for record in differences)
        table.add_column(Text(key.replace("_", " ")), justify="right" if number else "left", overflow="fold")
    for record in differences[:most]:
        table.add_row(*(Text(_cell(record.get(key))) for key in filled))
    if len(differences) > most:
        table.caption = Text(f"and {len(differences) - most:,} more")
        table.caption_justify = "left"
    return table


def listing_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Lay out records of words and numbers, such as runs or scenarios; a column is a key that some record has.

    Parameters
    ----------
    rows
        Records; the first key is the record's name, which is never broken.

    Returns
    -------
    rich.table.Table
        Long texts are broken at words; what a record lacks is a dash.

    Examples
    --------
    >>> print(as_text(listing_table([{"run": "a", "paths": 65536}, {"run": "b", "status": "damaged"}])).strip())
    run   paths  status
     ─────────────────────
     a    65,536  –
     b         –  damaged
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, key in enumerate(keys):
        number = any(isinstance(row.get(key), (int, float)) for row in rows)
        heading = Text(str(key).replace("_", " "))
        table.add_column(heading, justify="right" if number else "left", no_wrap=i == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(key))) for key in keys))
    return table


def plan_table(plan: Mapping[str, Any]) -> Table:
    """Lay out named values in two columns, mappings within it indented under their name.

    Parameters
    ----------
    plan
        Names and values; a name with ``bytes`` or ``memory`` in it is written as a size, ``seconds`` as a time and
        ``share`` in per cent, and so are the values of a mapping with such a name.

    Returns
    -------
    rich.table.Table
        A grid without lines.

    Examples
    --------
    >>> print(as_text(plan_table({"chunks": 16, "peak": {"worker_bytes": 3 * 2**20}})))
    chunks  16
    peak
      worker bytes  3.0 MiB
    <BLANKLINE>
    """
    grid = Table.grid(padding=(0, 2))
    _add_rows(grid, plan, 0)
    return grid


def _add_rows(grid: Table, plan: Mapping[str, Any], depth: int, within: str = "") -> None:
    for key, value in plan.items():
        label = Text("  " * depth + str(key).replace("_", " "))
        if isinstance(value, Mapping):
            grid.add_row(label, Text())
            _add_rows(grid, value, depth + 1, f"{within}{key}")
        else:
            grid.add_row(label, Text(_quantity(f"{within}{key}", value)))


def _quantity(name: str, value: Any) -> str:
    if isinstance(value, int) and ("bytes" in name or "memory" in name):
        return size_text(value)
    if isinstance(value, float) and "seconds" in name:
        return f"{value:,.0f} s" if value >= 10 else f"{value:.2g} s" if value >= 0.1 else f"{1000 * value:.2g} ms"
    if isinstance(value, float) and "share" in name:
        return f"{value:.1%}"
    return _cell(value)


def _cell(value: Any) -> str:
    if value is None:
        return DASH
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    return count_text(value)


def size_text(size: float) -> str:
    """Write a number of bytes in the largest unit that it fills."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = 0
    while abs(size) >= 1024 and power < len(units) - 1:
        size /= 1024
        power += 1
    return f"{size:,.0f} {units[power]}" if power == 0 else f"{size:,.1f} {units[power]}"
