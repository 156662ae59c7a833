"""What stands around every command: errors become one line and a status, and a scheduler is open while it works."""

from __future__ import annotations

import errno
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import typer

from riskops.errors import ClusterError, InputError, RiskopsError

if TYPE_CHECKING:
    from riskops.cluster import Cluster
    from riskops.config import JobConfig
    from riskops.progress import Progress
    from riskops.run import RunDirectory

__all__ = [
    "check_outlives",
    "cluster_keys",
    "cluster_of",
    "guarded",
    "interrupts_kept",
    "kept",
    "load",
    "measured",
    "overrides_of",
    "progress_bar",
    "say",
    "show",
    "show_run",
    "write_file",
]

P = ParamSpec("P")
R = TypeVar("R")

#: What the system says of a place that can't be read or written as it was given.
BAD_PLACE = (errno.EACCES, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EROFS)


#: Whether standard error takes JSON lines (``--log-json``) and nothing else.
_as_json: ContextVar[bool] = ContextVar("as_json", default=False)


def say(text: str, *, event: str = "notice") -> None:
    """Print to standard error: standard output is for results alone. With ``--log-json`` it is an event instead."""
    if not _as_json.get():
        print(text, file=sys.stderr)
        return
    from riskops.progress import tell

    failed = event in ("failed", "interrupted")
    key, level = ("reason", logging.ERROR) if failed else ("message", logging.INFO)
    tell(event, level=level, **{key: text.removeprefix("riskops: ").strip()})


