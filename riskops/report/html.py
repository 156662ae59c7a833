"""The report: one HTML file that holds its styles, its plots and their library, and opens without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from riskops.report import plots
from riskops.report.formatting import DASH, Figure, Money, horizon_text, level_text, percent_text
from riskops.report.page import render
from riskops.report.sampling import SAMPLING_NOTES
from riskops.report.view import BASE, StressRow, View

__all__ = ["write_html"]

_MOST_CORRELATED = 40
#: Portfolios with plots and tables of their own, and rows of the overview that are seen at once.
_MOST_SHOWN, _PAGE = 20, 100


def write_html(
    results: xr.Dataset,
    *,
    path: str | Path,
    configuration: str,
    lineage: Mapping[str, Any],
    timings: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    results
        Measures by their schema names; ``value_at_risk`` and ``expected_shortfall`` are needed; what else is
        missing leaves its section out.
    path
        The file to write; one that exists is replaced.
    configuration
        The resolved configuration as text.
    lineage
        Hashes, seed, versions and the like by name; mappings may be nested.
    timings
        Where the time went, as :func:`riskops.report.timing_rows` takes it; its section is left out when None.
    title
        The page's title; that of the results when None.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    InputError
        When a needed measure is missing.

    Examples
    --------
    >>> import tempfile
    >>> from riskops.report.example import example_results
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_html(
    ...         example_results(), path=f"{folder}/report.html", configuration="seed: 1", lineage={"Seed": 1}
    ...     )
    ...     "growth loses no more than 10.00 USD" in page.read_text(encoding="utf-8")
    True
    """
    view = View(results)
    shown = view.largest(_MOST_SHOWN)
    overview = _overview(view, shown)

    def values(elements: Mapping[str, Any]) -> dict[str, Any]:
        portfolios = [_portfolio(view, i, name, elements) for i, name in enumerate(shown)]
        return {
            "facts": view.facts(),
            "portfolios": portfolios,
            "overview": [overview[k : k + _PAGE] for k in range(0, len(overview), _PAGE)],
            "page": _PAGE,
            "left_out": len(overview) - len(portfolios) if overview else 0,
            "any_contributions": "component_expected_shortfall" in results,
            "worst_known": bool(view.stressed),
            "correlation": elements.get("correlation", ""),
            "correlation_left_out": max(len(view.labels("asset")) - _MOST_CORRELATED, 0),
            "horizon": view.horizons[-1],
            "level": view.levels[-1],
            "as_of": view.text("as_of"),
            "window": f"{view.text('window_start')} to {view.text('window_end')}",
            "model": view.text("model"),
            "effective_note": _effective_note(view),
            "sampling": SAMPLING_NOTES.get(str(view.attrs.get("sampling")), ""),
        }

    text = render(
        "report.html.j2",
        title=str(view.attrs.get("title") or "Market risk") if title is None else title,
        styles=["report.css"],
        drawn=_plots(view, shown),
        configuration=configuration,
        lineage=lineage,
        timings=timings,
        filters={
            "horizon": horizon_text,
            "level": level_text,
            "percent": percent_text,
            "number": _number,
            "share": _share,
        },
        values=values,
    )
    target = Path(path)
    target.write_text(text, encoding="utf-8")
    return target


def _overview(view: View, shown: Sequence[str]) -> list[dict[str, Any]]:
    """A line a portfolio: those with a section of their own in its order, then the others; none for a single one."""
    if len(view.portfolios) == 1:
        return []
    horizon, level = view.horizons[-1], view.levels[-1]
    return [
        {
            "title": name,
            "section": number if number <= len(shown) else None,
            "money": view.money(name),
            "value": view.portfolio_value(name),
            "last": view.summary(name)[-1],
            "worst": _worst(view.stress(name, horizon=horizon, level=level)),
        }
        for number, name in enumerate([*shown, *view.largest(None)[len(shown) :]], start=1)
    ]


def _plots(view: View, portfolios: Sequence[str]) -> dict[str, Any]:
    """All plots by name: those of a portfolio begin with its number."""
    results, horizons = view.results, view.horizons
    drawn: dict[str, Any] = {}
    for i, portfolio in enumerate(portfolios):
        tail: Any = {"portfolio": portfolio, "horizon": horizons[-1], "level": view.levels[-1]}
        if "loss_histogram" in results:
            for horizon in sorted({horizons[0], horizons[-1]}):
                drawn[f"{i}-loss-{horizon!r}"] = plots.loss_distribution(results, portfolio=portfolio, horizon=horizon)
            if view.portfolio_value(portfolio) is not None:
                drawn[f"{i}-fan"] = _entitled(plots.fan_chart(results, portfolio=portfolio))
        if view.contributions(**tail):
            drawn[f"{i}-contributions"] = _entitled(plots.contribution_bars(results, **tail))
        if view.stressed:
            drawn[f"{i}-stress"] = _entitled(plots.stress_bars(results, **tail), "Value at risk and expected shortfall")
            drawn[f"{i}-changes"] = _entitled(plots.stress_changes(results, **tail), "Change against the base")
    if "correlation" in results and len(view.labels("asset")) > 1:
        drawn["correlation"] = _entitled(plots.correlation_map(results, horizon=horizons[-1], most=_MOST_CORRELATED))
    return drawn


def _entitled(plot: Any, title: str = "") -> Any:
    """Leave out of a plot's title what the heading above it says."""
    plot.title.text = title
    return plot


