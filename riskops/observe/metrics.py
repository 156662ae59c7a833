"""The metrics of a running job, in the text format of Prometheus, on a port of loopback unless told otherwise.

Nothing is counted for them: each scrape asks the progress where the computation is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from riskops.cluster import Cluster
from riskops.errors import InputError, MissingExtraError
from riskops.progress import Progress, Snapshot, add_records

__all__ = ["metric_address", "serve_metrics"]


def metric_address(text: str) -> tuple[str, int]:
    """Host and port of ``--metrics-port``: a port alone is one of loopback.

    Examples
    --------
    >>> metric_address("9100"), metric_address("0.0.0.0:9100"), metric_address("[::1]:9100")
    (('127.0.0.1', 9100), ('0.0.0.0', 9100), ('::1', 9100))
    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or text.startswith(":"):
        raise InputError(f"--metrics-port: {text!r} is neither a port, such as 9100, nor host:port")
    return host.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def serve_metrics(address: str, *, progress: Progress, cluster: Cluster) -> Iterator[str]:
    """Serve the metrics of what ``progress`` watches while the block runs.

    Parameters
    ----------
    address
        ``port``, on loopback, or ``host:port``; port 0 takes any that is free.
    progress
        What watches the computation.
    cluster
        Where it runs.

    Returns
    -------
    str
        The address to scrape; use it as a context manager.

    Raises
    ------
    InputError
        The address is none, or is not free.
    MissingExtraError
        The extra ``metrics`` is not installed.
    """
    host, port = metric_address(address)
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as problem:
        raise MissingExtraError("--metrics-port: needs prometheus-client; pip install 'riskops[metrics]'") from problem
    registry = CollectorRegistry()
    registry.register(_Metrics(progress, cluster))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as problem:
        raise InputError(f"--metrics-port: {host}:{port} can't be used: {problem.strerror or problem}") from problem
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Metrics:
    """What Prometheus collects; each scrape makes it anew from a snapshot."""

    def __init__(self, progress: Progress, cluster: Cluster) -> None:
        self._progress, self._cluster = progress, cluster

    def describe(self) -> Iterable[Any]:
        """Nothing is known before a computation begins."""
        return ()

    def collect(self) -> Iterable[Any]:
        """The metric families now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        now = self._progress.snapshot()
        if now.work.run:
            yield InfoMetricFamily("riskops_run", "The run under way", {"run": now.work.run})
        tasks = GaugeMetricFamily("riskops_tasks", "Tasks of the computation under way", labels=["stage", "state"])
        for stage, total in now.counts.total.items():
            done, running = now.counts.done.get(stage, 0), now.counts.running.get(stage, 0)
            for state, value in (("done", done), ("running", running), ("waiting", total - done - running)):
                tasks.add_metric([stage, state], max(value, 0))
        yield tasks
        records = add_records(self._progress.stages, now.records())
        for name, text, key in (
            ("riskops_tasks_done", "Tasks done", "tasks"),
            ("riskops_stage_seconds", "Seconds that tasks ran, summed over workers", "seconds"),
            ("riskops_stage_paths", "Paths that a stage has worked on", "paths"),
            ("riskops_bytes_written", "Bytes of paths and losses written to the store", "bytes_written"),
        ):
            family = CounterMetricFamily(name, text, labels=["stage"])
            for stage, record in records.items():
                if key in record:
                    family.add_metric([stage], float(dict(record)[key]))  # type: ignore[arg-type]
            yield family
        yield CounterMetricFamily("riskops_workers_lost", "Workers lost in mid-run", value=len(now.counts.lost))
        for name, text, number in (
            ("riskops_paths", "Paths simulated or read back by the computation under way", now.paths),
            ("riskops_paths_planned", "Paths of the job", now.work.paths),
            ("riskops_paths_per_second", "Paths a second since the computation began", now.paths_per_second),
            ("riskops_seconds", "Seconds since the computation under way began", now.elapsed),
            ("riskops_seconds_left", "Seconds left, as far as can be said", now.left),
            ("riskops_workers", "Workers", len(now.counts.memory) or self._cluster.workers),
            ("riskops_threads", "Tasks that can run at once", self._cluster.threads),
        ):
            if number is not None:
                yield GaugeMetricFamily(name, text, value=number)
        memory = GaugeMetricFamily("riskops_memory_bytes", "Memory that a process holds", labels=["worker"])
        for worker, held in _memory(now).items():
            memory.add_metric([worker], held)
        yield memory


def _memory(now: Snapshot) -> dict[str, int]:
    """Bytes by worker process; those of this process where it does the work itself."""
    if now.counts.memory:
        return dict(now.counts.memory)
    import psutil

    return {"this process": psutil.Process().memory_info().rss}
