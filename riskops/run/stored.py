"""A stored run that can be read, and what can be had from it: which of its rows give the losses that a job asks for.

Losses are read where all that is asked for is among those stored. Paths are read otherwise: portfolios are priced on
them, and a scenario that only moves today's prices is made from the paths of its model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from riskops.errors import ConfigError, StoreError
from riskops.run.directory import RunDirectory, manifest_hash
from riskops.run.execute import recorded_job
from riskops.run.job import RiskJob
from riskops.run.source import Source
from riskops.simulation import PathJob

__all__ = ["StoredRun", "find_source", "open_stored"]


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A complete run that can be read: its manifest, and the job that it records."""

    run: RunDirectory
    manifest: Mapping[str, Any]
    job: RiskJob

    @property
    def portfolios(self) -> tuple[str, ...]:
        """The names of its portfolios."""
        return tuple(str(name) for name in self.job.book["portfolio"].values)

    @property
    def name(self) -> str:
        """What a message calls it."""
        return str(self.run.path)


def open_stored(run: RunDirectory) -> StoredRun:
    """Open a complete run for analysis.

    Parameters
    ----------
    run
        The run.

    Returns
    -------
    StoredRun
        Its manifest, held to its own checksum, and its job, held to its hash.

    Raises
    ------
    StoreError
        The run is not complete, or its manifest or prices are not what they were.

    Examples
    --------
    >>> from pathlib import Path
    >>> open_stored(RunDirectory(Path("nowhere")))
    Traceback (most recent call last):
    riskops.errors.StoreError: nowhere: is no run directory, manifest.json is missing
    """
    manifest = run.manifest()
    if not run.complete or manifest.get("status") != "complete":
        raise StoreError(f"{run.path}: the run is not complete; finish it ({run.resume_command})")
    if manifest_hash(manifest) != manifest.get("manifest_sha256"):
        raise StoreError(f"{run.path}: manifest.json: its own sha256 does not match; nothing is read from this run")
    return StoredRun(run, manifest, recorded_job(run))


def find_source(stored: StoredRun, job: RiskJob) -> Source:
    """What is read for a job: losses where all of them are stored, which are few; otherwise the paths.

    Parameters
    ----------
    stored
        The run.
    job
        What is asked for, with the spec of the run.

    Returns
    -------
    Source
        The array, and for each scenario, time and portfolio its place there.

    Raises
    ------
    ConfigError
        Something can't be had from what is stored; one line says what, and why.
    """
    given = stored.job
    there = bool(given.dependence and set(job.horizons) <= set(given.horizons))
    reads = replace(_nothing(stored), dependence=there and job.dependence)
    missing = _missing_losses(stored, job, dependence=there)
    if missing is None:
        held = (len(given.scenarios), *given.book["exposure"].shape[:1], len(given.horizons))
        exposures = [row.tobytes() for row in given.book["exposure"].values]
        rows, _ = _rows(given.paths, job.paths, moved=False)
        return replace(
            reads,
            array="loss",
            shape=held,
            scenarios=cast(tuple[int, ...], rows),
            shifted=(False,) * len(rows),
            times=tuple(given.horizons.index(horizon) for horizon in job.horizons),
            portfolios=tuple(exposures.index(row.tobytes()) for row in job.book["exposure"].values),
            path_bytes=8 * (int(np.prod(held)) + held[2] * given.spec.sampling.weighted),
        )
    if not given.store_paths:
        raise ConfigError(
            f"{missing}; {stored.name} does not store its paths, from which that could be had: set store.paths to true "
            "in a run of its own"
        )
    for time in job.times:
        if time not in given.times:
            days = ", ".join(f"{day:g}" for day in given.times[:12]) + (", ..." if len(given.times) > 12 else "")
            raise ConfigError(
                f"risk.horizons: day {time:g} is not among those at which {stored.name} stores its paths, {days}"
            )
    rows, shifted = _rows(given.paths, job.paths, moved=True)
    for row, scenario in zip(rows, job.scenarios, strict=True):
        if row is None:
            why = _why(given.paths, job.paths, job.scenarios.index(scenario))
            raise ConfigError(
                f"stress.scenarios: {scenario.name} can't be had from the paths of {stored.name}: {why}; leave it out, "
                "or begin a run of its own"
            )
    assets, item = len(given.spec.assets), given.spec.itemsize
    held = (len(given.scenarios), len(given.times), assets)
    return replace(
        reads,
        array="log_growth",
        shape=held,
        scenarios=cast(tuple[int, ...], rows),
        shifted=shifted,
        times=tuple(given.times.index(time) for time in job.times),
        path_bytes=item * int(np.prod(held)) + 8 * held[1] * given.spec.sampling.weighted,
    )


def _nothing(stored: StoredRun) -> Source:
    place = str(stored.run.path.absolute())
    return Source(place, str(stored.manifest["manifest_sha256"]), "loss", (), (), (), ())


def _missing_losses(stored: StoredRun, job: RiskJob, *, dependence: bool) -> str | None:
    """The first thing for which the stored losses are not enough; None where they are."""
    given = stored.job
    if job.store_paths:
        return "store.paths: is true, and an analysis that reads losses has none"
    if not given.store_losses:
        return f"store.losses: is false in {stored.name}"
    for horizon in job.horizons:
        if horizon not in given.horizons:
            return f"risk.horizons: day {horizon:g} is not among the horizons of the stored losses"
    held = {row.tobytes() for row in given.book["exposure"].values}
    for name, row in zip(job.book["portfolio"].values, job.book["exposure"].values, strict=True):
        if row.tobytes() not in held:
            return f"portfolios: {str(name)!r} is not among those whose losses are stored"
    rows, _ = _rows(given.paths, job.paths, moved=False)
    for row, scenario in zip(rows, job.scenarios, strict=True):
        if row is None:
            return f"stress.scenarios: {scenario.name} is not among those whose losses are stored"
    if job.dependence and not dependence:
        return f"risk.dependence: is true, and {stored.name} has no correlations"
    return None


def _key(job: PathJob, row: int) -> tuple[Any, ...]:
    """What the growth of a scenario is simulated from, before its instant move is added."""
    m = job.model_of[row]
    events = tuple(event.fingerprint() for event in job.events[m])
    return (job.models[m].fingerprint(), job.start_shift[m].tobytes(), events)


def _rows(given: PathJob, wanted: PathJob, *, moved: bool) -> tuple[tuple[int | None, ...], tuple[bool, ...]]:
    """For each scenario the stored one with the same growth, or with ``moved`` the one that lacks its move alone."""
    same = {(_key(given, row), given.output_shift[row].tobytes()): row for row in reversed(range(len(given.scenarios)))}
    plain = {
        _key(given, row): row for row in reversed(range(len(given.scenarios))) if not given.output_shift[row].any()
    }
    rows: list[int | None] = []
    shifted = []
    for row in range(len(wanted.scenarios)):
        found = same.get((_key(wanted, row), wanted.output_shift[row].tobytes()))
        shifted.append(found is None)
        rows.append(plain.get(_key(wanted, row)) if found is None and moved else found)
    return tuple(rows), tuple(shifted)


def _why(given: PathJob, wanted: PathJob, row: int) -> str:
    """Why the growth of a scenario is not to be had from the stored ones."""
    m, base = wanted.model_of[row], given.models[given.model_of[0]]
    if wanted.events[m]:
        return "its events happen within the simulation"
    if wanted.models[m].fingerprint() != base.fingerprint():
        return "it changes the model"
    return f"today's price enters the dynamics of model {base.kind}"
