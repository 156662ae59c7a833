"""Exponentials and logarithms of arrays: those of the kernels exactly, and NumPy's to the last bits."""

from __future__ import annotations

import numpy as np
import pytest

from riskops.models import elementwise
from riskops.scalar import exp_f64, expm1_f64, log_f64


@pytest.mark.parametrize(
    ("ours", "scalar", "theirs", "low", "high"),
    [
        (elementwise.exponentials, exp_f64, np.exp, -700.0, 700.0),
        (elementwise.exponentials_less_one, expm1_f64, np.expm1, -3.0, 3.0),
        (elementwise.logarithms, log_f64, np.log, 1e-300, 1e3),
    ],
)
def test_values_are_those_of_the_kernels_in_any_shape_and_order(ours, scalar, theirs, low, high):
    x = np.linspace(low, high, 60).reshape(3, 4, 5)
    given = x.copy()
    found = ours(given)
    np.testing.assert_array_equal(given, x)
    np.testing.assert_allclose(found, theirs(x), rtol=4.5e-16)
    assert found.ravel().tolist() == [float(scalar(value)) for value in x.ravel()]
    np.testing.assert_array_equal(ours(x.T), found.T)
    assert ours(x[0, 0, 0]).shape == ()
    assert ours(np.empty((0, 2))).shape == (0, 2)
