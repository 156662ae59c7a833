"""Events on paths: which paths they move and when, in each precision and language, and what does not fit a model."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dask.base import tokenize

from riskops.errors import InputError
from riskops.scenarios import BASE, Event, Scenario
from riskops.simulation import path_job, paths_of, simulate
from riskops.simulation.events import PathEvent, PriceMove, _move, apply_events, read_prices, resolve_events
from tests.models.toy_models import example_models
from tests.simulation.examples import brownian, prices_of, spec_of

REGIMES = example_models()["toy_two_regimes"]


def resolved(*events: Event, model=REGIMES, **options) -> tuple[PathEvent, ...]:
    return resolve_events(Scenario("flash", events=events), spec=spec_of(model, steps=5, **options), model=model)


def states(dtype=np.float64, *, paths: int = 200) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    return {
        "log_growth": rng.standard_normal((2, paths)).astype(dtype),
        "regime": rng.integers(0, 3, (1, paths)).astype(np.int32),
        "variance": rng.random((2, paths)).astype(dtype),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("when", "holds"),
    [
        (None, lambda g, r: np.full_like(g, True, dtype=bool)),
        ("log_growth below -0.25", lambda g, r: g < g.dtype.type(-0.25)),
        ("log_growth above 0.1", lambda g, r: g > g.dtype.type(0.1)),
        ("log_growth of A below -0.25", lambda g, r: np.broadcast_to(g[:1] < g.dtype.type(-0.25), g.shape)),
        ("log_growth of B above 0.1", lambda g, r: np.broadcast_to(g[1:] > g.dtype.type(0.1), g.shape)),
        ("regime equals 1", lambda g, r: np.broadcast_to(r == 1, g.shape)),
        ("regime above 0.5", lambda g, r: np.broadcast_to(r > 0.5, g.shape)),
        ("regime below 1.5", lambda g, r: np.broadcast_to(r < 1.5, g.shape)),
        ("regime below 1", lambda g, r: np.broadcast_to(r < 1, g.shape)),
    ],
)
def test_paths_that_meet_the_condition_are_moved_and_no_others(dtype, when, holds):
    events = resolved(Event(3, -0.2, {"B": 0.5}, when=when))
    state = states(dtype)
    before = {name: array.copy() for name, array in state.items()}
    for step in (1, 2, 4, 5):
        apply_events(events, step, float(step), state)
        np.testing.assert_array_equal(state["log_growth"], before["log_growth"])
    apply_events(events, 3, 3.0, state)
    chosen = holds(before["log_growth"], before["regime"])
    np.testing.assert_allclose(events[0].log_moves, np.log([0.8, 0.8 * 1.5]), rtol=1e-14)
    moves = np.array(events[0].log_moves)[:, None].astype(dtype)
    expected = np.where(chosen, before["log_growth"] + moves, before["log_growth"])
    np.testing.assert_array_equal(state["log_growth"], expected)
    assert state["log_growth"].dtype == dtype
    assert when is None or 0 < chosen.sum() < chosen.size
    for name in ("regime", "variance"):
        np.testing.assert_array_equal(state[name], before[name])


def test_events_of_one_day_happen_in_their_order():
    fall, rise = Event(1, -0.5), Event(1, 0.25, when="log_growth below -0.1")
    for events, expected in (((fall, rise), 0.5 * 1.25), ((rise, fall), 0.5)):
        state = {"log_growth": np.zeros((2, 1)), "regime": np.zeros((1, 1), np.int32)}
        apply_events(resolved(*events), 1, 1.0, state)
        np.testing.assert_allclose(np.exp(state["log_growth"]), expected, rtol=1e-14)


def test_a_day_is_a_step_of_the_simulation():
    assert [e.step for e in resolved(Event(0.5, 0.1), Event(2.5, 0.1), step_days=0.5)] == [1, 5]
    for day in (0.3, 3.0):
        text = rf"scenario flash: events\[1\]\.day: {day} days is not a multiple of step_days=0.5 between 0 and 2.5"
        with pytest.raises(InputError, match=text):
            resolved(Event(1, 0.1), Event(day, 0.1), step_days=0.5)


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (
            "variance above 0.1",
            "when: 'variance' is no state of model toy_two_regimes, which has log_growth, regime",
        ),
        ("log_growth equals 1", "when: log_growth is a real number, which is below or above another, never equal"),
        ("regime of A equals 1", "when: regime is shared by all assets; leave out 'of A'"),
        ("regime above 3e9", "when: 3000000000.0 is no value that regime can be compared with"),
        ("log_growth of C below 0", "when: 'C' is unknown; known are A, B"),
    ],
)
def test_conditions_that_do_not_fit_the_model_are_refused(when, text):
    with pytest.raises(InputError, match=rf"scenario flash: events\[0\]\.{text}"):
        resolved(Event(1, -0.1, when=when))


def test_whether_events_read_prices():
    assert not read_prices(resolved(Event(1, -0.1), Event(2, -0.1, when="regime equals 1")))
    assert read_prices(resolved(Event(1, -0.1), Event(2, -0.1, when="log_growth of A below 0")))
    assert resolve_events(object(), spec=spec_of(), model=REGIMES) == ()


def test_resolved_events_are_values():
    one, same, other = (resolved(Event(1, move, when="regime equals 1"))[0] for move in (-0.1, -0.1, -0.1 + 1e-16))
    assert one == same == pickle.loads(pickle.dumps(one))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert isinstance(one, PriceMove)
    assert one.log_moves == pytest.approx((np.log(0.9),) * 2, rel=1e-15)


class Halt:
    """A function of one's own: every second step log growth above its cap falls to it."""

    reads_prices = True

    def fingerprint(self) -> str:
        return "halt"

    def apply(self, step, time_days, state) -> None:
        if step % 2 == 0:
            np.minimum(state["log_growth"], time_days / 10, out=state["log_growth"])


