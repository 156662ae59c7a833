"""``riskops profile``: where the time of a configuration goes, kernel by kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from riskops.cli.frame import cluster_of, guarded, load, show
from riskops.cli.options import AsJson, ClusterName, ConfigPath, LogJson, Overrides, Workers

__all__ = ["profile"]


@guarded
def profile(
    config: ConfigPath,
    overrides: Overrides = None,
    cluster: ClusterName = None,
    workers: Workers = None,
    chunks: Annotated[
        int, typer.Option("--chunks", metavar="N", help="Work on so many chunks of the job, at the most.")
    ] = 32,
    log_json: LogJson = False,
    as_json: AsJson = False,
) -> None:
    """Say where the time goes, against the bare kernels.

    The first chunks of the job are computed twice, cut as in the whole: bare, one task after the other in one thread
    with a timer on each kernel, and on the cluster. Nothing is kept.
    """
    from riskops.config import Config
    from riskops.errors import ConfigError
    from riskops.observe.profile import profile_job
    from riskops.report import profile_table
    from riskops.run import prepare

    settings = load(config, overrides, cluster, workers)
    if not isinstance(settings, Config):
        raise ConfigError(
            f"job: profile sets kernels against Dask in a simulation, and this is {settings.job}; for its time: "
            "riskops runs show RUN --timings"
        )
    job = prepare(settings, title=config.stem)
    with cluster_of(settings.cluster.model_dump(), quiet=True) as where:
        found = profile_job(job, cluster=where, root=Path(settings.store.root), chunks=chunks)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        show(profile_table(found))
