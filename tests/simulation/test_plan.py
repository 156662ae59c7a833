"""The plan: chunks of whole tiles within their bounds, refusals that name the setting, memory as it is measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import PlanError, RiskopsError
from riskops.models import GeometricBrownianMotion
from riskops.simulation import Plan, Sampling, SimulationSpec, Workload, chunk_sizes, plan
from riskops.simulation.plan import CHUNK_BYTES, TASK_SECONDS
from tests.models.examples import example
from tests.simulation.examples import spec_of

MEASURE = Path(__file__).with_name("measure_memory.py")

workloads = st.builds(
    Workload,
    times=st.integers(1, 60),
    scenarios=st.integers(1, 40),
    models=st.integers(1, 40),
    portfolios=st.integers(0, 30),
    horizons=st.integers(0, 20),
    tail_paths=st.integers(1, 10**6),
)


def many(assets: int, **options: object) -> SimulationSpec:
    names = tuple(f"a{i}" for i in range(assets))
    model = GeometricBrownianMotion(names, np.zeros(assets), np.full(assets, 0.2), np.eye(assets))
    return spec_of(model, **{"chunk_paths": None} | options)


@given(
    paths=st.integers(1, 2**34 - 1),
    steps=st.integers(1, 5000),
    assets=st.sampled_from([1, 3, 40]),
    work=workloads,
    memory=st.integers(2**28, 2**40),
    threads=st.integers(1, 64),
)
def test_chosen_chunks_are_whole_tiles_and_hold_every_bound(
    paths: int, steps: int, assets: int, work: Workload, memory: int, threads: int
) -> None:
    projected = plan(many(assets, paths=paths, steps=steps), work=work, memory=memory, threads=threads)
    tiles, rest = divmod(projected.chunk_paths, 1024)
    assert rest == 0
    assert tiles >= 1
    assert tiles & (tiles - 1) == 0  # a power of two, so that chunks are nodes of the tree of tiles
    assert projected.chunks == -(-paths // projected.chunk_paths)
    if tiles > 1:
        assert projected.task_seconds <= TASK_SECONDS
        assert projected.chunk_bytes <= min(CHUNK_BYTES, memory / (4 * threads))
        assert projected.chunk_paths <= max(paths / (4 * threads), 16 * 1024)


def test_chunks_grow_until_a_bound_stops_them() -> None:
    # Twice the chosen size would break a bound: time for many steps, memory for many rows, the spread for few paths.
    slow = plan(many(20, paths=2**24, steps=252), work=Workload())
    assert TASK_SECONDS / 2 < slow.task_seconds <= TASK_SECONDS
    wide = plan(many(20, paths=2**26), work=Workload(times=1, scenarios=20, portfolios=1, horizons=1), threads=2)
    assert wide.chunk_bytes * 2 > CHUNK_BYTES / 2
    few = plan(many(1, paths=2**20), work=Workload(), threads=8)
    assert few.chunk_paths == 2**20 // 32


@given(paths=st.integers(1, 200_000), first=st.integers(0, 20), chunk=st.sampled_from([None, 1024, 3072, 65_536]))
def test_chunk_sizes_cover_the_paths_and_only_the_last_is_short(paths: int, first: int, chunk: int | None) -> None:
    spec = spec_of(paths=first * 1024 + paths, chunk_paths=chunk)
    sizes = chunk_sizes(spec, first_path=first * 1024)
    assert sum(sizes) == paths
    assert all(size % 1024 == 0 and size == sizes[0] for size in sizes[:-1])
    assert 0 < sizes[-1] <= sizes[0]
    if chunk is not None:
        assert sizes[0] == min(chunk, paths)


def test_a_given_chunk_is_taken_as_it_is() -> None:
    projected = plan(spec_of(paths=10_000, chunk_paths=3072), work=Workload())
    assert (projected.chunk_paths, projected.chunks) == (3072, 4)
    assert projected.numbers_drawn == 10_000 * 3


def test_bytes_on_disk_are_those_of_the_arrays() -> None:
    work = Workload(times=2, scenarios=3, portfolios=4, horizons=2, store_losses=True, store_paths=True)
    stored = plan(spec_of(), work=work).bytes_on_disk
    assert work.rows == 24
    assert stored - plan(spec_of(), work=Workload()).bytes_on_disk == 4096 * (24 * 8 + 3 * 2 * 3 * 4)


def test_weighted_paths_take_room_for_their_weights() -> None:
    weighted = Sampling("importance", shift={"diffusion": (0.1,) * 3})
    work = Workload(times=2, portfolios=2, horizons=2, store_losses=True, tail_paths=4096)
    plain, arranged = (plan(replace(spec_of(), sampling=s), work=work) for s in (Sampling(), weighted))
    assert arranged.bytes_on_disk - plain.bytes_on_disk == 4096 * 2 * 8
    long = spec_of(paths=65_536, chunk_paths=4096)
    assert plan(replace(long, sampling=weighted), work=work).tail_bytes > plan(long, work=work).tail_bytes


def test_every_shock_is_a_number_drawn() -> None:
    spec = replace(spec_of(), model=example("student_t"))
    assert plan(spec, work=Workload()).numbers_drawn == spec.paths * spec.steps * (2 + 1)


def test_a_bounded_tail_grows_like_a_square_root() -> None:
    def tails(paths: int, entries: int) -> int:
        work = Workload(portfolios=2, horizons=3, levels=2, tail_paths=paths // 20, bracket_entries=entries)
        return plan(spec_of(paths=paths, chunk_paths=65_536), work=work).tail_bytes

    assert tails(2**24, 0) > 10 * tails(2**20, 0)
    assert tails(2**26, 8000) < 8 * tails(2**20, 1000)  # brackets of 64 times the paths are eight times as long


def test_more_figures_than_a_report_can_hold_are_refused_by_the_setting_that_asks_for_them() -> None:
    work = Workload(portfolios=3, horizons=2, levels=2, dependence=True, contributions=True)
    with pytest.raises(PlanError) as caught:
        plan(many(1200, paths=65_536), work=work).check(memory=2**50)
    assert str(caught.value) == (
        "risk.dependence: 2,880,000 figures would come out, and more than 2,000,000 are no report; "
        "set risk.dependence to false"
    )
    plan(many(1200, paths=65_536), work=replace(work, dependence=False)).check(memory=2**50)
    wide = Workload(scenarios=40, portfolios=1000, horizons=10, levels=4)
    with pytest.raises(
        PlanError, match=r"^portfolios, stress\.scenarios, risk\.horizons or risk\.levels: 8,000,000 fig"
    ):
        plan(many(3, paths=65_536), work=wide).check(memory=2**50)


def refusal(projected: Plan, **limits: int) -> str:
    with pytest.raises(PlanError) as caught:
        projected.check(**limits)
    assert isinstance(caught.value, RiskopsError)
    return re.sub(r"would need \d+(\.\d+)? [GT]iB", "would need SIZE", str(caught.value))


def test_what_does_not_fit_is_refused_in_one_line_that_names_the_setting() -> None:
    work = Workload(times=3, scenarios=10, portfolios=4, horizons=3, tail_paths=100, store_losses=True)
    chunky = plan(spec_of(paths=2**24, chunk_paths=2**22), work=work)
    assert chunky.check(memory=2**40, free_disk=2**50) is chunky
    assert refusal(chunky, memory=2**30) == (
        "simulation.chunk_paths: a worker would need SIZE and has 1 GiB; "
        "lower simulation.chunk_paths, or raise cluster.memory_limit"
    )
    assert refusal(chunky, memory=2**28) == (
        "cluster.memory_limit: a worker would need SIZE and has 256 MiB, less than the 290 MiB of a process without a "
        "path; raise cluster.memory_limit or lower cluster.workers"
    )
    long_tail = plan(spec_of(paths=2**30, chunk_paths=1024), work=Workload(portfolios=4, horizons=3, tail_paths=2**26))
    assert refusal(long_tail, memory=2**30) == (
        "simulation.paths or risk.levels: a worker would need SIZE and has 1 GiB; "
        "lower simulation.paths or risk.levels, or raise cluster.memory_limit"
    )
    assert refusal(chunky, memory=2**40, free_disk=2**30) == (
        "store.root: the run needs 15.01 GiB on disk and 1 GiB are free; "
        "lower simulation.paths, or set store.losses or store.paths to false"
    )
    assert refusal(chunky, memory=2**40, free_disk=0, held=14 * 2**30).startswith(
        "store.root: the run needs 1.008 GiB more on disk and 0 B are free; "
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_projected_memory_is_near_what_a_run_uses(threads: int) -> None:
    # Held within: projected at least 0.8 and at most 2.5 times the measured peak of a process of its own.
    done = subprocess.run([sys.executable, str(MEASURE), str(threads)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert 0.8 * found["measured"] <= found["projected"] <= 2.5 * found["measured"], found
