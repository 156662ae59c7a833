"""The tail against sorting everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskops.reductions import Tail
from riskops.reductions.loss_rows import _first_nan
from riskops.reductions.tail import _collect


def reduce(losses: np.ndarray, keep: int, *, step: int = 1024) -> dict[str, np.ndarray]:
    tail = Tail(keep=keep)
    starts = range(0, losses.shape[-1], step)
    return tail.finalize(tail.combine([tail.chunk({"loss": losses[..., s : s + step]}, first_path=s) for s in starts]))


def oracle(losses: np.ndarray, keep: int) -> tuple[np.ndarray, np.ndarray]:
    paths = np.broadcast_to(np.arange(losses.shape[-1]), losses.shape)
    order = np.lexsort((paths, -losses), axis=-1)[..., :keep]
    return np.take_along_axis(losses, order, axis=-1), order


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 5000),
    keep=st.integers(1, 3000),
    different=st.sampled_from([1, 2, 5, 1000]),
)
def test_equals_sorting_with_ties_by_path(seed: int, n: int, keep: int, different: int) -> None:
    losses = np.random.default_rng(seed).integers(0, different, (2, n)).astype(float)
    result = reduce(losses, keep)
    loss, path = oracle(losses, keep)
    np.testing.assert_array_equal(result["loss"], loss)
    np.testing.assert_array_equal(result["path"], path)
    assert result["paths"] == n


def test_leading_dims_and_dtype() -> None:
    losses = np.random.default_rng(1).standard_normal((2, 3, 4, 3000)).astype(np.float32)
    result = reduce(losses, 10)
    assert result["loss"].shape == result["path"].shape == (2, 3, 4, 10)
    assert (result["loss"].dtype, result["path"].dtype) == (np.float64, np.int64)
    np.testing.assert_array_equal(result["loss"], oracle(losses.astype(np.float64), 10)[0])


def test_infinite_losses_and_both_zeros_are_ordered() -> None:
    losses = np.array([0.0, -np.inf, -0.0, np.inf, -1.0, 0.0])
    result = reduce(losses, 6)
    assert result["path"].tolist() == [3, 0, 2, 5, 4, 1]


def test_one_path() -> None:
    result = reduce(np.array([2.5]), 4)
    assert (result["loss"].tolist(), result["path"].tolist(), result["paths"]) == ([2.5], [0], 1)


def test_nan_is_an_error_that_says_where() -> None:
    losses = np.zeros((2, 3, 3000))
    losses[1, 2, 2500] = np.nan
    with pytest.raises(ValueError, match=r"^loss: path 2500 of row \(1, 2\) is NaN, not a number$"):
        reduce(losses, 5)
    with pytest.raises(ValueError, match=r"^loss: path 1 of row \(\) is NaN"):
        reduce(np.array([0.0, np.nan]), 5)


def test_keep_is_checked() -> None:
    with pytest.raises(ValueError, match="keep: 0 is not an integer >= 1"):
        Tail(keep=0)


def test_kernels_as_plain_python() -> None:
    losses = np.random.default_rng(2).integers(0, 40, 50).astype(float)
    cut = np.sort(losses)[-7]
    out, at = np.empty(11), np.empty(11, dtype=np.int64)
    plain_out, plain_at = out.copy(), at.copy()
    paths = np.arange(50) + 1024
    _collect(losses, paths, cut, out[:8], at[:8])
    _collect.py_func(losses, paths, cut, plain_out[:8], plain_at[:8])
    np.testing.assert_array_equal(at[:7], plain_at[:7])
    np.testing.assert_array_equal(out[:7], plain_out[:7])
    assert _first_nan.py_func(np.array([[1.0, 2.0], [3.0, np.nan]])) == (1, 1)