@contextmanager
def _logged(as_json: bool) -> Iterator[None]:
    """Where it was asked for, write what happens inside as JSON lines; an error that nobody expected too."""
    if not as_json:
        yield
        return
    from riskops.observe.json_lines import json_lines

    token = _as_json.set(True)
    try:
        with json_lines(sys.stderr):
            try:
                yield
            except (typer.Exit, typer.Abort):
                raise
            except Exception as problem:
                from riskops.progress import tell

                trace = "".join(traceback.format_exception(problem))
                tell("failed", level=logging.CRITICAL, reason=repr(problem), traceback=trace)
                raise typer.Exit(1) from None
    finally:
        _as_json.reset(token)


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Bad input ends in one clear line and status 2, an interrupt in one line and status 130; never in a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with _logged(bool(kwargs.get("log_json"))):
            return attempt(*args, **kwargs)

    def attempt(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except RiskopsError as problem:
            for line in str(problem).splitlines():
                say(f"riskops: {line}", event="failed")
            raise typer.Exit(2) from None
        except OSError as problem:
            if problem.errno not in BAD_PLACE or problem.filename is None:
                raise
            say(f"riskops: {problem.filename}: {problem.strerror}", event="failed")
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            say("riskops: interrupted", event="interrupted")
            raise typer.Exit(130) from None

    return run


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise anew a Ctrl-C that fell where Python has nobody to raise it to.

    In a finalizer, or a callback of the garbage collector (Dask has one that runs at every collection), Python prints
    an interrupt as ignored and goes on as if nobody had pressed a key.
    """
    before = sys.unraisablehook

    def again(lost: sys.UnraisableHookArgs) -> None:
        if lost.exc_type is KeyboardInterrupt:
            # In a moment: at once, it would fall into this very function. As a signal: it wakes whoever sleeps.
            main = threading.main_thread().ident
            threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()
        else:
            before(lost)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def check_outlives(url: str | None) -> None:
    """Refuse a store that is gone with the command's process; in Python it lives as long as the program does."""
    if url is not None and url.startswith("memory:"):
        raise InputError(f"store.url: {url} is gone when the command ends; take a folder, or another URL")


@contextmanager
def kept(place: Path) -> Iterator[None]:
    """When the work inside is cut off, say how it goes on, if there is anything to go on from."""
    from riskops.run import RunDirectory

    hint = f"what was computed is kept: {RunDirectory(place).resume_command}"
    try:
        yield
    except KeyboardInterrupt:
        begun = RunDirectory(place).resumable
        say(f"riskops: interrupted; {hint if begun else 'nothing was begun'}", event="interrupted")
        raise typer.Exit(130) from None
    except ClusterError as problem:
        if not RunDirectory(place).resumable:
            raise
        raise ClusterError(f"{problem}; {hint}") from problem
    except Exception as problem:
        # Nobody expected it, so its traceback is shown; a run that can go on is not to be given up for it.
        if not isinstance(problem, RiskopsError) and RunDirectory(place).resumable:
            problem.add_note(hint)
        raise


def cluster_keys(where: str | None, workers: int | None) -> dict[str, Any]:
    """The keys of the section ``cluster`` that ``--cluster`` and ``--workers`` set."""
    from riskops.cluster.settings import KINDS

    keys: dict[str, Any] = {}
    named = [kind for kind in KINDS if kind != "address"]
    if where in named:
        keys = {"kind": where, "address": None}
    elif where is not None:
        if ":" not in where:
            raise InputError(f"--cluster: {where!r} is not {', '.join(named)} or an address such as tcp://host:8786")
        keys = {"kind": "address", "address": where if "://" in where else f"tcp://{where}"}
    return keys if workers is None else keys | {"workers": workers}


def load(path: Path, overrides: list[str] | None, where: str | None, workers: int | None) -> JobConfig:
    """The configuration with what the command line sets over it, of whatever kind of job."""
    from riskops.config import load_job

    return load_job(path, overrides=overrides_of(overrides, where, workers))


def overrides_of(given: list[str] | None, where: str | None, workers: int | None) -> list[str]:
    """What ``--set``, ``--cluster`` and ``--workers`` set over a configuration."""
    keys = {name: "null" if value is None else value for name, value in cluster_keys(where, workers).items()}
    return [*_dropped(keys), *(given or ()), *(f"cluster.{name}={v}" for name, v in keys.items())]


def _dropped(keys: Mapping[str, Any]) -> list[str]:
    """What ``--cluster`` drops of the file's section: the settings that have no meaning for the kind it names.

    What ``--set`` gives comes after that, and is refused like the file's when it means nothing.
    """
    from riskops.cluster.settings import has_meaning

    if "kind" not in keys:
        return []
    empty = {"threads_per_worker": "null", "memory_limit": "null", "allow_insecure": "false"}
    empty |= {"workers": "null", "tls": "{}", "adaptive": "{}", "options": "{}"}
    insecure = str(keys["address"]).startswith("tcp://")
    return [
        f"cluster.{name}={value}"
        for name, value in empty.items()
        if not has_meaning(name, keys["kind"])
        or (name == "workers" and keys["kind"] == "synchronous")
        or (name == "tls" and insecure)
    ]


@contextmanager
def cluster_of(section: Mapping[str, Any], *, quiet: bool, watch: bool = False) -> Iterator[Cluster]:
    """Open the scheduler that the section ``cluster`` of a configuration describes, and say where its dashboard is.

    Worker processes here have one unless quiet; ``watch`` asks for one, and says so where there can be none.
    """
    from riskops.cluster import open_cluster

    kind = section["kind"]
    if watch and kind in ("threads", "synchronous"):
        say(f"riskops: {kind} has no live dashboard, --cluster processes has; a report of the tasks is kept")
    serve = watch if kind not in ("processes", "cuda") else watch or not quiet
    with open_cluster(**{**section, "dashboard": serve}) as cluster:
        if cluster.dashboard_link and (watch or not quiet):
            say(f"dashboard: {cluster.dashboard_link}")
        yield cluster


def progress_bar(quiet: bool) -> Progress:
    """A progress bar on standard error; one that shows nothing when quiet, and tells events with ``--log-json``."""
    from riskops.progress import Progress

    return Progress(quiet=quiet or _as_json.get())


@contextmanager
def measured(progress: Progress, address: str | None, *, cluster: Cluster, quiet: bool = False) -> Iterator[Progress]:
    """Serve the metrics of what ``progress`` watches at the address of ``--metrics-port``, if it was given."""
    if address is None:
        yield progress
        return
    from riskops.observe.metrics import serve_metrics

    with serve_metrics(address, progress=progress, cluster=cluster) as link:
        if not quiet:
            say(f"metrics: {link}")
        yield progress


def show(renderable: Any) -> None:
    """Print a table, or text, to standard output."""
    from riskops.report import terminal

    terminal().print(renderable)


def show_run(run: RunDirectory) -> None:
    """Print what a finished run found, as its kind of job has it."""
    from riskops import report
    from riskops.run import job_kind, open_run

    table = report.summary_table if job_kind(run.manifest()) == "market_risk" else report.backtest_table
    show(table(open_run(run.path)))


def write_file(option: str, path: Path, text: str) -> None:
    """Write what an option asks for; a place that can't be written is bad input."""
    try:
        path.write_text(text, "utf-8")
    except OSError as problem:
        raise InputError(f"{option}: {path} can't be written: {problem.strerror}") from problem
