"""Market risk of portfolios: prices in, simulated losses on Dask, exact VaR and ES, stress, a report out.

    python pipelines/market_risk.py configs/market_risk.yaml [KEY=VALUE ...]

The same as ``riskops run``; copy it to make a job of your own. Where it runs is ``cluster.kind`` in the configuration.
"""

from __future__ import annotations

import sys
from pathlib import Path

import riskops


def main(path: str, *overrides: str) -> None:
    """Market data -> calibrated model -> paths -> losses -> measures -> report, in one pass over the paths."""
    config = riskops.load_config(path, overrides=overrides)
    job = riskops.prepare(config)  # market data -> calibrated model, portfolios, scenarios: all that is eager
    with riskops.open_cluster(**config.cluster.model_dump()) as cluster:
        if cluster.dashboard_link:
            print(f"dashboard: {cluster.dashboard_link}")
        plan = riskops.plan_job(job, cluster=cluster, place=Path(config.store.root))
        print(f"{plan.chunks} chunks of {plan.chunk_paths:,} paths, {plan.peak_memory / 2**20:,.0f} MiB a worker")
        run = riskops.execute(  # paths -> losses -> measures -> report; riskops.market_risk(job) is its lazy graph
            job,
            configuration=config.resolved(),
            out=Path(config.store.root) / riskops.new_run_id(Path(path).stem),
            cluster=cluster,
            progress=riskops.Progress(),
            html=config.report.html,
            performance=config.cluster.dashboard,
        )
    results = riskops.open_run(run)
    worst = results["value_at_risk"].sel(scenario="base", level=max(job.levels), horizon=max(job.horizons))
    print(worst.to_series().to_string(float_format="{:,.0f}".format))
    print(f"run: {run}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        main(*sys.argv[1:])
    except riskops.RiskopsError as problem:
        print(f"market_risk: {problem}", file=sys.stderr)
        sys.exit(2)
