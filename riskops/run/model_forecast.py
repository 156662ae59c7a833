"""The registered models as forecasters: each is calibrated to one series and simulated by the project's own engine.

:mod:`riskops.history` knows no models; here the two meet, in the protocol
:class:`riskops.history.forecasts.monte_carlo.PathModel`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.monte_carlo import MonteCarlo
from riskops.history.forecasts.recursion import Recursion, filter_variance, presample_variance
from riskops.history.forecasts.simulated_days import DAILY_PATHS
from riskops.models import Calibration, Model, calibrate, fit_options, get_model, regime_probabilities
from riskops.rng import tile_counters
from riskops.schema import variable
from riskops.simulation import SimulationSpec, path_job

__all__ = ["FittedModel", "RegisteredModel", "model_forecaster"]

_SERIES = "series"
_DAYS_PER_YEAR = 252.0
#: Moves a calibration made from a sample to the state at the end of the returns that are known.
_Follow = Callable[[Floats], Model]

#: Models whose draws do not depend on when they begin.
_STATELESS = ("bootstrap", "geometric_brownian", "kou", "merton", "student_t", "student_t_copula")
#: Parameters that say nothing of one series.
_LEFT_OUT = ("correlation", "variance_correlation", "days_per_year")
_MOST_NUMBERS = 16
#: What a fit asks for where it asks for more than this.
_LEAST = {"heston": 250}
_LEAST_ELSE = 100


def model_forecaster(
    kind: str = "student_t", *, options: Mapping[str, Any] | None = None, paths: int = DAILY_PATHS, seed: int = 1
) -> MonteCarlo:
    """A forecaster that fits a registered model to each series and simulates the loss over the horizon.

    Parameters
    ----------
    kind
        The model's name, of :func:`riskops.models.list_models`.
    options
        More arguments of the model's ``fit``; not ``window``, which is the forecaster's sample.
    paths, seed
        Of each forecast; draws are those of :func:`riskops.simulation.simulate` in double precision.

    Returns
    -------
    MonteCarlo
        A forecaster, named ``monte_carlo_`` and the kind.

    Raises
    ------
    InputError
        An unknown model or option, or a model whose dynamics need the price.

    Notes
    -----
    The model is calibrated to the returns as they are: its log growth stands for the sum of the series' returns, so
    ``loss = -log_growth``. For log returns that is exact; simple returns are treated as if they were log returns, and
    the loss is that of a position brought back to the same money value every day, as for all forecasters.

    Forecasts start from the state of their own day with the parameters of the last fit: GARCH variances, regime
    probabilities and Heston's variance are filtered through the returns known by then. The bootstrap, geometric
    Brownian motion, the jump diffusions and the Student t models have no state. A model that is not one of these is
    calibrated anew for every day's forecast, which is right and slow.

    Examples
    --------
    >>> from riskops.history.forecasts.simulated import normals
    >>> returns = 0.01 * normals(paths=1, days=250, seed=7)[:, 0]
    >>> fit = model_forecaster("geometric_brownian").fit(returns, levels=(0.99,), days=10)
    >>> told = fit.predict(returns, np.array([250]), window=None)
    >>> bool(abs(told.value_at_risk[0, 0] - 10**0.5 * 0.0233) < 0.02)
    True
    """
    return MonteCarlo(RegisteredModel(kind, dict(options or {})), paths=paths, seed=seed)


@dataclass(frozen=True)
class RegisteredModel:
    """A model of the registry by name, with the options of its fit."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if get_model(self.kind).price_enters_dynamics:
            raise InputError(f"model.kind: {self.kind} needs the price itself, and a forecaster sees returns alone")
        known = [name for name in fit_options(self.kind) if name != "window"]
        for name in self.options:
            if name not in known:
                raise InputError(f"model.{name}: is no option of {self.kind} here; known are {', '.join(known)}")

    @property
    def name(self) -> str:
        """The kind, and the options that were given."""
        return "_".join([self.kind, *(f"{name}_{_text(value)}" for name, value in sorted(self.options.items()))])

    @property
    def least(self) -> int:
        """The fewest returns."""
        return _LEAST.get(self.kind, _LEAST_ELSE)

    def fit(self, returns: Floats) -> FittedModel:
        """Calibrate the model to the returns of one series."""
        found = self._calibrated(returns)
        notes = _notes(found.report)
        follow: _Follow | None
        if self.options.get("initial_variance") is not None:
            follow, notes = None, (*notes, "the initial variance is given, so that forecasts do not follow the returns")
        elif self.kind in _STATELESS:
            follow = None
        elif self.kind in ("garch", "filtered_historical"):
            follow = _garch_follower(found, returns, zero_mean=self.options.get("mean") == "zero")
        elif self.kind == "regime_switching":
            follow = partial(_at_regimes, found.model)
        elif self.kind == "heston":
            follow = partial(_at_heston_variance, found.model, float(returns.mean()))
        else:
            follow = self._calibrated_model
        return FittedModel(found.model, follow, notes)

    def _calibrated(self, returns: Floats) -> Calibration[Model]:
        return calibrate(_table(returns), kind=self.kind, days_per_year=_DAYS_PER_YEAR, options=self.options)

    def _calibrated_model(self, known: Floats) -> Model:
        return self._calibrated(known).model

    def record(self) -> dict[str, Any]:
        """The kind and the options."""
        return {"kind": self.kind, "options": dict(self.options)}


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A calibrated model, and how it gets to the state of a later day."""

    model: Model
    follow: _Follow | None
    notes: tuple[str, ...]

    @property
    def follows(self) -> bool:
        """Whether there is a state that returns move."""
        return self.follow is not None

    @property
    def parameters(self) -> dict[str, float]:
        """The model's own numbers; those of a table by their place in it. Long tables are left out."""
        found: dict[str, float] = {}
        for name, value in self.model.parameters().items():
            numbers = np.asarray(value if value is not None else [])
            if name in _LEFT_OUT or numbers.dtype.kind not in "fi" or not 0 < numbers.size <= _MOST_NUMBERS:
                continue
            for place, number in np.ndenumerate(np.squeeze(numbers)):
                found["_".join([name, *map(str, place)])] = float(number)
        return found

    def losses(self, known: Floats, *, days: int, paths: int, seed: int) -> Floats:
        """Minus the simulated log growth over the days, from the state at the end of the known returns."""
        model = self.model if self.follow is None else self.follow(known)
        spec = SimulationSpec(model, paths=paths, steps=days, seed=seed, dtype="float64", days_per_year=_DAYS_PER_YEAR)
        growth = path_job(spec, times=[float(days)]).block(tile_counters(0, paths), paths)
        return -np.asarray(growth[0, 0, 0], np.float64)


