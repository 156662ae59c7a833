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
    job = riskops.prepare(config)  # prices, calibrated model, portfolios and scenarios: all that is eager
    where = config.cluster
    with riskops.open_cluster(
        where.kind,
        address=where.address,
        workers=where.workers,
        threads_per_worker=where.threads_per_worker,
        memory_limit=where.memory_limit,
        dashboard=where.dashboard,
        allow_insecure=where.allow_insecure,
    ) as cluster:
        print(riskops.plan_job(job, cluster=cluster, place=Path(config.store.root)))
        run = riskops.execute(
            job,
            configuration=config.resolved(),
            out=Path(config.store.root) / riskops.new_run_id(Path(path).stem),
            cluster=cluster,
            progress=riskops.Progress(),
            html=config.report.html,
        )
    results = riskops.open_run(run)
    worst = results["value_at_risk"].sel(scenario="base", level=max(job.levels), horizon=max(job.horizons))
    print(worst.to_series().to_string(float_format="{:,.0f}".format))
    print(f"report: {run / 'report.html'}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
