"""The model of many workers: its bounds, by hand, and that it says who waits for whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskops.simulation import Workload, plan
from riskops.simulation.scaling import DISTRIBUTED, WORKERS, Rehearsed, SchedulerCost, projection, scaled
from tests.simulation.examples import spec_of

FREE = SchedulerCost(0.0)
#: 64 chunks of 1024 paths, a millisecond each.
PLAN = plan(spec_of(paths=65_536, chunk_paths=1024), work=Workload())
MEASURED = Rehearsed(path_seconds=1e-3 / 1024, alone_seconds=0.5, tasks_a_chunk=4.0, other_tasks=10.0, paths=8192)


def seconds(workers: int, *, moved: int = 0, cost: SchedulerCost = FREE, cores: int | None = None) -> float:
    return scaled(PLAN, MEASURED, workers=workers, moved=moved, cost=cost, cores=cores).seconds


def test_work_is_shared_in_whole_chunks() -> None:
    assert seconds(1) == pytest.approx(0.5 + 0.064)
    assert seconds(4) == pytest.approx(0.5 + 0.016)
    assert seconds(60) == pytest.approx(0.5 + 0.002)  # 4 workers have two chunks
    assert seconds(64) == seconds(1000) == pytest.approx(0.5 + 0.001)


def test_one_scheduler_hands_out_all_tasks() -> None:
    cost = SchedulerCost(1e-3)
    found = scaled(PLAN, MEASURED, workers=64, moved=0, cost=cost)
    assert found.tasks == 10 + 4 * 64
    assert found.seconds == pytest.approx(0.5 + found.tasks * 1e-3)
    assert found.scheduler_share == pytest.approx(0.266 / 0.766)
    assert seconds(1, cost=cost, cores=2) == pytest.approx(0.5 + 0.266)  # longer than (0.064 + 0.266) / 2
    assert seconds(2, cost=SchedulerCost(1e-4), cores=2) == pytest.approx(0.5 + (0.064 + 0.0266) / 2)


def test_states_are_merged_level_by_level() -> None:
    # 64 chunks are two levels of eight; on several workers the states move as well
    one, two = (seconds(n, moved=10**6) - seconds(n) for n in (1, 2))
    assert one == pytest.approx(2 * 8 * 1e6 * 4e-9)
    assert two == pytest.approx(one + 2 * 8 * 1e6 / 4e8)


@given(workers=st.integers(1, 2000), more=st.integers(1, 2000))
def test_more_workers_never_take_longer(workers: int, more: int) -> None:
    assert seconds(workers + more, cost=DISTRIBUTED) <= seconds(workers, cost=DISTRIBUTED)


def test_a_projection_says_where_the_scheduler_limits() -> None:
    spec = replace(spec_of(paths=2**26), chunk_paths=None)
    slow = replace(MEASURED, path_seconds=1e-5)
    found = projection(spec, Workload(), slow)
    assert len(found["projected_seconds"]) == len(WORKERS)
    limit = found["scheduler_limits_beyond"]["workers"]
    tasks = 10 + 4 * found["chunks_on"]["1,000 workers"]
    assert limit == int(2**26 * 1e-5 / (tasks * DISTRIBUTED.task))
    below, beyond = (scaled(replace(PLAN, paths=2**26), slow, workers=n, moved=0) for n in (1, 10**6))
    assert below.scheduler_share < 0.5 < beyond.scheduler_share + 0.5
