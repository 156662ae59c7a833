"""The engine: exact moments, paths recomputed from their words by hand, scenarios on common draws, and refusals."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.models import Model
from riskops.scenarios import BASE, Scenario
from riskops.simulation import SimulationSpec, path_job, paths_of, simulate, stretch
from riskops.simulation.draws import Draws
from tests.models.toy_models import RowBootstrap, TwoRegimes, Uniform, example_models
from tests.simulation.examples import ASSETS, Pegged, brownian, prices_of, spec_of
from tests.simulation.plain_paths import normal, uniform, word

MANY = {"paths": 65_536, "chunk_paths": 16_384}


def growth_of(spec: SimulationSpec, **options: Any) -> np.ndarray:
    return simulate(spec, **options)["log_growth"].values


def terminal(spec: SimulationSpec) -> np.ndarray:
    """Log growth ``(asset, path)`` at the last time, in double precision for the sums of the test."""
    return growth_of(spec, times=[spec.times[-1]])[0].astype(float)


def assert_moments(sample: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> None:
    """Mean and covariance of ``sample`` ``(asset, path)`` lie within four standard errors of the exact ones."""
    n = sample.shape[1]
    assert np.all(np.abs(sample.mean(axis=1) - mean) < 4 * np.sqrt(np.diag(covariance) / n))
    centred = sample - mean[:, None]
    for a, b in product(range(len(sample)), repeat=2):
        products = centred[a] * centred[b]
        assert abs(products.mean() - covariance[a, b]) < 4 * products.std() / np.sqrt(n)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_brownian_log_growth_and_simple_returns_have_their_exact_moments(dtype: str) -> None:
    model = brownian()
    spec = spec_of(model, steps=4, step_days=63, dtype=dtype, **MANY)
    sample = terminal(spec)
    assert_moments(sample, model.mean_log_growth(1.0), model.covariance_log_growth(1.0))
    assert_moments(np.expm1(sample), model.mean_simple_return(1.0), model.covariance_simple_return(1.0))


def test_the_covariance_of_two_times_is_that_of_the_earlier_one() -> None:
    model = brownian()
    early, late = growth_of(spec_of(model, steps=10, dtype="float64", **MANY), times=[4, 10])
    later_move = late - early
    assert_moments(later_move, model.mean_log_growth(6 / 252), model.covariance_log_growth(6 / 252))
    for a, b in product(range(3), repeat=2):
        products = (early[a] - early[a].mean()) * (later_move[b] - later_move[b].mean())
        assert abs(products.mean()) < 4 * products.std() / np.sqrt(products.size)


@pytest.mark.parametrize("kind", ["toy_row_bootstrap", "toy_uniform"])
def test_models_of_rows_and_uniforms_have_their_exact_moments(kind: str) -> None:
    model = example_models()[kind]
    assert isinstance(model, RowBootstrap | Uniform)
    assert_moments(terminal(spec_of(model, steps=5, **MANY)), model.mean_after(5), model.covariance_after(5))


def test_a_model_of_regimes_has_its_exact_moments() -> None:
    model = example_models()["toy_two_regimes"]
    assert isinstance(model, TwoRegimes)
    steps = 4
    leave = np.floor(model.leave * 2.0**32) / 2.0**32
    mean, second = np.zeros(2), np.zeros((2, 2))
    for switches in product((False, True), repeat=steps - 1):  # the regime before a step rules the step
        regime, probability, drift, covariance = 0, 1.0, np.zeros(2), np.zeros((2, 2))
        for switch in (*switches, None):
            drift = drift + model.drift[regime]
            covariance = covariance + model.correlation * np.outer(model.volatility[regime], model.volatility[regime])
            if switch is not None:
                probability *= leave[regime] if switch else 1.0 - leave[regime]
                regime = 1 - regime if switch else regime
        mean += probability * drift
        second += probability * (covariance + np.outer(drift, drift))
    np.testing.assert_allclose(mean, model.mean_after(steps), rtol=1e-12)
    assert_moments(terminal(spec_of(model, steps=steps, **MANY)), mean, second - np.outer(mean, mean))


PATH, STEPS, SEED = 2 * 1024 + 3 * 256 + 17, 3, 2**63 + 5


def by_hand(model: Model) -> list[list[float]]:
    """Log growth ``[step][asset]`` of one path from its words, in plain Python."""
    tables = {name: table.tolist() for name, table in model.tables(1 / 252).items()}
    assets = range(len(model.assets))
    growth, regime, out = [0.0 for _ in assets], 0, []
    for step in range(1, STEPS + 1):
        if isinstance(model, RowBootstrap):
            row = word(SEED, PATH, step, 0, 0) * len(tables["history"]) >> 32
            growth = [growth[a] + tables["history"][row][a] for a in assets]
        elif isinstance(model, Uniform):
            sides = [uniform(SEED, PATH, step, a, 0) for a in assets]
            places = [2 * p - 1 if p > 0 else 1 + 2 * p for p in sides]  # from -1 at the lowest quantile to 1
            growth = [growth[a] + tables["half_width"][a] * places[a] for a in assets]
        else:
            z = [normal(SEED, PATH, step, a, 0) for a in assets]
            mixing = tables["mixing"][regime] if isinstance(model, TwoRegimes) else tables["mixing"]
            drift = tables["drift"][regime] if isinstance(model, TwoRegimes) else tables["drift"]
            growth = [growth[a] + drift[a] + sum(mixing[a][j] * z[j] for j in range(a + 1)) for a in assets]
            if isinstance(model, TwoRegimes) and word(SEED, PATH, step, 0, 1) < tables["leave"][regime]:
                regime = 1 - regime
        out.append(growth)
    return out


@pytest.mark.parametrize("model", [brownian(), *example_models().values()], ids=lambda model: model.kind)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 3e-7)])
def test_one_path_by_hand(model: Model, dtype: str, tolerance: float) -> None:
    spec = spec_of(model, paths=PATH + 1, steps=STEPS, seed=SEED, dtype=dtype)
    found = growth_of(spec)[:, :, PATH]
    np.testing.assert_allclose(found, [[0.0] * len(model.assets), *by_hand(model)], rtol=0, atol=tolerance)


def test_the_regime_of_the_path_by_hand_changes() -> None:
    # Otherwise the test above would say little of switching: here it is certain, and the second regime rules step 2.
    model = example_models()["toy_two_regimes"]
    assert isinstance(model, TwoRegimes)
    certain = TwoRegimes(model.assets, model.drift, model.volatility, model.correlation, np.array([1.0, 0.0]))
    moves = np.diff(growth_of(spec_of(certain, steps=2, dtype="float64"), times=None), axis=0)
    spread = moves.std(axis=-1)
    np.testing.assert_allclose(spread, model.volatility, rtol=0.06)


def test_the_last_path_there_is() -> None:
    spec = spec_of(paths=2**34 - 1, steps=1, dtype="float64")
    last = paths_of(path_job(spec, times=[1]), first_path=2**34 - 1024, stop_path=2**34 - 1)["log_growth"].values
    table = brownian().tables(1 / 252)
    z = np.array([normal(spec.seed, 2**34 - 2, 1, a, 0) for a in range(3)])
    assert last.shape == (1, 1, 3, 1023)
    np.testing.assert_allclose(last[0, 0, :, -1], table["drift"] + table["mixing"] @ z, rtol=0, atol=1e-15)


def test_single_and_double_precision_agree() -> None:
    single = growth_of(spec_of(steps=10), times=[10])
    double = growth_of(spec_of(steps=10, dtype="float64"), times=[10])
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert np.abs(single - double).max() < 5e-7
    assert np.abs(single - double).max() > 0


def test_only_the_times_asked_for_and_the_same_numbers_at_them(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(steps=6, step_days=0.5)
    every = simulate(spec)["log_growth"].compute()
    assert every["time"].values.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    steps: list[int] = []
    draw = Draws.draw

    def counted(self: Draws, step: int) -> None:
        steps.append(step)
        draw(self, step)

    monkeypatch.setattr(Draws, "draw", counted)
    some = simulate(spec, times=[0, 1.5])["log_growth"].compute()
    assert some.sizes == {"time": 2, "asset": 3, "path": 4096}
    np.testing.assert_array_equal(some.values, every.sel(time=[0, 1.5]).values)
    assert set(steps) == {1, 2, 3}  # nothing is drawn after the last time
    assert not every.sel(time=0.0).values.any()


def test_a_run_of_fewer_paths_is_the_beginning_of_a_longer_one_and_the_last_tile_may_be_short() -> None:
    long = growth_of(spec_of(paths=4096))
    for paths in (1, 1024, 1500, 4095):
        np.testing.assert_array_equal(growth_of(spec_of(paths=paths)), long[..., :paths])


@pytest.mark.parametrize("model", [brownian(), *example_models().values()], ids=lambda model: model.kind)
def test_the_length_of_stretches_does_not_matter(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(model, paths=5000, steps=3, chunk_paths=5120)
    expected = growth_of(spec)
    for tiles in (0, 2, 3):  # a stretch holds one tile at least
        monkeypatch.setattr(stretch, "STRETCH_NUMBERS", tiles * 1024 * len(model.assets))
        np.testing.assert_array_equal(growth_of(spec), expected)


def test_the_seed_and_its_high_word_matter() -> None:
    seeds = (0, 1, 2**32, 2**63)
    assert len({growth_of(spec_of(seed=seed))[1].tobytes() for seed in seeds}) == len(seeds)


def test_names_units_and_chunks() -> None:
    paths = simulate(spec_of(paths=2500, steps=2))
    growth = paths["log_growth"]
    assert growth.dims == ("time", "asset", "path")
    assert growth["asset"].values.tolist() == list(ASSETS)
    assert growth["time"].attrs["units"] == "days"
    assert growth.attrs["units"] == "1"
    assert "path" not in paths.coords
    assert growth.data.chunks == ((3,), (3,), (1024, 1024, 452))
    assert growth.data.dtype == np.float32
    spec_sha256 = spec_of(paths=2500, steps=2).fingerprint()
    assert paths.attrs == {"seed": "11", "step_days": 1.0, "spec_sha256": spec_sha256, "independent": "path"}


# Scenarios


def under(spec: SimulationSpec, *scenarios: Scenario, times: list[float] | None = None) -> Any:
    return simulate(spec, scenarios=(BASE, *scenarios), prices=prices_of(spec.assets), times=times)["log_growth"]


def test_scenarios_share_their_draws() -> None:
    spec = spec_of(steps=3, dtype="float64")
    both = under(spec, Scenario("doubled", volatility=2.0), times=[3])
    years = 3 / 252
    drift = brownian().mean_log_growth(years)[:, None]
    doubled_drift = brownian(scale=2.0).mean_log_growth(years)[:, None]
    base, doubled = both.sel(scenario="base").values[0], both.sel(scenario="doubled").values[0]
    np.testing.assert_allclose(doubled - doubled_drift, 2 * (base - drift), rtol=0, atol=1e-15)


def test_a_scenario_is_the_simulation_of_its_own_model_and_base_that_of_the_spec() -> None:
    spec = spec_of(steps=3)
    turmoil = Scenario("turmoil", volatility=1.7, correlation=0.4, drift=-0.1)
    both = under(spec, turmoil, times=[1, 3])
    assert both.dims == ("scenario", "time", "asset", "path")
    assert both["scenario"].values.tolist() == ["base", "turmoil"]
    np.testing.assert_array_equal(both.sel(scenario="base").values, growth_of(spec, times=[1, 3]))
    own = spec_of(turmoil.apply(spec.model), steps=3)
    np.testing.assert_array_equal(both.sel(scenario="turmoil").values, growth_of(own, times=[1, 3]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_price_move_is_added_to_the_unshocked_paths(dtype: str) -> None:
    spec = spec_of(steps=2, dtype=dtype)
    crash = Scenario("crash", all_prices=-0.2, price_shocks={"C": 0.5})
    job = path_job(spec, scenarios=(BASE, crash), prices=prices_of())
    assert len(job.models) == 1  # one simulation serves both
    both = under(spec, crash)
    base, crashed = both.sel(scenario="base").values, both.sel(scenario="crash").values
    assert not base[0].any()
    np.testing.assert_allclose(
        crashed[0, :, 0], np.log([0.8, 0.8, 1.2]), rtol=0, atol=1e-7 if dtype == "float32" else 2e-16
    )
    np.testing.assert_array_equal(crashed, base + crashed[0])


def test_a_price_move_starts_the_simulation_where_the_price_enters_the_dynamics() -> None:
    spec = spec_of(Pegged(("A", "B")), steps=2, dtype="float64")
    crash = Scenario("crash", price_shocks={"B": -0.5})
    assert len(path_job(spec, scenarios=(BASE, crash), prices=prices_of(spec.assets)).models) == 2
    gap = np.diff(under(spec, crash).values, axis=0)[0]
    assert not gap[:, 0].any()
    expected = np.log(0.5) * np.array([1.0, 0.5, 0.25])  # halved by every step, where an offset would stay
    np.testing.assert_allclose(gap[:, 1], np.broadcast_to(expected[:, None], gap[:, 1].shape), atol=1e-15)


def test_prices_are_matched_by_name() -> None:
    crash = Scenario("crash", price_shocks={"A": -0.1, "C": -0.3})
    turned = simulate(spec_of(), scenarios=(BASE, crash), prices=prices_of(ASSETS[::-1]))["log_growth"]
    np.testing.assert_array_equal(turned.values, under(spec_of(), crash).values)


def test_a_selection_of_a_job_is_its_part() -> None:
    scenarios = (BASE, Scenario("doubled", volatility=2.0), Scenario("crash", all_prices=-0.2, volatility=2.0))
    job = path_job(spec_of(steps=4), scenarios=scenarios, prices=prices_of())
    part = job.select(["crash", "base"], [2, 4])
    assert (part.scenarios, part.steps, len(part.models)) == (("crash", "base"), (2, 4), 2)
    whole = paths_of(job)["log_growth"].sel(scenario=["crash", "base"], time=[2, 4])
    np.testing.assert_array_equal(paths_of(part)["log_growth"].values, whole.values)
    assert len(job.select(["crash"], [1]).models) == 1


def test_ranges_of_a_job_are_its_part() -> None:
    job = path_job(spec_of(paths=5000, steps=2))
    whole = paths_of(job)["log_growth"].values
    part = paths_of(job, first_path=2048, stop_path=4096)["log_growth"].values
    np.testing.assert_array_equal(part, whole[..., 2048:4096])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"scenarios": ()}, "scenarios: none: names must be unique and at least one is needed"),
        ({"scenarios": (BASE, BASE)}, "scenarios: base, base: names must be unique and at least one is needed"),
        ({"scenarios": (BASE,)}, "prices: the price dataset is needed to resolve the scenarios' price moves"),
        ({"times": [7]}, "times: 7.0 days is not a multiple of step_days=1 between 0 and 2"),
        ({"times": [2, 1]}, "times: [2, 1] is not ascending and unique"),
        (
            {"scenarios": (BASE,), "prices": prices_of(("A", "B"))},
            "prices: assets A, B are not those of the model, A, B, C",
        ),
        (
            {"scenarios": (Scenario("s", price_shocks={"D": 0.1}),), "prices": prices_of()},
            "scenario s: price_shocks: 'D' is unknown; known are A, B, C",
        ),
    ],
)
def test_refusals(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        path_job(spec_of(steps=2), **options)
    assert str(caught.value) == text


def test_a_shock_that_the_model_does_not_know_is_refused() -> None:
    model = example_models()["toy_uniform"]
    with pytest.raises(InputError) as caught:
        path_job(spec_of(model), scenarios=(BASE, Scenario("s", volatility=2.0)), prices=prices_of(model.assets))
    assert str(caught.value) == (
        "scenario s: model toy_uniform: volatility, correlation and drift shocks do not apply to it"
    )
