"""VaR backtest: prices in, forecasts of every method day by day on Dask, judged by every test, a report out.

    python pipelines/var_backtest.py configs/var_backtest.yaml [KEY=VALUE ...]

The same as ``riskops run``; copy it to make a job of your own. Where it runs is ``cluster.kind`` in the configuration.
"""

from __future__ import annotations

import sys
from pathlib import Path

import riskops


def main(path: str, *overrides: str) -> None:
    """Prices -> returns -> forecasts -> ensemble -> tests, scores and confidence set, as one graph."""
    config = riskops.load_backtest(path, overrides=overrides)
    job = riskops.prepare(config)  # prices -> returns of each series, methods, tests: all that is eager
    with riskops.open_cluster(**config.cluster.model_dump()) as cluster:
        if cluster.dashboard_link:
            print(f"dashboard: {cluster.dashboard_link}")
        run = riskops.execute(  # returns -> forecasts -> tests -> report; riskops.var_backtest(job) is its lazy graph
            job,
            configuration=config.resolved(),
            out=Path(config.store.root) / riskops.new_run_id(Path(path).stem),
            cluster=cluster,
            progress=riskops.Progress(),
            html=config.report.html,
            performance=config.cluster.dashboard,
        )
    results = riskops.open_run(run)
    level = max(job.levels)
    rate = (results["breaches"] / results["forecasts"]).sel(level=level).mean("asset")
    print(f"breaches at {level:.1%}, mean of the series; {1 - level:.2%} were expected")
    print(rate.to_series().to_string(float_format="{:.2%}".format))
    print(f"run: {run}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        main(*sys.argv[1:])
    except riskops.RiskopsError as problem:
        print(f"var_backtest: {problem}", file=sys.stderr)
        sys.exit(2)
