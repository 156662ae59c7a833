"""GARCH: its checks, the fit held to arch, exact moments, the recursion, Student-t innovations and its scenarios."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from arch import arch_model
from arch.data import sp500
from arch.univariate.base import ARCHModel
from scipy import integrate, special, stats

from riskops.errors import InputError
from riskops.market import load_prices, log_returns
from riskops.models import Garch, calibrate, from_record
from riskops.models.student_scale import (
    fit_common_degrees,
    scale,
    scale_products,
    tabulate_scales,
    variance_beyond_draws,
)
from riskops.schema import variable
from riskops.simulation import SimulationSpec, simulate
from riskops.tables import cubics
from riskops.tables.monotone import interpolate

DAY = 1 / 252
PARAMETERS = {
    "assets": ("A", "B"),
    "mean": [3e-4, -1e-4],
    "omega": [2e-6, 4e-6],
    "alpha": [0.03, 0.08],
    "gamma": [0.1, 0.0],
    "beta": [0.88, 0.86],
    "variance": [4e-4, 1.5e-4],
    "days_per_year": 252.0,
    "correlation": [[1.0, 0.6], [0.6, 1.0]],
}


def made(**changes) -> Garch:
    return Garch(**(PARAMETERS | changes))


def table_of(values, assets=("A",)) -> xr.Dataset:
    values = np.asarray(values, dtype=float).reshape(-1, len(assets))
    coords = {"observation": np.arange(len(values)), "asset": list(assets)}
    return variable("log_return", ("observation", "asset"), values, coords=coords).to_dataset()


@pytest.fixture(scope="module")
def index() -> np.ndarray:
    """The simple returns of the S&P 500, 1999 to 2018, that arch's documentation fits (5030 days)."""
    return sp500.load()["Adj Close"].pct_change().dropna().to_numpy()


def last_growth(model, *, steps, paths=65_536, seed=7, dtype="float64", times=None) -> np.ndarray:
    spec = SimulationSpec(model, paths=paths, steps=steps, seed=seed, dtype=dtype)
    return simulate(spec, times=times or [steps])["log_growth"].values


# --- the value ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"omega": [1e-6, 0.0]}, "omega of 'B': 0.0 is not above zero"),
        ({"variance": [-1e-4, 1e-4]}, "variance of 'A': -0.0001 is not above zero"),
        ({"alpha": [0.1, -0.1]}, "alpha of 'B': -0.1 is below zero"),
        ({"gamma": [-0.2, 0.0]}, "gamma of 'A': -0.2 is below -alpha, -0.03: variances could be negative"),
        ({"beta": [0.9, 1.0]}, r"beta of 'B': 1.0 is not in \[0, 1\)"),
        ({"beta": [-0.1, 0.5]}, r"beta of 'A': -0.1 is not in \[0, 1\)"),
        ({"mean": [0.1]}, r"mean: shape \(1,\) is not \(2,\), one number an asset"),
        ({"mean": [0.1, np.nan]}, "mean: .*nan.* is not finite"),
        ({"days_per_year": 0.0}, "days_per_year: 0.0 is not above zero"),
        ({"correlation": [[1.0, 1.2], [1.2, 1.0]]}, "correlation: is not positive definite"),
        ({"degrees_of_freedom": [5.0, 2.0]}, "degrees_of_freedom of 'B': 2.0 is not above 2: no finite variance"),
        ({"scale_values": np.ones((2, 9))}, "scale_values: normal innovations have none"),
        (
            {"degrees_of_freedom": [5.0, 4.0], "scale_values": np.ones((1, 9))},
            r"scale_values: shape \(1, 9\) is not \(2, knots\)",
        ),
    ],
)
def test_bad_parameters_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        made(**change)


def test_the_tables_of_student_t_are_part_of_the_record():
    model = made(degrees_of_freedom=[5.0, 7.5])
    record = json.loads(json.dumps(model.record()))
    assert from_record(record) == model
    np.testing.assert_array_equal(record["parameters"]["scale_values"], tabulate_scales([5.0, 7.5])[0])
    assert from_record(made().record()) == made()