def _garch_follower(found: Calibration[Model], returns: Floats, *, zero_mean: bool) -> _Follow:
    estimates = found.report["estimates"][_SERIES]
    recursion = Recursion(False, *(estimates[name] for name in Recursion._fields[1:]))
    presample = presample_variance(returns, mean=0.0 if zero_mean else float(returns.mean()))
    model: Any = found.model

    def follow(known: Floats) -> Model:
        made: Model = replace(model, variance=filter_variance(known, recursion, presample=presample)[-1:])
        return made

    return follow


def _at_regimes(model: Any, known: Floats) -> Model:
    today = regime_probabilities(_table(known), model=model)["filtered_regime_probability"].values[-1]
    tomorrow = (today[:, None] * model.transition).sum(axis=0)
    made: Model = replace(model, initial_probability=tomorrow)
    return made


def _at_heston_variance(model: Any, mean: float, known: Floats) -> Model:
    from riskops.models.heston_fit import filter_variance as filter_heston

    found = filter_heston(
        known - mean,
        kappa=float(model.mean_reversion[0]),
        theta=float(model.long_run_variance[0]),
        sigma=float(model.volatility_of_variance[0]),
        rho=float(model.leverage[0]),
        days_per_year=_DAYS_PER_YEAR,
    )
    made: Model = replace(model, initial_variance=found[-1:, 1])
    return made


def _table(returns: Floats) -> xr.Dataset:
    coords = {"asset": [_SERIES]}
    return variable("log_return", ("observation", "asset"), returns[:, None], coords=coords).to_dataset()


def _notes(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Estimates that the report says are at the end of their range."""
    ends = report.get("at_bound") or {}
    named = ends.get(_SERIES, []) if isinstance(ends, Mapping) else []
    for about in (report.get("assets") or {}).values():
        named = [*named, *about.get("at_bounds", [])] if isinstance(about, Mapping) else named
    return (f"estimates at the end of their range: {', '.join(named)}",) if named else ()


def _text(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value).lower()
    return re.sub(r"[^a-z0-9.+-]+", "_", text).strip("_")
