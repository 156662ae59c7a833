"""What a reader should take from a backtest: sentences made from its figures."""

from __future__ import annotations

from collections.abc import Sequence

from riskops.report.backtest_view import FAMILIES, BacktestView, MethodRow
from riskops.report.formatting import level_text, percent_text

__all__ = ["findings"]

#: Names that a sentence lists; of more it counts the others.
_MOST = 4


def findings(view: BacktestView, level: float) -> list[str]:
    """What the figures of a level say of the methods: their breaches, what the tests reject, and the scores.

    Examples
    --------
    >>> from riskops.report.example import example_backtest
    >>> view = BacktestView(example_backtest())
    >>> findings(view, 0.95)[0]
    'At 95 %, 5.10 % (right) to 11.54 % (thin) of the forecasts are breached; 5 % is expected.'
    """
    rows = view.rows(level)
    said = [_breaches(rows, level), _coverage(view, rows), _rejected(view, rows), _scored(view, rows)]
    return [sentence for sentence in said if sentence]


def _breaches(rows: Sequence[MethodRow], level: float) -> str:
    rated = sorted((row.breach_rate, row.method) for row in rows if row.breach_rate is not None)
    if not rated:
        return "No method has a forecast to judge."
    (low, fewest), (high, most) = rated[0], rated[-1]
    expected = level_text(float(f"{1 - level:.12g}"))
    if len(rated) == 1:
        return f"At {level_text(level)}, {_share(low)} of the forecasts are breached; {expected} is expected."
    return (
        f"At {level_text(level)}, {_share(low)} ({fewest}) to {_share(high)} ({most}) of the forecasts are breached; "
        f"{expected} is expected."
    )


def _coverage(view: BacktestView, rows: Sequence[MethodRow]) -> str:
    test = next((test for test in view.tests if test in FAMILIES["coverage"]), None)
    if test is None:
        return ""
    series = len(view.series)
    right = [row.method for row in rows if row.right_number_on == series]
    wrong = [row.method for row in rows if (row.right_number_on or 0) * 2 < series]
    every = "its" if series == 1 else f"every one of the {series}"
    if right:
        words = f"The number of breaches is compatible with the level ({test}) on {every} series for {_names(right)}"
    else:
        words = f"No method has a number of breaches compatible with the level ({test}) on {every} series"
    return words + (f"; on most series it is not for {_names(wrong)}." if wrong else ".")


def _rejected(view: BacktestView, rows: Sequence[MethodRow]) -> str:
    judged = sorted((row.all_rejected, i) for i, row in enumerate(rows) if row.all_rejected is not None)
    if len(judged) < 2:
        return ""
    best, worst = rows[judged[0][1]], rows[judged[-1][1]]
    return (
        f"Of all tests and series {best.method} is rejected in the fewest, {_percent(best.all_rejected)}, and "
        f"{worst.method} in the most, {_percent(worst.all_rejected)}; a method that is right would be in about "
        f"{percent_text(view.size, digits=0)}."
    )


def _scored(view: BacktestView, rows: Sequence[MethodRow]) -> str:
    ranked = [row for row in rows if row.rank is not None]
    if len(ranked) < 2:
        return ""
    name = {"tick": "tick loss"}.get(str(view.ranking_score), "Fissler-Ziegel score")
    words = f"By the {name} {ranked[0].method} is first of {len(ranked)}"
    joint = next((row for row in ranked if row.method == view.ensemble()), None)
    if joint is not None and joint is not ranked[0]:
        words += f" and {joint.method} number {joint.rank}, rejected in {_percent(joint.all_rejected)} of its tests"
    if all(row.in_sets is not None for row in rows):
        kept = [row.method for row in rows if row.in_sets == view.sets]
        where = f"the confidence set{view.whose_sets()}"
        words += f"; {_names(kept)} {'is' if len(kept) == 1 else 'are'} in {where}" if kept else f"; none is in {where}"
    return words + "."


def _share(value: float) -> str:
    return percent_text(value, digits=2)


def _percent(value: float | None) -> str:
    return percent_text(value, digits=0)


def _names(names: Sequence[str]) -> str:
    """The first few names of a list, and how many more there are."""
    if len(names) > _MOST + 1:
        return f"{', '.join(names[:_MOST])} and {len(names) - _MOST} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