def test_a_step_is_one_observation():
    text = (
        r"simulation.step_days: a step of 5 observations is not one, as model garch needs; .* 252 observations a year"
    )
    with pytest.raises(InputError, match=text):
        made().tables(5 / 252)
    with pytest.raises(InputError, match=r"a step of 1\.00397 observations"):
        made(days_per_year=253.0).tables(DAY)
    assert set(made(days_per_year=365.0).tables(1 / 365)) == {"mean", "omega", "upper", "lower", "beta", "mixing"}


# --- the fit -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("innovations", "published"),
    [
        (
            "normal",
            {
                "log_likelihood": -6936.718476988985,
                "mean": 0.056353081130239346,
                "omega": 0.017506752481683003,
                "alpha": 0.1021500192324035,
                "beta": 0.8852055807167696,
            },
        ),
        (
            "student_t",
            {
                "log_likelihood": -6834.735584845608,
                "mean": 0.06612845705557824,
                "omega": 0.008663672625924544,
                "alpha": 0.09959564917808976,
                "beta": 0.8999323910044694,
                "degrees_of_freedom": 6.607227311999745,
            },
        ),
    ],
)
def test_estimates_are_those_of_the_documentation_of_arch(index, innovations, published):
    """arch 8.0.0, examples/univariate_volatility_modeling.ipynb: GARCH(1,1) on the S&P 500 in percent; its page shows
    mu 0.0564, omega 0.0175, alpha 0.1022, beta 0.8852 and a log-likelihood of -6936.72 (published); more digits and the
    fit with t innovations from the same version."""
    found = calibrate(table_of(index), kind="garch", options={"innovations": innovations})
    in_percent = found.report["log_likelihood"]["A"] - len(index) * np.log(100.0)
    assert in_percent == pytest.approx(published["log_likelihood"], abs=0.05)
    units = {"mean": 100.0, "omega": 100.0**2}
    for name, tolerance in (("mean", 2e-3), ("omega", 2e-4), ("alpha", 2e-3), ("beta", 2e-3)):
        value = float(getattr(found.model, name)[0]) * units.get(name, 1.0)
        assert value == pytest.approx(published[name], abs=tolerance)
    if innovations == "student_t":
        assert float(found.model.degrees_of_freedom[0]) == pytest.approx(published["degrees_of_freedom"], abs=0.05)
        assert found.report["scale_table_error"] < 1e-7
        assert found.report["variance_beyond_draws"]["A"] < 1e-6
    assert json.loads(json.dumps(found.report, allow_nan=False)) == found.report


@pytest.fixture(scope="module")
def oracle(index):
    """GJR-GARCH fitted by arch itself, in percent."""
    return arch_model(100.0 * index, o=1, rescale=False).fit(disp="off")


@pytest.fixture(scope="module")
def asymmetric(index):
    return calibrate(table_of(index), kind="garch", options={"asymmetry": True})


def test_today_and_the_errors_are_those_of_arch(oracle, asymmetric):
    model, report = asymmetric.model, asymmetric.report
    np.testing.assert_allclose(
        model.variance[0], oracle.forecast(horizon=1).variance.to_numpy()[-1, 0] / 1e4, rtol=1e-6
    )
    errors = oracle.std_err
    assert report["standard_errors"]["A"]["beta"] == pytest.approx(errors["beta[1]"], rel=1e-3)
    assert report["standard_errors"]["A"]["omega"] == pytest.approx(errors["omega"] / 1e4, rel=1e-3)
    assert report["at_bound"] == {"A": ["alpha"]}  # in this sample a rise says nothing about volatility
    assert model.alpha[0] == pytest.approx(0.0, abs=1e-6)
    assert report["persistence"]["A"] == pytest.approx(float(model.persistence()[0]), rel=1e-12)
    assert report["unconditional_volatility"]["A"] == pytest.approx(
        float(np.sqrt(252 * model.unconditional_variance()[0])), rel=1e-12
    )
    assert report["volatility_today"]["A"] == pytest.approx(float(np.sqrt(252 * model.variance[0])), rel=1e-12)
    assert report["options"]["asymmetry"] is True


