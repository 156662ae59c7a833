"""What the terminal shows of a backtest: breach rates, what the tests reject, scores and ranks."""

from __future__ import annotations

import xarray as xr
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from riskops.report.backtest.findings import findings
from riskops.report.backtest_view import BacktestView, MethodRow, score_text
from riskops.report.formatting import DASH, level_text, percent_text, short_name
from riskops.report.tables import open_table

__all__ = ["backtest_table"]

_HEADS = {
    "coverage": "Cover",
    "independence": "Indep",
    "conditional coverage": "Cond",
    "distribution": "Dist",
    "expected shortfall": "ES",
    "other tests": "Other",
}
_LONGEST = 24
_RATES = "Breaches in per cent of the forecasts, mean of the series"


def backtest_table(results: xr.Dataset, *, level: float | None = None) -> Group:
    """Lay out how every method has done: breach rates, what the tests reject, scores and the confidence set.

    Parameters
    ----------
    results
        Results of a backtest by their schema names; ``breaches`` and ``forecasts`` are needed, a table leaves out what
        else is missing.
    level
        The level of the second table: by default 99 % where it is there, else the highest but one.

    Returns
    -------
    rich.console.Group
        What was run; the breach rates of each method at every level, over the rates expected; and at one level the
        share of tests and series in which each family of tests rejects, the mean score and in how many series' model
        confidence set the method is. The best score comes first.

    Raises
    ------
    InputError
        A needed variable is missing, or the results lack the level.

    Examples
    --------
    >>> from riskops.report import as_text
    >>> from riskops.report.example import example_backtest
    >>> print(as_text(backtest_table(example_backtest())).splitlines()[0])
    Run           Example of a backtest
    """
    view = BacktestView(results)
    at = view.level(level)
    rows = view.rows(at)
    parts: list[RenderableType] = [_facts(view), Text(), Text(_RATES), _rates(view, rows)]
    parts += [Text(f"Rejections at {level_text(at)} by what the tests look at, and scores"), _verdicts(view, rows)]
    parts += [Text(sentence) for sentence in findings(view, at)]
    parts += [Text(), *(Text(note, style="dim") for note in _notes(view))]
    return Group(*parts)


def _facts(view: BacktestView) -> Table:
    grid = Table.grid(padding=(0, 2))
    if view.attrs.get("title"):
        grid.add_row(Text("Run"), Text(str(view.attrs["title"]), style="bold"))
    for label, text in view.facts():
        grid.add_row(Text(label), Text(text))
    return grid


def _rates(view: BacktestView, rows: list[MethodRow]) -> Table:
    """Breaches in per cent of the forecasts, the mean over the series; more levels than fit leave out the lowest."""
    levels = view.levels[-8:]
    columns = ["Method", *(level_text(level) for level in levels)]
    rates = {level: {row.method: row.breach_rate for row in view.rows(level)} for level in levels}
    body = [["expected", *(f"{100 * (1 - level):.3g}" for level in levels)], []]
    for row in rows:
        found = [rates[level][row.method] for level in levels]
        name = short_name(row.method, longest=_LONGEST)
        body.append([name, *(DASH if rate is None else f"{100 * rate:.2f}" for rate in found)])
    return open_table("", columns, body, names=1)


def _verdicts(view: BacktestView, rows: list[MethodRow]) -> Table:
    ranked = view.ranking_score is not None
    sets = view.sets > 0
    columns = [
        "#",
        "Method",
        *(_HEADS[family] for family in view.families),
        "All",
        *(["Score"] if ranked else []),
        *(["Set"] if sets else []),
    ]
    body = []
    for row in rows:
        shares = [row.rejected.get(family) for family in view.families]
        cells = [DASH if row.rank is None else str(row.rank), short_name(row.method, longest=_LONGEST)]
        cells += [percent_text(share, digits=0) for share in (*shares, row.all_rejected)]
        if ranked:
            cells.append(score_text(row.score, view.ranking_score))
        if sets:
            cells.append(view.set_text(row, between="/"))
        body.append(cells)
    return open_table("", columns, body, names=2)


def _notes(view: BacktestView) -> list[str]:
    notes = []
    if view.tests:
        about = percent_text(view.size, digits=0)
        notes.append(
            "Rejections: the share of a family's tests and of the series that reject, by simulated p-values where "
            f"there are any; a method that is right is rejected in about {about}. Cond: number and timing of breaches."
        )
    if view.ranking_score is not None:
        name = "tick loss" if view.ranking_score == "tick" else "Fissler-Ziegel score"
        notes.append(f"Score: the {name}, mean over days and series, lower is better; # is the rank by it.")
    if view.sets:
        held = percent_text(1 - float(view.attrs.get("confidence_set", 0.25)), digits=0)
        whose = "in how many series'" if view.sets > 1 else "whether in the"
        notes.append(f"Set: {whose} model confidence set, which holds the best method with {held}.")
    return notes
