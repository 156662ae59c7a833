"""The bootstrap of history: its blocks read off the paths, its exact moments, its fit, and the same law from arch."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import xarray as xr
from arch.bootstrap import CircularBlockBootstrap, IIDBootstrap, StationaryBootstrap, optimal_block_length
from scipy import stats

from riskops.errors import InputError
from riskops.market import load_prices, log_returns
from riskops.models import Bootstrap, calibrate
from riskops.models.bootstrap import _advance, step
from riskops.schema import variable
from riskops.simulation import SimulationSpec, simulate
from tests.simulation.plain_paths import word

ROWS = 41
METHODS = [("iid", 1.0), ("circular_block", 5.0), ("stationary", 4.0)]
methods = pytest.mark.parametrize(("method", "length"), METHODS)


def history(rows: int = ROWS, *, assets: int = 2) -> np.ndarray:
    """Autocorrelated log returns of correlated assets."""
    noise = np.random.default_rng(3).standard_normal((rows, assets)) @ np.array([[1.0, 0.5], [0.0, 0.8]])
    out = np.zeros_like(noise)
    for row in range(rows):
        out[row] = 0.6 * out[row - 1] * (row > 0) + noise[row]
    return 0.01 * out + 0.001


def model_of(method: str, length: float, rows: np.ndarray | None = None) -> Bootstrap:
    return Bootstrap(("A", "B"), history() if rows is None else rows, method, length)


def dataset(values: np.ndarray) -> xr.Dataset:
    coords = {"asset": [f"A{i}" for i in range(values.shape[1])]}
    return variable("log_return", ("observation", "asset"), values, coords=coords).to_dataset()


def rows_drawn(method: str, length: float, *, steps: int, paths: int = 16_384) -> np.ndarray:
    """The rows ``(step, path)`` that the engine's paths went through: history's returns are the rows' own numbers."""
    model = Bootstrap(("A",), np.arange(1.0, ROWS + 1.0)[:, None], method, length)
    growth = simulate(SimulationSpec(model, paths=paths, steps=steps, seed=17, dtype="float64"))["log_growth"].values
    rows = np.diff(growth[:, 0], axis=0) - 1.0
    np.testing.assert_array_equal(rows, np.round(rows))
    return rows.astype(int)


# --- blocks ------------------------------------------------------------------------------------------------------


@methods
def test_every_row_is_as_likely_as_every_other_at_every_step(method, length):
    drawn = rows_drawn(method, length, steps=7)
    for rows in drawn:
        assert stats.chisquare(np.bincount(rows, minlength=ROWS)).pvalue > 1e-3


def test_circular_blocks_begin_at_fixed_steps_and_run_on_between_them():
    drawn = rows_drawn("circular_block", 5.0, steps=17)
    follows = drawn[1:] == (drawn[:-1] + 1) % ROWS
    begins = np.arange(1, 17) % 5 == 0
    assert np.all(follows[~begins])
    # a new block begins at the very next row by chance only
    by_chance = follows[begins]
    assert abs(by_chance.mean() - 1 / ROWS) < 4 * np.sqrt((1 - 1 / ROWS) / ROWS / by_chance.size)
    assert np.any((drawn[:-1] == ROWS - 1) & (drawn[1:] == 0))  # history is a circle


def test_stationary_blocks_have_geometric_lengths():
    length, steps = 4.0, 40
    drawn = rows_drawn("stationary", length, steps=steps)
    breaks = drawn[1:] != (drawn[:-1] + 1) % ROWS
    share = (1 - 1 / ROWS) / length  # a block that begins at the next row is not seen as one
    assert abs(breaks.mean() - share) < 4 * np.sqrt(share * (1 - share) / breaks.size)
    first = np.where(breaks.any(axis=0), breaks.argmax(axis=0), steps)[:, None] + 1
    for k in range(1, 12):
        still = (first > k).mean()
        exact = (1 - share) ** k
        assert abs(still - exact) < 4 * np.sqrt(exact * (1 - exact) / len(first))