def test_the_step_runs_the_recursion_of_arch(index, oracle, asymmetric):
    """Fed with arch's residuals the step follows the data: its variances are arch's conditional ones, its log growth
    the sum of the returns."""
    p = oracle.params
    model = Garch(
        ("A",),
        [p["mu"] / 100],
        [p["omega"] / 1e4],
        [p["alpha[1]"]],
        [p["gamma[1]"]],
        [p["beta[1]"]],
        [oracle.conditional_volatility[0] ** 2 / 1e4],
        252.0,
        [[1.0]],
    )
    innovations, tables = oracle.std_resid, model.tables(DAY)
    state = {name: values[:, None].copy() for name, values in model.start().items()}
    for z, expected in zip(innovations, oracle.conditional_volatility**2 / 1e4, strict=True):
        assert state["variance"][0, 0] == pytest.approx(expected, rel=1e-12)
        model.advance(state, {"normal": np.array([[z]]), "scale": np.zeros((1, 1))}, tables)
    assert state["log_growth"][0, 0] == pytest.approx(float(index.sum()), rel=1e-10)
    assert state["variance"][0, 0] == pytest.approx(float(asymmetric.model.variance[0]), rel=1e-5)


def test_forecasts_agree_with_the_analytic_and_simulated_ones_of_arch(oracle, asymmetric):
    model = asymmetric.model
    analytic = oracle.forecast(horizon=10, method="analytic").variance.to_numpy()[-1] / 1e4
    np.testing.assert_allclose(model.expected_variance(10)[:, 0], analytic, rtol=1e-5)
    assert float(model.variance_log_growth(10 * DAY)[0]) == pytest.approx(analytic.sum(), rel=1e-5)
    generator = np.random.default_rng(3)
    simulated = oracle.forecast(
        horizon=10, method="simulation", simulations=20_000, rng=lambda size: generator.standard_normal(size)
    )
    theirs = simulated.simulations.values[-1].sum(axis=1) / 100
    ours = last_growth(model, steps=10)[0, 0]
    for moment in (lambda x: x, lambda x: (x - x.mean()) ** 2, lambda x: (x < -0.06).astype(float)):
        a, b = moment(ours), moment(theirs)
        assert abs(a.mean() - b.mean()) < 4 * np.hypot(a.std() / np.sqrt(len(a)), b.std() / np.sqrt(len(b)))


def test_bundled_stocks_agree_with_arch_run_directly():
    assets = ["AAPL", "XOM"]
    returns = log_returns(load_prices("sp500", assets=assets))
    found = calibrate(returns, kind="garch", options={"window": 2520, "asymmetry": True, "innovations": "student_t"})
    model, residuals = found.model, []
    assert found.report["observations"] == 2520
    assert found.report["window_end"] == "2022-12-28"
    for a, values in enumerate(returns["log_return"].values[-2520:].T):
        direct = arch_model(100 * values, o=1, dist="t", rescale=False).fit(disp="off")
        for name, field, unit in (
            ("mu", "mean", 100),
            ("omega", "omega", 1e4),
            ("alpha[1]", "alpha", 1),
            ("gamma[1]", "gamma", 1),
            ("beta[1]", "beta", 1),
            ("nu", "degrees_of_freedom", 1),
        ):
            assert getattr(model, field)[a] * unit == pytest.approx(direct.params[name], rel=1e-6, abs=1e-10)
        residuals.append(direct.std_resid)
    np.testing.assert_allclose(model.innovation_correlation()[0, 1], np.corrcoef(residuals)[0, 1], rtol=1e-6)
    assert model.correlation[0, 1] > model.innovation_correlation()[0, 1]


@pytest.mark.parametrize("degrees", [None, [6.0, 9.0]])
def test_fit_recovers_what_was_simulated(degrees):
    """Two assets over 4000 days, fitted again: within four of the standard errors that the fit states."""
    truth = made(degrees_of_freedom=degrees)
    steps = 4000
    found = calibrate(
        table_of(np.diff(_one_path(truth, steps), axis=0), ("A", "B")),
        kind="garch",
        options={"asymmetry": True, "innovations": "normal" if degrees is None else "student_t"},
    )
    for asset, name in enumerate("AB"):
        errors = found.report["standard_errors"][name]
        assert set(errors) == {"mean", "omega", "alpha", "gamma", "beta"} | (
            {"degrees_of_freedom"} if degrees else set()
        )
        for field, error in errors.items():
            assert abs(getattr(found.model, field)[asset] - getattr(truth, field)[asset]) < 4 * error
            assert 0 < error < 40
    correlation_error = (1 - 0.6**2) / np.sqrt(steps) * (1.0 if degrees is None else 1.5)
    assert abs(found.model.correlation[0, 1] - 0.6) < 4 * correlation_error


