"""``riskops runs curve``: the quantiles of a stored loss at many levels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from riskops.cli.frame import guarded, show
from riskops.cli.options import AsJson, Root, RunName
from riskops.errors import InputError

__all__ = ["curve"]

ROOT = Path("runs")


@guarded
def curve(
    name: RunName,
    portfolio: Annotated[str, typer.Option("--portfolio", metavar="NAME", help="Whose losses.")],
    horizon: Annotated[
        float | None, typer.Option("--horizon", metavar="DAYS", help="At which horizon; the longest by default.")
    ] = None,
    scenario: Annotated[str, typer.Option("--scenario", metavar="NAME", help="Under which scenario.")] = "base",
    levels: Annotated[int, typer.Option("--levels", metavar="N", help="At how many evenly spread levels.")] = 1000,
    root: Root = ROOT,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with the columns of figures.csv.")] = False,
) -> None:
    """Show the quantiles of a stored loss, exactly.

    At many levels, each with its error. The losses of a complete run are read twice, chunk by chunk; nothing is
    simulated.
    """
    from riskops.measures import quantile_curve
    from riskops.report import curve_records, curve_table, figures_csv
    from riskops.report.formatting import horizon_text, short_name
    from riskops.run import find_run
    from riskops.run.losses import stored_losses

    if as_json and as_csv:
        raise InputError("--csv: goes with --json in no output; give one of them")
    losses = stored_losses(find_run(name, root=root).path)
    days = float(losses["horizon"].values.max()) if horizon is None else horizon
    wanted: dict[str, Any] = {"scenario": scenario, "portfolio": portfolio, "horizon": days}
    one = losses.sel({dim: [_known(losses[dim].values.tolist(), dim, label)] for dim, label in wanted.items()})
    found = (
        quantile_curve(one, levels=levels).squeeze(("scenario", "portfolio", "horizon")).compute(scheduler="threads")
    )
    records = curve_records(found.assign_attrs(losses.attrs, paths=losses.sizes["path"]))
    if as_json:
        print(json.dumps(records, indent=1))
    elif as_csv:
        print(figures_csv(records), end="")
    else:
        title = f"{short_name(portfolio)}, {horizon_text(days)}, {scenario}: {losses.sizes['path']:,} paths"
        show(curve_table(records, title=title))


def _known(labels: list[Any], dim: str, label: Any) -> Any:
    if label not in labels:
        raise InputError(f"{dim}: {label!r} is not in the run; it has {', '.join(map(str, labels[:20]))}")
    return label