def test_iid_rows_do_not_hang_together():
    drawn = rows_drawn("iid", 1.0, steps=10)
    table = np.zeros((ROWS, ROWS))
    np.add.at(table, (drawn[:-1].ravel(), drawn[1:].ravel()), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-3


@methods
def test_one_path_by_hand(method, length):
    model, seed, path, steps = model_of(method, length), 2**40 + 9, 1024 + 300, 9
    spec = SimulationSpec(model, paths=path + 1, steps=steps, seed=seed, dtype="float64")
    found = simulate(spec)["log_growth"].values[:, :, path]
    growth, row, out = np.zeros(2), 0, [np.zeros(2)]
    for k in range(1, steps + 1):
        place, jump = (word(seed, path, k, 0, stream) for stream in (0, 1))
        fixed = (k - 1) % int(length) == 0 if method != "stationary" else k == 1
        row = place * ROWS >> 32 if fixed or (method == "stationary" and jump < 2**32 / length) else (row + 1) % ROWS
        growth = growth + model.returns[row]
        out.append(growth)
    np.testing.assert_array_equal(found, out)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernel_runs_as_plain_python_with_the_same_bits(dtype):
    rng = np.random.default_rng(4)
    tables = model_of("stationary", 3.0).tables(1 / 252)
    table = np.ascontiguousarray(tables["returns"], dtype)
    ends = []
    for run in (_advance, _advance.py_func):
        rng = np.random.default_rng(4)
        growth = rng.standard_normal((2, 50)).astype(dtype)
        row, left = np.zeros((1, 50), np.int32), np.zeros((1, 50), np.int32)
        for _ in range(4):
            words = rng.integers(0, 2**32, (2, 1, 50), dtype=np.uint32)
            run(growth, row, left, words[0], words[1], table, tables["length"], tables["limit"])
        ends.append((growth.tobytes(), row.tobytes(), left.tobytes()))
    assert ends[0] == ends[1]
    assert step(np.int32(4), np.int32(0), np.uint32(2**31), np.uint32(9), 5, np.int32(3), np.uint32(0)) == (2, 2)
    assert step(np.int32(4), np.int32(2), np.uint32(2**31), np.uint32(9), 5, np.int32(3), np.uint32(0)) == (0, 1)
    assert step(np.int32(1), np.int32(2), np.uint32(2**31), np.uint32(9), 5, np.int32(3), np.uint32(10)) == (2, 2)


# --- exact moments -----------------------------------------------------------------------------------------------


def every_path(method: str, length: int, *, rows: int, steps: int) -> list[tuple[float, list[int]]]:
    """All sequences of rows with their probabilities, from the definition of the method."""
    found: list[tuple[float, list[int]]] = [(1.0 / rows, [row]) for row in range(rows)]
    for k in range(1, steps):
        jump = 1.0 / length if method == "stationary" else float(k % length == 0)
        found = [
            (p * q, [*path, row])
            for p, path in found
            for q, row in [(1.0 - jump, (path[-1] + 1) % rows), *((jump / rows, row) for row in range(rows))]
            if q > 0.0
        ]
    return found


@pytest.mark.parametrize(("method", "length"), [("iid", 1), ("circular_block", 2), ("circular_block", 3)])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_exact_moments_are_those_of_all_paths_with_fixed_blocks(method, length, steps):
    check_moments(method, length, steps)


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("steps", [1, 2, 5, 6])
def test_exact_moments_are_those_of_all_paths_with_random_blocks(length, steps):
    check_moments("stationary", length, steps)


def check_moments(method: str, length: int, steps: int) -> None:
    rows = np.array([[0.3, -0.1], [-0.2, 0.4], [0.05, 0.1], [0.15, 0.2]][: 3 if steps > 5 else 4])
    model = model_of(method, float(length), rows)
    probability, paths = zip(*every_path(method, length, rows=len(rows), steps=steps), strict=True)
    p, sums = np.array(probability), np.array([rows[path].sum(axis=0) for path in paths])
    assert p.sum() == pytest.approx(1.0, rel=1e-12)
    mean = p @ sums
    covariance = (sums - mean).T @ ((sums - mean) * p[:, None])
    years = steps / 252
    np.testing.assert_allclose(model.mean_log_growth(years), mean, rtol=1e-12)
    np.testing.assert_allclose(model.covariance_log_growth(years), covariance, rtol=1e-11)
    np.testing.assert_allclose(model.mean_simple_return(years), p @ np.expm1(sums), rtol=1e-11)


@methods
@pytest.mark.parametrize("steps", [1, 12])
def test_simulated_sums_have_their_exact_moments(method, length, steps):
    model, paths, years = model_of(method, length), 65_536, steps / 252
    spec = SimulationSpec(model, paths=paths, steps=steps, seed=5)
    growth = simulate(spec, times=[steps])["log_growth"].values[0].astype(float)
    exact = model.covariance_log_growth(years)
    centred = growth - model.mean_log_growth(years)[:, None]
    assert np.all(np.abs(centred.mean(axis=1)) < 4 * np.sqrt(np.diagonal(exact) / paths))
    for a, b in product(range(2), repeat=2):
        products = centred[a] * centred[b]
        assert abs(products.mean() - exact[a, b]) < 4 * products.std() / np.sqrt(paths)
    simple = np.expm1(growth)
    error = simple.std(axis=1) / np.sqrt(paths)
    assert np.all(np.abs(simple.mean(axis=1) - model.mean_simple_return(years)) < 4 * error)


@pytest.mark.parametrize(
    ("method", "length", "oracle"),
    [
        ("iid", 1.0, lambda x: IIDBootstrap(x, seed=1)),
        ("circular_block", 5.0, lambda x: CircularBlockBootstrap(5, x, seed=2)),
        ("stationary", 4.0, lambda x: StationaryBootstrap(4, x, seed=3)),
    ],
)
@pytest.mark.parametrize("steps", [13, ROWS])
def test_sums_resampled_by_arch_have_the_exact_moments(method, length, oracle, steps):
    model, years, resamples = model_of(method, length), steps / 252, 6000
    drawn = oracle(history()).bootstrap(resamples)
    sums = np.array([data[0][0][:steps].sum(axis=0) for data in drawn])
    exact = model.covariance_log_growth(years)
    centred = sums - model.mean_log_growth(years)
    assert np.all(np.abs(centred.mean(axis=0)) < 4 * np.sqrt(np.diagonal(exact) / resamples))
    for a, b in product(range(2), repeat=2):
        products = centred[:, a] * centred[:, b]
        assert abs(products.mean() - exact[a, b]) < 4 * products.std() / np.sqrt(resamples)


def test_blocks_keep_the_dependence_that_iid_loses():
    variance = {m: model_of(m, b).covariance_log_growth(10 / 252)[0, 0] for m, b in METHODS}
    assert variance["iid"] == pytest.approx(10 * history()[:, 0].var(), rel=1e-12)
    assert variance["stationary"] > 1.5 * variance["iid"]
    assert variance["circular_block"] > 1.5 * variance["iid"]


@pytest.mark.parametrize(("method", "length"), [("stationary", 2.5), ("circular_block", 30.0)])
def test_horizons_longer_than_history_go_round_it(method, length):
    steps, model = 100, model_of(method, length)
    x = model.returns - model.returns.mean(axis=0)
    expected = steps * x.T @ x / ROWS
    for lag in range(1, steps):
        if method == "stationary":
            pairs = (steps - lag) * (1.0 - 1.0 / length) ** lag
        else:
            pairs = sum(s // 30 == (s + lag) // 30 for s in range(steps - lag))
        lagged = x.T @ np.roll(x, -lag, axis=0) / ROWS
        expected = expected + pairs * (lagged + lagged.T)
    np.testing.assert_allclose(model.covariance_log_growth(steps / 252), expected, rtol=1e-8)


@pytest.mark.parametrize("ask", ["mean_log_growth", "covariance_log_growth", "mean_simple_return"])
def test_moments_of_part_of_an_observation_are_refused(ask):
    with pytest.raises(InputError, match=r"years: 0\.005 is not a whole number of observations, 252 a year"):
        getattr(model_of("iid", 1.0), ask)(0.005)


# --- the value and its tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"returns": [[0.1, 0.2]]}, r"returns: shape \(1, 2\) is not \(rows, 2\), two rows or more"),
        ({"returns": [0.1, 0.2]}, r"returns: shape \(2,\) is not \(rows, 2\)"),
        ({"returns": [[0.1], [0.2]]}, r"returns: shape \(2, 1\) is not \(rows, 2\)"),
        ({"returns": [[0.1, 0.2], [0.1, np.nan]]}, r"returns: .*nan.* at index \(1, 1\) is not finite"),
        ({"method": "moving_block"}, "method: 'moving_block' is not one of circular_block, iid, stationary"),
        ({"block_length": 0.5}, "block_length: 0.5 is not from 1 to the 41 rows of history"),
        ({"block_length": 42}, "block_length: 42 is not from 1 to the 41 rows of history"),
        ({"block_length": "long"}, "block_length: 'long' is not a finite number"),
        ({"method": "iid"}, "block_length: 4.0 has no meaning with method: iid"),
        ({"method": "circular_block", "block_length": 2.5}, "block_length: 2.5 is not a whole number of rows"),
        ({"days_per_year": 0}, "days_per_year: 0 is not above zero"),
    ],
)
def test_bad_parameters_are_refused(change, text):
    given = {"assets": ("A", "B"), "returns": history(), "method": "stationary", "block_length": 4.0}
    with pytest.raises(InputError, match=text):
        Bootstrap(**(given | change))


