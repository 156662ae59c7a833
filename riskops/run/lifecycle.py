"""The life of a run's directory, whatever the run computes: begun under a lock, kept when cut off, sealed and renamed.

What a kind of run adds to this is what it computes: its job, its graph, its figures and its report.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

import riskops
from riskops.cluster import Cluster
from riskops.errors import StoreError
from riskops.market import prices_checksum
from riskops.progress import Progress
from riskops.report import figures_csv
from riskops.report.figures import COLUMNS
from riskops.run.directory import LOCK, MANIFEST, STORE, RunDirectory, canonical, file_checksum
from riskops.run.lock import owned
from riskops.run.manifest import now, sealed
from riskops.run.watch import tell_complete, timings_of
from riskops.simulation.store import array_checksum, create_store, write_small

__all__ = [
    "PRICES",
    "Finished",
    "begun",
    "check_same_versions",
    "finish_run",
    "held_bytes",
    "resumed",
    "stored_prices",
    "text_of_results",
]

PRICES = "prices"


@contextmanager
def begun(
    run: RunDirectory, manifest: Mapping[str, Any], *, prices: xr.Dataset, check: Callable[[], None]
) -> Iterator[None]:
    """Make the directory with its prices and its manifest, and hold it while the work inside goes on.

    ``check`` is called once the directory is there, and before a manifest says that a run is.
    """
    run.make_partial()
    with _disk_errors(run), owned(run):
        run.create()
        with _nothing_half_begun(run):
            create_store(run.store / PRICES)
            write_small(prices[["price"]], run.store / PRICES)
            check()
            run.flush()  # a manifest on the disk promises prices on the disk
            run.write_json(MANIFEST, manifest)
        yield


@contextmanager
def resumed(run: RunDirectory, *, break_lock: bool) -> Iterator[None]:
    """Hold the directory of an interrupted run while the work inside goes on."""
    with _disk_errors(run), owned(run, break_lock=break_lock):
        yield


@dataclass(frozen=True, eq=False)
class Finished:
    """What a run has computed: its results, their figures, and the checksums of what was stored besides.

    ``results`` is written to the store whole; ``figures`` are the records of ``results.json``, and of ``figures.csv``
    with these ``columns``; ``facts`` go into the manifest.
    """

    results: xr.Dataset
    figures: Sequence[Mapping[str, Any]]
    checksums: Mapping[str, str]
    facts: Mapping[str, Any]
    columns: Sequence[str] = COLUMNS


def finish_run(
    run: RunDirectory,
    manifest: Mapping[str, Any],
    done: Finished,
    *,
    cluster: Cluster,
    progress: Progress | None,
    started: float,
    page: Callable[[Path, Mapping[str, Any]], object] | None,
) -> Path:
    """Write the results and the manifest of a run that is computed, and give the directory its final name."""
    write_small(done.results, run.store)
    small = {str(name): array_checksum(variable.values) for name, variable in done.results.variables.items()}
    run.write_text("results.json", text_of_results(done.results.attrs, done.figures))
    run.write_text("figures.csv", figures_csv(done.figures, columns=done.columns))
    run.write_json("configuration.json", manifest["configuration"])
    final = {
        **manifest,
        "status": "complete",
        "finished": now(),
        "cluster": {"kind": cluster.kind, "workers": cluster.workers, "threads": cluster.threads},
        **done.facts,
        "timings": timings_of(progress, started=started),
        "arrays": dict(sorted({**done.checksums, **small}.items())),
        "metadata": run.metadata_checksums(),
    }
    if page is not None:
        page(run.partial / "report.html", final)
    files = sorted(path for path in run.partial.iterdir() if path.is_file() and path.name not in (MANIFEST, LOCK))
    final["files"] = {path.name: file_checksum(path) for path in files}
    return tell_complete(run.finish(sealed(final)), final["timings"])


def text_of_results(attrs: Mapping[Any, Any], figures: Sequence[Mapping[str, Any]]) -> str:
    """``results.json``: the figures and what they depend on; no timing, cutting or id, so equal specs give equal
    bytes."""
    head = {"format": 1, "riskops": riskops.__version__, **attrs}
    lines = [canonical(name) + ": " + canonical(value) for name, value in head.items()]
    body = ",\n".join("  " + canonical(record) for record in figures)
    return "{\n " + ",\n ".join(lines) + ',\n "figures": [\n' + body + "\n ]\n}\n"


def stored_prices(run: RunDirectory, *, sha256: str) -> xr.Dataset:
    """The prices that a run directory holds, checked to be those of the hash."""
    try:
        prices = xr.open_zarr(run.store / PRICES, consolidated=False).load()
        same = prices_checksum(prices) == sha256
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise StoreError(
            f"{run.path}: {STORE}/{PRICES}: can't be read ({reason}); the run can't go on, begin it anew"
        ) from problem
    if not same:
        raise StoreError(f"{run.path}: {STORE}/{PRICES}: dates, names or prices are not those of prices_sha256")
    return prices


def held_bytes(run: RunDirectory) -> int:
    """Bytes that a partial run holds already."""
    return sum(path.stat().st_size for path in run.partial.rglob("*") if path.is_file())


def check_same_versions(run: RunDirectory, manifest: Mapping[str, Any], cluster: Cluster) -> None:
    """Chunks of two versions must not be mixed: what resumes a run must be what began it."""
    begun_with, present = manifest.get("versions", {}), cluster.versions()
    for name in sorted({*begun_with, *present}):
        if begun_with.get(name) != present.get(name):
            raise StoreError(
                f"{run.path}: the run was begun with {name} {begun_with.get(name)} and this is {present.get(name)}; "
                "resume it with the former, or begin it anew"
            )


@contextmanager
def _disk_errors(run: RunDirectory) -> Iterator[None]:
    """Turn a full or read-only disk into one line that says where the work is kept."""
    try:
        yield
    except StoreError as problem:
        if not str(problem).startswith("store.url: ") or not run.resumable:
            raise
        raise StoreError(f"{problem}; what was computed is kept: {run.resume_command}") from problem
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.EIO):
            raise
        kept = (
            f"what was computed is kept in {run.partial}: make room, then {run.resume_command}"
            if run.resumable
            else "the run was not begun"
        )
        raise StoreError(f"store.root: {problem.strerror}; {kept}") from problem


@contextmanager
def _nothing_half_begun(run: RunDirectory) -> Iterator[None]:
    """Without a manifest nothing can be resumed, so a failure before it leaves no directory behind."""
    try:
        yield
    except BaseException:
        if not run.resumable:
            shutil.rmtree(run.partial, ignore_errors=True)
        raise
