"""Brackets hold the order statistics that they prove, whatever the losses, the cuts and the order of merging."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.reductions import Brackets, Cut, WorstLosses
from riskops.reductions.brackets import _at_least, bracket_entries

TILE = 1024


def found(losses: np.ndarray, spans: list[tuple[float, float]], chunk: int, weights: np.ndarray | None = None) -> list:
    n = losses.shape[-1]
    reduction = Brackets(spans=tuple(spans), paths=n, weight=None if weights is None else "w")
    states = []
    for first in range(0, n, chunk):
        block = {"loss": losses[:, first : first + chunk]}
        if weights is not None:
            block["w"] = weights[None, first : first + chunk]
        states.append(reduction.chunk(block, first_path=first))
    while len(states) > 1:
        states = [
            reduction.combine(states[k : k + 3]) if k + 1 < len(states) else states[k] for k in range(0, len(states), 3)
        ]
    return reduction.finalize(states[0])["worst"]


def draws(kind: str, seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = {
        "normal": lambda: rng.normal(size=n),
        "heavy": lambda: rng.standard_t(1.5, size=n),
        "ties": lambda: rng.integers(-2, 3, size=n).astype(float),
        "sorted": lambda: np.sort(rng.normal(size=n)),
        "jump": lambda: rng.normal(size=n) + 50.0 * (np.arange(n) > n // 2),
    }
    return made[kind]()


@given(
    kind=st.sampled_from(["normal", "heavy", "ties", "sorted", "jump"]),
    seed=st.integers(0, 2**31),
    tiles=st.integers(3, 24),
    chunk=st.sampled_from([1024, 3072, 8192]),
    share=st.floats(0.001, 0.999),
)
@settings(max_examples=60)
def test_what_is_proven_is_the_order_statistic(kind: str, seed: int, tiles: int, chunk: int, share: float) -> None:
    n = tiles * TILE
    row = draws(kind, seed, n)
    rank = min(int(share * n), n - 1)
    (worst,) = found(row[None], [(float(rank), float(rank))], chunk)[0]
    if worst is None:
        assert kind in ("sorted", "jump")  # chunks that are samples of the whole always prove it
        return
    order = np.lexsort((np.arange(n), -row))
    assert worst.values[worst.beyond(float(rank))] == row[order[rank]]
    for cut, last in ((worst.cut(float(rank)), rank + 1), (worst.cut_before(float(rank)), rank)):
        inside = np.concatenate(
            [cut.holds(row[k : k + chunk], np.arange(k, min(k + chunk, n))) for k in range(0, n, chunk)]
        )
        assert set(np.flatnonzero(inside)) == set(order[:last])


@given(seed=st.integers(0, 2**31), chunk=st.sampled_from([1024, 4096]), ties=st.booleans())
@settings(max_examples=30)
def test_weighted_losses_are_those_of_a_sort(seed: int, chunk: int, ties: bool) -> None:
    rng, n = np.random.default_rng(seed), 16 * TILE
    row = np.round(rng.normal(size=n), 1) if ties else rng.normal(size=n)
    weights = rng.gamma(0.5, 2.0, size=n)
    mass = 0.03 * n
    (worst,) = found(row[None], [(mass, mass)], chunk, weights)[0]
    order = np.lexsort((np.arange(n), -row))
    place = int(np.argmax(np.cumsum(weights[order]) > mass))
    entry = worst.beyond(mass)
    assert worst.paths[entry] == order[place]
    assert worst.weight_before(entry) == pytest.approx(weights[order[:place]].sum(), rel=1e-14)


def test_sorted_paths_prove_nothing_and_say_so() -> None:
    row = np.arange(64.0 * TILE)[None]
    assert found(row, [(655.0, 655.0)], 4096) == [[None]]


def test_the_bound_of_what_is_kept_is_that_of_the_plan() -> None:
    n = 1 << 18
    (worst,) = found(draws("normal", 4, n)[None], [(0.05 * n, 0.05 * n)], 8192)[0]
    assert 0.5 < len(worst.values) / bracket_entries(0.05 * n, n) < 1.5


def test_nan_and_spans_that_descend_are_refused() -> None:
    with pytest.raises(InputError, match=r"spans: 3\.0 to 2\.0 does not ascend from zero"):
        Brackets(spans=((3.0, 2.0),), paths=1024)
    losses = np.zeros((2, 2048))
    losses[1, 1030] = np.nan
    with pytest.raises(InputError, match=r"loss: path 1030 of row \(1,\) is NaN"):
        found(losses, [(3.0, 4.0)], 2048)


def test_the_kernel_is_plain_python_too() -> None:
    row = draws("normal", 1, 200)
    for kernel in (_at_least, _at_least.py_func):
        out, places = np.empty(201), np.empty(201, np.int64)
        count = kernel(row, 0.5, out, places)
        np.testing.assert_array_equal(places[:count], np.flatnonzero(row >= 0.5))
        np.testing.assert_array_equal(out[:count], row[row >= 0.5])


def test_order_statistics_of_kept_losses() -> None:
    worst = WorstLosses(np.array([9.0, 7.0, 7.0, 1.0]), np.array([4, 2, 8, 1]), above=(3.0,))
    assert [worst.beyond(mass) for mass in (2.0, 3.0, 4.5, 6.0, 7.0)] == [-1, 0, 1, 3, 4]
    assert worst.weight_before(2) == 5.0
    assert worst.cut(2.0) == Cut(9.0)
    # a weight that no rounded sum tells from the mass
    third = WorstLosses(np.array([3.0, 2.0]), np.array([0, 1]), np.array([0.1, 0.2]), counted=False)
    assert [third.beyond(mass) for mass in (0.1, 0.2, 0.3)] == [1, 1, 1]
    assert third.cut_before(0.2) == Cut(3.0, 0)
