"""Is it still what it was, and would it come out again? verify, replay and compare finished runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from riskops.backend import device_count
from riskops.cluster import Cluster
from riskops.errors import StoreError
from riskops.market import log_returns, prices_checksum
from riskops.models import calibrate
from riskops.progress import Progress
from riskops.run.backtest import BacktestJob, replayed_results
from riskops.run.directory import MANIFEST, RunDirectory, file_checksum, job_kind, open_run, readable
from riskops.run.execute import compute_results, recorded_job, results_text
from riskops.run.lifecycle import PRICES
from riskops.run.manifest import manifest_hash
from riskops.run.planning import plan_job
from riskops.run.stages import market_risk
from riskops.run.watch import expect
from riskops.simulation.store import array_checksum, checksum, stored_digests

__all__ = ["Replay", "compare", "replay", "verify"]

VALUES = ("value", "standard_error", "low", "high", "effective_paths", "variance_reduction", "unit")


def _finished(run: RunDirectory) -> dict[str, Any]:
    manifest = run.manifest()
    if not run.complete or manifest.get("status") != "complete":
        raise StoreError(f"{run.path}: the run is not complete; finish it ({run.resume_command})")
    return manifest


def verify(run: RunDirectory) -> list[str]:
    """Read everything in a finished run again and hold it to the checksums of its manifest.

    Parameters
    ----------
    run
        A complete run.

    Returns
    -------
    list of str
        One line for each thing that is not what it was; empty when all is well.

    Raises
    ------
    StoreError
        The run is not complete, or its manifest can't be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from riskops.cluster import open_cluster
    >>> from riskops.run import execute
    >>> from riskops.run.example import small_job
    >>> with tempfile.TemporaryDirectory() as folder, open_cluster("synchronous") as cluster:
    ...     run = execute(small_job(), configuration={}, out=Path(folder, "first"), cluster=cluster, html=False)
    ...     verify(RunDirectory(run))
    []
    """
    manifest = _finished(run)
    wrong = []
    if manifest_hash(manifest) != manifest.get("manifest_sha256"):
        wrong.append("manifest.json: its own sha256 does not match")
    elif (run.path / MANIFEST).read_text("utf-8") != readable(manifest):
        wrong.append(f"{MANIFEST}: is not as it was written")
    for name, expected in manifest.get("files", {}).items():
        path = run.path / name
        if not path.is_file():
            wrong.append(f"{name}: is missing")
        elif file_checksum(path) != expected:
            wrong.append(f"{name}: sha256 does not match")
    found = run.metadata_checksums()
    expected_metadata = manifest.get("metadata", {})
    spoilt = [name for name in found if expected_metadata.get(name, found[name]) != found[name]]
    if spoilt:  # arrays can't be judged by metadata that are wrong
        return [*wrong, *(f"{name}: sha256 does not match" for name in spoilt)]
    try:
        stored = open_run(run.path)
        prices = xr.open_zarr(run.store / PRICES, consolidated=False)
    except (OSError, ValueError, KeyError) as problem:
        return [*wrong, f"results.zarr: can't be opened ({problem})"]
    for name, expected in manifest.get("arrays", {}).items():
        wrong += _verify_array(run, stored, name, expected)
    try:
        if prices_checksum(prices) != manifest.get("prices_sha256"):
            wrong.append("results.zarr/prices: dates, names or prices are not those of prices_sha256")
    except (OSError, ValueError, RuntimeError, KeyError) as problem:
        wrong.append(f"results.zarr/prices: {problem}")
    return wrong


def _verify_array(run: RunDirectory, stored: xr.Dataset, name: str, expected: str) -> list[str]:
    if name not in stored.variables:
        return [f"results.zarr/{name}: is missing"]
    try:
        variable = stored.variables[name]
        found = (
            checksum(stored_digests(run.arrays, name)) if "path" in variable.dims else array_checksum(variable.values)
        )
    except (OSError, ValueError, RuntimeError, KeyError) as problem:
        return [f"results.zarr/{name}: {problem}"]
    return [] if found == expected else [f"results.zarr/{name}: checksum does not match"]


@dataclass(frozen=True)
class Replay:
    """The outcome of a replay: how many figures came out, which differ, and what fitting again would give.

    ``facts`` are the names in the head of ``results.json`` (paths, seed, window ...) whose values differ.
    """

    figures: int
    differences: list[dict[str, Any]]
    facts: tuple[str, ...]
    refit: str

    @property
    def identical(self) -> bool:
        """Whether every figure, and all that is said about them, came out again to the last bit."""
        return not self.differences and not self.facts

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        if self.identical:
            return f"all {self.figures:,} figures are identical"
        facts = [f"results.json says something else about {', '.join(self.facts)}"] * bool(self.facts)
        return "; ".join([f"{len(self.differences):,} of {self.figures:,} figures differ", *facts])


def replay(run: RunDirectory, *, cluster: Cluster, progress: Progress | None = None) -> Replay:
    """Compute a finished run again from its manifest and prices, and compare figure by figure, to the last bit.

    Parameters
    ----------
    run
        A complete run.
    cluster
        Where to compute; it need not be the kind of the original.
    progress
        Shows how far the work is.

    Returns
    -------
    Replay
        Identical or not, the differences, and one line on whether fitting the recorded prices again gives the recorded
        parameters (they may differ in the last bits between machines; the replay uses the recorded ones).

    Raises
    ------
    StoreError
        The run is not complete or does not hold what its manifest says.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from riskops.cluster import open_cluster
    >>> from riskops.run import execute
    >>> from riskops.run.example import small_job
    >>> with tempfile.TemporaryDirectory() as folder, open_cluster("synchronous") as cluster:
    ...     run = execute(small_job(), configuration={}, out=Path(folder, "first"), cluster=cluster, html=False)
    ...     replay(RunDirectory(run), cluster=cluster).identical
    True
    """
    manifest = _finished(run)
    if job_kind(manifest) == BacktestJob.kind:
        text = replayed_results(run, cluster=cluster, progress=progress)
        return _replay(run, text, refit="parameters are fitted again in a replay, from the recorded prices")
    job = recorded_job(run)
    if job.device == "cuda" and not device_count():  # paths have the same bits on a CPU
        job = replace(job, device="cpu")
    job = replace(job, store_losses=False, store_paths=False, source=None)  # what was read is simulated here
    plan_job(job, cluster=cluster, place=run.path.parent)
    expect(progress, job, run)
    results, _ = compute_results(job, market_risk(job), cluster=cluster, progress=progress)
    return _replay(run, results_text(results), refit=_refit(job.prices, manifest))


def _replay(run: RunDirectory, text: str, *, refit: str) -> Replay:
    again, stored = json.loads(text), _stored_results(run)
    # another version of riskops may well give the same figures: that is for the figures to show
    facts = (again.keys() | stored.keys()) - {"figures", "riskops"}
    return Replay(
        figures=len(again["figures"]),
        differences=_differences(stored["figures"], again["figures"]),
        facts=tuple(sorted(name for name in facts if again.get(name) != stored.get(name))),
        refit=refit,
    )


def _stored_results(run: RunDirectory) -> dict[str, Any]:
    """``results.json`` of a run, with a figure's coordinates and values under each of its figures."""
    try:
        stored = json.loads((run.path / "results.json").read_text("utf-8"))
        for record in stored["figures"]:
            _ = record["measure"], record["value"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise StoreError(f"{run.path}: results.json can't be read ({problem!r})") from problem
    return dict(stored)


def _refit(prices: xr.Dataset, manifest: Mapping[str, Any]) -> str:
    recorded = manifest["what"]["simulation"]
    options = manifest["what"]["calibration"]["options"]
    kind = recorded["model"]["kind"]
    again = calibrate(log_returns(prices), kind=kind, days_per_year=recorded["days_per_year"], options=options)
    if again.model.record() == recorded["model"]:
        return "fitting the recorded prices again gives the recorded parameters"
    return (
        "fitting the recorded prices again gives other parameters (in the last bits, or by another version of the fit)"
    )


def _differences(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> list[dict[str, Any]]:
    first = {_key(record): record for record in one}
    second = {_key(record): record for record in two}
    out = []
    for key in [*first, *(k for k in second if k not in first)]:
        a, b = first.get(key), second.get(key)
        if a is None or b is None or any(a.get(v) != b.get(v) for v in VALUES):
            out.append(dict(key) | {"first": a and a["value"], "second": b and b["value"]})
    return out


def _key(record: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What a figure is of: all of its record but the values."""
    return tuple((name, label) for name, label in record.items() if name not in VALUES)


def compare(first: RunDirectory, second: RunDirectory) -> list[dict[str, Any]]:
    """The figures of two finished runs that are not identical, each with both values (None where a run lacks it).

    Parameters
    ----------
    first, second
        Complete runs.

    Returns
    -------
    list of dict
        The key of the figure with ``first`` and ``second``; empty when all figures agree to the last bit.

    Raises
    ------
    StoreError
        A run is not complete, or its results can't be read.
    """
    for run in (first, second):
        _finished(run)
    return _differences(_stored_results(first)["figures"], _stored_results(second)["figures"])
