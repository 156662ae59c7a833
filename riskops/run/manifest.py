"""The manifest of a run: what was computed, how, from what, by which versions, and the checksums of what came out."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import riskops
from riskops.run.directory import manifest_hash
from riskops.run.job import RiskJob
from riskops.simulation import Plan

__all__ = ["first_manifest", "git_revision", "lineage", "manifest_hash", "manifest_head", "now", "sealed"]


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def first_manifest(
    job: RiskJob,
    *,
    configuration: Mapping[str, Any],
    projected: Plan,
    html: bool,
    root: str,
    versions: Mapping[str, str],
    device: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest of a run that begins: what, and how the work is cut."""
    return {
        **manifest_head(
            job="market_risk",
            what=job.record(),
            spec_hash=job.fingerprint(),
            how={
                "chunk_paths": projected.chunk_paths,
                "store_losses": job.store_losses,
                "store_paths": job.store_paths,
                "store_times": job.store_times if isinstance(job.store_times, str) else list(job.store_times),
                "source": None if job.source is None else job.source.record(),
                "device": job.device,
                "device_fallback": job.device_fallback,
                "bounds": None if job.bounds is None else job.bounds.record(),
                "html": html,
            },
            configuration=configuration,
            versions=versions,
            root=root,
        ),
        "plan": projected.record(),
        "device": dict(device),
        "dtype": job.spec.dtype,
        "seed": str(job.spec.seed),
        "prices_sha256": job.prices.attrs["sha256"],
        "adjustments": job.adjustments,
    }


def manifest_head(
    *,
    job: str,
    what: Mapping[str, Any],
    spec_hash: str,
    how: Mapping[str, Any],
    configuration: Mapping[str, Any],
    versions: Mapping[str, str],
    root: str,
) -> dict[str, Any]:
    """What the manifest of every run says when it begins, whatever its kind of job."""
    return {
        "format": 1,
        "job": job,
        "status": "partial",
        "riskops": riskops.__version__,
        "created": now(),
        "spec_hash": spec_hash,
        "what": dict(what),
        "how": dict(how),
        "configuration": dict(configuration),
        "versions": dict(versions),
        "git_revision": git_revision(),
        "machine": {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()},
        "fallbacks": [],
        "root": root,
    }


def git_revision() -> str | None:
    """The revision of the source tree riskops runs from, with ``+changes`` when it is not clean; None without one."""
    here = Path(riskops.__file__).parent
    try:
        revision = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ("+changes" if changed else "")


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with its own hash as the last entry."""
    return {**manifest, "manifest_sha256": manifest_hash(manifest)}


def lineage(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What the report says about where its figures come from."""
    fit = manifest["what"]["calibration"]
    rows = {
        "Specification (sha256)": manifest["spec_hash"],
        "Prices (sha256)": manifest["prices_sha256"],
        "Adjustments": "; ".join(manifest["adjustments"]) or "none",
        "Model": manifest["what"]["simulation"]["model"]["kind"],
        "Calibrated on": f"{fit['observations']} returns, {fit['window_start']} to {fit['window_end']}",
        "Seed": manifest["seed"],
        "Number format": manifest["dtype"],
        "Device": f"{manifest['device']['name']} ({manifest['device']['reason']})",
        "Fallbacks": "; ".join(manifest["fallbacks"]) or "none",
        "riskops": manifest["riskops"],
        "Source revision": manifest["git_revision"] or "not in a git checkout",
        "Packages": ", ".join(f"{name} {version}" for name, version in sorted(manifest["versions"].items())),
        "Scheduler": f"{manifest['cluster']['kind']}, {manifest['cluster']['threads']} threads",
        "Created": manifest["created"],
    }
    source = manifest["how"].get("source")
    if source is not None:
        what = "Losses" if source["array"] == "loss" else "Paths"
        rows[what] = f"read from the run {Path(source['run']).name}, manifest {source['manifest_sha256'][:12]}"
    if "target" in manifest:
        rows["Target"] = target_line(manifest["target"])
    return {name: str(value) for name, value in rows.items()}


def target_line(target: Mapping[str, Any]) -> str:
    """Which of the target and the bounds ended a run, and the batches it took."""
    batches = ", ".join(f"{batch['paths']:,}" for batch in target["batches"])
    ended = "the target was met" if target["ended_by"] == "target" else f"ended by {target['ended_by']}"
    return f"{ended}, after batches up to {batches} paths"
