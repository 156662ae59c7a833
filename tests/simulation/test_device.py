"""Blocks on a device: every bit that of the CPU, in the simulator and where there is one; the choice of the device; a
device without memory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskops import backend
from riskops.errors import InputError, PlanError
from riskops.models.built_in import BUILT_IN
from riskops.rng import tile_counters
from riskops.simulation import SimulationSpec, Workload, device, path_job
from riskops.simulation.device_plan import (
    LEAST_DRAWS,
    RESERVED_BYTES,
    choose_device,
    device_memory,
    device_stretch_tiles,
    stretch_bytes,
)
from riskops.simulation.fallbacks import clear_fallbacks, collect_fallbacks
from riskops.simulation.place import HOST
from riskops.simulation.stretch import Stretch
from tests.models.examples import example
from tests.simulation import on_device
from tests.simulation.arrangements import samplings
from tests.simulation.examples import brownian, spec_of

SCRIPT = Path(__file__).parent / "on_device.py"
COMPILE = Path(__file__).parent / "compile_for_cuda.py"
ROOT = Path(__file__).parents[2]

#: What the simulator, some million times slower than a device, is asked for; a device computes all cases.
IN_SIMULATOR = {
    "models": [f"{kind} plain float32" for kind in sorted(BUILT_IN)],
    "arrangements": [f"geometric_brownian {method} float32" for method in ("antithetic", "importance", "stratified")],
    "models in double precision": [f"{kind} plain float64" for kind in ("heston", "kou", "student_t_copula")],
    "double precision": ["geometric_brownian moment_matching float64", "geometric_brownian sobol float64"],
    "counts": ["merton importance float32"],
    "factors": [f"geometric_brownian_factors {arrangement}" for arrangement in ("stratified float32", "sobol float64")],
    "shocks": ["scenarios", *on_device.toys()],
    "losses": ["whole:losses"],
    "graph": ["whole:graph"],
}


def run_script(script: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("group", IN_SIMULATOR)
def test_the_simulator_gives_every_bit_of_the_cpu(group: str, tmp_path: Path) -> None:
    file = str(tmp_path / "expected.npz")
    on_device.save(file, IN_SIMULATOR[group])
    assert run_script(SCRIPT, file, NUMBA_ENABLE_CUDASIM="1", NUMBA_DISABLE_JIT="1").split() == ["different:"]


def test_a_block_that_differs_in_one_bit_is_found() -> None:
    one = {"a": np.array([0.0, 1.0]), "b": np.array([2.0])}
    assert on_device.different(one, {"a": np.array([-0.0, 1.0]), "b": np.array([2.0])}) == ["a"]


@pytest.mark.gpu
def test_a_device_gives_every_bit_of_the_cpu() -> None:
    names = list(on_device.cases())
    assert on_device.different(on_device.compute(names, "cpu"), on_device.compute(names, "cuda")) == []
    for dtype in ("float32", "float64"):
        expected = on_device.losses(dtype, paths=100_000, on_device=False)
        np.testing.assert_array_equal(on_device.losses(dtype, paths=100_000, on_device=True), expected)
    paths = 1_000_000
    assert (
        on_device.different(on_device.end_to_end("cpu", paths=paths), on_device.end_to_end("cuda", paths=paths)) == []
    )


@pytest.mark.gpu
@pytest.mark.parametrize("kind", sorted(BUILT_IN))
def test_long_paths_of_every_model_are_the_same_on_a_device(kind: str) -> None:
    for sampling in samplings(example(kind)):
        spec = SimulationSpec(example(kind), paths=2**17, steps=50, seed=9, sampling=sampling)
        counters = tile_counters(0, 2**17)
        expected = path_job(spec, times=[25, 50]).block(counters, 2**17)
        found = path_job(spec, times=[25, 50], device="cuda").block(counters, 2**17)
        assert backend.is_on_device(found)  # CuPy is part of the extras that a device is used with
        np.testing.assert_array_equal(backend.to_host(found), expected, err_msg=sampling.method)


@pytest.mark.gpu
@pytest.mark.parametrize("fill", ["words", "uniforms", "normals"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_words_uniforms_and_normals_are_the_same_on_a_device(fill: str, dtype: str) -> None:
    from riskops import rng
    from riskops.rng import cuda

    name, n = f"fill_{fill}", 2**20 + 77
    out = np.empty((3, n), np.uint32 if fill == "words" else dtype)
    there, counters = backend.to_device(out), tile_counters(2**33, n)
    keys: dict[str, Any] = {"seed": 2**63 + 1, "step": 7, "stream": 2, "first_factor": 5}
    getattr(rng, name)(out, counters, **keys)
    getattr(cuda, name)(there, backend.to_device(counters), **keys)
    np.testing.assert_array_equal(backend.to_host(there), out)


@pytest.mark.long
def test_kernels_compile_for_a_device_and_fuse_nothing_by_themselves() -> None:
    pytest.importorskip("numba_cuda")
    pytest.importorskip("cuda.pathfinder")
    from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

    try:
        load_nvidia_dynamic_lib("nvvm")
    except DynamicLibNotFoundError:
        pytest.skip("the compiler of numba-cuda[cu12] is not installed")
    assert "0 not as they should be" in run_script(COMPILE, "geometric_brownian")


def counting() -> tuple[Any, list[int]]:
    sizes: list[int] = []

    def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        made = np.empty(shape, dtype)
        sizes.append(made.nbytes)
        return made

    return replace(HOST, empty=empty), sizes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "kind",
    ["geometric_brownian", "geometric_brownian_factors", "merton", "regime_switching", "bootstrap", "heston"],
)
def test_the_projection_is_what_a_stretch_allocates(kind: str, dtype: str) -> None:
    for sampling in samplings(example(kind)):
        spec = SimulationSpec(example(kind), paths=4096, steps=3, dtype=dtype, sampling=sampling)  # type: ignore[arg-type]
        place, sizes = counting()
        Stretch(path_job(spec), 1024, place)
        held = 1024 * (1 + (sampling.method == "importance"))  # counters, and which lanes are shifted
        assert sum(sizes) + held == 1024 * stretch_bytes(spec), sampling.method


def test_a_stretch_on_a_device_fits_its_bound() -> None:
    spec = spec_of(paths=2**20, steps=252)
    tiles = device_stretch_tiles(spec)
    assert 0 < 2**30 - tiles * 1024 * stretch_bytes(spec) < 1024 * stretch_bytes(spec)
    huge = SimulationSpec(brownian(), paths=2**20, steps=10**6)
    assert device_stretch_tiles(huge) == tiles  # no step is kept


def chosen(wanted: str, free: int | None, *, paths: int = 4096, steps: int = 1, **options: Any) -> Any:
    spec = spec_of(paths=paths, steps=steps, chunk_paths=1024)
    return choose_device(wanted, spec=spec, work=Workload(), free_memory=free, **options)


def test_cuda_is_what_is_asked_for_or_refused() -> None:
    assert chosen("cuda", 2**40).device == "cuda"
    with pytest.raises(
        InputError, match=r"^simulation\.device: cuda was asked for and no CUDA .*riskops\[gpu-cuda12\]"
    ):
        chosen("cuda", None)
    with pytest.raises(PlanError, match=r"^simulation\.chunk_paths: the device would need .* and has 0\.0977 GiB free"):
        chosen("cuda", 100 * 2**20)
    assert chosen("cuda", 100 * 2**20, device_fallback=True).device == "cuda"
    with pytest.raises(InputError, match=r"simulation\.device: 'tpu' is not one of"):
        chosen("tpu", 2**40)


def test_auto_takes_a_device_that_is_there_for_large_work_that_fits() -> None:
    steps = LEAST_DRAWS // (4096 * 3) + 1
    assert chosen("cpu", 2**40, steps=steps).device == "cpu"
    assert chosen("auto", None, steps=steps).reason == "auto: there is no CUDA device"
    assert chosen("auto", 2**40, steps=steps).device == "cuda"
    small = chosen("auto", 2**40, steps=steps - 1)
    assert (small.device, "draws are fewer than the 500,000,000" in small.reason) == ("cpu", True)
    needed = chosen("auto", 2**40, steps=steps).memory
    assert chosen("auto", int(needed / 0.8) + 2, steps=steps).device == "cuda"
    tight = chosen("auto", int(needed / 0.8) - 2, steps=steps)
    assert (tight.device, "80% of the free device memory" in tight.reason) == ("cpu", True)


def test_device_memory_grows_with_chunks_threads_and_losses() -> None:
    spec, work = spec_of(paths=2**16), Workload(times=2, scenarios=3, portfolios=4, horizons=2)
    base = device_memory(spec, work=Workload())
    assert base > RESERVED_BYTES
    assert device_memory(replace(spec, chunk_paths=2048), work=Workload()) > base
    one, two = (device_memory(spec, work=work, threads=threads) - RESERVED_BYTES for threads in (1, 2))
    assert two == 2 * one
    growth, losses = 3 * 2 * 3 * 4, 8 * 3 * 4 * 2
    assert one == 1024 * (stretch_bytes(spec) + 2 * (growth + losses) + 4)


class OutOfMemoryError(MemoryError):
    """Has the name, and below the module, of CuPy's."""


