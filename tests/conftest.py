"""What all tests share: pinned threads, caches apart for each worker, hypothesis without deadlines."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# One thread for each BLAS, before NumPy is loaded: the test workers already use every core.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# Two processes that compile one kernel for different types at once can give numba's on-disk cache an index that points
# to the other's code (numba issue 4807), so each test worker has a cache of its own, kept from run to run. And numba
# notices a change of a kernel's own file only, not of the scalar functions that were inlined into it: they name the
# cache.
_root = Path(__file__).parent.parent
_inlined = sorted(
    [*_root.glob("riskops/scalar/*.py"), *_root.glob("riskops/rng/*.py"), *_root.glob("riskops/reductions/*.py")]
)
_sources = hashlib.sha256(b"".join(path.read_bytes() for path in _inlined)).hexdigest()[:12]
_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ.setdefault("NUMBA_CACHE_DIR", str(_root / ".pytest_cache" / "numba" / _sources / _worker))

import dask
import pytest
from hypothesis import HealthCheck, settings

from tests import small_job

# Runs differ in speed and a failing example must come again: no deadline, always the same examples.
settings.register_profile(
    "riskops", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("riskops")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests that need a device, or much time, out unless ``-m gpu`` or ``-m long`` asks for them."""
    asked = config.getoption("markexpr") or ""
    names = [name for name in ("gpu", "long") if name not in asked]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in names)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not any(item.get_closest_marker(name) for name in names)]


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the checkout."""
    return Path(__file__).parent.parent


@pytest.fixture
def refuse_compute() -> Iterator[None]:
    """Whatever asks Dask to compute while this is in force fails: library functions only build graphs."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a library function computed")

    with dask.config.set(scheduler=refuse):
        yield


@pytest.fixture(scope="session")
def small_configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration file of a small job (see ``tests/small_job.py``)."""
    return small_job.write_configuration(tmp_path_factory.mktemp("configuration"))


@pytest.fixture(scope="session")
def finished_run(small_configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the small job, with its report; tests read it and copy it, none writes to it."""
    return small_job.make_run(small_configuration, tmp_path_factory.mktemp("runs") / "finished")


@pytest.fixture
def run_copy(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be spoilt."""
    return Path(shutil.copytree(finished_run, tmp_path / "copy"))
