"""The keys that say where a run is kept and what of it: store and report. No figure depends on any of them."""

from __future__ import annotations

from riskops.config.fields import Section, key

__all__ = ["ReportSection", "StoreSection"]


class StoreSection(Section):
    """Where runs are kept, and what of them."""

    root: str = key(
        "runs", "a folder's path", "Folder of all runs, relative to where riskops is started.", min_length=1
    )
    paths: bool = key(False, "true or false", "Keep the simulated paths (large).")
    losses: bool = key(True, "true or false", "Keep the loss of every path.")


class ReportSection(Section):
    """What is written besides the figures."""

    html: bool = key(True, "true or false", "Write report.html.")
