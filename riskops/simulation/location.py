"""Where the arrays over paths lie: a folder, or a URL of an object store; the functions of a store take either.

An object is written whole or not at all: on a disk under a draft's name, renamed then; an object store does it itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from riskops.errors import MissingExtraError, StoreError

__all__ = [
    "Location",
    "Remote",
    "location",
    "names_under",
    "read_object",
    "remove_tree",
    "seen_by_this_process_only",
    "write_object",
    "zarr_store",
]


MEMORY = "memory:///"
#: A store that does not answer is asked a few times more, and then the run ends and can be resumed.
PATIENCE: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
#: Where a client that was given no credentials asks for those of the machine it runs on, and what would be given.
CREDENTIALS_OF_A_MACHINE = "//169.254.169.254/"
KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT",
    "az": "AZURE_STORAGE_ACCOUNT_KEY",
}


@dataclass(frozen=True)
class Remote:
    """A place in an object store; joined with ``/`` as paths are."""

    url: str

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self.url.rpartition("/")[2]

    @property
    def parent(self) -> Remote:
        """What comes before it."""
        return Remote(self.url.rpartition("/")[0])

    @property
    def root(self) -> str:
        """Scheme and bucket; the memory of a process is one bucket."""
        parts = urlsplit(self.url)
        return MEMORY if self.url.startswith("memory:") else f"{parts.scheme}://{parts.netloc}"

    @property
    def key(self) -> str:
        """The name within the bucket."""
        return self.url.removeprefix(self.root.rstrip("/")).strip("/")


Location = Path | Remote


def location(text: str) -> Location:
    """The place that a path or a URL names; ``file://`` is a path.

    Examples
    --------
    >>> location("s3://bucket/risk/") / "run"
    Remote(url='s3://bucket/risk/run')
    >>> location("file:///data/risk")
    PosixPath('/data/risk')
    >>> location("runs")
    PosixPath('runs')
    """
    if "://" not in text:
        return Path(text)
    parts = urlsplit(text)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else Remote(text.rstrip("/"))


def seen_by_this_process_only(place: Location) -> bool:
    """Whether workers in other processes would look for it in vain."""
    return isinstance(place, Remote) and place.root == MEMORY


@cache
def _bucket(root: str) -> Any:
    """The client of a bucket, one a process; the environment gives the credentials and the endpoint."""
    try:
        from obstore.store import from_url
    except ImportError as problem:
        raise MissingExtraError(
            f"store.url: {root} needs the extra `remote`: pip install 'riskops[remote]'"
        ) from problem
    with _one_line(root):
        return from_url(root) if root == MEMORY else from_url(root, retry_config=PATIENCE)


@contextmanager
def _one_line(url: str) -> Iterator[None]:
    """What an object store refuses becomes one line that names the URL."""
    import obstore.exceptions

    try:
        yield
    except FileNotFoundError:
        raise
    except (obstore.exceptions.BaseError, OSError, ValueError) as problem:
        reason = " ".join(str(problem).partition("Debug source")[0].split()) or type(problem).__name__
        if CREDENTIALS_OF_A_MACHINE in reason:
            named = KEYS.get(url.partition(":")[0], "those of the store")
            reason = f"credentials are missing; set {named} in the environment, or run where the machine has a role"
        raise StoreError(f"store.url: {url}: {reason}") from problem


def read_object(place: Location) -> npt.NDArray[np.uint8] | None:
    """The bytes of a file or an object, to be changed at will; None where there is none."""
    try:
        if isinstance(place, Path):
            return np.fromfile(place, np.uint8)
        bucket = _bucket(place.root)
        import obstore

        with _one_line(place.url):
            return np.array(np.frombuffer(memoryview(obstore.get(bucket, place.key).bytes()), np.uint8))
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_object(place: Location, *parts: Any) -> None:
    """Write buffers, one after the other, as one file or object: whole, or not at all."""
    if isinstance(place, Remote):
        bucket = _bucket(place.root)
        import obstore

        with _one_line(place.url):
            obstore.put(bucket, place.key, b"".join(parts))
        return
    draft = place.with_name(f"{place.name}.{uuid4().hex}.tmp")  # two workers may be made to write one chunk
    try:
        try:
            file = draft.open("wb")
        except FileNotFoundError:
            place.parent.mkdir(parents=True, exist_ok=True)
            file = draft.open("wb")
        with file:
            for part in parts:
                file.write(part)
        os.replace(draft, place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def names_under(place: Location) -> list[str]:
    """The names of all files or objects below a place, relative to it, in order; none where there is no such place."""
    if isinstance(place, Path):
        return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    import obstore

    bucket, prefix = _bucket(place.root), place.key + "/"
    with _one_line(place.url):
        return sorted(
            str(entry["path"]).removeprefix(prefix) for page in obstore.list(bucket, prefix=prefix) for entry in page
        )


def remove_tree(place: Location) -> None:
    """Remove whatever is below a place, and the place."""
    if isinstance(place, Path):
        if place.exists():
            shutil.rmtree(place)
        return
    import obstore

    names = names_under(place)
    with _one_line(place.url):
        if names:
            obstore.delete(_bucket(place.root), [f"{place.key}/{name}" for name in names])


def zarr_store(place: Location) -> tuple[Any, str | None]:
    """What zarr opens, and the group in it."""
    if isinstance(place, Path):
        return place, None
    from zarr.storage import ObjectStore

    return ObjectStore(_bucket(place.root)), place.key