def _one_path(model: Garch, steps: int) -> np.ndarray:
    """Log growth ``(time, asset)`` of one long path, by the model's own step, with NumPy's normals."""
    rng = np.random.default_rng(17)
    tables = model.tables(DAY)
    state = {name: values[:, None].copy() for name, values in model.start().items()}
    rows = [state["log_growth"][:, 0].copy()]
    for _ in range(steps):
        drawn = {"normal": tables["mixing"] @ rng.standard_normal((2, 1)), "scale": rng.standard_normal((1, 1))}
        model.advance(state, drawn, tables)
        rows.append(state["log_growth"][:, 0].copy())
    return np.array(rows)


def test_common_degrees_of_freedom_are_those_of_the_multivariate_t():
    """The likelihood is that of scipy's multivariate t, and its maximum recovers what was simulated."""
    truth = np.array([[1.0, 0.5], [0.5, 1.0]])
    law = stats.multivariate_t(shape=truth * 4 / 6, df=6, seed=11)  # of unit variances
    rows = law.rvs(5000)
    value, report = fit_common_degrees(rows, truth)
    assert abs(value - 6.0) < 4 * report["standard_error"] < 2.0
    best = stats.multivariate_t(shape=truth * (value - 2) / value, df=value)
    assert report["log_likelihood"] == pytest.approx(float(best.logpdf(rows).sum()), rel=1e-12)
    for other in (value - 0.1, value + 0.1):
        assert (
            stats.multivariate_t(shape=truth * (other - 2) / other, df=other).logpdf(rows).sum()
            < report["log_likelihood"]
        )
    light = np.random.default_rng(1).uniform(-np.sqrt(3), np.sqrt(3), (300, 2))
    value, report = fit_common_degrees(light, np.eye(2))
    assert value == pytest.approx(500.0, rel=1e-3)
    assert report["standard_error"] is None

    returns = log_returns(load_prices("sp500", assets=["AAPL", "XOM", "JPM"]))
    options = {"window": 2520, "innovations": "student_t"}
    each = calibrate(returns, kind="garch", options=options)
    common = calibrate(returns, kind="garch", options=options | {"degrees_of_freedom": "common"})
    found = common.report["common_degrees_of_freedom"]
    assert common.model.degrees_of_freedom.tolist() == [found["value"]] * 3
    assert each.model.degrees_of_freedom.min() - 1 < found["value"] < each.model.degrees_of_freedom.max() + 1
    np.testing.assert_array_equal(common.model.innovation_correlation(), common.model.correlation)
    np.testing.assert_allclose(common.model.correlation, each.model.innovation_correlation(), rtol=1e-12)
    assert common.model.tables(DAY)["scales"].shape[0] == 1
    np.testing.assert_array_equal(common.model.omega, each.model.omega)


def test_drift_is_the_fitted_mean_or_what_was_asked_for(index):
    returns = table_of(index[-1000:])
    sample, half = index[-1000:].mean(), 0.5 * index[-1000:].var(ddof=1)
    fitted = Garch.fit(returns)
    assert fitted.mean[0] != pytest.approx(sample, rel=1e-3)
    for options, mean in (
        ({"drift": "historical"}, sample),
        ({"drift": "zero"}, -half),
        ({"drift": {"A": 0.05}}, 0.05 / 252 - half),
    ):
        model = Garch.fit(returns, **options)
        assert model.mean[0] == pytest.approx(mean, rel=1e-9)
        assert model.omega[0] == fitted.omega[0]
    assert Garch.fit(returns, mean="zero").mean[0] == 0.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"asymmetry": 1}, "asymmetry: 1 is not true or false"),
        ({"innovations": "cauchy"}, "innovations: 'cauchy' is not one of normal, student_t"),
        ({"innovations": "skewed_t"}, "innovations: 'skewed_t' is not one of normal, student_t"),
        ({"degrees_of_freedom": "all"}, "degrees_of_freedom: 'all' is not one of common, each"),
        ({"mean": "garch"}, "mean: 'garch' is not one of constant, zero"),
        ({"drift": "momentum"}, "drift: 'momentum' is not 'fitted', 'historical', 'zero' or a mapping"),
        ({"drift": {"B": 0.1}}, "drift: 'B' is unknown; known are A"),
        ({"window": 99}, "log_return: 99 observations are too few; a GARCH fit needs 100"),
        ({"window": 10_000}, "window: 10000 observations were asked for and there are 5030"),
        ({"days_per_year": -1.0}, "days_per_year: -1.0 is not above zero"),
        ({"nearest_correlation": None}, "nearest_correlation: None is not true or false"),
    ],
)
def test_bad_fit_options_are_refused(index, options, text):
    with pytest.raises(InputError, match=text):
        Garch.fit(table_of(index), **options)


