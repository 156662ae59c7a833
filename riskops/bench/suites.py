"""The suites by name, and how they are run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from riskops.bench.draws import draws
from riskops.bench.gpu import gpu
from riskops.bench.history import history
from riskops.bench.models import models
from riskops.bench.overhead import overhead
from riskops.bench.paths import paths
from riskops.bench.rows import Row
from riskops.bench.sampling import sampling
from riskops.bench.scale import scale
from riskops.bench.startup import startup
from riskops.bench.store import store
from riskops.bench.timing import Setting
from riskops.bench.var import var
from riskops.checks import check_subset, check_unique
from riskops.errors import InputError
from riskops.threads import pinned_threads

__all__ = ["DEFAULT", "SUITES", "run_suites"]

SUITES: Mapping[str, Callable[[Setting], list[Row]]] = {
    "draws": draws,
    "paths": paths,
    "var": var,
    "store": store,
    "startup": startup,
    "models": models,
    "sampling": sampling,
    "scale": scale,
    "overhead": overhead,
    "history": history,
    "gpu": gpu,
}

#: What runs unless suites are named: all but ``sampling``, which repeats whole runs by the hundred, ``scale``,
#: ``overhead`` and ``history``, which make runs and clusters of processes, and ``gpu``, which needs a device.
DEFAULT = tuple(name for name in SUITES if name not in ("sampling", "scale", "overhead", "history", "gpu"))


def run_suites(names: Sequence[str] | None, *, say: Callable[[str], None], scale: float = 1.0) -> list[Row]:
    """Run benchmarks and return their rows.

    Parameters
    ----------
    names
        Suites to run, in this order; None runs those of ``DEFAULT``.
    say
        Called with a line as each suite begins, and for what is left out.
    scale
        Share of the full size of the work; times at another size than 1 say little.

    Returns
    -------
    list of Row
        Every comparison, with its target where DESIGN.md sets one.

    Raises
    ------
    InputError
        A name is unknown or given twice, or none is given.

    Examples
    --------
    >>> sorted(SUITES)
    ['draws', 'gpu', 'history', 'models', 'overhead', 'paths', 'sampling', 'scale', 'startup', 'store', 'var']
    """
    chosen = list(DEFAULT) if names is None else list(names)
    if not chosen:
        raise InputError(f"suite: none is given; known are {', '.join(SUITES)}")
    check_subset("suite", chosen, SUITES)
    check_unique("suite", chosen)
    rows: list[Row] = []
    # One thread in every linear algebra library: the baselines run on as many cores as they are said to.
    with pinned_threads():
        for name in chosen:
            start = time.perf_counter()
            say(f"bench: {name} ...")
            rows += SUITES[name](Setting(say, scale))
            say(f"bench: {name} took {time.perf_counter() - start:.0f} s")
    return rows
