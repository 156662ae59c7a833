"""Regime switching: every regime has its own drift, volatility and correlation, and a hidden Markov chain moves all
assets between them.

On a day in regime ``k``, ``dS_a = mu_ka S_a dt + sigma_ka S_a dW_a`` with ``corr(dW_a, dW_b) = R_kab``; the regime of
the next day is ``l`` with probability ``P_kl``. Returns are a mixture of normals with clustered volatility: Hamilton
(1989), Econometrica 57; for asset returns Ang and Bekaert (2002), Review of Financial Studies 15.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_finite, check_integer, check_number, check_positive
from riskops.errors import InputError
from riskops.models import markov_chain, regime_moments
from riskops.models.base import Array, Model, Shock, State
from riskops.models.calibration import Calibration
from riskops.models.correlation import check_correlation, cholesky, push_towards_one
from riskops.models.kernel import path_kernel
from riskops.models.parameters import check_assets, drift_of, frozen, set_frozen
from riskops.models.regime_switching_fit import describe, fit_regimes
from riskops.models.registry import register
from riskops.models.sample import Sample, sample_log_returns
from riskops.scalar import scalar_function
from riskops.tables import outcome, thresholds
from riskops.threads import pinned_threads

__all__ = ["RegimeSwitching", "step"]

Floats = npt.NDArray[np.float64]


@scalar_function
def step(log_growth, drift, shock):  # type: ignore[no-untyped-def]
    """Log growth after one step in a regime; the two small terms are added first, which loses least in single
    precision."""
    return log_growth + (drift + shock)


@path_kernel(tables=("first",))
def _begin(regime, word, first):  # type: ignore[no-untyped-def]
    for path in range(regime.shape[1]):
        regime[0, path] = outcome(word[0, path], first)


@path_kernel(tables=("drift", "following", "last"))
def _advance(log_growth, regime, shock, word, drift, following, last):  # type: ignore[no-untyped-def]
    for asset in range(log_growth.shape[0]):
        growth, moved = log_growth[asset], shock[asset]
        for path in range(growth.shape[0]):
            growth[path] = step(growth[path], drift[regime[0, path], asset], moved[path])
    for path in range(regime.shape[1]):
        regime[0, path] = outcome(word[0, path], following[last[regime[0, path]]])


@register
@dataclass(frozen=True, eq=False)
class RegimeSwitching(Model):
    """Drift, volatility and correlation that switch between regimes by a Markov chain.

    Parameters
    ----------
    assets
        Names, unique, at least one.
    drift
        Expected growth rate of each price a year while a regime lasts ``(regime, asset)``.
    volatility
        Standard deviation of each log return a year in each regime ``(regime, asset)``, above zero.
    correlation
        Correlation of log returns in each regime ``(regime, asset, asset)``, positive definite.
    transition
        Probability a day of each regime ``(from, to)`` after each; rows sum to one.
    initial_probability
        Probability ``(regime,)`` of each regime on the first simulated day.
    days_per_year
        Days in a year: by it yearly parameters become those of a day, and the length of a step a number of days.

    Raises
    ------
    InputError
        When a shape does not fit, a value is not finite or out of range, or a correlation is not positive definite.

    Notes
    -----
    The chain moves by days. A step of several days draws the days spent in each regime from their exact joint law
    (:func:`riskops.models.markov_chain.step_outcomes`) and is distributed as so many steps of one day; a step that is
    not a whole number of days is refused. The state ``regime`` numbers these outcomes: for steps of one day it is the
    regime itself.

    Examples
    --------
    >>> chain = [[0.98, 0.02], [0.06, 0.94]]
    >>> model = RegimeSwitching(("A",), [[0.1], [-0.2]], [[0.1], [0.3]], [[[1.0]], [[1.0]]], chain, [1.0, 0.0])
    >>> model.stationary_distribution().round(12).tolist(), model.expected_duration().round(2).tolist()
    ([0.75, 0.25], [50.0, 16.67])
    >>> model.stationary_shape()[1].round(2).tolist()
    [4.0]
    """

    drift: Floats
    volatility: Floats
    correlation: Floats
    transition: Floats
    initial_probability: Floats
    days_per_year: float = 252.0

    kind: ClassVar[str] = "regime_switching"
    states: ClassVar[tuple[State, ...]] = (State("log_growth"), State("regime", per="shared", kind="index"))
    shocks: ClassVar[tuple[Shock, ...]] = (
        Shock("diffusion", kind="normal", per="asset", mixing="mixing", selector="regime"),
        Shock("switch", kind="word", per="shared"),
    )
    draws_start: ClassVar[bool] = True

    def __post_init__(self) -> None:
        assets = check_assets(self.assets)
        transition = markov_chain.check_transition("transition", self.transition)
        regimes = len(transition)
        initial = markov_chain.check_probabilities("initial_probability", self.initial_probability, size=regimes)
        drift = _per_regime("drift", self.drift, (regimes, len(assets)))
        volatility = _per_regime("volatility", self.volatility, (regimes, len(assets)))
        correlation = _per_regime("correlation", self.correlation, (regimes, len(assets), len(assets)))
        for regime in range(regimes):
            for asset, value in zip(assets, volatility[regime].tolist(), strict=True):
                check_positive(f"volatility of {asset!r} in regime {regime}", value)
            check_correlation(f"correlation of regime {regime}", correlation[regime], size=len(assets))
        parameters = {
            "assets": assets,
            "drift": frozen(drift),
            "volatility": frozen(volatility),
            "correlation": frozen(correlation),
            "transition": frozen(transition),
            "initial_probability": frozen(initial),
            "days_per_year": check_positive("days_per_year", self.days_per_year),
        }
        set_frozen(self, parameters)

    def __setstate__(self, state: dict[str, Any]) -> None:
        set_frozen(self, state)

    @classmethod
    def calibrate(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        regimes: int = 2,
        drift: str | Mapping[str, float] = "historical",
        window: int | None = None,
        max_iterations: int = 5000,
        tolerance: float = 1e-6,
    ) -> Calibration[Self]:
        """Fit as :meth:`fit` does, and return the model with a report of the maximum, its starts and its regimes."""
        check_positive("days_per_year", days_per_year)
        check_integer("regimes", regimes, at_least=2, below=9)
        check_integer("max_iterations", max_iterations, at_least=1)
        check_positive("tolerance", tolerance)
        sample = sample_log_returns(returns, window=window)
        # a text or a mapping that is no drift is refused before the work
        given = None if drift in ("historical", "common") else _given_drift(drift, sample)
        with pinned_threads():
            fit = fit_regimes(sample, regimes, drift == "common", max_iterations=max_iterations, tolerance=tolerance)
            about = describe(fit, sample, common_mean=drift == "common", days_per_year=days_per_year)
        deviation, correlation = fit.deviations_and_correlations()
        volatility = deviation * np.sqrt(days_per_year)
        drifts = (
            fit.means * days_per_year + 0.5 * volatility * volatility if given is None else np.tile(given, (regimes, 1))
        )
        tomorrow = (fit.last[:, None] * fit.transition).sum(axis=0)
        model = cls(sample.assets, drifts, volatility, correlation, fit.transition, tomorrow, float(days_per_year))
        options = {
            "regimes": regimes,
            "drift": drift if isinstance(drift, str) else {str(k): float(v) for k, v in drift.items()},
            "window": window,
            "max_iterations": max_iterations,
            "tolerance": tolerance,
        }
        report = {
            **sample.window_report(days_per_year),
            "options": options,
        }
        return Calibration(model, report | about)

    @classmethod
    def fit(
        cls,
        returns: xr.Dataset,
        *,
        days_per_year: float = 252.0,
        regimes: int = 2,
        drift: str | Mapping[str, float] = "historical",
        window: int | None = None,
        max_iterations: int = 5000,
        tolerance: float = 1e-6,
    ) -> Self:
        """Estimate all parameters by maximum likelihood (expectation maximisation) from daily log returns.

        Parameters
        ----------
        returns
            Dataset with ``log_return`` ``(observation, asset)``; NaN is an error that says where.
        days_per_year
            Observations in a year.
        regimes
            Number of regimes, 2 to 8. They come out in ascending volatility: regime 0 is the calm one.
        drift
            ``"historical"``: each regime has its own mean; ``"common"``: one mean log return, estimated with the rest,
            holds in all regimes, because the mean of a rare regime is hardly known; ``"zero"``: every regime expects
            prices to stay; or a yearly rate for each asset by name, in all regimes. The last two replace the
            drifts of the historical fit and leave its volatilities, correlations and probabilities.
        window
            Number of last observations to use; all of them by default.
        max_iterations
            Iterations from one start at most.
        tolerance
            What the log-likelihood may still gain where the iterations stop; at 1e-6 every parameter is within
            about a thousandth of its standard error.

        Returns
        -------
        The model; its initial probability is that of the day after the last observation.

        Raises
        ------
        InputError
            When there are too few observations, a regime keeps fewer of them than assets and 10 more from every start,
            the iterations do not converge, or an option is not one of the above.

        Notes
        -----
        The iterations climb from up to seven starts, which cut the days by rolling volatility and rolling mean, and the
        highest likelihood is taken; :meth:`calibrate` reports all of them. The likelihood of two numbers of regimes is
        compared by the reported ``bayes_information_criterion``, lower being better.

        Examples
        --------
        >>> from riskops.market import load_prices, log_returns
        >>> model = RegimeSwitching.fit(log_returns(load_prices("sp500_index")), window=1008)
        >>> model.volatility.round(2).tolist()
        [[0.11], [0.35]]
        """
        return cls.calibrate(
            returns,
            days_per_year=days_per_year,
            regimes=regimes,
            drift=drift,
            window=window,
            max_iterations=max_iterations,
            tolerance=tolerance,
        ).model

    def days(self, years: float, name: str = "years") -> int:
        """The whole number of days in a length of time, in which the chain moves; any other length is refused."""
        days = check_positive(name, years) * self.days_per_year
        whole = round(days)
        if whole < 1 or abs(days - whole) > 1e-9 * days:
            raise InputError(
                f"{name}: {days:.6g} days are not a whole number of them; the regimes of {self.kind} change "
                f"by the day (simulation.step_days, at {self.days_per_year:g} days a year)"
            )
        return whole

    def tables(self, step_years: float) -> Mapping[str, Array]:
        """``drift`` ``(outcome, asset)`` and ``mixing`` ``(outcome, asset, asset)`` of log growth over a step with each
        outcome of the chain; the thresholds ``first`` ``(outcome - 1,)`` and ``following`` ``(regime, outcome - 1)`` of
        these outcomes; and ``last`` ``(outcome,)``, the regime in which each ends."""
        outcomes = markov_chain.step_outcomes(
            self.transition, self.initial_probability, self.days(step_years, "step_years")
        )
        mean, covariance = self.daily_moments()
        drift, mixing = [], []
        for days in outcomes.days.astype(np.float64):
            total = (days[:, None, None] * covariance).sum(axis=0)
            deviation = np.sqrt(np.diagonal(total))
            drift.append((days[:, None] * mean).sum(axis=0))
            mixing.append(cholesky(total / (deviation[:, None] * deviation[None, :])) * deviation[:, None])
        return {
            "drift": np.array(drift),
            "mixing": np.array(mixing),
            "first": thresholds(outcomes.first),
            "following": thresholds(outcomes.following),
            "last": outcomes.last,
        }

    @staticmethod
    def begin(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Draw the regime of the first step, in place."""
        _begin(state["regime"], shocks["switch"], tables["first"])

    @staticmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Add the drift and mixed normals of each path's regime to log growth, then draw the next regime, in place."""
        _advance(
            state["log_growth"],
            state["regime"],
            shocks["diffusion"],
            shocks["switch"],
            tables["drift"],
            tables["following"],
            tables["last"],
        )

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: volatilities multiplied, correlations moved towards one by a share in [0, 1), and
        a yearly rate added to every drift, in all regimes alike; the chain stays as it is."""
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        factor = check_positive("volatility shock", volatility)
        pushed = self.correlation
        if correlation:
            pushed = np.array([push_towards_one(matrix, correlation) for matrix in self.correlation])
        return type(self)(
            self.assets,
            self.drift + check_number("drift shock", drift),
            self.volatility * factor,
            pushed,
            self.transition,
            self.initial_probability,
            self.days_per_year,
        )

    def daily_moments(self) -> tuple[Floats, Floats]:
        """Mean ``(regime, asset)`` and covariance ``(regime, asset, asset)`` of a day's log returns by regime."""
        variance = self.volatility * self.volatility
        outer = self.volatility[:, :, None] * self.volatility[:, None, :]
        return (self.drift - 0.5 * variance) / self.days_per_year, self.correlation * outer / self.days_per_year

    def stationary_distribution(self) -> Floats:
        """The share ``(regime,)`` of days that the chain spends in each regime in the long run."""
        return markov_chain.stationary_distribution(self.transition)

    def persistence(self) -> Floats:
        """The probability ``(regime,)`` that a regime lasts another day."""
        return np.diagonal(self.transition).copy()

    def expected_duration(self) -> Floats:
        """The expected days ``(regime,)`` of a stay in each regime: ``1 / (1 - persistence)``."""
        return markov_chain.expected_duration(self.transition)

    def regime_probability(self, days: int) -> Floats:
        """The probability ``(regime,)`` of each regime ``days`` days after the first simulated day."""
        check_integer("days", days, at_least=0)
        law: Floats = markov_chain.powers(self.transition, self.initial_probability, days + 1)[-1]
        return law

    def stationary_shape(self) -> tuple[Floats, Floats]:
        """Skewness and excess kurtosis ``(asset,)`` of a day's log return in the long run."""
        return regime_moments.mixture_shape(*self.daily_moments(), self.stationary_distribution())

    def mean_log_growth(self, years: float) -> Floats:
        """Exact mean ``(asset,)`` of log growth: each day's mean, by the probabilities of its regimes."""
        return self._log_growth(years)[0]

    def covariance_log_growth(self, years: float) -> Floats:
        """Exact covariance ``(asset, asset)`` of log growth, that of the regimes' means over the days included."""
        return self._log_growth(years)[1]

    def _log_growth(self, years: float) -> tuple[Floats, Floats]:
        return regime_moments.log_growth(*self.daily_moments(), chain=self._chain(years))

    def mean_simple_return(self, years: float) -> Floats:
        """Exact mean ``(asset,)`` of the simple return after ``n`` days: ``p (D P)^(n-1) D 1 - 1``, with the regimes'
        growth a day in the diagonal ``D``."""
        return regime_moments.expected_growth(self.drift / self.days_per_year, chain=self._chain(years)) - 1.0

    def covariance_simple_return(self, years: float) -> Floats:
        """Exact covariance ``(asset, asset)`` of simple returns, from the same product for pairs of assets."""
        rate, (_, covariance) = self.drift / self.days_per_year, self.daily_moments()
        pair = rate[:, :, None] + rate[:, None, :] + covariance
        second = regime_moments.expected_growth(pair, chain=self._chain(years))
        mean = self.mean_simple_return(years) + 1.0
        return second - mean[:, None] * mean[None, :]

    def _chain(self, years: float) -> tuple[Floats, Floats, int]:
        return self.transition, self.initial_probability, self.days(years)


def _per_regime(name: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = check_finite(name, values)
    if array.shape != shape:
        raise InputError(f"{name}: shape {array.shape} is not {shape}, as the regimes and assets ask for")
    return array


def _given_drift(drift: str | Mapping[str, float], sample: Sample) -> Floats:
    if not isinstance(drift, Mapping) and drift != "zero":
        raise InputError(
            f"drift: {drift!r} is not 'historical', 'common', 'zero' or a mapping from asset to yearly rate"
        )
    return drift_of(drift, sample, half_variance=np.zeros(len(sample.assets)), days_per_year=1.0)