def test_a_fit_that_fails_is_an_error(index, monkeypatch):
    with pytest.raises(InputError, match="log_return: the returns of 'A' do not vary over the window"):
        Garch.fit(table_of(np.full(500, 0.01)))
    fit = ARCHModel.fit
    monkeypatch.setattr(ARCHModel, "fit", lambda self, **given: fit(self, **given | {"options": {"maxiter": 1}}))
    with pytest.raises(
        InputError, match=r"log_return: the GARCH fit of 'A' did not converge \(Iteration limit reached\)"
    ):
        Garch.fit(table_of(index))


def test_a_fit_that_does_not_converge_starts_again(index, monkeypatch):
    plain = calibrate(table_of(index), kind="garch")
    fit = ARCHModel.fit

    def stopped(self, *, starting_values=None, **given):
        few = {"options": {"maxiter": 1}} if starting_values is None else {}
        return fit(self, starting_values=starting_values, **given | few)

    monkeypatch.setattr(ARCHModel, "fit", stopped)
    again = calibrate(table_of(index), kind="garch")
    assert (plain.report["restarts"], again.report["restarts"]) == ({"A": 0}, {"A": 1})
    assert again.report["log_likelihood"]["A"] == pytest.approx(plain.report["log_likelihood"]["A"], abs=1e-3)
    np.testing.assert_allclose(again.model.beta, plain.model.beta, atol=1e-3)


def test_a_hard_likelihood_is_maximised():
    """RRC since 1990, with seven returns in ten zero at first: the best estimate lies between two bounds (persistence
    one, omega zero), where the optimiser often stops early. Held to the best of a search from many starts."""
    returns = log_returns(load_prices("sp500", assets=["RRC"]))
    report = calibrate(returns, kind="garch", options={"asymmetry": True, "innovations": "student_t"}).report
    model = arch_model(100 * returns["log_return"].values[:, 0], o=1, dist="t", rescale=False)
    best = -np.inf
    for alpha in (0.05, 0.15, 0.25, 0.35, 0.45):
        for beta in (0.5, 0.7, 0.9):
            if alpha + beta < 1:
                start = np.array([0.0, 0.3, alpha, 0.0, beta, 4.5])
                found = model.fit(disp="off", show_warning=False, starting_values=start)
                best = max(best, found.loglikelihood if found.convergence_flag == 0 else -np.inf)
    in_percent = report["log_likelihood"]["RRC"] - report["observations"] * np.log(100.0)
    assert in_percent > best - 0.1
    assert report["at_bound"]["RRC"][-1] == "persistence"
    assert report["unconditional_volatility"]["RRC"] is None or report["unconditional_volatility"]["RRC"] > 0.3


def test_returns_of_unusual_size_are_scaled_for_the_optimiser(index):
    """A bond's returns are a hundredth of a stock's: the same estimates come out, in their units."""
    plain, small = (calibrate(table_of(index * factor), kind="garch") for factor in (1.0, 1e-3))
    assert (plain.report["scale"]["A"], small.report["scale"]["A"]) == (100.0, 1e5)
    for name, unit in (("mean", 1e-3), ("omega", 1e-6), ("alpha", 1.0), ("beta", 1.0), ("variance", 1e-6)):
        np.testing.assert_allclose(getattr(small.model, name), getattr(plain.model, name) * unit, rtol=1e-5)
    shift = len(index) * np.log(1e3)
    assert small.report["log_likelihood"]["A"] == pytest.approx(plain.report["log_likelihood"]["A"] + shift, abs=1e-3)


