"""VaR and ES: the definition, closed forms within their own errors, honest intervals, and changes on common draws."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student_t

from riskops.errors import InputError
from riskops.measures import expected_shortfall, tail_risk, value_at_risk
from riskops.measures.tail_risk import tail_figures
from riskops.models import GeometricBrownianMotion
from riskops.portfolio import portfolio_loss
from riskops.scenarios import BASE, Scenario
from riskops.simulation import SimulationSpec, simulate
from tests.measures.samples import coverage, losses_of, tail_of
from tests.simulation.examples import book_of, brownian, prices_of

LEVELS = (0.95, 0.99)
Z = norm.ppf(LEVELS)
ES = norm.pdf(Z) / (1 - np.array(LEVELS))  # of a standard normal loss


def figures_of(
    losses: np.ndarray, *, levels: tuple[float, ...] = LEVELS, stressed: bool = False
) -> dict[str, np.ndarray]:
    return tail_figures(tail_of(losses, levels), levels=levels, stressed=stressed, key=None)


def by_definition(losses: list[float], level: float) -> tuple[float, Fraction]:
    """VaR, and ES as the average of the quantile function beyond the level, in exact arithmetic."""
    n, a = len(losses), Fraction(repr(level))
    ascending = sorted(losses)
    shares = [min(Fraction(j + 1, n), 1) - max(Fraction(j, n), a) for j in range(n)]
    mean = sum((Fraction(x) * max(share, 0) for x, share in zip(ascending, shares, strict=True)), Fraction(0)) / (1 - a)
    return ascending[ceil(n * a) - 1], mean


@given(
    losses=st.lists(st.integers(-50, 50), min_size=200, max_size=400),
    level=st.sampled_from([0.07, 0.5, 0.9, 0.95, 0.975]),
)
@settings(max_examples=50)
def test_the_definition(losses: list[float], level: float) -> None:
    found = tail_risk(losses_of(losses), level=level).compute()
    var, es = by_definition(losses, level)
    assert float(found["value_at_risk"].item()) == var
    assert float(found["expected_shortfall"].item()) == pytest.approx(float(es), rel=1e-13, abs=1e-13)
    assert float(found["value_at_risk_low"].item()) <= var <= float(found["value_at_risk_high"].item())


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.25, 8.0]),
    shift=st.floats(-1e3, 1e3),
    tiles=st.integers(1, 3),
)
@settings(max_examples=25)
def test_coherence(seed: int, scale: float, shift: float, tiles: int) -> None:
    losses = np.random.default_rng(seed).standard_t(4, (2, 2500))
    found = tail_risk(losses_of(losses[:, None, :], chunk=1024 * tiles), level=(0.9, *LEVELS)).compute()
    var, es = found["value_at_risk"].values, found["expected_shortfall"].values
    assert np.all(np.diff(var, axis=-1) >= 0)
    assert np.all(np.diff(es, axis=-1) >= 0)
    assert np.all(es >= var)
    moved = tail_risk(losses_of(scale * losses[:, None, :] + shift), level=(0.9, *LEVELS)).compute()
    np.testing.assert_allclose(moved["value_at_risk"], scale * var + shift, rtol=1e-12)
    np.testing.assert_allclose(moved["expected_shortfall"], scale * es + shift, rtol=1e-12, atol=1e-10)
    errors = found["expected_shortfall_standard_error"].values
    np.testing.assert_allclose(moved["expected_shortfall_standard_error"], scale * errors, rtol=1e-6)
    together = figures_of(losses.sum(axis=0), levels=(0.9, *LEVELS))["expected_shortfall"]
    assert np.all(together <= es.sum(axis=(0, 1)) + 1e-9)  # subadditive, as VaR need not be


def test_shape_names_units_and_the_two_single_measures() -> None:
    losses = losses_of(np.random.default_rng(1).normal(size=(2, 3, 2, 2000)))
    both = tail_risk(losses, level=(0.99, 0.95))
    names = [m + s for m in ("value_at_risk", "expected_shortfall") for s in ("", "_standard_error", "_low", "_high")]
    changes = [n.replace("risk", "risk_change").replace("shortfall", "shortfall_change") for n in names]
    assert sorted(both) == sorted(names + changes)
    for name in both:
        assert both[name].dims == ("scenario", "portfolio", "horizon", "level")
        assert both[name].attrs["units"] == "money"
    assert both["level"].values.tolist() == [0.95, 0.99]
    assert both["horizon"].values.tolist() == [1.0, 2.0]
    for single, measure in ((value_at_risk, "value_at_risk"), (expected_shortfall, "expected_shortfall")):
        alone = single(losses, level=LEVELS)
        assert sorted(alone) == sorted(name for name in names if name.startswith(measure))
        xr.testing.assert_identical(alone.compute(), both[list(alone)].compute())


def test_a_gain_is_a_negative_figure() -> None:
    found = tail_risk(losses_of(np.random.default_rng(1).normal(-10.0, 1.0, 4096)), level=0.95).compute()
    assert -10 < float(found["value_at_risk"].item()) < -7
    assert float(found["value_at_risk"].item()) < float(found["expected_shortfall"].item()) < 0


@pytest.mark.parametrize(
    ("values", "level", "text"),
    [
        (np.zeros(2000), 1.0, "level: 1.0 is not a confidence level between 0 and 1"),
        (np.zeros(2000), 99, "level: 99 is not a confidence level between 0 and 1; did you mean 0.99?"),
        (np.zeros(2000), (), "level: at least one confidence level is needed"),
        (np.zeros(2000), (0.9, 0.9), "level: 0.9 is given twice"),
        (np.zeros(2000), "0.9", "level: '0' is not a finite number"),
        (np.zeros(300), 0.99, "level: 0.99 needs at least 368 paths for its 95 % interval, and there are 300"),
    ],
)
def test_refusals(values: np.ndarray, level: object, text: str) -> None:
    with pytest.raises(InputError) as caught:
        tail_risk(losses_of(values), level=level)  # type: ignore[arg-type]
    assert str(caught.value) == text


def test_a_nan_is_an_error_that_says_where() -> None:
    values = np.zeros((2, 2, 3000))
    values[1, 0, 2500] = np.nan
    lazy = tail_risk(losses_of(values))
    with pytest.raises(InputError) as caught:
        lazy.compute(scheduler="synchronous")
    assert str(caught.value) == "loss: path 2500 of row (1, 0) is NaN, not a number"


def test_base_comes_first() -> None:
    losses = losses_of(np.zeros((2, 1, 1, 2000))).isel(scenario=[1, 0])
    with pytest.raises(InputError) as caught:
        tail_risk(losses)
    assert str(caught.value) == "scenario: 's1' stands first, 'base' must"


# Against closed forms, within the errors that are stated


def lognormal_risk(mean: float, deviation: float, level: float) -> tuple[float, float]:
    """VaR and ES of ``1 - exp(X)``, X normal: a long position of one in one stock."""
    z = norm.ppf(1 - level)
    beyond = np.exp(mean + deviation**2 / 2) * norm.cdf(z - deviation) / (1 - level)
    return 1 - np.exp(mean + z * deviation), 1 - beyond


def test_simulated_losses_of_a_stock_agree_with_the_closed_form() -> None:
    model = GeometricBrownianMotion(("A",), [0.1], [0.4], [[1.0]])
    mean, deviation = model.mean_log_growth(10 / 252)[0], np.sqrt(model.covariance_log_growth(10 / 252)[0, 0])
    exact = np.array([lognormal_risk(mean, deviation, level) for level in LEVELS]).T
    scores = []
    for seed in range(12):
        spec = SimulationSpec(model, paths=16_384, steps=2, step_days=5, seed=seed)
        losses = portfolio_loss(simulate(spec, times=[10]), book=book_of([[1000.0]], ["A"]))
        found = tail_risk(losses, level=LEVELS).compute()
        for name, values in zip(("value_at_risk", "expected_shortfall"), exact, strict=True):
            error = found[name + "_standard_error"].values[0, 0]
            scores.append((found[name].values[0, 0] - 1000 * values) / error)
    z = np.array(scores)
    assert np.abs(z).max() < 4
    assert 0.6 < np.sqrt((z**2).mean()) < 1.5  # neither too small nor too large an error
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(12)


REPLICATIONS = 400


@pytest.fixture(scope="module")
def replications() -> dict[str, np.ndarray]:
    """Figures of many small samples: a normal base, the same doubled, and one half along with it."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(REPLICATIONS):
        base, other = rng.normal(size=(2, 4000))
        losses = np.stack([base, 2 * base, 1 + 0.8 * base + 0.6 * other, other])
        found.append(figures_of(losses, stressed=True))
    return {name: np.array([figures[name] for figures in found]) for name in found[0]}


