"""A stored run analysed again: other levels, portfolios, scenarios and horizons, from what it holds of its paths.

The outcome is a run like any other. What it computed is recorded as if its paths had been simulated for it, so that its
``results.json`` has the bytes of such a run; that they were read is said apart, where the manifest says how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from riskops.cluster import Cluster
from riskops.config import AnalysisConfig
from riskops.config.fields import Section
from riskops.config.sections import RiskSection
from riskops.errors import ConfigError, InputError, StoreError
from riskops.portfolio import book, load_portfolios
from riskops.progress import Progress
from riskops.run.execute import execute
from riskops.run.job import RiskJob
from riskops.run.prepare import asked, check_observed, check_paths, kept
from riskops.run.stored import StoredRun, find_source
from riskops.scenarios import BASE, Scenario
from riskops.schema import variable

__all__ = ["analyse", "prepare_analysis", "run_analysis"]


def analyse(
    stored: StoredRun,
    config: AnalysisConfig,
    *,
    out: Path,
    cluster: Cluster,
    progress: Progress | None = None,
    performance: bool = False,
) -> Path:
    """Analyse a stored run again, into a run directory of its own; no path is simulated where paths are stored.

    Parameters
    ----------
    stored
        The run whose paths, or losses, are read.
    config
        What is asked for; what it leaves out is as in the run.
    out
        The new run's directory; it must not exist.
    cluster
        Where to compute; every worker must see the stored run.
    progress, performance
        As :func:`execute`.

    Returns
    -------
    Path
        The finished run directory. Its ``results.json`` is that of a run which simulates the same.

    Raises
    ------
    ConfigError
        Something can't be had from what is stored; one line says what and why.
    PlanError, StoreError
        As :func:`execute`.

    Examples
    --------
    >>> import tempfile
    >>> from riskops.cluster import open_cluster
    >>> from riskops.config import load_analysis
    >>> from riskops.run import RunDirectory, open_stored
    >>> from riskops.run.example import small_job
    >>> config = load_analysis(overrides=["risk.levels=[0.9, 0.97]", "report.html=false"])
    >>> with tempfile.TemporaryDirectory() as folder, open_cluster("synchronous") as cluster:
    ...     first = execute(small_job(), configuration={}, out=Path(folder, "first"), cluster=cluster, html=False)
    ...     stored = open_stored(RunDirectory(first))
    ...     again = analyse(stored, config, out=Path(folder, "again"), cluster=cluster)
    ...     RunDirectory(again).manifest()["how"]["source"]["array"]
    'loss'
    """
    job = prepare_analysis(stored, config)
    return run_analysis(
        job, stored=stored, config=config, out=out, cluster=cluster, progress=progress, performance=performance
    )


def run_analysis(
    job: RiskJob,
    *,
    stored: StoredRun,
    config: AnalysisConfig,
    out: Path,
    cluster: Cluster,
    progress: Progress | None = None,
    performance: bool = False,
) -> Path:
    """Carry out what :func:`prepare_analysis` made; the rest is as in :func:`analyse`."""
    if stored.run.path.resolve() in out.resolve().parents:
        raise StoreError(f"{out}: is inside the run that is read; choose another --out")
    return execute(
        job,
        configuration=resolved_analysis(stored, config, job),
        out=out,
        cluster=cluster,
        progress=progress,
        html=config.report.html,
        performance=performance,
    )


def prepare_analysis(stored: StoredRun, config: AnalysisConfig) -> RiskJob:
    """The job of an analysis: that of the stored run with what the configuration asks for, and what is read for it.

    Parameters
    ----------
    stored
        The run.
    config
        What is asked for.

    Returns
    -------
    RiskJob
        What a run of these settings would compute, with its ``source``. It has no target: its paths are there. Draws
        that were arranged for a portfolio (importance, stratified) stay as they were arranged.

    Raises
    ------
    ConfigError
        Something is not what it must be, or can't be had from what is stored.
    """
    given = stored.job
    _check_same(stored, config)
    settings = asked(_risk(given, config.risk))
    check_paths(given.spec.paths, settings["levels"])
    try:
        given.spec.steps_of(settings["horizons"], name="risk.horizons")
    except InputError as problem:
        raise ConfigError(str(problem)) from problem
    job = replace(
        given,
        title=config.title or given.title,
        book=_book(stored, config.portfolios),
        scenarios=_scenarios(stored, config),
        **settings,
        **kept(config.store),
        target=None,
        bounds=None,
        device="cpu",
        device_fallback=False,
        source=None,
    )
    check_observed(job)
    return replace(job, source=find_source(stored, job))


def resolved_analysis(stored: StoredRun, config: AnalysisConfig, job: RiskJob) -> dict[str, Any]:
    """The configuration of the run that the analysis is: every key with its value, those of the stored run included."""
    whole, own = config.resolved(), stored.manifest.get("configuration") or {}
    for name in AnalysisConfig.from_run:
        whole[name] = own.get(name)
    whole["risk"] = {name: list(v) if isinstance(v, tuple) else v for name, v in _risk_fields(job).items()}
    for name in ("portfolios", "stress"):
        whole[name] = whole[name] if whole[name] is not None else own.get(name)
    return whole


def _risk_fields(job: RiskJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in RiskSection.model_fields}


def _risk(given: RiskJob, wanted: RiskSection | None) -> RiskSection:
    """What is measured: the keys that are given, and for the others what the run has."""
    fields = _risk_fields(given)
    if wanted is not None:
        fields |= {name: getattr(wanted, name) for name in wanted.model_fields_set}
    return RiskSection.model_validate(fields)


def _check_same(stored: StoredRun, config: AnalysisConfig) -> None:
    """Sections that the run settles may be given, as they are in a run's own file, but not otherwise than there."""
    recorded = stored.manifest.get("configuration") or {}
    for name in AnalysisConfig.from_run:
        mine = getattr(config, name)
        key = None if mine is None else _other_key(mine, recorded.get(name) or {})
        if key is None:
            continue
        raise ConfigError(
            f"{name}.{key}: is not as in {stored.name}; an analysis reads the paths of its run, so leave {name} out, "
            "or begin a run of its own"
        )


