"""The report of a backtest as a page: what was forecast, what judged it, what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from riskops.config import to_yaml

__all__ = ["lineage_of", "write_backtest_page"]


def write_backtest_page(results: xr.Dataset, path: Path, manifest: Mapping[str, Any], *, title: str) -> Path:
    """Write the report of a backtest that is all but complete; its manifest has everything but the checksums of
    files."""
    from riskops.report import write_backtest_html

    return write_backtest_html(
        results,
        path=path,
        configuration=to_yaml(manifest["configuration"]),
        lineage=lineage_of(manifest),
        timings=manifest["timings"],
        fit_seconds=manifest["fit_seconds"],
        title=title,
    )


def lineage_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What the report says about where its figures come from."""
    what = manifest["what"]
    rows = {
        "Specification (sha256)": manifest["spec_hash"],
        "Prices (sha256)": manifest["prices_sha256"],
        "Adjustments": "; ".join(manifest["adjustments"]) or "none",
        "Window": f"{what['window']} returns, {what['scheme']}, fitted again every {what['refit_every']} days",
        "Seed": manifest["seed"],
        "riskops": manifest["riskops"],
        "Source revision": manifest["git_revision"] or "not in a git checkout",
        "Packages": ", ".join(f"{name} {version}" for name, version in sorted(manifest["versions"].items())),
        "Scheduler": f"{manifest['cluster']['kind']}, {manifest['cluster']['threads']} threads",
        "Created": manifest["created"],
    }
    return {name: str(value) for name, value in rows.items()}