def test_a_step_is_one_observation():
    model = Bootstrap(("A", "B"), history(), "iid", days_per_year=250.0)
    assert model.tables(1 / 250)["returns"].shape == (2, ROWS)
    text = r"simulation\.step_days: model bootstrap steps by one observation, and a step of 5 of 250 a year was asked"
    with pytest.raises(InputError, match=text):
        model.tables(5 / 250)
    with pytest.raises(InputError, match=r"simulation\.step_days: .*"):
        simulate(SimulationSpec(model, paths=1024)).compute()  # days_per_year is 252 there


@pytest.mark.parametrize(
    ("method", "length", "expected"),
    [
        ("iid", 1.0, (1, 0)),
        ("circular_block", 7.0, (7, 0)),
        ("stationary", 1.0, (1, 0)),
        ("stationary", 4.0, (2**31 - 1, 2**30)),
        ("stationary", 1.0 + 1e-12, (2**31 - 1, 2**32 - 1)),
    ],
)
def test_blocks_as_integers(method, length, expected):
    tables = model_of(method, length).tables(1 / 252)
    assert (int(tables["length"][0]), int(tables["limit"][0])) == expected
    assert (tables["length"].dtype, tables["limit"].dtype) == (np.int32, np.uint32)


# --- the fit -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stocks() -> xr.Dataset:
    return log_returns(load_prices("sp500", start="2016-01-04", assets=["AAPL", "JPM", "XOM"]))