def _other_key(given: Section, recorded: Mapping[str, Any]) -> str | None:
    """The first key that was given and is not as recorded; a model's options count as given, all or none."""
    plain = given.model_dump(mode="json", exclude_unset=True)
    for key, value in plain.items():
        below, there = getattr(given, key), recorded.get(key)
        if isinstance(below, Section) and isinstance(there, Mapping):
            inner = _other_key(below, there)
            if inner is not None:
                return f"{key}.{inner}"
        elif value != there:
            return key
    return None


def _book(stored: StoredRun, wanted: Sequence[Any] | None) -> xr.Dataset:
    """The positions: those of the run where nothing is asked for, or where one of its portfolios is named."""
    held, prices = stored.job.book, stored.job.prices
    if wanted is None:
        return held
    parts = [
        held.sel(portfolio=[one]) if one in stored.portfolios else book(load_portfolios(one), prices=prices)
        for one in wanted
    ]
    names = [str(name) for part in parts for name in part["portfolio"].values]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ConfigError(f"portfolios: {twice[0]!r} is given twice")
    assets = list(stored.job.spec.assets)
    coords = {"portfolio": names, "asset": assets}
    exposure = np.concatenate([part["exposure"].sel(asset=assets).values for part in parts])
    value = np.concatenate([part["portfolio_value"].values for part in parts])
    return xr.Dataset(
        {
            "exposure": variable("exposure", ("portfolio", "asset"), exposure, coords=coords),
            "portfolio_value": variable("portfolio_value", ("portfolio",), value, coords={"portfolio": names}),
        },
        attrs={"as_of": held.attrs["as_of"]},
    )


def _scenarios(stored: StoredRun, config: AnalysisConfig) -> tuple[Scenario, ...]:
    """The scenarios: those of the run, some of them, or those of a library."""
    held, wanted = stored.job.scenarios, config.stress
    if wanted is None or not wanted.model_fields_set:
        return held
    if "library" in wanted.model_fields_set:
        return (BASE, *wanted.load())
    known = {scenario.name: scenario for scenario in held}
    if wanted.scenarios == "all":
        return held
    for name in wanted.scenarios:
        if name not in known or name == BASE.name:
            names = ", ".join(list(known)[1:]) or "none"
            raise ConfigError(
                f"stress.scenarios: {name!r} is not among those of {stored.name}, {names}; for another one give "
                "stress.library"
            )
    return (BASE, *(known[name] for name in wanted.scenarios))
