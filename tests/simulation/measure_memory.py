"""Run by the tests in a process of its own: a market-risk run whose chunks and tails weigh, and its peak memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from riskops.cluster import open_cluster
from riskops.config import config_from_mapping
from riskops.run import market_risk, plan_job, prepare
from riskops.run.execute import compute_results

CONFIGURATION = {
    "market": {"prices": "sp500", "start": "2020-01-02"},
    "portfolios": [{"name": name, "capital": 1e6, "weights": "equal"} for name in ("one", "two", "three")],
    "simulation": {"paths": 393_216, "steps": 4, "chunk_paths": 98_304},
    "risk": {"levels": [0.95, 0.99], "horizons": [1, 2, 3, 4], "historical": False},
    "stress": {"library": "market", "scenarios": ["volatility_doubled", "correlations_up"]},
}


def peak() -> int:
    """The largest resident size of this process so far, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    job = prepare(config_from_mapping(CONFIGURATION))
    with open_cluster("threads", workers=int(sys.argv[1])) as cluster:
        projected = plan_job(job, cluster=cluster, place=Path.cwd())
        compute_results(job, market_risk(job), cluster=cluster, progress=None)
    print(json.dumps({"projected": projected.peak_memory, "measured": peak()}))
