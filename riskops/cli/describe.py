"""``riskops describe``: what there is to choose from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from riskops.cli.frame import guarded, show
from riskops.cli.options import AsJson, group

__all__ = ["app"]

app = group("describe", "List models, measures, scenarios and configuration keys.")


def _listing(rows: Sequence[dict[str, Any]], as_json: bool, *, shown: Sequence[dict[str, Any]] | None = None) -> None:
    """Print rows: as JSON in full, as a table, which may leave out or join what is too wide for it."""
    from riskops.report import listing_table

    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        show(listing_table(rows if shown is None else shown))


@app.command("models")
@guarded
def models(as_json: AsJson = False) -> None:
    """The simulation models, their parameters, states and shocks."""
    from riskops.models import describe_models

    _listing(describe_models(), as_json)


@app.command("measures")
@guarded
def measures(as_json: AsJson = False) -> None:
    """The measures, with dims, unit and meaning."""
    from riskops.schema import MEASURES, REGISTRY

    specs = [(name, REGISTRY[name]) for name in MEASURES]
    rows = [{"measure": n, "dims": ", ".join(s.dims), "unit": s.unit, "meaning": s.doc} for n, s in specs]
    _listing(rows, as_json)


@app.command("scenarios")
@guarded
def scenarios(
    library: Annotated[
        str, typer.Option("--library", metavar="FILE", help="A scenario library; `market` comes with riskops.")
    ] = "market",
    as_json: AsJson = False,
) -> None:
    """The scenarios of a library."""
    from riskops.scenarios import load_library

    rows = [
        {"scenario": s.name, "what it does": s.summary(), "description": s.description} for s in load_library(library)
    ]
    _listing(rows, as_json)


@app.command("config")
@guarded
def config(as_json: AsJson = False) -> None:
    """Every configuration key: default, type and meaning."""
    from riskops.config import Config

    _keys(Config, as_json)


@app.command("backtest")
@guarded
def backtest(as_json: AsJson = False) -> None:
    """The same for a backtest of forecasts, `job: var_backtest`."""
    from riskops.config import BacktestConfig

    _keys(BacktestConfig, as_json)


@app.command("forecasters")
@guarded
def forecasters(as_json: AsJson = False) -> None:
    """The methods that forecast VaR and ES from history."""
    from riskops.history.forecasts import list_forecasters

    _listing([{"method": name, "what it is": line} for name, line in list_forecasters().items()], as_json)


@app.command("backtests")
@guarded
def backtests(as_json: AsJson = False) -> None:
    """The tests of forecasts, each with its null hypothesis."""
    from riskops.history.backtests import list_backtests

    _listing([{"test": name, "null hypothesis": line} for name, line in list_backtests().items()], as_json)


@app.command("analysis")
@guarded
def analysis(as_json: AsJson = False) -> None:
    """The same for the configuration of `riskops analyse`."""
    from riskops.config import AnalysisConfig

    _keys(AnalysisConfig, as_json)


def _keys(kind: type[Any], as_json: bool) -> None:
    from riskops.config import config_keys

    rows = [key._asdict() for key in config_keys(kind)]
    shown = [
        {
            "key": row["key"],
            "default": "(required)" if row["required"] else json.dumps(row["default"]),
            "meaning": f"{row['description']} Expects {row['expects']}." if row["expects"] else row["description"],
        }
        for row in rows
    ]
    _listing(rows, as_json, shown=shown)
