"""Discrete draws: words against thresholds, exact in integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from riskops.errors import InputError
from riskops.tables import outcome, poisson_thresholds, row_of, thresholds


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**31))
def test_row_of_counts_its_thresholds(word, rows):
    row = row_of(np.uint32(word), np.uint32(rows))
    assert row == word * rows >> 32
    assert 0 <= row < rows
    lower, upper = -(-(int(row) * 2**32) // rows), -(-((int(row) + 1) * 2**32) // rows)
    assert lower <= word < upper


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any))
def test_thresholds_cut_the_words_in_proportion(weights):
    shares = [w / sum(weights) for w in weights]
    cuts = [0, *thresholds(shares).tolist(), 2**32]
    assert cuts == sorted(cuts)
    for share, low, high in zip(shares, cuts, cuts[1:], strict=False):
        assert abs(Fraction(high - low, 2**32) - Fraction(share)) <= Fraction(3, 2**32)


def test_thresholds_of_a_matrix_and_of_bad_input():
    table = thresholds([[0.9, 0.1], [1.0, 0.0]])
    assert table.shape == (2, 1)
    assert table.dtype == np.uint32
    assert table[1, 0] == 2**32 - 1
    with pytest.raises(InputError, match=r"probabilities: .* do not sum to one"):
        thresholds([0.5, 0.4])
    with pytest.raises(InputError, match=r"probabilities: .* are not all between 0 and 1"):
        thresholds([1.5, -0.5])
    with pytest.raises(InputError, match="are not all between"):
        thresholds([float("nan"), 0.5])


def test_poisson_thresholds_are_the_cumulative_probabilities():
    limits = poisson_thresholds([0.3, 2.0, 0.0])
    for mean, row in zip((0.3, 2.0, 0.0), limits.tolist(), strict=True):
        for count, limit in enumerate(row):
            assert abs(limit - stats.poisson.cdf(count, mean) * 2.0**32) <= 0.5
    assert limits.max() == 2**32
    with pytest.raises(InputError, match=r"means: \[65\.0\] are not one number an asset"):
        poisson_thresholds([65.0])


@given(st.floats(0.0, 64.0))
def test_poisson_thresholds_are_rounded_rightly(mean):
    """Against a series of fractions; the last count is the first beyond which there is less than a word's
    probability."""
    limits = poisson_thresholds([mean])[0].tolist()
    exact, term, sums = Fraction(mean), Fraction(1), [Fraction(1)]
    for j in range(1, 330):
        term = Fraction(int(term * exact / j * 2**220), 2**220)  # far finer than a threshold
        sums.append(sums[-1] + term)
    whole = sums[-1]
    assert limits == [int(part / whole * 2**32 + Fraction(1, 2)) for part in sums[: len(limits)]]
    assert (whole - sums[len(limits) - 1]) / whole <= Fraction(1, 2**32)
    assert len(limits) == 1 or (whole - sums[len(limits) - 2]) / whole > Fraction(1, 2**32)


@given(st.integers(0, 2**32 - 1))
def test_an_outcome_counts_the_thresholds_not_above_the_word(word):
    limits = poisson_thresholds([0.7])[0]
    assert outcome(np.uint32(word), limits) == sum(word >= int(limit) for limit in limits)
