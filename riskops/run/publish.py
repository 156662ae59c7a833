"""Publish a finished run in an Icechunk repository: all its arrays in one commit, or nothing.

Icechunk's local repositories are not safe for commits at the same time, so runs are made in folders and copied here by
one committer. What was written is read back and held to the checksums of the manifest before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import urlsplit

import dask
import numpy as np
import xarray as xr

from riskops.errors import MissingExtraError, StoreError
from riskops.rng import TILE
from riskops.run.directory import RunDirectory, open_run
from riskops.simulation.chunkfile import tile_digests
from riskops.simulation.location import Remote, location
from riskops.simulation.store import array_checksum, checksum

__all__ = ["publish"]

BRANCH = "main"


def publish(run: RunDirectory, *, to: str) -> str:
    """Copy the arrays of a complete run into an Icechunk repository, as a group named after the run.

    Parameters
    ----------
    run
        A complete run.
    to
        The repository: a folder, or ``s3://bucket/prefix`` with credentials from the environment; one that is not
        there is made.

    Returns
    -------
    str
        The id of the snapshot; its metadata hold the spec hash and the manifest's own hash.

    Raises
    ------
    MissingExtraError
        The extra ``icechunk`` is not installed.
    StoreError
        The run is not complete, is published there already, does not come back as its manifest says, or somebody else
        committed meanwhile; then nothing was committed.
    """
    try:
        import icechunk
    except ImportError as problem:
        raise MissingExtraError("icechunk: not installed; pip install 'riskops[icechunk]'") from problem

    if "ICECHUNK_LOG" not in os.environ:  # it warns of commits at the same time, which one committer never makes
        icechunk.set_logs_filter("error")
    manifest, name = run.manifest(), run.path.name
    stored = open_run(run.path)
    try:
        repository = icechunk.Repository.open_or_create(_storage(to))
        session = repository.writable_session(BRANCH)
        _check_absent(session.store, name, to)
        about = {"spec_hash": manifest["spec_hash"], "manifest_sha256": manifest["manifest_sha256"]}
        with dask.config.set(scheduler="synchronous"):  # one writer, and a session that is never sent anywhere
            stored.drop_encoding().assign_attrs(about).to_zarr(
                session.store, group=name, mode="w-", zarr_format=3, consolidated=False
            )
        _check_copy(xr.open_zarr(session.store, group=name, consolidated=False), manifest, to)
        return session.commit(
            f"riskops run {name}: {manifest['what']['title']}",
            metadata={"run": name, "riskops": manifest["riskops"], **about},
        )
    except icechunk.ConflictError as problem:
        raise StoreError(
            f"--to: {to}: somebody else committed meanwhile; nothing was published, try again"
        ) from problem
    except icechunk.IcechunkError as problem:
        raise StoreError(f"--to: {to}: {' '.join(str(problem).split())[:300]}") from problem


def _storage(to: str) -> Any:
    import icechunk

    place = location(to)
    if to.startswith("file:") and urlsplit(to).netloc not in ("", "localhost"):
        raise StoreError(f"--to: {to} names the host {urlsplit(to).netloc!r}; a folder here is file:///folder")
    if not isinstance(place, Remote):
        _make_folder(place, to)
        return icechunk.local_filesystem_storage(str(place.absolute()))
    if not place.root.startswith("s3://"):
        raise StoreError(f"--to: {to} is neither a folder nor s3://bucket/prefix")
    if place.root == "s3://":
        raise StoreError(f"--to: {to} names no bucket; write s3://bucket/prefix")
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return icechunk.s3_storage(
        bucket=place.root.removeprefix("s3://"),
        prefix=place.key or None,
        region=os.environ.get("AWS_REGION"),
        endpoint_url=endpoint,
        allow_http=os.environ.get("AWS_ALLOW_HTTP") == "true",
        force_path_style=endpoint is not None,
        from_env=True,
    )


def _make_folder(place: Path, to: str) -> None:
    """Icechunk panics where it can't make its folder, and only then; so it is made here, where that is an error."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=place):
            pass
    except OSError as problem:
        raise StoreError(f"--to: {to} can't be written: {problem.strerror}; choose another folder") from problem


def _check_absent(store: Any, name: str, to: str) -> None:
    try:
        xr.open_zarr(store, group=name, consolidated=False)
    except FileNotFoundError:
        return
    raise StoreError(f"--to: {to} holds a run {name!r} already; what is published is not written again")


def _check_copy(copy: xr.Dataset, manifest: dict[str, Any], to: str) -> None:
    """Read the copy back and hold it to the checksums of the manifest."""
    for name, expected in manifest["arrays"].items():
        array = copy[name]
        found = _path_checksum(array) if "path" in array.dims else array_checksum(array.values)
        if found != expected:
            raise StoreError(f"--to: {to}: {name} is not what the manifest says; nothing was published")


def _path_checksum(array: xr.DataArray) -> str:
    size = array.encoding["chunks"][-1]
    assert size % TILE == 0 or size >= array.sizes["path"]
    starts = range(0, array.sizes["path"], size)
    return checksum(np.concatenate([tile_digests(array[..., k : k + size].values) for k in starts]))
