"""The command line: reads arguments, calls the library, prints; no mathematics.

Exit status 0: done; 1: the check that was asked for failed (verify, replay, compare, bench); 2: bad input or a run that
could not be carried out, explained in one line; 130: interrupted.
"""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from riskops.cli import cluster, describe, runs
from riskops.cli.analyse import analyse
from riskops.cli.frame import interrupts_kept
from riskops.cli.jobs import bench, init, plan, run
from riskops.cli.options import group
from riskops.cli.profile import profile
from riskops.cli.var import var

__all__ = ["app", "main"]

app = group(
    "riskops",
    """Monte-Carlo and historical risk on Dask: exact value at risk and expected shortfall, each with its error.

    \b
    riskops run configs/market_risk.yaml     the risk of four portfolios, from the bundled prices
    riskops var sp500                        the value at risk of one series, by every method
    riskops init prices.csv                  a configuration for your own prices
    riskops runs list                        what was run, to look at, check and repeat
    """,
)
app.command("init")(init)
app.command("run")(run)
app.command("analyse")(analyse)
app.command("var")(var)
app.command("plan")(plan)
app.command("profile")(profile)
app.add_typer(runs.app, name="runs")
app.add_typer(cluster.app, name="cluster")
app.command("bench")(bench)
app.add_typer(describe.app, name="describe")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        import riskops

        print(f"riskops {riskops.__version__}")
        raise typer.Exit()


def main() -> None:
    """The entry point of the ``riskops`` command."""
    try:
        with interrupts_kept():
            app()
    finally:
        # Everything is closed and said: a second Ctrl-C would only put a traceback under it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
