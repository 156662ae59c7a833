"""A run is a directory: built under a temporary name, complete only once its manifest is, renamed then (contract C5).

``NAME.partial`` holds a run in the making, with a manifest that says so; everything in it is kept when the work is
interrupted, and ``resume`` goes on from there. A complete run is ``NAME``, and nothing writes to it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xarray as xr

from riskops.errors import StoreError
from riskops.reductions import INDEPENDENT
from riskops.simulation.chunkfile import METADATA
from riskops.simulation.location import Location, location, names_under, read_object, remove_tree
from riskops.simulation.sampling import Sampling
from riskops.simulation.store import open_store

__all__ = [
    "RunDirectory",
    "canonical",
    "check_kind",
    "file_checksum",
    "find_run",
    "job_kind",
    "list_runs",
    "manifest_hash",
    "new_run_id",
    "open_run",
    "readable",
]

MANIFEST = "manifest.json"
STORE = "results.zarr"
CHECKPOINTS = "checkpoints"
LOCK = "lock.json"
RUN_ID = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")
PARTIAL = ".partial"
MARKET_RISK = "market_risk"
#: What riskops and zarr call a file that is being written.
DRAFTS = (".tmp", ".partial")


def canonical(value: object) -> str:
    """JSON text that is equal for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def readable(value: object) -> str:
    """JSON text to be read by people: indented, keys in the order given, never a NaN."""
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """The sha256 of a manifest without its own hash."""
    body = {name: value for name, value in manifest.items() if name != "manifest_sha256"}
    return hashlib.sha256(canonical(body).encode()).hexdigest()


def file_checksum(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def new_run_id(name: str, *, now: datetime | None = None) -> str:
    """A fresh run id: the name, made safe for a directory, and the time.

    Parameters
    ----------
    name
        Usually the configuration's file name, without its ending.
    now
        The time to use, in UTC; None: the present one.

    Returns
    -------
    str
        ``<name>-<utc time>``.

    Examples
    --------
    >>> new_run_id("Market risk", now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    'market-risk-20260102t030405z'
    """
    stem = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:40] or "run"
    return f"{stem}-{(now or datetime.now(UTC)):%Y%m%dt%H%M%S}z"


def job_kind(manifest: Mapping[str, Any]) -> str:
    """What a run computes, as its manifest says; runs of market risk need not say so."""
    return str(manifest.get("job", MARKET_RISK))


def check_kind(run: RunDirectory, manifest: Mapping[str, Any]) -> None:
    """Refuse a run that is not one of market risk, where simulated losses are what is asked for."""
    if job_kind(manifest) != MARKET_RISK:
        raise StoreError(f"{run.path}: is a run of {job_kind(manifest)}, which has no simulated losses")


