"""Monotone functions of a number that reaches far, as tables whose knots thin out by octaves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from scipy import special

from riskops.errors import InputError
from riskops.tables.octaves import (
    interpolate_by_octave,
    octave_cubics,
    octaves_to_reach,
    tabulate_by_octave,
    value_by_octave,
)


def other_t(x, degrees=5.0, other=3.5):
    """The quantile of one t distribution at the probability of another: a tail that grows as a power."""
    return np.sign(x) * -special.stdtrit(other, special.stdtr(degrees, -np.abs(x)))


def normal_score(x, degrees=5.0):
    return np.sign(x) * -special.ndtri(special.stdtr(degrees, -np.abs(x)))


@njit(cache=True, error_model="numpy")
def look_up(table, x, out):
    for i in range(len(x)):
        out[i] = value_by_octave(table, x[i])


@pytest.mark.parametrize("function", [other_t, normal_score])
def test_the_stated_error_holds_in_both_precisions_as_far_as_draws_reach(function):
    octaves = octaves_to_reach(-special.stdtrit(5.0, 2.0**-65))
    table = tabulate_by_octave(function, octaves=octaves)
    assert table.error < 3e-7
    cubics = octave_cubics(table.values, octaves=octaves)
    tail = special.stdtrit(5.0, special.ndtr(np.linspace(-6.4, 0.0, 20_001)))
    x = np.concatenate([tail, -tail])
    for dtype, rounding in ((np.float64, 1e-13), (np.float32, 3e-7)):
        given_x = x.astype(dtype)
        out = np.empty(len(x), dtype)
        look_up(cubics.astype(dtype), given_x, out)
        true = function(given_x.astype(np.float64))
        scale = np.abs(true) + (function(np.ones(1)) - function(-np.ones(1))) / 2
        assert np.max(np.abs(out - true) / scale) <= 1.05 * table.error + rounding


def test_more_intervals_err_less():
    errors = [tabulate_by_octave(other_t, octaves=8, intervals=n).error for n in (8, 16, 32, 64)]
    assert all(fine < coarse / 8 for coarse, fine in pairwise(errors))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_the_table_is_monotone_and_flat_beyond_its_ends(a, b):
    cubics = octave_cubics(tabulate_by_octave(other_t, octaves=10).values, octaves=10)
    low, high = interpolate_by_octave(cubics, [min(a, b), max(a, b)])
    assert low <= high + 1e-15 * abs(high)
    assert value_by_octave(cubics, max(a, b)) == pytest.approx(high, rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_by_one_gives_the_bits_of_a_vector_loop(dtype):
    cubics = octave_cubics(tabulate_by_octave(other_t, octaves=12, intervals=64).values, octaves=12).astype(dtype)
    x = np.concatenate(
        [[0.0, -0.0, 1.0, -1.0, 4095.0, 1e30, -1e30], 3.0 * np.random.default_rng(2).standard_cauchy(50)]
    )
    out = np.empty(len(x), dtype)
    look_up(cubics, x.astype(dtype), out)
    assert out[0] == out[1] == cubics[int(cubics[0, 2]), 0]
    assert [value_by_octave(cubics, value) for value in x.astype(dtype)] == out.tolist()


def test_knots_reach_and_hold_the_function():
    octaves = octaves_to_reach(1000.0)
    assert 2.0 ** (octaves - 1) <= 1001.0 < 2.0**octaves
    table = tabulate_by_octave(other_t, octaves=octaves, intervals=4)
    cubics = octave_cubics(table.values, octaves=octaves)
    for knot in (0.0, 0.25, -0.25, 1.0, 1.5, -3.0, 511.0):
        assert interpolate_by_octave(cubics, knot) == pytest.approx(other_t(np.array(knot)), rel=1e-14, abs=1e-15)


def test_what_is_no_monotone_function_is_refused():
    with pytest.raises(InputError, match="table: the function decreases at "):
        tabulate_by_octave(lambda x: -x, octaves=3)
    with pytest.raises(InputError, match="table: the function is not finite at 1"):
        tabulate_by_octave(lambda x: np.where(x > 1, np.inf, x), octaves=3)
    with pytest.raises(InputError, match="table: 98 values do not make a power of two of intervals in each of 3"):
        octave_cubics(np.arange(98.0), octaves=3)
