"""Exact sums against math.fsum and rational arithmetic, for any order and any cut."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.reductions.exact_sums import LIMBS, ExactSums, _carry, add_all, add_exactly, exact_sum

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=-1e300, max_value=1e300)


def sums_of(values: list[float]) -> ExactSums:
    limbs = np.zeros((1, LIMBS), np.int64)
    assert add_all(limbs[0], np.array(values, dtype=np.float64))
    return ExactSums.of(limbs)


@given(values=st.lists(FINITE, max_size=60))
def test_a_sum_is_that_of_fsum(values: list[float]) -> None:
    assert exact_sum(np.array(values, dtype=np.float64)) == math.fsum(values)


@given(
    values=st.lists(FINITE, min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    seed=st.integers(0, 99),
)
def test_neither_order_nor_cut_matters(values: list[float], cuts: list[int], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(values).tolist()
    bounds = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    parts = [sums_of(shuffled[a:b]) for a, b in itertools.pairwise(bounds)]
    whole = ExactSums.merged([ExactSums.merged(parts[:2]), *parts[2:]])
    assert whole.rounded().tolist() == [math.fsum(values)]


@given(values=st.lists(FINITE, max_size=30))
def test_parts_add_up_to_the_sum_exactly(values: list[float]) -> None:
    (parts,) = sums_of(values).parts()
    assert sum(map(Fraction, parts)) == sum(map(Fraction, values))


@pytest.mark.parametrize("value", [5e-324, -5e-324, 2.0**-1022, 1.7976931348623157e308, 0.0, -0.0, 1.0, -1 / 3])
def test_every_kind_of_double_comes_back(value: float) -> None:
    assert exact_sum(np.array([value])) == value
    assert exact_sum(np.array([value, -value])) == 0.0


def test_kernels_are_plain_python_too() -> None:
    values = np.random.default_rng(1).normal(size=50) * 10.0 ** np.arange(-25, 25)
    compiled, plain = np.zeros(LIMBS, np.int64), np.zeros(LIMBS, np.int64)
    for value in values:
        assert add_exactly(compiled, value)
        assert add_exactly.py_func(plain, value)
    np.testing.assert_array_equal(compiled, plain)
    one, two = compiled[None].copy(), compiled[None].copy()
    _carry(one)
    _carry.py_func(two)
    np.testing.assert_array_equal(one, two)
    assert ((one[0, :-1] >= 0) & (one[0, :-1] < 1 << 32)).all()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="a loss is not finite"):
        exact_sum(np.array([1.0, value]))


def test_a_sum_beyond_the_largest_double_is_refused() -> None:
    with pytest.raises(InputError, match="beyond the largest double"):
        exact_sum(np.full(4, 1.7e308))