def test_a_singular_correlation_is_repaired_when_asked(index):
    twice = table_of(np.stack([index[:500], index[:500]], axis=1), ("A", "B"))
    with pytest.raises(InputError, match=r"correlation: is not positive definite .*nearest_correlation"):
        Garch.fit(twice)
    repaired = calibrate(twice, kind="garch", options={"nearest_correlation": True})
    assert repaired.report["nearest_correlation"]["frobenius_distance"] > 0.0
    assert 0.99 < repaired.model.correlation[0, 1] < 1.0


# --- moments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("degrees", [None, [6.0, 12.0]])
def test_exact_moments_agree_with_the_simulation(degrees, dtype):
    model = made(degrees_of_freedom=degrees)
    growth = last_growth(model, steps=10, paths=131_072, dtype=dtype, times=[1, 10]).astype(np.float64)
    for at, days in enumerate((1, 10)):
        error = growth[at].std(axis=1) / np.sqrt(growth.shape[-1])
        assert np.all(np.abs(growth[at].mean(axis=1) - model.mean_log_growth(days * DAY)) < 4 * error)
        centred = growth[at] - model.mean_log_growth(days * DAY)[:, None]
        squares = centred**2
        error = squares.std(axis=1) / np.sqrt(growth.shape[-1])
        assert np.all(np.abs(squares.mean(axis=1) - model.variance_log_growth(days * DAY)) < 4 * error)
    first = growth[0] - model.mean_log_growth(DAY)[:, None]
    product = first[0] * first[1]
    expected = model.covariance_log_growth(DAY)[0, 1]
    assert abs(product.mean() - expected) < 4 * product.std() / np.sqrt(len(product))
    assert expected == pytest.approx(model.innovation_correlation()[0, 1] * np.sqrt(4e-4 * 1.5e-4), rel=1e-12)


@pytest.mark.parametrize(
    ("gamma", "degrees", "kurtosis"),
    [
        # Bollerslev (1986), *Generalized autoregressive conditional heteroskedasticity*: 3 (1 - (a + b)^2) / (1 - (a +
        # b)^2 - 2 a^2)
        (0.0, None, 3 * (1 - 0.9**2) / (1 - 0.9**2 - 2 * 0.1**2)),
        (0.06, None, None),
        (0.06, [15.0], None),
    ],
)
def test_the_long_run_has_the_closed_variance_and_kurtosis(gamma, degrees, kurtosis):
    model = Garch(("A",), [0.0], [1e-5], [0.1], [gamma], [0.8], [1e-4], 252.0, [[1.0]], degrees)
    assert model.persistence()[0] == pytest.approx(0.9 + gamma / 2, rel=1e-12)
    assert model.unconditional_variance()[0] == pytest.approx(1e-5 / (0.1 - gamma / 2), rel=1e-12)
    if kurtosis is not None:
        assert model.unconditional_kurtosis()[0] == pytest.approx(kurtosis, rel=1e-12)
    model = Garch(("A",), [0.0], [1e-5], [0.1], [gamma], [0.8], model.unconditional_variance(), 252.0, [[1.0]], degrees)
    growth = last_growth(model, steps=120, paths=131_072, times=[119, 120])[:, 0]
    shock = growth[1] - growth[0]
    variance, fourth = shock**2, shock**4
    count = np.sqrt(len(shock))
    expected = model.unconditional_variance()[0]
    assert abs(variance.mean() - expected) < 4 * variance.std() / count
    assert abs(fourth.mean() / expected**2 - model.unconditional_kurtosis()[0]) < 4 * fourth.std() / count / expected**2
    assert model.unconditional_kurtosis()[0] > 3.3


def test_an_integrated_variance_has_paths_and_no_long_run():
    model = Garch(("A",), [0.0], [1e-6], [0.1], [0.0], [0.9], [1e-4], 252.0, [[1.0]])
    np.testing.assert_allclose(model.expected_variance(11)[:, 0], 1e-4 + 1e-6 * np.arange(11), rtol=1e-12)
    assert np.all(np.isfinite(last_growth(model, steps=50, paths=4096)))
    text = "persistence of 'A': 1 is not below one, so there is no unconditional variance"
    for figure in (model.unconditional_variance, model.unconditional_kurtosis):
        with pytest.raises(InputError, match=text):
            figure()


