"""Filtered methods: past losses over their conditional deviations, rescaled to the deviation of the day ahead.

:class:`FilteredHistorical` takes the standardised losses as they are, :class:`ConditionalExtremes` fits their tails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.garch import INFINITE_SHORTFALL, ScaledFit, horizon_rule, scaled_fit
from riskops.history.forecasts.laws import EmpiricalLaw
from riskops.history.forecasts.pareto_tail import fit_pareto_tail
from riskops.history.forecasts.peaks_over_threshold import PeaksOverThreshold, tail_notes, tail_parameters
from riskops.history.forecasts.simulated import SEED
from riskops.history.forecasts.simulated_days import DAILY_PATHS, check_simulation, few_beyond, simulation_name
from riskops.history.forecasts.volatility import FEWEST, Volatility, fit_volatility

__all__ = ["ConditionalExtremes", "FilteredHistorical"]


@dataclass(frozen=True)
class FilteredHistorical:
    """Filtered historical simulation: past standardised losses, rescaled to the variance of the day ahead.

    A GARCH is fitted by quasi maximum likelihood, and its standardised losses of the fit's sample are the law of the
    next day's: order statistics, without a distribution assumed (contract C4). Over several days paths draw from
    them, day by day, and each path's variance runs on.

    Parameters
    ----------
    volatility
        ``garch``, ``gjr`` or ``egarch``.
    innovations
        Of the likelihood alone: ``normal``, ``student_t`` or ``skewed_t``.
    mean
        Of a day's return: ``constant``, or ``zero``.
    paths, seed
        Of the simulation over several days; all days and series share their draws.

    References
    ----------
    Hull and White (1998), Incorporating volatility updating into the historical simulation method for value at risk.
    Barone-Adesi, Giannopoulos and Vosper (1999), VaR without correlations for portfolios of derivative securities.

    Examples
    --------
    >>> FilteredHistorical().name, FilteredHistorical(volatility="gjr").name
    ('filtered_historical', 'filtered_historical_gjr')
    """

    volatility: str = "garch"
    innovations: str = "normal"
    mean: str = "constant"
    paths: int = DAILY_PATHS
    seed: int = SEED

    def __post_init__(self) -> None:
        _check(self.volatility, self.mean, self.paths, self.seed, innovations=self.innovations)

    @property
    def name(self) -> str:
        """The method's name in results."""
        likelihood = f"_{self.innovations}" if self.innovations != "normal" else ""
        return (
            _name("filtered_historical", self.volatility, self.mean)
            + likelihood
            + simulation_name(self.paths, self.seed)
        )

    @property
    def estimated(self) -> bool:
        """Parameters and standardised losses are held fixed between fits; the variance is not."""
        return True

    @property
    def least(self) -> int:
        """The fewest returns."""
        return FEWEST

    def horizon_rule(self, days: int) -> str:
        """One day from the sample, several by simulation."""
        return horizon_rule(days)

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> ScaledFit:
        """Fit by quasi maximum likelihood and standardise the sample."""
        found = fit_volatility(Volatility(self.volatility, self.innovations, self.mean), returns, method=self.name)
        law = EmpiricalLaw(found.loss_residuals(returns))
        notes = few_beyond(levels, len(returns)) if days == 1 else ()
        return scaled_fit(found, law, notes=notes, levels=levels, days=days, paths=self.paths, seed=self.seed)

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {
            "kind": "filtered_historical",
            "volatility": self.volatility,
            "innovations": self.innovations,
            "mean": self.mean,
            "paths": self.paths,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class ConditionalExtremes:
    """Conditional extreme value theory: a GARCH by quasi maximum likelihood, then a Pareto tail of its residuals.

    The worst standardised losses are given a generalised Pareto tail, which holds beyond the largest of them too:
    ``VaR = -mean + sqrt(h) z(level)``, and ES likewise with the tail's shortfall. Below the threshold the sample itself
    stands (:class:`riskops.history.forecasts.pareto_tail.ParetoTail`). Over several days paths draw standardised losses
    whose two tails are Pareto and whose middle is the sample's, and each path's variance runs on.

    Parameters
    ----------
    fraction, threshold, estimator
        Of the tail of the standardised losses, as :class:`PeaksOverThreshold` takes them.
    volatility
        ``garch``, ``gjr`` or ``egarch``.
    mean
        Of a day's return: ``constant``, or ``zero``.
    paths, seed
        Of the simulation over several days; all days and series share their draws.

    Notes
    -----
    McNeil and Frey let the mean be autoregressive of order one; here it is constant.

    References
    ----------
    McNeil and Frey (2000), Estimation of tail-related risk measures for heteroscedastic financial time series: an
    extreme value approach, Journal of Empirical Finance 7.

    Examples
    --------
    >>> ConditionalExtremes().name, ConditionalExtremes(fraction=0.05).name
    ('conditional_evt', 'conditional_evt_fraction_0.05')
    """

    fraction: float = 0.1
    threshold: str | float = "fraction"
    estimator: str = "likelihood"
    volatility: str = "garch"
    mean: str = "constant"
    paths: int = DAILY_PATHS
    seed: int = SEED

    def __post_init__(self) -> None:
        _ = self._tail
        _check(self.volatility, self.mean, self.paths, self.seed)

    @property
    def _tail(self) -> PeaksOverThreshold:
        """The same tail for independent losses: it knows which settings there are, and what shows in a name."""
        return PeaksOverThreshold(self.fraction, self.threshold, self.estimator)

    @property
    def name(self) -> str:
        """The method's name in results."""
        tail = self._tail.name.removeprefix("peaks_over_threshold")
        return _name("conditional_evt", self.volatility, self.mean) + tail + simulation_name(self.paths, self.seed)

    @property
    def estimated(self) -> bool:
        """Parameters and tails are held fixed between fits; the variance is not."""
        return True

    @property
    def least(self) -> int:
        """The fewest returns: of the variance, and of the tail."""
        return max(FEWEST, self._tail.least)

    def horizon_rule(self, days: int) -> str:
        """One day from the fitted tail, several by simulation."""
        return horizon_rule(days)

    def fit(self, returns: Floats, *, levels: Sequence[float], days: int) -> ScaledFit:
        """Fit the volatility by normal quasi maximum likelihood, and the tails of what it leaves."""
        found = fit_volatility(Volatility(self.volatility, "normal", self.mean), returns, method=self.name)
        law = fit_pareto_tail(
            found.loss_residuals(returns),
            threshold=self.threshold,
            fraction=self.fraction,
            estimator=self.estimator,
            both=days > 1,
        )
        if law.upper.shape >= 1.0:
            law.upper.mean_beyond(1.0)  # says that it is infinite
        notes = tail_notes(law, levels if days == 1 else ())
        if self.volatility == "egarch" and law.lower is not None and max(law.upper.shape, law.lower.shape) > 0.0:
            notes += (INFINITE_SHORTFALL,)
        return scaled_fit(
            found,
            law,
            parameters={f"tail_{name}": value for name, value in tail_parameters(law).items()},
            notes=notes,
            levels=levels,
            days=days,
            paths=self.paths,
            seed=self.seed,
        )

    def record(self) -> dict[str, Any]:
        """The kind and all settings."""
        return {
            "kind": "conditional_evt",
            "fraction": self.fraction,
            "threshold": self.threshold,
            "estimator": self.estimator,
            "volatility": self.volatility,
            "mean": self.mean,
            "paths": self.paths,
            "seed": self.seed,
        }


def _check(volatility: str, mean: str, paths: object, seed: object, *, innovations: str = "normal") -> None:
    Volatility(volatility, innovations, mean)
    check_simulation(paths, seed)


def _name(kind: str, volatility: str, mean: str) -> str:
    return kind + (f"_{volatility}" if volatility != "garch" else "") + ("_zero_mean" if mean == "zero" else "")