def test_functions_of_one_s_own_are_events_too():
    class Own:
        name = "own"
        events = (Halt(), Event(2, 1.0))

    events = resolve_events(Own(), spec=spec_of(REGIMES, steps=5), model=REGIMES)
    state = states()
    before = state["log_growth"].copy()
    apply_events(events, 1, 1.0, state)
    np.testing.assert_array_equal(state["log_growth"], before)
    apply_events(events, 2, 2.0, state)
    np.testing.assert_allclose(state["log_growth"], np.minimum(before, 0.2) + np.log(2.0), rtol=0, atol=1e-15)


SCRIPT = """
import sys
import numpy as np
from numba import cuda
from riskops.simulation.events import _move, moved
growth, deciding, moves, bound, how, expected = (np.load(f"{sys.argv[1]}/{k}.npy") for k in range(6))
plain = growth.copy()
_move.py_func(plain, deciding, moves, bound, how)
np.testing.assert_array_equal(plain, expected)
on_device = cuda.to_device(growth)
_move._launch([on_device, cuda.to_device(deciding), cuda.to_device(moves), cuda.to_device(bound), cuda.to_device(how)])
np.testing.assert_array_equal(on_device.copy_to_host(), expected)
print("same")
"""


def test_the_kernel_is_the_same_in_plain_python_and_on_cuda(tmp_path: Path):
    growth = states(np.float32, paths=40)["log_growth"]
    moves, bound, how = np.array([-0.5, 0.25], np.float32), np.array([0.1], np.float32), np.array([1], np.int32)
    expected = growth.copy()
    _move(expected, growth[1:].copy(), moves, bound, how)
    assert 0 < (expected != growth).sum() < growth.size
    for k, array in enumerate((growth, growth[1:], moves, bound, how, expected)):
        np.save(tmp_path / f"{k}.npy", array)
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["same"], done.stderr[-2000:]


# In the engine