def test_moments_that_are_not_known_or_do_not_exist():
    with pytest.raises(
        InputError, match=r"covariance of several assets beyond one observation is not known .*variance_"
    ):
        made().covariance_log_growth(10 * DAY)
    single = Garch(("A",), [1e-4], [2e-6], [0.1], [0.0], [0.8], [1e-4], 252.0, [[1.0]])
    np.testing.assert_array_equal(single.covariance_log_growth(10 * DAY)[0], single.variance_log_growth(10 * DAY))
    np.testing.assert_allclose(single.mean_log_growth(1.0), [0.0252], rtol=1e-12)
    with pytest.raises(InputError, match=r"years: 0.01 is 2.52 observations, not a whole number of them"):
        single.mean_log_growth(0.01)
    # h^2 has no mean: 3 * 0.3^2 + 2 * 0.3 * 0.65 + 0.65^2 > 1; and neither has z^4 of four degrees of freedom
    wild = Garch(("A",), [0.0], [2e-6], [0.3], [0.0], [0.65], [1e-4], 252.0, [[1.0]])
    heavy = Garch(("A",), [0.0], [2e-6], [0.05], [0.0], [0.65], [1e-4], 252.0, [[1.0]], [4.0])
    assert [model.unconditional_kurtosis().tolist() for model in (wild, heavy)] == [[np.inf], [np.inf]]


# --- Student-t innovations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("nu", [2.1, 4.0, 30.0])
def test_the_scale_is_that_of_scipy_in_both_tails(nu):
    v = np.array([-6.0, -1.0, 0.0, 1.0, 6.0])
    upper = np.where(v > 0, stats.chi2.ppf(special.ndtr(-v), nu), stats.chi2.isf(special.ndtr(v), nu))
    np.testing.assert_allclose(scale(nu, v), np.sqrt((nu - 2) / upper), rtol=1e-9)
    values, error = tabulate_scales([nu])
    z = np.linspace(-6.3, 6.3, 2001)
    np.testing.assert_allclose(interpolate(cubics(values[0]), z), scale(nu, z), rtol=2e-6)
    assert error < 1e-7


def test_products_and_cut_tails_are_the_integrals():
    products = scale_products([3.0, 8.0, 8.0])

    def integral(a: float, b: float, log_high: float) -> float:
        """Over probabilities up to ``exp(log_high)``, on the scale of their logarithm: the end at zero is singular."""

        def product(log_p: float) -> float:
            p = np.exp(log_p)
            return float(p * np.sqrt((a - 2) / stats.chi2.ppf(p, a) * (b - 2) / stats.chi2.ppf(p, b)))

        pieces = [(log_high - 150, log_high - 20), (log_high - 20, log_high - 1), (log_high - 1, log_high)]
        return sum(integrate.quad(product, low, high, epsrel=1e-9, limit=200)[0] for low, high in pieces)

    assert products[0, 1] == pytest.approx(integral(3.0, 8.0, 0.0), rel=1e-6)
    assert products[1, 2] == 1.0
    assert variance_beyond_draws([3.0])[0] == pytest.approx(integral(3.0, 3.0, -33 * np.log(2.0)), rel=1e-6)


