"""What each asset adds to a portfolio's tail risk."""

from __future__ import annotations

from typing import Any

import xarray as xr

from riskops.errors import InputError
from riskops.report.formatting import horizon_text, level_text
from riskops.report.plots.style import BLUE, SKY, bars, finish_bars, frame, names_axis, whiskers
from riskops.report.view import View

__all__ = ["contribution_bars"]


def contribution_bars(results: xr.Dataset, *, portfolio: str, horizon: float, level: float) -> Any:
    """Draw what each asset adds to expected shortfall (bars with 95 % interval) and to VaR (diamonds), largest on top.

    Parameters
    ----------
    results
        ``component_expected_shortfall`` and ``component_value_at_risk``.
    portfolio, horizon, level
        Which tail.

    Returns
    -------
    bokeh.plotting.figure
        At most 30 assets, the smallest beyond them combined in one bar.

    Raises
    ------
    InputError
        When the results hold no contributions for this portfolio.

    Examples
    --------
    >>> from riskops.report.example import example_results
    >>> contribution_bars(example_results(), portfolio="growth", horizon=1.0, level=0.95)
    figure(...)
    """
    view = View(results)
    money = view.money(portfolio)
    rows = view.contributions(portfolio, horizon=horizon, level=level)
    if not rows:
        raise InputError(f"component_expected_shortfall: the results hold none for portfolio {portfolio!r}")
    plot = frame(
        f"Contributions at {level_text(level)} over {horizon_text(horizon)}",
        f"Contribution to the loss ({money.unit})",
        "",
        height=110 + 24 * len(rows),
    )
    y = names_axis(plot, [row.asset for row in rows])
    shortfall = [row.expected_shortfall for row in rows]
    bars(plot, y, shortfall, money, colour=SKY, label="expected shortfall, 95 % interval", height=0.62)
    whiskers(plot, y, shortfall, money)
    plot.scatter(
        [(row.value_at_risk.value or 0.0) / money.divisor for row in rows],
        y,
        marker="diamond",
        size=13,
        fill_color=BLUE,
        line_color="white",
        legend_label="value at risk",
    )
    finish_bars(plot, money)
    return plot