def under(model, *scenarios: Scenario, dtype="float64", **options) -> dict[str, np.ndarray]:
    """Log growth ``(time, asset, path)`` of the base and of every scenario, all times from 0 to 5."""
    spec = spec_of(model, steps=5, dtype=dtype, paths=3000, **options)
    paths = simulate(spec, scenarios=(BASE, *scenarios), prices=prices_of(model.assets))["log_growth"]
    return {str(name): paths.sel(scenario=name).values for name in paths["scenario"].values}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_move_on_a_day_is_in_the_paths_from_that_day_on(dtype):
    growth = under(brownian(), Scenario("flash", events=[Event(3, -0.1, {"C": 0.5})]), dtype=dtype)
    move = np.log([0.9, 0.9, 1.35])[:, None]
    np.testing.assert_array_equal(growth["flash"][:3], growth["base"][:3])
    after = growth["flash"][3:] - growth["base"][3:]
    np.testing.assert_allclose(
        after, np.broadcast_to(move, after.shape), rtol=0, atol=3e-7 if dtype == "float32" else 1e-15
    )


def test_a_condition_reads_the_paths_of_its_day_and_scenario():
    flash = Event(2, -0.1, when="log_growth of B below -0.21")
    growth = under(brownian(), Scenario("late", events=[flash]), Scenario("crash", all_prices=-0.2, events=[flash]))
    base, late, crash = growth["base"], growth["late"], growth["crash"]
    np.testing.assert_array_equal(late[:2], base[:2])
    assert not np.any(base[2, 1] < -0.21)
    np.testing.assert_array_equal(late, base)  # it never falls so far of itself
    # under the crash, which the condition sees, about half of the paths are
    fallen = base[2, 1] + np.log(0.8) < -0.21
    assert 0.2 < fallen.mean() < 0.8
    expected = base + np.log(0.8) + np.where(np.arange(6)[:, None] >= 2, fallen * np.log(0.9), 0.0)[:, None]
    np.testing.assert_allclose(crash, expected, rtol=0, atol=1e-14)


def test_a_regime_can_decide_and_shares_one_simulation_with_nothing_else():
    flash = Scenario("flash", events=[Event(4, -0.1, when="regime equals 1")])
    twin = Scenario("twin", "the same", events=[Event(4, -0.1, when="regime equals 1")])
    growth = under(REGIMES, flash, twin)
    moved = np.abs(growth["flash"] - growth["base"]) > 1e-9
    assert not moved[:4].any()
    np.testing.assert_array_equal(moved[4], moved[5])
    share = REGIMES.regime_probability(4)[1]
    assert abs(moved[4, 0].mean() - share) < 4 * np.sqrt(share * (1 - share) / 3000)
    np.testing.assert_array_equal(growth["twin"], growth["flash"])
    spec = spec_of(REGIMES, steps=5)
    job = path_job(spec, scenarios=(BASE, flash, twin), prices=prices_of(REGIMES.assets))
    assert (len(job.models), job.model_of) == (2, (0, 1, 1))
    part = job.select(["flash"], [5])
    np.testing.assert_array_equal(
        paths_of(part)["log_growth"].values[0], paths_of(job)["log_growth"].sel(scenario="flash", time=[5]).values
    )
    other = path_job(
        spec, scenarios=(BASE, Scenario("flash", events=[Event(4, -0.2)])), prices=prices_of(REGIMES.assets)
    )
    first = path_job(spec, scenarios=(BASE, flash), prices=prices_of(REGIMES.assets))
    assert tokenize(first) != tokenize(other)


def test_paths_under_events_do_not_depend_on_the_cut():
    scenario = Scenario("flash", events=[Event(2, -0.1, when="log_growth below 0"), Event(4, 0.1)])
    whole, cut = (under(brownian(), scenario, dtype="float32", chunk_paths=size) for size in (1024, 4096))
    np.testing.assert_array_equal(whole["flash"], cut["flash"])


def test_events_beyond_the_last_step_are_refused():
    text = r"scenario late: events\[0\]\.day: 6.0 days is not a multiple of step_days=1 between 0 and 5"
    with pytest.raises(InputError, match=text):
        under(brownian(), Scenario("late", events=[Event(6, -0.1)]))
