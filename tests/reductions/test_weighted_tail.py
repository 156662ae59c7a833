"""The weighted tail against sorting everything, for any cut and any order of merging."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.reductions import Tail, WeightedTail, reduce_paths


def parts_of(losses: np.ndarray, weights: np.ndarray, tail: WeightedTail, sizes: list[int]) -> list:
    states, start = [], 0
    for size in [*sizes, losses.shape[-1]]:
        stop = min(start + 1024 * size, losses.shape[-1])
        if stop > start:
            block = {"loss": losses[..., start:stop], "loss_weight": weights[..., start:stop]}
            states.append(tail.chunk(block, first_path=start))
        start = stop
    return states


def oracle(losses: np.ndarray, weights: np.ndarray, mass: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one row: losses, paths and weights up to the one at which the weights exceed the mass."""
    order = np.lexsort((np.arange(len(losses)), -losses))
    beyond = np.cumsum(weights[order]) > mass
    kept = order[: int(np.argmax(beyond)) + 1] if beyond[-1] else order
    return losses[kept], kept, weights[kept]


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 5000),
    share=st.sampled_from([0.001, 0.05, 0.5, 1.0, 2.0]),
    different=st.sampled_from([2, 30, 10**6]),
    sizes=st.lists(st.integers(1, 3), max_size=4),
    left_first=st.booleans(),
)
def test_equals_sorting_for_any_cut_and_order(
    seed: int, n: int, share: float, different: int, sizes: list[int], left_first: bool
) -> None:
    rng = np.random.default_rng(seed)
    losses = rng.integers(0, different, (2, n)).astype(float)
    weights = rng.gamma(0.5, 2.0, (1, n)) * (rng.random((1, n)) > 0.1)  # some are exactly zero
    tail = WeightedTail(mass=share * n)
    states = parts_of(losses, weights, tail, sizes)
    while len(states) > 2:
        states = [tail.combine(states[:2]), *states[2:]] if left_first else [*states[:-2], tail.combine(states[-2:])]
    found = tail.finalize(tail.combine(states))
    assert found["paths"] == n
    for row in range(2):
        loss, path, weight = oracle(losses[row], weights[0], share * n)
        kept = len(loss)
        np.testing.assert_array_equal(found["loss"][row, :kept], loss)
        np.testing.assert_array_equal(found["path"][row, :kept], path)
        np.testing.assert_array_equal(found["weight"][row, :kept], weight)
        assert np.all(found["loss"][row, kept:] == -np.inf)
        assert np.all(found["path"][row, kept:] == -1)
        assert not found["weight"][row, kept:].any()


def test_weights_of_one_keep_what_the_plain_tail_keeps() -> None:
    losses = np.random.default_rng(1).normal(size=(2, 3, 4000))
    block = {"loss": losses, "loss_weight": np.ones((3, 4000))}
    weighted, plain = WeightedTail(mass=99.5), Tail(keep=100)
    one = weighted.finalize(weighted.chunk(block, first_path=0))
    other = plain.finalize(plain.chunk(block, first_path=0))
    for name in ("loss", "path", "paths"):
        np.testing.assert_array_equal(one[name], other[name])
    assert one["weight"].shape == (2, 3, 100)


def test_every_horizon_has_its_own_weights() -> None:
    losses = np.tile(np.arange(4.0), (2, 2, 1, 1)).transpose(0, 2, 1, 3)  # (scenario, portfolio, horizon, path)
    weights = np.array([[1.0, 1.0, 1.0, 1.0], [0.1, 0.1, 0.1, 3.7]])
    tail = WeightedTail(mass=1.5)
    found = tail.finalize(tail.chunk({"loss": losses, "loss_weight": weights}, first_path=0))
    assert found["loss"].shape == (2, 1, 2, 2)
    assert found["path"][:, 0, 0].tolist() == [[3, 2]] * 2
    assert found["path"][:, 0, 1].tolist() == [[3, -1]] * 2
    assert found["weight"][0, 0].tolist() == [[1.0, 1.0], [3.7, 0.0]]


def test_of_equal_losses_the_earlier_path_comes_first_and_infinities_are_ordered() -> None:
    losses = np.array([[0.0, -np.inf, -0.0, np.inf, -1.0, 0.0]])
    tail = WeightedTail(mass=100.0)
    found = tail.finalize(tail.chunk({"loss": losses, "loss_weight": np.ones((1, 6))}, first_path=0))
    assert found["path"].tolist() == [[3, 0, 2, 5, 4, 1]]


@pytest.mark.parametrize("name", ["loss", "loss_weight"])
def test_nan_is_an_error_that_says_where(name: str) -> None:
    block = {"loss": np.zeros((2, 3, 2048)), "loss_weight": np.ones((3, 2048))}
    block[name][..., 2, 1500] = np.nan
    with pytest.raises(InputError) as caught:
        WeightedTail(mass=1.0).chunk(block, first_path=4096)
    row = "(0, 2)" if name == "loss" else "(2,)"
    assert str(caught.value) == f"{name}: path 5596 of row {row} is NaN, not a number"


def test_the_mass_is_checked() -> None:
    for mass in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match=r"^mass: "):
            WeightedTail(mass=mass)


def test_over_a_dataset_of_any_chunks() -> None:
    rng = np.random.default_rng(4)
    losses = xr.Dataset(
        {
            "loss": (("portfolio", "horizon", "path"), rng.normal(size=(2, 2, 5120))),
            "loss_weight": (("horizon", "path"), rng.gamma(1.0, 1.0, (2, 5120))),
        }
    )
    results = [
        reduce_paths(losses.chunk(path=1024 * tiles), WeightedTail(mass=60.0)).compute(scheduler="synchronous").item()
        for tiles in (1, 2, 5)
    ]
    for other in results[1:]:
        for name in ("loss", "path", "weight", "paths"):
            np.testing.assert_array_equal(other[name], results[0][name])
