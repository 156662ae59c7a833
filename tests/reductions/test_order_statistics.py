"""Order statistics in two passes against sorting: any losses, any cut and order of merging, bounded states."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.reductions.order_statistics import Between, order_statistics, order_statistics_bytes, summary_points
from riskops.reductions.rank_summary import RankSummary, merge_levels

TILE = 1024
GENERATOR = np.random.default_rng(7)
#: Losses that are hard to bracket: in order, equal, in one tiny range, over all of the doubles' range.
HARD: dict[str, Callable[[int], np.ndarray]] = {
    "heavy tails": lambda n: GENERATOR.standard_t(2, n),
    "ascending": lambda n: np.sort(GENERATOR.standard_normal(n)),
    "descending": lambda n: -np.sort(GENERATOR.standard_normal(n)),
    "sawtooth": lambda n: np.arange(n) % 1000 + np.arange(n) / n,
    "constant": lambda n: np.full(n, -3.25),
    "two values": lambda n: (np.arange(n) % 3 == 0).astype(float),
    "ties": lambda n: np.round(GENERATOR.standard_normal(n), 1),
    "neighbours": lambda n: (np.float64(1e6).view(np.int64) + GENERATOR.permutation(n)).view(np.float64),
    "denormals": lambda n: GENERATOR.integers(-50, 50, n) * 5e-324,
    "zeros of both signs": lambda n: np.where(np.arange(n) % 2, 0.0, -0.0),
    "all magnitudes": lambda n: GENERATOR.standard_normal(n) * 10.0 ** GENERATOR.integers(-300, 300, n),
}


def merged(reduction: Any, losses: np.ndarray, cuts: list[int], beside: dict[str, np.ndarray], arity: int) -> Any:
    """The state over the chunks between the cuts, merged ``arity`` at a time."""
    parts = np.split(losses, cuts)
    states = [reduction.chunk({"loss": part[None], **beside}, first_path=0) for part in parts if len(part)]
    while len(states) > 1:
        states = [
            reduction.combine(states[k : k + arity]) if k + 1 < len(states) else states[k]
            for k in range(0, len(states), arity)
        ]
    return states[0]


@given(
    losses=st.lists(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-3, 3)), min_size=1),
    repeats=st.integers(1, 9),
    seed=st.integers(0, 99),
    points=st.integers(2, 40),
    arity=st.integers(2, 5),
)
def test_any_losses_in_any_cut(losses: list[float], repeats: int, seed: int, points: int, arity: int) -> None:
    generator = np.random.default_rng(seed)
    sample = generator.permutation(np.repeat(np.array(losses, np.float64), repeats))
    n = len(sample)
    ranks = np.unique(generator.integers(1, n + 1, 5))
    cuts = sorted(generator.integers(0, n, 6).tolist())
    summary, between = RankSummary(ranks=ranks, points=points), Between(ranks=ranks)
    state = merged(summary, sample, cuts, {}, arity)
    assert len(state.rows[0].values) <= points + 2
    beside = summary.finalize(state)
    found = between.finalize(merged(between, sample, cuts[::2], beside, 2))
    expected = np.sort(sample)[ranks - 1] + 0.0
    assert found["values"].tobytes() == expected[None].tobytes()
    levels = merge_levels(7, arity)
    assert found["collected"] <= len(ranks) * (2 * (levels + 1) * n // points + 2)


@pytest.mark.parametrize("kind", HARD)
def test_hard_losses_through_dask(kind: str) -> None:
    n = 150 * TILE + 17
    losses = HARD[kind](n)
    ranks = np.unique(np.concatenate([[1, 2, n - 1, n], np.linspace(1, n, 60).astype(int)]))
    expected = np.sort(losses)[ranks - 1] + 0.0
    for chunk in (7 * TILE, 64 * TILE, n):
        ds = xr.Dataset({"loss": (("portfolio", "path"), da.from_array(losses[None], chunks=(1, chunk)))})
        result = order_statistics(ds, ranks=ranks.tolist()).compute(scheduler="threads").item()
        assert result["values"].tobytes() == expected[None].tobytes(), chunk
        chunks = math.ceil(n / chunk)
        points, levels = summary_points(n, len(ranks), chunks=chunks), merge_levels(chunks)
        assert points < n / 20, "the summary would hold every loss, and the second pass nothing"
        assert result["collected"] <= len(ranks) * (2 * (levels + 1) * n // points + 2)


def test_rows_are_apart_and_each_chunk_is_made_once_a_pass() -> None:
    made: Counter[int] = Counter()

    def make(block_info: Any = None) -> np.ndarray:
        first, stop = block_info[None]["array-location"][-1]
        made[first] += 1
        path = np.arange(first, stop, dtype=float)
        return np.stack([[path, -path], [path * path, path % 7]])

    data = da.map_blocks(make, chunks=((2,), (2,), (TILE,) * 12), dtype=float, meta=np.empty((0, 0, 0)), name="rows-0")
    ds = xr.Dataset({"loss": (("portfolio", "horizon", "path"), data)})
    ranks = [1, 6000, 12 * TILE]
    values = order_statistics(ds, ranks=ranks).compute(scheduler="threads").item()["values"]
    assert made == {k * TILE: 2 for k in range(12)}
    path = np.arange(12.0 * TILE)
    rows = np.stack([[path, -path], [path * path, path % 7]])
    np.testing.assert_array_equal(values, np.sort(rows, axis=-1)[..., np.array(ranks) - 1])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named(bad: float) -> None:
    losses = np.zeros((2, 2 * TILE))
    losses[1, TILE + 5] = bad
    ds = xr.Dataset({"loss": (("portfolio", "path"), losses)}).chunk(path=TILE)
    with pytest.raises(InputError, match=rf"^loss: path 1029 of row \(1,\) is {bad!r}, not a finite number$"):
        order_statistics(ds, ranks=[3]).compute(scheduler="synchronous")


def test_ranks_are_checked() -> None:
    ds = xr.Dataset({"loss": ("path", np.zeros(10))})
    with pytest.raises(InputError, match=r"^ranks: 11 is beyond the 10 paths$"):
        order_statistics(ds, ranks=[11])
    for wrong in ([], [2, 1], [3, 3]):
        with pytest.raises(InputError, match=r"^ranks: they are not whole numbers from 1 on, ascending and unique$"):
            order_statistics(ds, ranks=wrong)
    with pytest.raises(InputError, match=r"^ranks: 0 is not an integer >= 1$"):
        order_statistics(ds, ranks=[0])


def test_losses_that_change_between_the_passes_are_noticed() -> None:
    ranks = np.array([500])
    summary, between = RankSummary(ranks=ranks, points=10), Between(ranks=ranks)
    losses = np.arange(1000.0)
    beside = summary.finalize(summary.chunk({"loss": losses[None]}, first_path=0))
    with pytest.raises(InputError, match=r"^loss: the second pass was given other losses than the first$"):
        between.finalize(between.chunk({"loss": losses[None] + 400.0, **beside}, first_path=0))


def test_memory_is_of_the_order_of_a_root() -> None:
    small, large = (order_statistics_bytes(n, 3000, chunks=64, rows=2)["task"] for n in (10**6, 10**8))
    assert large < 10.5 * small
    assert order_statistics_bytes(64_000_000, 3000, chunks=64)["task"] < 300e6