@pytest.mark.parametrize(
    ("method", "what", "column"),
    [
        ("stationary", None, "stationary"),
        ("stationary", "returns", "stationary"),
        ("stationary", "squared_returns", "stationary"),
        ("circular_block", None, "circular"),
    ],
)
def test_block_length_is_the_average_of_the_optimal_ones(stocks, method, what, column):
    report = calibrate(
        stocks, kind="bootstrap", options={"method": method, "block_length": what, "window": 1008}
    ).report
    values = stocks["log_return"].values[-1008:]
    optimal = optimal_block_length(values**2 if what == "squared_returns" else values)[column].to_numpy()
    assert list(report["block_length_by_asset"]) == ["AAPL", "JPM", "XOM"]
    np.testing.assert_allclose(list(report["block_length_by_asset"].values()), optimal, rtol=1e-12)
    average = max(1.0, optimal.mean())
    expected = np.ceil(average) if method == "circular_block" else average
    assert report["block_length"] == pytest.approx(expected, rel=1e-12)
    assert report["observations"] == 1008
    assert report["recentred"] is None


def test_block_length_of_an_autoregression_is_that_of_theory():
    """Politis and White (2004): ``(G^2 n / g(0)^2)^(1/3)``, for an AR(1) ``(2 rho / (1 - rho^2))^(2/3) n^(1/3)``."""
    rho, n = 0.5, 40_000
    noise = np.random.default_rng(12).standard_normal(n)
    series = np.empty(n)
    previous = 0.0
    for i, z in enumerate(noise.tolist()):
        previous = rho * previous + z
        series[i] = previous
    model = Bootstrap.fit(dataset(0.01 * series[:, None]))
    assert model.block_length == pytest.approx((2 * rho / (1 - rho**2)) ** (2 / 3) * n ** (1 / 3), rel=0.15)