#: VaR and ES of each scenario of the replications, exactly.
EXACT = {
    "value_at_risk": np.stack([Z, 2 * Z, 1 + Z, Z]),
    "expected_shortfall": np.stack([ES, 2 * ES, 1 + ES, ES]),
}


@pytest.mark.parametrize("measure", EXACT)
def test_intervals_hold_the_exact_value_as_often_as_they_say(replications, measure: str) -> None:
    share = coverage(replications[f"{measure}_low"], replications[f"{measure}_high"], EXACT[measure])
    assert np.all((share > 0.88) & (share < 0.99)), share


def test_intervals_of_shortfall_hold_it_where_a_few_skewed_losses_make_it() -> None:
    # t(5), 81 losses beyond VaR: symmetric intervals miss the truth too often, and then lie below it.
    rng, n, level, count = np.random.default_rng(8), 8192, 0.99, 1000
    q = student_t.ppf(level, 5)
    exact = student_t.pdf(q, 5) / (1 - level) * (5 + q * q) / 4
    found = [figures_of(rng.standard_t(5, n), levels=(level,)) for _ in range(count)]
    es, error, low, high = (
        np.array([figures[f"expected_shortfall{suffix}"].item() for figures in found])
        for suffix in ("", "_standard_error", "_low", "_high")
    )
    assert np.all((low < es) & (es < high))
    symmetric = coverage(es - 1.96 * error, es + 1.96 * error, exact)
    assert symmetric < coverage(low, high, exact)
    assert 0.93 < coverage(low, high, exact) < 0.97
    assert np.all(high - es > es - low)