@dataclass(frozen=True)
class RunDirectory:
    """The place of one run; ``path`` is its final name, complete or not."""

    path: Path

    @property
    def partial(self) -> Path:
        """Where the run is built."""
        return self.path.parent / (self.path.name + PARTIAL)

    @property
    def complete(self) -> bool:
        """Whether the run was finished and renamed."""
        return (self.path / MANIFEST).is_file()

    @property
    def home(self) -> Path:
        """The directory as it is now: the final one when the run is complete, else the partial one."""
        return self.path if self.complete else self.partial

    @property
    def store(self) -> Path:
        """The Zarr group."""
        return self.home / STORE

    @property
    def arrays(self) -> Location:
        """The Zarr group of the arrays over paths: the run's own, or one at the URL that its manifest names."""
        return self._elsewhere / STORE if self._elsewhere is not None else self.store

    @property
    def checkpoints(self) -> Location:
        """What a run in the making keeps beside its arrays, to be resumed from."""
        return (self.partial if self._elsewhere is None else self._elsewhere) / CHECKPOINTS

    @property
    def _elsewhere(self) -> Location | None:
        url = self.manifest().get("how", {}).get("store_url") if (self.home / MANIFEST).is_file() else None
        return None if url is None else location(url)

    def metadata_checksums(self) -> dict[str, str]:
        """The sha256 of every metadata file of the stores: no checksum of an array covers its units or dims."""
        places = {STORE: self.store, str(self.arrays): self.arrays} if self._elsewhere else {STORE: self.store}
        checksums = {}
        for prefix, place in places.items():
            for name in names_under(place):
                content = read_object(place / name) if name.rpartition("/")[2] == METADATA else None
                if content is not None:
                    checksums[f"{prefix}/{name}"] = hashlib.sha256(content.tobytes()).hexdigest()
        return checksums

    def identity(self) -> str:
        """What the chunks of this run are chunks of: the hash of its specification, but for the number of paths."""
        if not (self.home / MANIFEST).is_file():
            return ""
        what = self.manifest().get("what", {})
        if "simulation" not in what:
            return hashlib.sha256(canonical(what).encode()).hexdigest()
        simulation = {name: value for name, value in what["simulation"].items() if name != "paths"}
        return hashlib.sha256(canonical({**what, "simulation": simulation}).encode()).hexdigest()

    @property
    def resumable(self) -> bool:
        """Whether a run was begun here and not finished."""
        return not self.complete and (self.partial / MANIFEST).is_file()

    @property
    def resume_command(self) -> str:
        """What a user types to finish the run."""
        return f"riskops runs resume {shlex.quote(str(self.path))}"

    def check_free(self) -> None:
        """Raise ``StoreError`` when the place is taken, by a run finished or not, or by anything else."""
        if self.path.name.endswith(PARTIAL):
            raise StoreError(f"--out: {self.path} ends in {PARTIAL}, which marks runs in the making")
        if self.path.exists():
            raise StoreError(f"--out: {self.path} exists; choose another directory")
        if self.resumable:
            raise StoreError(f"--out: {self.partial} holds an interrupted run; resume it: {self.resume_command}")
        # a run that was killed before its manifest was written leaves a copy of prices, which may go
        if self.partial.exists() and {path.name for path in self.partial.iterdir()} - {STORE, LOCK}:
            raise StoreError(f"--out: {self.partial} is in the way and is no run; move it")

    def make_partial(self) -> None:
        """Make the partial directory where it is missing, and have the disk know of every folder made for it."""
        missing = [folder for folder in (self.partial, *self.partial.parents) if not folder.exists()]
        try:
            for folder in reversed(missing):
                folder.mkdir(exist_ok=True)
                flush(folder.parent)
        except OSError as problem:
            raise StoreError(f"--out: {self.partial} can't be made: {problem.strerror}") from problem

    def create(self) -> RunDirectory:
        """Make the partial directory, empty but for its lock; a place that is taken or can't be made is an error."""
        self.check_free()
        self.make_partial()
        try:
            for path in self.partial.iterdir():
                if path.name != LOCK:
                    shutil.rmtree(path)
        except OSError as problem:
            raise StoreError(f"--out: {self.partial} can't be emptied: {problem.strerror}") from problem
        return self

    def summary(self) -> dict[str, Any]:
        """One line about the run, for a listing."""
        try:
            manifest = self.manifest()
            what = manifest["what"]
            if job_kind(manifest) == MARKET_RISK:
                size = {
                    "paths": what["simulation"]["paths"],
                    "portfolios": len(what["portfolios"]["names"]),
                    "scenarios": len(what["scenarios"]),
                }
            else:
                size = {"methods": len(what["methods"]), "series": len(what["assets"]) + len(what["weights"])}
            return {
                "run": self.path.name,
                "job": job_kind(manifest),
                "status": "complete" if self.complete else "partial",
                "created": manifest["created"],
                **size,
                "spec": manifest["spec_hash"][:12],
                "title": what["title"],
            }
        except (StoreError, KeyError, TypeError):
            return {"run": self.path.name, "status": "damaged manifest"}

    def manifest(self) -> dict[str, Any]:
        """Read the manifest of a complete run, or of a partial one."""
        path = self.home / MANIFEST
        if not path.is_file():
            raise StoreError(f"{self.path}: is no run directory, {MANIFEST} is missing")
        try:
            manifest = json.loads(path.read_text("utf-8"))
        except (ValueError, OSError) as problem:
            what = "restore it from a copy" if self.complete else f"move {self.partial} away and begin the run anew"
            raise StoreError(f"{self.path}: {MANIFEST} is damaged ({problem}); {what}") from problem
        if not isinstance(manifest, dict) or manifest.get("format") != 1:
            raise StoreError(f"{self.path}: {MANIFEST} is not of a format this version reads")
        return manifest

    def write_text(self, name: str, text: str) -> Path:
        """Write a file into the partial directory, whole or not at all."""
        path = self.partial / name
        path.parent.mkdir(exist_ok=True)
        draft = path.with_name(path.name + ".tmp")
        draft.write_text(text, "utf-8")
        flush(draft)
        os.replace(draft, path)
        flush(path.parent)
        return path

    def write_json(self, name: str, value: object) -> Path:
        """Write a JSON file: readable, keys in the order given, never a NaN."""
        return self.write_text(name, readable(value))

    def finish(self, manifest: Mapping[str, Any]) -> Path:
        """Write the final manifest, flush every file and directory to the disk, and rename the run into place."""
        elsewhere = self._elsewhere
        shutil.rmtree(self.partial / CHECKPOINTS, ignore_errors=True)
        self.write_json(MANIFEST, manifest)
        self.flush()
        if isinstance(elsewhere, Path):
            flush_tree(elsewhere)
        if self.path.exists():
            raise StoreError(f"--out: {self.path} appeared while the run was made; the run is kept in {self.partial}")
        os.rename(self.partial, self.path)
        flush(self.path.parent)
        if elsewhere is not None:
            remove_tree(elsewhere / CHECKPOINTS)
        return self.path

    def flush(self) -> None:
        """Have everything in the partial directory on the disk."""
        flush_tree(self.partial)