def test_rows_are_those_of_the_window_or_recentred(stocks):
    values = stocks["log_return"].values[-500:]
    kept = Bootstrap.fit(stocks, window=500)
    assert kept.returns.tobytes() == np.ascontiguousarray(values).tobytes()
    centred = Bootstrap.fit(stocks, window=500, drift="zero", method="iid")
    np.testing.assert_allclose(centred.returns, values - values.mean(axis=0), rtol=0, atol=1e-17)
    np.testing.assert_allclose(centred.mean_log_growth(1.0), 0.0, atol=1e-14)
    rates = {"JPM": 0.05, "XOM": -0.02, "AAPL": 0.1}
    calibration = Bootstrap.calibrate(stocks, drift=rates, days_per_year=250.0, block_length=3)
    np.testing.assert_allclose(calibration.model.mean_log_growth(1.0), [0.1, 0.05, -0.02], rtol=1e-12)
    assert calibration.report["recentred"] == {"AAPL": 0.1, "JPM": 0.05, "XOM": -0.02}
    assert (calibration.report["block_length"], calibration.report["block_length_by_asset"]) == (3.0, None)


def test_covariance_of_the_fit_is_the_sample_s(stocks):
    values = stocks["log_return"].values
    model = Bootstrap.fit(stocks, method="iid")
    np.testing.assert_allclose(model.covariance_log_growth(21 / 252), 21 * np.cov(values.T, ddof=0), rtol=1e-11)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "wild"}, "method: 'wild' is not one of circular_block, iid, stationary"),
        ({"block_length": "squares"}, "block_length: 'squares' is not a number or one of returns, squared_returns"),
        ({"method": "iid", "block_length": "returns"}, "block_length: 'returns' is not left out with method: iid"),
        ({"method": "iid", "block_length": 3}, "block_length: 3.0 has no meaning with method: iid"),
        ({"window": 49}, "block_length: 49 observations are too few to choose it from, 50 are needed; give a number"),
        ({"window": 49, "block_length": 50}, "block_length: 50.0 is not from 1 to the 49 rows of history"),
        ({"window": 10**6}, "window: 1000000 observations were asked for"),
        ({"drift": "up"}, "drift: 'up' is not 'historical', 'zero' or a mapping"),
        ({"drift": {"AAPL": 0.1}}, "drift: 'JPM' is missing"),
        ({"days_per_year": -1}, "days_per_year: -1 is not above zero"),
    ],
)
def test_bad_fit_options_are_refused(stocks, options, text):
    with pytest.raises(InputError, match=text):
        Bootstrap.fit(stocks, **options)


def test_a_constant_series_is_named():
    values = history(100)
    values[:, 1] = 0.001
    with pytest.raises(InputError, match="log_return: the returns of 'A1' do not vary over the window"):
        Bootstrap.fit(dataset(values))


# --- scenarios ---------------------------------------------------------------------------------------------------


def test_shocks_scale_distances_from_the_mean_and_add_drift():
    model = model_of("stationary", 4.0)
    assert model.shocked() is model
    louder = model.shocked(volatility=1.5)
    np.testing.assert_allclose(louder.mean_log_growth(1.0), model.mean_log_growth(1.0), rtol=1e-12)
    np.testing.assert_allclose(louder.covariance_log_growth(0.5), 2.25 * model.covariance_log_growth(0.5), rtol=1e-11)
    assert (louder.method, louder.block_length) == ("stationary", 4.0)
    lower = model.shocked(drift=-0.2)
    np.testing.assert_allclose(lower.mean_log_growth(1.0), model.mean_log_growth(1.0) - 0.2, rtol=1e-12)
    np.testing.assert_allclose(1 + lower.mean_simple_return(0.5), (1 + model.mean_simple_return(0.5)) * np.exp(-0.1))


@pytest.mark.parametrize(
    ("shock", "text"),
    [
        ({"volatility": 0.0}, "volatility shock: 0.0 is not above zero"),
        ({"correlation": 0.5}, "correlation shock: model bootstrap draws whole rows of history"),
        ({"drift": float("nan")}, "drift shock: nan is not a finite number"),
    ],
)
def test_bad_shocks_are_refused(shock, text):
    with pytest.raises(InputError, match=text):
        model_of("iid", 1.0).shocked(**shock)
