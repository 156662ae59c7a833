"""The frozen spec: what it refuses and in which words, its time axis, and its record."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.simulation import SimulationSpec, simulate
from tests.simulation.examples import brownian, spec_of


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("paths", 0, "simulation.paths: 0 is not an integer >= 1 and < 17179869184"),
        ("paths", 2**34, "simulation.paths: 17179869184 is not an integer >= 1 and < 17179869184"),
        ("paths", 1e6, "simulation.paths: 1000000.0 is not an integer >= 1 and < 17179869184"),
        ("paths", True, "simulation.paths: True is not an integer >= 1 and < 17179869184"),
        ("steps", 0, "simulation.steps: 0 is not an integer >= 1 and < 2147483648"),
        ("step_days", 0.0, "simulation.step_days: 0.0 is not above zero"),
        ("step_days", float("nan"), "simulation.step_days: nan is not a finite number"),
        ("seed", -1, "simulation.seed: -1 is not an integer >= 0 and < 18446744073709551616"),
        ("seed", 2**64, "simulation.seed: 18446744073709551616 is not an integer >= 0 and < 18446744073709551616"),
        ("dtype", "float16", "simulation.dtype: 'float16' is not one of float32, float64"),
        ("days_per_year", -252, "simulation.days_per_year: -252 is not above zero"),
        ("chunk_paths", 512, "simulation.chunk_paths: 512 is not an integer >= 1024"),
        ("chunk_paths", 1500, "simulation.chunk_paths: 1500 is not a multiple of 1024"),
    ],
)
def test_refusals(name: str, value: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        spec_of(**{name: value})
    assert str(caught.value) == text


def test_extremes_are_accepted() -> None:
    spec = spec_of(paths=2**34 - 1, seed=2**64 - 1, steps=2**31 - 1, chunk_paths=None)
    assert (spec.paths, spec.seed, spec.steps) == (2**34 - 1, 2**64 - 1, 2**31 - 1)


def test_time_axis() -> None:
    spec = spec_of(steps=4, step_days=0.25, days_per_year=365)
    assert spec.times == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert spec.step_years == 0.25 / 365
    assert [spec.step_of(time) for time in spec.times] == [0, 1, 2, 3, 4]
    assert spec.steps_of(None) == (0, 1, 2, 3, 4)
    assert spec.steps_of([0.5, 1]) == (2, 4)


def test_a_time_is_found_in_spite_of_rounding() -> None:
    assert spec_of(steps=10, step_days=0.1).step_of(0.7) == 7  # 7 * 0.1 is 0.7000000000000001


def test_decimal_steps_give_decimal_times() -> None:
    spec = spec_of(steps=12, step_days=0.1)
    assert spec.times == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
    assert [spec.step_of(time) for time in (0.3, 3 * 0.1)] == [3, 3]
    assert simulate(spec, times=[0.3, 0.7])["time"].values.tolist() == [0.3, 0.7]


@pytest.mark.parametrize("time", [-1.0, 0.5, 11.0, 10.0001])
def test_a_time_between_or_beyond_the_steps_is_refused(time: float) -> None:
    with pytest.raises(InputError) as caught:
        spec_of(steps=10).step_of(time, name="horizon")
    assert str(caught.value) == f"horizon: {time!r} days is not a multiple of step_days=1 between 0 and 10"


@pytest.mark.parametrize("times", [[], [2, 1], [1, 1]])
def test_times_that_do_not_ascend_are_refused(times: list[float]) -> None:
    with pytest.raises(InputError) as caught:
        spec_of(steps=10).steps_of(times)
    assert str(caught.value) == f"times: {times} is not ascending and unique"


def test_record_is_json_and_its_inverse_gives_the_same_bits() -> None:
    spec = spec_of(steps=3, step_days=0.1, seed=2**63 + 1, dtype="float64")
    record = json.loads(json.dumps(spec.record()))
    again = SimulationSpec.from_record(record, chunk_paths=2048)
    assert again.fingerprint() == spec.fingerprint()
    assert again.chunk_paths == 2048
    assert again.model.volatility.tobytes() == spec.model.volatility.tobytes()


def test_the_fingerprint_knows_what_matters_and_nothing_else() -> None:
    prints = {
        spec_of().fingerprint(),
        spec_of(paths=4097).fingerprint(),
        spec_of(steps=2).fingerprint(),
        spec_of(step_days=2).fingerprint(),
        spec_of(seed=12).fingerprint(),
        spec_of(dtype="float64").fingerprint(),
        spec_of(days_per_year=250).fingerprint(),
        spec_of(brownian(scale=np.nextafter(1.0, 2.0))).fingerprint(),
    }
    assert len(prints) == 8
    assert spec_of(chunk_paths=4096).fingerprint() == spec_of().fingerprint()
    assert spec_of(step_days=1).fingerprint() == spec_of(step_days=1.0).fingerprint()