def flush_tree(top: Path) -> None:
    """Have a folder and everything below on the disk, without the drafts that killed writers left."""
    for folder, _, files in os.walk(top, topdown=False, onerror=_raise):
        for name in files:
            path = Path(folder, name)
            if path.suffix in DRAFTS:
                path.unlink()
            else:
                flush(path)
        flush(Path(folder))


def _raise(problem: OSError) -> None:
    raise problem


def flush(path: Path) -> None:
    """Have a file, or the names in a directory, on the disk; what the disk refuses is an error."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def find_run(name: str, *, root: Path) -> RunDirectory:
    """A run by its id under the root, or by its path: a run that is there under the name itself comes first."""
    given = Path(name)
    if RUN_ID.fullmatch(name) and not RunDirectory(given).home.exists():
        given = root / name
    if given.name in ("", ".."):  # the folder one is in, or the one above
        given = given.absolute().resolve()
    run = RunDirectory(given.parent / given.name.removesuffix(PARTIAL))
    if not run.home.exists():
        raise StoreError(f"run: {name!r} is neither the id of a run under {root} nor the path of one")
    return run


def list_runs(root: Path) -> Iterator[RunDirectory]:
    """All runs under the root, complete and partial, by name."""
    if not root.is_dir():
        return
    names = {path.name.removesuffix(PARTIAL) for path in root.iterdir() if (path / MANIFEST).is_file()}
    for name in sorted(names):
        yield RunDirectory(root / name)


def independent_paths(manifest: Mapping[str, Any]) -> str:
    """Which paths of a run are independent, as an attribute of its dataset says it to every measure."""
    return Sampling.from_record(manifest["what"]["simulation"]["sampling"]).groups.text


def open_run(path: str | Path) -> xr.Dataset:
    """Open a complete run with xarray, lazily: every variable of ``results.zarr`` under its registered name.

    Parameters
    ----------
    path
        The run directory.

    Returns
    -------
    Dataset
        The stored losses (and paths), the measures with their errors, and the prices they came from; the attribute
        ``independent`` says which paths are, so that further measures of the losses state honest errors.

    Raises
    ------
    StoreError
        The run is not complete, or is no run directory.

    Examples
    --------
    >>> open_run("nowhere")
    Traceback (most recent call last):
    riskops.errors.StoreError: nowhere: is no run directory, manifest.json is missing
    """
    run = RunDirectory(Path(path))
    manifest = run.manifest()
    if not run.complete or manifest.get("status") != "complete":
        raise StoreError(f"{path}: the run is not complete; finish it ({run.resume_command})")
    stored = open_store(run.store)
    if job_kind(manifest) != MARKET_RISK:
        return stored
    stored = stored.assign_attrs({INDEPENDENT: independent_paths(manifest)})
    if run.arrays == run.store:
        return stored
    try:
        return stored.assign(open_store(run.arrays).variables)
    except FileNotFoundError as problem:
        raise StoreError(f"{path}: its arrays over paths are not at {run.arrays}, where the manifest says") from problem
