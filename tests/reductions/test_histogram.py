"""The histogram against counting between its edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskops.reductions import Histogram, histogram_quantile
from riskops.reductions.histogram import KEYS, _count


def reduce(losses: np.ndarray) -> dict[str, np.ndarray]:
    return Histogram().finalize(Histogram().chunk({"loss": losses}, first_path=0))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_every_number_lies_in_its_bin(numbers: list[float]) -> None:
    result = reduce(np.array(numbers))
    low, high = result["bin_low"], result["bin_high"]
    assert (low < high).all()
    assert (high[:-1] <= low[1:]).all()
    counted = [sum(a <= x < b for x in numbers) for a, b in zip(low, high, strict=True)]
    assert result["counts"].tolist() == counted
    assert sum(counted) == len(numbers)


def test_equals_numpy_between_the_same_edges() -> None:
    losses = np.random.default_rng(0).standard_t(3, (2, 3, 50_000)) * 1000.0
    result = reduce(losses)
    assert result["counts"].shape == (2, 3, len(result["bin_low"]))
    assert result["counts"].dtype == np.int64
    for row in np.ndindex(2, 3):
        edges = np.append(result["bin_low"], result["bin_high"][-1])
        np.testing.assert_array_equal(result["counts"][row], np.histogram(losses[row], edges)[0])


def test_bins_are_narrow_and_edges_exact() -> None:
    result = reduce(np.array([-1.0, -0.0, 0.0, 1.0, 1.5, 100.0]))
    assert 1.0 in result["bin_low"]
    assert 100.0 in result["bin_low"]
    assert -1.0 in result["bin_low"]
    away = result["bin_low"] != 0.0
    width = (result["bin_high"] - result["bin_low"])[away]
    nearest = np.minimum(abs(result["bin_low"]), abs(result["bin_high"]))[away]
    assert (width <= nearest / 64).all()
    zero = result["bin_low"] == 0.0
    assert result["counts"][zero].tolist() == [2]
    assert not np.signbit(result["bin_low"][zero]).any()


@pytest.mark.parametrize(("bad", "shown"), [(np.nan, "nan"), (-np.inf, "-inf")])
def test_what_has_no_bin_is_an_error(bad: float, shown: str) -> None:
    losses = np.zeros((2, 3000))
    losses[1, 70] = bad
    with pytest.raises(ValueError, match=rf"^loss: path 70 of row \(1,\) is {shown}, not a finite number$"):
        reduce(losses)


def test_quantiles_lie_in_the_bins_found() -> None:
    losses = np.random.default_rng(1).standard_normal((3, 10_000))
    result = reduce(losses)
    probabilities = [0.0, 0.05, 0.5, 0.99, 1.0]
    low, high = histogram_quantile(result["counts"], result["bin_low"], result["bin_high"], probabilities)
    exact = np.quantile(losses, probabilities, axis=-1, method="inverted_cdf").T
    assert ((low <= exact) & (exact < high)).all()


def test_quantile_arguments_are_checked() -> None:
    edges = np.array([0.0]), np.array([1.0])
    with pytest.raises(ValueError, match=r"probabilities: 1\.5 is not in \[0, 1\]"):
        histogram_quantile(np.array([3]), *edges, [1.5])
    with pytest.raises(ValueError, match="counts: a row without counts"):
        histogram_quantile(np.array([0]), *edges, [0.5])


def test_kernel_as_plain_python() -> None:
    losses = np.array([1.0, -2.5, 1.0, 0.0])
    results = []
    for kernel in (_count, _count.py_func):
        counts, keys = np.zeros(KEYS, dtype=np.int64), np.zeros(4, dtype=np.int64)
        with np.errstate(over="ignore"):
            assert kernel(losses, counts, keys) == (3, -1)
        results.append((keys.tolist(), counts[keys].tolist()))
    assert results[0] == results[1]
