"""Published values: options, and VaR and ES of normal and Student losses, each with its source beside the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from scipy.stats import norm, t

from riskops.measures import loss_moments, tail_contributions, tail_risk
from riskops.measures.tail_risk import tail_figures
from riskops.models import GeometricBrownianMotion
from riskops.portfolio import portfolio_loss
from riskops.reductions import needed_tail
from riskops.simulation import PathJob, SimulationSpec, path_job, paths_of, simulate
from tests.simulation.examples import book_of

#: E. G. Haug, The Complete Guide to Option Pricing Formulas (1998), European options as in QuantLib's
#: test-suite/europeanoption.cpp @2a13d45: type, strike, spot, dividend yield, rate, years, volatility, value (+- 1e-4).
OPTIONS = (
    ("call", 65.0, 60.0, 0.0, 0.08, 0.25, 0.3, 2.1334),
    ("put", 95.0, 100.0, 0.05, 0.1, 0.5, 0.2, 2.4648),
    ("put", 19.0, 19.0, 0.1, 0.1, 0.75, 0.28, 1.7011),
    ("call", 19.0, 19.0, 0.1, 0.1, 0.75, 0.28, 1.7011),
    ("call", 1.6, 1.56, 0.08, 0.06, 0.5, 0.12, 0.0291),
    ("put", 70.0, 75.0, 0.05, 0.1, 0.5, 0.35, 4.087),
    ("call", 100.0, 90.0, 0.1, 0.1, 0.1, 0.15, 0.0205),
    ("call", 100.0, 100.0, 0.1, 0.1, 0.1, 0.15, 1.8734),
    ("call", 100.0, 110.0, 0.1, 0.1, 0.1, 0.15, 9.9413),
    ("call", 100.0, 90.0, 0.1, 0.1, 0.1, 0.25, 0.315),
    ("call", 100.0, 100.0, 0.1, 0.1, 0.1, 0.25, 3.1217),
    ("call", 100.0, 110.0, 0.1, 0.1, 0.1, 0.25, 10.3556),
    ("call", 100.0, 90.0, 0.1, 0.1, 0.1, 0.35, 0.9474),
    ("call", 100.0, 100.0, 0.1, 0.1, 0.1, 0.35, 4.3693),
    ("call", 100.0, 110.0, 0.1, 0.1, 0.1, 0.35, 11.1381),
    ("call", 100.0, 90.0, 0.1, 0.1, 0.5, 0.15, 0.8069),
    ("call", 100.0, 100.0, 0.1, 0.1, 0.5, 0.15, 4.0232),
    ("call", 100.0, 110.0, 0.1, 0.1, 0.5, 0.15, 10.5769),
    ("call", 100.0, 90.0, 0.1, 0.1, 0.5, 0.25, 2.7026),
    ("call", 100.0, 100.0, 0.1, 0.1, 0.5, 0.25, 6.6997),
    ("call", 100.0, 110.0, 0.1, 0.1, 0.5, 0.25, 12.7857),
    ("call", 100.0, 90.0, 0.1, 0.1, 0.5, 0.35, 4.9329),
    ("call", 100.0, 100.0, 0.1, 0.1, 0.5, 0.35, 9.3679),
    ("call", 100.0, 110.0, 0.1, 0.1, 0.5, 0.35, 15.3086),
    ("put", 100.0, 90.0, 0.1, 0.1, 0.1, 0.15, 9.921),
    ("put", 100.0, 100.0, 0.1, 0.1, 0.1, 0.15, 1.8734),
    ("put", 100.0, 110.0, 0.1, 0.1, 0.1, 0.15, 0.0408),
    ("put", 100.0, 90.0, 0.1, 0.1, 0.1, 0.25, 10.2155),
    ("put", 100.0, 100.0, 0.1, 0.1, 0.1, 0.25, 3.1217),
    ("put", 100.0, 110.0, 0.1, 0.1, 0.1, 0.25, 0.4551),
    ("put", 100.0, 90.0, 0.1, 0.1, 0.1, 0.35, 10.8479),
    ("put", 100.0, 100.0, 0.1, 0.1, 0.1, 0.35, 4.3693),
    ("put", 100.0, 110.0, 0.1, 0.1, 0.1, 0.35, 1.2376),
    ("put", 100.0, 90.0, 0.1, 0.1, 0.5, 0.15, 10.3192),
    ("put", 100.0, 100.0, 0.1, 0.1, 0.5, 0.15, 4.0232),
    ("put", 100.0, 110.0, 0.1, 0.1, 0.5, 0.15, 1.0646),
    ("put", 100.0, 90.0, 0.1, 0.1, 0.5, 0.25, 12.2149),
    ("put", 100.0, 100.0, 0.1, 0.1, 0.5, 0.25, 6.6997),
    ("put", 100.0, 110.0, 0.1, 0.1, 0.5, 0.25, 3.2734),
    ("put", 100.0, 90.0, 0.1, 0.1, 0.5, 0.35, 14.4452),
    ("put", 100.0, 100.0, 0.1, 0.1, 0.5, 0.35, 9.3679),
    ("put", 100.0, 110.0, 0.1, 0.1, 0.5, 0.35, 5.7963),
    ("call", 40.0, 42.0, 0.08, 0.04, 0.75, 0.35, 5.0975),
)


@pytest.mark.parametrize("row", range(len(OPTIONS)))
def test_haug_european_options(row: int) -> None:
    kind, strike, spot, dividend, rate, years, volatility, value = OPTIONS[row]
    model = GeometricBrownianMotion(("S",), [rate - dividend], [volatility], [[1.0]])
    spec = SimulationSpec(model, paths=2**16, steps=2, step_days=years * 252 / 2, seed=row)
    price = spot * np.exp(simulate(spec, times=[spec.times[-1]])["log_growth"].values[0, 0].astype(float))
    payoff = np.exp(-rate * years) * np.maximum(price - strike if kind == "call" else strike - price, 0.0)
    error = payoff.std(ddof=1) / np.sqrt(payoff.size)
    assert error < 0.02 * spot
    assert abs(payoff.mean() - value) < 4 * error + 1e-4


# Losses linear in normal returns. Growth is lognormal, so the volatilities are made a thousand times smaller and the
# positions as much larger: simple returns are normal then to within 1e-4 of their deviation.

SMALL = 1e-3


def linear(
    positions: Sequence[float],
    volatility: Sequence[float],
    correlation: npt.ArrayLike,
    *,
    days: int,
    paths: int = 2**19,
) -> tuple[PathJob, xr.Dataset, xr.Dataset]:
    """Job, book and losses: the first portfolio holds all positions, each of the others one of them alone."""
    assets = [f"a{i}" for i in range(len(positions))]
    yearly = SMALL * np.sqrt(252) * np.array(volatility)
    model = GeometricBrownianMotion(tuple(assets), np.zeros(len(assets)), yearly, np.array(correlation))
    job = path_job(SimulationSpec(model, paths=paths, steps=1, step_days=days, seed=1), times=[days])
    held = np.array(positions) / SMALL
    book = book_of(np.vstack([held, np.diag(held)]), assets)
    return job, book, portfolio_loss(paths_of(job, drop_scenario=True), book=book)


def assert_published(
    figures: xr.Dataset, name: str, values: npt.ArrayLike, *, rel: float = 0.0, abs: float = 0.0
) -> None:
    """Within four standard errors, which are small, and the rounding of what is published."""
    expected = np.array(values)
    gap = np.abs(figures[name].values - expected)
    error = figures[f"{name}_standard_error"].values
    assert np.all(gap < 4 * error + rel * expected + abs), (name, figures[name].values, expected, error)
    assert np.all(error < 0.025 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("days", "single", "together"), [(1, (465_300, 116_300), None), (10, (1_471_300, 367_800), 1_620_100)]
)
def test_hull_two_assets(days: int, single: tuple[int, int], together: int | None) -> None:
    # J. C. Hull, Options, Futures, and Other Derivatives, 8th ed., 21.3: 10 m of Microsoft at 2 % a day, 5 m of AT&T at
    # 1 % a day, correlation 0.3, 99 %; Hull rounds z to 2.326 and figures to hundreds.
    _, _, losses = linear((10e6, 5e6), (0.02, 0.01), [[1.0, 0.3], [0.3, 1.0]], days=days)
    found = tail_risk(losses, level=0.99).compute().isel(horizon=0, level=0)
    assert_published(found.isel(portfolio=[1, 2]), "value_at_risk", single, rel=4e-4)
    if together is None:
        spread = loss_moments(losses).compute().isel(horizon=0)
        assert_published(spread, "loss_standard_deviation", (220_227, 200_000, 50_000), rel=1e-5)
    else:
        assert_published(found.isel(portfolio=0), "value_at_risk", together, rel=4e-4)
        var = found["value_at_risk"].values
        assert var[1] + var[2] - var[0] == pytest.approx(219_000, rel=0.05)  # what diversification saves


def test_qrm_normal_losses() -> None:
    # McNeil, Frey and Embrechts, Quantitative Risk Management (2005), example 2.19 and table 2.2: a position of 10,000
    # in a stock with 20 % volatility over a year of 250 days.
    _, _, losses = linear((10_000,), (0.2 / np.sqrt(250),), [[1.0]], days=1)
    found = tail_risk(losses, level=(0.9, 0.95, 0.975, 0.99, 0.995)).compute().isel(portfolio=0, horizon=0)
    assert_published(found, "value_at_risk", (162.1, 208.1, 247.9, 294.3, 325.8), abs=0.06)
    assert_published(found, "expected_shortfall", (222.0, 260.9, 295.7, 337.1, 365.8), abs=0.06)


def test_jorion_component_value_at_risk() -> None:
    # P. Jorion, Value at Risk, 3rd ed., 7.2 and 7.3: 2 m of Canadian dollars at 5 %, 1 m of euros at 12 %, not
    # correlated, at 1.65 deviations, which is the level that stands here.
    level = 0.9505285
    assert norm.ppf(level) == pytest.approx(1.65, abs=1e-6)
    job, book, losses = linear((2e6, 1e6), (0.05, 0.12), np.eye(2), days=1)
    risk = tail_risk(losses, level=level).compute().isel(horizon=0, level=0)
    assert_published(risk, "value_at_risk", (257_738, 165_000, 198_000), abs=1)
    parts = tail_contributions(losses, job=job, book=book, level=level).compute().isel(portfolio=0, horizon=0, level=0)
    assert_published(parts, "component_value_at_risk", (105_630, 152_108), abs=1)
    # For normal losses every asset has the same share in ES, where the estimate is sharper, as in VaR.
    share = parts["component_expected_shortfall"].values
    share = share / share.sum()
    np.testing.assert_allclose(share, (0.41, 0.59), atol=0.005)
    np.testing.assert_allclose(share / np.array([2 / 3, 1 / 3]), (0.615, 1.77), rtol=0.005)  # beta


# The estimators themselves, free of sampling error: the quantiles of ten million equal shares of the distribution


def of_quantiles(
    quantile: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]], levels: Sequence[float]
) -> dict[str, npt.NDArray[np.float64]]:
    n = 10**7
    beyond = (np.arange(needed_tail(levels, n)) + 0.5) / n
    tail = {"loss": quantile(beyond), "path": np.arange(len(beyond)), "paths": n}
    return tail_figures(tail, levels=tuple(levels), stressed=False, key=None)


def test_qrm_student_losses() -> None:
    # As above, the t row: four degrees of freedom, scaled to the same variance; ES by its closed form.
    scale = 10_000 * 0.2 / np.sqrt(250) * np.sqrt(2 / 4)
    found = of_quantiles(lambda beyond: scale * t.isf(beyond, 4), (0.9, 0.95, 0.975, 0.99, 0.995))
    np.testing.assert_allclose(found["value_at_risk"], (137.1, 190.7, 248.3, 335.1, 411.8), atol=0.06)
    np.testing.assert_allclose(found["expected_shortfall"], (223.5, 286.5, 357.2, 466.9, 565.7), atol=0.06)


def test_ahmadi_javid_normal_tail() -> None:
    # A. Ahmadi-Javid (2012), J. Optim. Theory Appl. 155: VaR and ES of a standard normal loss beside its entropic VaR.
    found = of_quantiles(norm.isf, (0.9, 0.95, 0.99))
    var = (1.2815515655446004, 1.6448536269514729, 2.3263478740408408)
    es = (1.7549833193248683, 2.0627128075074253, 2.665214220345808)
    entropic = np.array([2.145966026289347, 2.4477468306808166, 3.0348542587702925])
    np.testing.assert_allclose(found["value_at_risk"], var, atol=3e-6)
    np.testing.assert_allclose(found["expected_shortfall"], es, atol=1e-5)
    assert np.all(found["expected_shortfall"] < entropic)
