"""The report of a run as a page: results, what they were made from, and where the time went."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from riskops.config import to_yaml
from riskops.report import write_html
from riskops.run.manifest import lineage

__all__ = ["write_page"]


def write_page(results: xr.Dataset, path: Path, manifest: Mapping[str, Any], *, title: str) -> Path:
    """Write the report of a run that is all but complete; its manifest has everything but the checksums of files."""
    return write_html(
        results,
        path=path,
        configuration=to_yaml(manifest["configuration"]),
        lineage=lineage(manifest),
        timings=manifest["timings"],
        title=title,
    )