OutOfMemoryError.__module__ = "cupy.cuda.memory"


@pytest.fixture
def full_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OutOfMemoryError("Out of memory allocating 1,024 bytes")

    monkeypatch.setattr(device, "_block", refuse)
    monkeypatch.setattr(backend, "device_name", lambda: "a device")
    clear_fallbacks()


@pytest.mark.usefixtures("full_device")
def test_a_device_without_memory_stops_the_run_in_one_line() -> None:
    job = path_job(spec_of(), device="cuda")
    with pytest.raises(PlanError) as caught:
        job.block(tile_counters(0, 1024), 1024)
    assert str(caught.value) == (
        "simulation.chunk_paths: a block of 1024 paths found no room in the memory of a device; lower "
        "simulation.chunk_paths, or set simulation.device_fallback to compute such blocks on the CPU"
    )
    assert collect_fallbacks() == []


@pytest.mark.usefixtures("full_device")
def test_a_block_falls_back_to_the_cpu_where_it_may_and_that_is_noted() -> None:
    job = path_job(spec_of(), device="cuda", device_fallback=True)
    for first in (0, 1024):
        counters = tile_counters(first, 1024)
        np.testing.assert_array_equal(job.block(counters, 1024), replace(job, device="cpu").block(counters, 1024))
    assert collect_fallbacks() == [
        "device: 2 blocks with 2048 paths were computed on the CPU, as simulation.device_fallback allows: the device "
        "had no memory left"
    ]
    clear_fallbacks()
    assert collect_fallbacks() == []


def test_other_errors_of_a_device_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("launch failed")

    monkeypatch.setattr(device, "_block", fail)
    with pytest.raises(RuntimeError, match="launch failed"):
        path_job(spec_of(), device="cuda", device_fallback=True).block(tile_counters(0, 1024), 1024)


def test_errors_of_both_libraries_are_known() -> None:
    class CudaAPIError(Exception):
        def __init__(self, code: int) -> None:
            self.code = code

    assert backend.is_out_of_memory(OutOfMemoryError())
    assert backend.is_out_of_memory(CudaAPIError(2))
    assert not backend.is_out_of_memory(CudaAPIError(700))
    assert not backend.is_out_of_memory(MemoryError())


def test_the_device_enters_the_name_of_the_layer_and_survives_a_selection() -> None:
    job = path_job(spec_of(), device="cuda", device_fallback=True)
    assert job.__dask_tokenize__() != path_job(spec_of()).__dask_tokenize__()
    part = job.select(job.scenarios, job.steps[:1])
    assert (part.device, part.device_fallback) == ("cuda", True)
    with pytest.raises(InputError, match="device: 'gpu' is not one of cpu, cuda"):
        path_job(spec_of(), device="gpu")  # type: ignore[arg-type]