@pytest.mark.parametrize("measure", EXACT)
def test_intervals_of_changes_hold_the_exact_change_as_often_as_they_say(replications, measure: str) -> None:
    exact = (EXACT[measure] - EXACT[measure][0])[1:]
    low, high = (replications[f"{measure}_change_{end}"][:, 1:] for end in ("low", "high"))
    share = coverage(low, high, exact)
    assert np.all((share > 0.88) & (share < 0.99)), share


@pytest.mark.parametrize("measure", ["value_at_risk", "expected_shortfall"])
@pytest.mark.parametrize("kind", ["", "_change"])
def test_errors_are_the_spread_over_replications(replications, measure: str, kind: str) -> None:
    stated = replications[f"{measure}{kind}_standard_error"].mean(axis=0)
    spread = replications[f"{measure}{kind}"].std(axis=0, ddof=1)
    first = 1 if kind else 0  # the change of the base is nothing
    np.testing.assert_allclose(stated[first:], spread[first:], rtol=0.2)


def test_common_draws_make_changes_surer(replications) -> None:
    # Doubling moves the figure with its base; the independent scenario has no such help.
    for measure in EXACT:
        error = replications[f"{measure}_change_standard_error"].mean(axis=0)
        alone = replications[f"{measure}_standard_error"].mean(axis=0)
        np.testing.assert_allclose(error[1], alone[0], rtol=1e-6)
        np.testing.assert_allclose(error[3], np.hypot(alone[0], alone[3]), rtol=0.02)


def test_the_change_of_the_base_is_exactly_nothing(replications) -> None:
    for measure in EXACT:
        for suffix in ("", "_standard_error", "_low", "_high"):
            assert not replications[f"{measure}_change{suffix}"][:, 0].any()


def test_the_error_of_a_simulated_change_is_honest() -> None:
    # Doubled volatility on the very paths of a portfolio of three stocks: one long run cut into samples; within 25 %.
    spec = SimulationSpec(brownian(), paths=256 * 4096, seed=3)
    paths = simulate(spec, times=[1], scenarios=(BASE, Scenario("doubled", volatility=2.0)), prices=prices_of())
    losses = portfolio_loss(paths, book=book_of([[1e3, 500.0, -800.0]]))["loss"].values[:, 0, 0]
    samples = losses.reshape(2, 256, 4096).swapaxes(0, 1)
    found = [figures_of(sample, levels=(0.95,), stressed=True) for sample in samples]
    for name in ("value_at_risk_change", "expected_shortfall_change"):
        spread = np.std([figures[name][1, 0] for figures in found], ddof=1)
        stated = np.mean([figures[f"{name}_standard_error"][1, 0] for figures in found])
        assert 0.75 < stated / spread < 1.25
