"""The approximate sketch: its error holds for any losses, and any order of merging gives the same sketch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskops.errors import InputError
from riskops.reductions import ApproximateSketch, sketch_quantiles

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
SMALLEST_NORMAL = float(np.finfo(np.float64).tiny)


@given(
    losses=st.lists(st.one_of(FINITE, st.floats(-1e6, 1e6), st.integers(-2, 2)), min_size=1, max_size=60),
    error=st.sampled_from([0.2, 0.05, 0.01, 1e-3, 1e-6]),
)
def test_every_order_statistic_is_within_the_error(losses: list[float], error: float) -> None:
    sketch = ApproximateSketch(relative_error=error)
    sample = np.array(losses, dtype=np.float64)
    found = sketch.finalize(sketch.chunk({"loss": sample}, first_path=0))
    ascending = np.sort(sample)
    given_ = sketch_quantiles(found, np.arange(1, len(sample) + 1))
    assert sketch.guaranteed_error <= error
    # the middle itself is rounded to a double
    allowed = np.abs(ascending) * (sketch.guaranteed_error + 1e-15)
    tiny = np.abs(ascending) < SMALLEST_NORMAL
    np.testing.assert_array_equal(given_[tiny], 0.0)
    assert (np.abs(given_ - ascending) <= np.where(tiny, SMALLEST_NORMAL, allowed)).all()
    assert found["counts"].sum() == len(sample)


def test_the_error_is_reached() -> None:
    sketch = ApproximateSketch(relative_error=0.01)
    edge = np.array([1024.0])  # the lower end of a bucket whose mantissa is one
    (middle,) = sketch_quantiles(sketch.finalize(sketch.chunk({"loss": edge}, first_path=0)), np.array([1]))
    assert abs(middle / 1024.0 - 1.0) == pytest.approx(sketch.guaranteed_error, rel=1e-12)


@given(losses=st.lists(FINITE, min_size=2, max_size=80), seed=st.integers(0, 99))
def test_any_order_of_merging_gives_the_same_state(losses: list[float], seed: int) -> None:
    generator = np.random.default_rng(seed)
    sketch = ApproximateSketch()
    sample = np.array(losses)
    whole = sketch.chunk({"loss": sample}, first_path=0)
    pieces = np.array_split(generator.permutation(sample), generator.integers(1, 6))
    states = [sketch.chunk({"loss": piece}, first_path=0) for piece in pieces if len(piece)]
    while len(states) > 1:
        first, second = states.pop(generator.integers(len(states))), states.pop(generator.integers(len(states)))
        states.append(sketch.combine([first, second]))
    (merged,) = states
    assert merged.keys[0].tobytes() == whole.keys[0].tobytes()
    assert merged.counts[0].tobytes() == whole.counts[0].tobytes()
    assert (merged.seen, merged.lead) == (whole.seen, whole.lead)


def test_memory_is_bounded_whatever_the_losses() -> None:
    sketch = ApproximateSketch(relative_error=0.2)
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2**63, 200_000) | generator.integers(0, 2, 200_000) << 63
    losses = bits.view(np.float64)
    losses = losses[np.isfinite(losses)]
    state = sketch.chunk({"loss": losses}, first_path=0)
    used = state.keys[0].nbytes + state.counts[0].nbytes
    assert 0.9 * sketch.largest_bytes < used <= sketch.largest_bytes
    money = np.concatenate([sign * np.geomspace(0.01, 1e9, 300_000) for sign in (1, -1)])
    assert len(ApproximateSketch().chunk({"loss": money[:300_000]}, first_path=0).keys[0]) <= 5_000


def test_rows_are_apart() -> None:
    sketch = ApproximateSketch()
    losses = np.stack([[np.arange(1.0, 101.0), -np.arange(1.0, 101.0)], [np.zeros(100), np.full(100, 7.0)]])
    states = [sketch.chunk({"loss": part}, first_path=0) for part in (losses[..., :40], losses[..., 40:])]
    found = sketch_quantiles(sketch.finalize(sketch.combine(states)), np.array([1, 90]))
    assert found.shape == (2, 2, 2)
    np.testing.assert_allclose(
        found, np.sort(losses, axis=-1)[..., [0, 89]], rtol=sketch.guaranteed_error * (1.0 + 1e-12)
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named(bad: float) -> None:
    losses = np.zeros((2, 9))
    losses[1, 5] = bad
    with pytest.raises(InputError, match=rf"^loss: path 2053 of row \(1,\) is {bad!r}, not a finite number$"):
        ApproximateSketch().chunk({"loss": losses}, first_path=2048)


@pytest.mark.parametrize("error", [0.0, 0.3, 1e-7])
def test_errors_outside_the_range_are_refused(error: float) -> None:
    with pytest.raises(InputError, match=r"^relative_error: .* is not between 1e-06 and 0\.2$"):
        ApproximateSketch(relative_error=error)