def _portfolio(view: View, i: int, portfolio: str, elements: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of one portfolio."""
    horizon, level = view.horizons[-1], view.levels[-1]
    tail: Any = {"horizon": horizon, "level": level}
    summary, stress = view.summary(portfolio), view.stress(portfolio, **tail)
    return {
        "title": portfolio or "Portfolio",
        "money": view.money(portfolio),
        "value": view.portfolio_value(portfolio),
        "headline": _headline(view, portfolio),
        "cards": _cards(view, portfolio),
        "summary": summary,
        "last": summary[-1],
        "too_few": any(row.too_few for row in summary),
        "shape": view.shape(portfolio),
        "losses": [part for name, part in elements.items() if name.startswith(f"{i}-loss-")],
        "fan": elements.get(f"{i}-fan", ""),
        "contributions": view.contributions(portfolio, **tail),
        "contribution_plot": elements.get(f"{i}-contributions", ""),
        "scale_note": _scale_note(view, portfolio),
        "total": view.figure("expected_shortfall", scenario=BASE, portfolio=portfolio, **tail).value,
        "stress": stress,
        "worst": _worst(stress),
        "replays": [row for row in stress if row.stress_drawdown.value is not None and row.scenario != BASE],
        "stress_plot": elements.get(f"{i}-stress", ""),
        "change_plot": elements.get(f"{i}-changes", ""),
    }


# -- words ------------------------------------------------------------------------------------------------------------


def _headline(view: View, portfolio: str) -> str:
    """The risk of a portfolio in words, at the highest level and the longest horizon."""
    row = view.summary(portfolio)[-1]
    money = view.money(portfolio)
    value = view.portfolio_value(portfolio)
    name = portfolio or "the portfolio"
    risk, shortfall = row.value_at_risk.value, row.expected_shortfall.value
    if risk is None or shortfall is None:
        return f"{name}: the tail risk could not be computed."
    worth = f" ({_share(risk, value)} of its value)" if value is not None and value > 0.0 and risk >= 0.0 else ""
    said = f"loses no more than {money.with_unit(risk)}" if risk >= 0.0 else f"gains at least {money.with_unit(-risk)}"
    mean = f"loses {money.with_unit(shortfall)}" if shortfall >= 0.0 else f"gains {money.with_unit(-shortfall)}"
    beyond = level_text(float(f"{1 - row.level:.12g}"))
    words = (
        f"With {level_text(row.level)} confidence, {name} {said}{worth} over {horizon_text(row.horizon)}; in the worst "
        f"{beyond} of cases it {mean} on average."
    )
    past = (row.historical_value_at_risk.value, row.historical_expected_shortfall.value)
    if None not in past:
        few = ", from too few observations for an interval" if row.too_few else ""
        words += f" The calibration window itself gives {money.text(past[0])} and {money.with_unit(past[1])}{few}."
    stress = view.stress(portfolio, horizon=row.horizon, level=row.level)
    worst, number = _worst(stress), sum(scenario.expected_shortfall_change.value is not None for scenario in stress)
    if worst is not None:
        reached = money.with_unit(worst.expected_shortfall.value)
        words += f" Of {number} stress scenarios, {worst.scenario} is the worst: expected shortfall becomes {reached}."
    elif number:
        words += f" None of {number} stress scenarios raises it."
    return words


def _worst(stress: Sequence[StressRow]) -> StressRow | None:
    """The scenario that raises expected shortfall most; None when none does."""
    raised = [(row.expected_shortfall_change.value or 0.0, i) for i, row in enumerate(stress)]
    most, i = max(raised, default=(0.0, 0), key=lambda pair: pair[0])
    return stress[i] if most > 0.0 else None


def _cards(view: View, portfolio: str) -> list[dict[str, str]]:
    money, value = view.money(portfolio), view.portfolio_value(portfolio)
    row = view.summary(portfolio)[-1]
    at = f"{level_text(row.level)}, {horizon_text(row.horizon)}"
    cards = []
    if value is not None:
        cards.append({"name": f"Value on {view.text('as_of')}", "value": money.with_unit(value), "more": ""})
    for name, figure, past in (
        ("Value at risk", row.value_at_risk, row.historical_value_at_risk),
        ("Expected shortfall", row.expected_shortfall, row.historical_expected_shortfall),
    ):
        more = [
            "" if figure.standard_error is None else f"± {money.text(figure.standard_error)}",
            "" if figure.value is None or not value else f"{_share(figure.value, value)} of value",
            "" if past.value is None else f"historical {money.text(past.value)}",
        ]
        more_text = "; ".join(part for part in more if part)
        cards.append({"name": f"{name}, {at}", "value": money.with_unit(figure.value), "more": more_text})
    return cards


def _scale_note(view: View, portfolio: str) -> str:
    at = {"portfolio": portfolio, "horizon": view.horizons[-1], "level": view.levels[-1]}
    scale = view.figure("component_value_at_risk_scale", **at).value
    return "" if scale is None else f"; those to value at risk were scaled by {scale:.4f} to do so"


def _effective_note(view: View) -> str:
    given = view.effective_observations()
    if not given:
        return ""
    return " (" + ", ".join(f"{horizon_text(days)}: about {number:,.0f}" for days, number in given.items()) + ")"


# -- filters ----------------------------------------------------------------------------------------------------------


def _share(amount: float | None, value: float | None) -> str:
    return percent_text(amount / value) if amount is not None and value is not None and value > 0.0 else DASH


def _number(figure: Figure) -> str:
    return Money("", 1.0, 3).with_error(figure)
