"""``riskops var``: the value at risk of one series, by every method, at once."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from riskops.cli.frame import guarded, show
from riskops.cli.options import AsJson

__all__ = ["var"]


@guarded
def var(
    prices: Annotated[
        str,
        typer.Argument(
            metavar="PRICES", help="A bundled data set (sp500, sp500_index) or a file: .csv, .csv.gz, .parquet, .zarr."
        ),
    ],
    method: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="NAME,...",
            help="all, or some: `riskops describe forecasters` lists them; monte_carlo_MODEL is a simulation model.",
        ),
    ] = "all",
    level: Annotated[
        list[float] | None,
        typer.Option("--level", metavar="LEVEL", help="Confidence level; may be given several times."),
    ] = None,
    horizon: Annotated[int, typer.Option("--horizon", metavar="DAYS", help="Days ahead.")] = 1,
    asset: Annotated[
        str | None, typer.Option("--asset", metavar="NAME", help="One column; default: all, in equal parts.")
    ] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="DATE", help="The last day that is known.")] = None,
    window: Annotated[int, typer.Option("--window", metavar="DAYS", help="Returns that methods are fitted to.")] = 1000,
    judged: Annotated[int, typer.Option("--judged", metavar="DAYS", help="Days to judge the methods by.")] = 250,
    as_json: AsJson = False,
) -> None:
    """Forecast the VaR and ES of one series, by every method.

    \b
    riskops var sp500 --method all --level 0.99
    riskops var prices.csv --asset XOM --level 0.975 --level 0.99 --horizon 10

    Beside each forecast stands the method's record of the last year, out of sample, and its weight in the ensemble that
    this earns it; and what the data say about which methods suit them. Nothing is kept.
    """
    from riskops.cluster import open_cluster
    from riskops.history import assess, portfolio_returns, recommend
    from riskops.market import load_prices, simple_returns
    from riskops.report import assessment_records, assessment_table

    returns = simple_returns(load_prices(prices, end=end, assets=None if asset is None else [asset]))
    assets = returns.sizes["asset"]
    if assets > 1:
        returns = portfolio_returns(returns, weights={f"equal parts of {assets} assets": "equal"})
    names = [name.strip() for name in method.split(",")]
    levels = tuple(level or (0.99,))
    found = assess(
        returns,
        methods="all" if names == ["all"] else [_method(name) for name in names],
        level=levels,
        horizon=horizon,
        window=window,
        judged=judged,
    )
    recent = returns.isel(observation=slice(-window, None))
    with open_cluster("threads") as cluster:
        (found,) = cluster.compute(found)
        (advice,) = cluster.compute(recommend(recent, level=max(levels), horizon=horizon)["recommendation"])
    if as_json:
        print(json.dumps(assessment_records(found), indent=1))
        return
    show(assessment_table(found))
    for text in advice.to_numpy().tolist():
        show(text)


def _method(name: str) -> Any:
    """A method by its name; ``monte_carlo_heston`` is Monte Carlo by the model ``heston``."""
    from riskops.run.backtest.prepare import method_of

    prefix = "monte_carlo_"
    return method_of({"kind": "monte_carlo", "model": name.removeprefix(prefix)} if name.startswith(prefix) else name)