def test_innovations_are_student_t_each_and_together():
    """Margins against scipy's t; for equal degrees of freedom ``z' R^-1 z / 2`` is F distributed (McNeil, Frey and
    Embrechts 2015, 6.2)."""
    kept = {"omega": [1e-12, 1e-12], "alpha": [0.0, 0.0], "gamma": [0.0, 0.0], "mean": [0.0, 0.0]}
    for degrees in ([5.0, 5.0], [4.0, 12.0]):
        model = made(**kept, degrees_of_freedom=degrees, variance=[1.0, 1.0])
        z = last_growth(model, steps=1)[0]
        for row, nu in zip(z, degrees, strict=True):
            assert stats.kstest(row * np.sqrt(nu / (nu - 2)), stats.t(nu).cdf).pvalue > 0.001
        product = z[0] * z[1]
        expected = 0.6 * scale_products(degrees)[0, 1]
        assert abs(product.mean() - expected) < 4 * product.std() / np.sqrt(len(product))
        if degrees[0] == degrees[1]:
            inverse = np.linalg.inv(np.array(PARAMETERS["correlation"]))
            distance = np.einsum("ai,ab,bi->i", z, inverse, z) / 2 * 5 / 3
            assert stats.kstest(distance, stats.f(2, 5).cdf).pvalue > 0.001
        else:
            # both are far out together more often than normals of that correlation are
            both = np.mean((np.abs(z[0]) > 3) & (np.abs(z[1]) > 3))
            gaussian = stats.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]])
            corners = 2 * (
                gaussian.cdf([-3, -3]) + stats.multivariate_normal([0, 0], [[1, -0.6], [-0.6, 1]]).cdf([-3, -3])
            )
            assert both > 5 * corners


def test_assets_of_equal_degrees_of_freedom_share_a_table():
    three = PARAMETERS | {
        name: [*PARAMETERS[name], PARAMETERS[name][0]]
        for name in PARAMETERS
        if name not in ("assets", "days_per_year", "correlation")
    }
    model = Garch(
        **(three | {"assets": ("A", "B", "C"), "correlation": np.eye(3), "degrees_of_freedom": [8.0, 5.0, 8.0]})
    )
    tables = model.tables(DAY)
    assert len(tables["scales"]) == 2
    assert tables["group"][0] == tables["group"][2] != tables["group"][1]
    for asset in range(3):
        np.testing.assert_array_equal(tables["scales"][tables["group"][asset]], cubics(model.scale_values[asset]))


# --- scenarios ---------------------------------------------------------------------------------------------------


def test_shocked_changes_what_was_asked_for_only():
    model = made(degrees_of_freedom=[5.0, 8.0])
    assert model.shocked() is model
    louder = model.shocked(volatility=2.0)
    np.testing.assert_allclose(louder.unconditional_variance(), 4 * model.unconditional_variance(), rtol=1e-14)
    np.testing.assert_allclose(
        louder.variance_log_growth(10 * DAY), 4 * model.variance_log_growth(10 * DAY), rtol=1e-14
    )
    for name in ("mean", "alpha", "gamma", "beta", "correlation", "degrees_of_freedom", "scale_values"):
        np.testing.assert_array_equal(getattr(louder, name), getattr(model, name))
    plain, loud = (last_growth(m, steps=5, paths=1024)[0] - 5 * np.array([[3e-4], [-1e-4]]) for m in (model, louder))
    np.testing.assert_allclose(loud, 2 * plain, rtol=1e-9, atol=1e-12)
    moved = model.shocked(correlation=0.5, drift=-0.252)
    np.testing.assert_allclose(moved.mean, model.mean - 1e-3, rtol=1e-12)
    assert moved.correlation[0, 1] == pytest.approx(0.8)
    np.testing.assert_array_equal(moved.variance, model.variance)
    assert model.shocked(correlation=0.999).tables(DAY)["mixing"].shape == (2, 2)


@pytest.mark.parametrize(
    ("shock", "text"),
    [
        ({"volatility": 0.0}, "volatility shock: 0.0 is not above zero"),
        ({"correlation": 1.0}, r"share: 1.0 is not in \[0, 1\)"),
        ({"drift": float("nan")}, "drift shock: nan is not a finite number"),
    ],
)
def test_bad_shocks_are_refused(shock, text):
    with pytest.raises(InputError, match=text):
        made().shocked(**shock)


def test_the_best_of_several_ends_without_a_way_up_is_taken(index, monkeypatch):
    plain = calibrate(table_of(index), kind="garch")
    fit = ARCHModel.fit

    def stuck(self, **given):
        found = fit(self, **given)
        monkeypatch.setattr(
            found, "_optim_output", type(found.optimization_result)(found.optimization_result, status=8)
        )
        return found

    monkeypatch.setattr(ARCHModel, "fit", stuck)
    again = calibrate(table_of(index), kind="garch")
    assert again.report["restarts"] == {"A": 4}
    assert again.report["log_likelihood"]["A"] == pytest.approx(plain.report["log_likelihood"]["A"], abs=1e-3)
