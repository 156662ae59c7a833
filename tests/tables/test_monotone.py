"""Monotone functions of a normal as tables of cubics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from scipy import special

from riskops.errors import InputError
from riskops.tables import cubics, tabulate, value_at
from riskops.tables.monotone import interpolate


def t_quantile(z):
    return np.sign(z) * -special.stdtrit(4.0, special.ndtr(-np.abs(z)))


def chi_square_quantile(z):
    upper = special.gammainccinv(2.0, special.ndtr(-z))
    return 2.0 * np.where(z > 0, upper, special.gammaincinv(2.0, special.ndtr(np.minimum(z, 0.0))))


@njit(cache=True, error_model="numpy")
def look_up(table, z, out):
    for i in range(len(z)):
        out[i] = value_at(table, z[i])


@pytest.mark.parametrize("function", [t_quantile, chi_square_quantile])
def test_the_stated_error_holds_in_both_precisions(function):
    table = tabulate(function)
    z = np.random.default_rng(1).normal(size=20_000)
    true, scale = function(z), np.abs(function(z)) + (function(np.ones(1)) - function(-np.ones(1))) / 2
    for dtype, rounding in ((np.float64, 1e-13), (np.float32, 3e-6)):
        out = np.empty(len(z), dtype)
        look_up(cubics(table.values).astype(dtype), z.astype(dtype), out)
        assert np.max(np.abs(out - true) / scale) <= table.error + rounding
    assert table.error < 1e-8


@given(st.floats(-12.0, 12.0), st.floats(-12.0, 12.0))
def test_the_table_is_monotone_and_flat_beyond_its_ends(a, b):
    table = cubics(tabulate(chi_square_quantile, knots=257).values)
    low, high = interpolate(table, [min(a, b), max(a, b)])
    assert low <= high * (1 + 1e-15)
    assert value_at(table, max(a, b)) == pytest.approx(high, rel=1e-13)


def test_what_is_no_monotone_function_is_refused():
    with pytest.raises(InputError, match="table: the function decreases at z = "):
        tabulate(lambda z: -z)
    with pytest.raises(InputError, match="table: the function is not finite at z = "):
        tabulate(lambda z: np.where(z > 1, np.inf, z))
