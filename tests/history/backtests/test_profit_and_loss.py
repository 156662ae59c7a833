"""Profit and loss attribution against SciPy's statistics and the zones of MAR32."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from riskops.errors import InputError
from riskops.history.backtests.profit_and_loss import attribution_zone, profit_and_loss_attribution


def profits(first: np.ndarray, second: np.ndarray) -> xr.Dataset:
    dims = ("portfolio", "observation")
    coords = {"portfolio": [f"desk {i}" for i in range(len(first))]}
    return xr.Dataset({"hypothetical_profit": (dims, first), "risk_theoretical_profit": (dims, second)}, coords=coords)


def sample() -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(1)
    first = numbers.normal(size=(4, 400))
    second = np.array([0.1, 0.7, 0.9, 3.0])[:, None] * numbers.normal(size=(4, 400)) + first
    return first, np.round(second, 1)  # equal profits among them


def test_the_statistics_are_scipys_over_the_last_days() -> None:
    first, second = sample()
    found = profit_and_loss_attribution(profits(first, second))
    for i in range(4):
        a, b = first[i, -250:], second[i, -250:]
        assert found["spearman_correlation"].values[i] == pytest.approx(stats.spearmanr(a, b).statistic)
        assert found["kolmogorov_smirnov"].values[i] == pytest.approx(stats.ks_2samp(a, b).statistic)
    assert found["attribution_zone"].values.tolist()[0] == "green"
    assert found["attribution_zone"].values.tolist()[-1] == "red"


def test_the_p_values_that_mar32_gives_for_its_distances() -> None:
    """0.09 is printed with p = 0.264 and 0.12 with 0.055: the two-sample law of 250 days each."""
    assert stats.kstwobign.sf(0.09 * math.sqrt(125)) == pytest.approx(0.264, abs=1e-3)
    assert stats.kstwobign.sf(0.12 * math.sqrt(125)) == pytest.approx(0.055, abs=1e-3)


@pytest.mark.parametrize(
    ("correlation", "distance", "zone"),
    [
        (0.81, 0.08, "green"), (0.80, 0.08, "amber"), (0.81, 0.09, "amber"), (0.70, 0.12, "amber"),
        (0.69, 0.01, "red"), (0.99, 0.121, "red"), (math.nan, 0.01, "red"),
    ],
)  # fmt: skip
def test_the_zones_are_those_of_mar32(correlation: float, distance: float, zone: str) -> None:
    assert attribution_zone(correlation, distance) == zone


def test_it_is_lazy_and_the_same(refuse_compute: None) -> None:
    first, second = sample()
    lazy = profit_and_loss_attribution(profits(first, second).chunk(portfolio=2, observation=100))
    assert all(array.chunks is not None for array in lazy.values())


def test_lazy_and_eager_agree() -> None:
    given = profits(*sample())
    lazy = profit_and_loss_attribution(given.chunk(portfolio=2, observation=100)).compute()
    xr.testing.assert_identical(lazy, profit_and_loss_attribution(given))


def test_bad_profits_are_named() -> None:
    first, second = sample()
    with pytest.raises(InputError, match="days: 250 days are more than the 249 that the profits have"):
        profit_and_loss_attribution(profits(first[:, :249], second[:, :249]))
    second[1, 399] = np.nan
    with pytest.raises(InputError, match=r"risk_theoretical_profit: .*nan.* at index \(1, 249\)"):
        profit_and_loss_attribution(profits(first, second))


def test_a_profit_that_never_changes_is_red() -> None:
    first, _ = sample()
    found = profit_and_loss_attribution(profits(first, np.zeros_like(first)))
    assert np.isnan(found["spearman_correlation"]).all()
    assert set(found["attribution_zone"].values.tolist()) == {"red"}
