"""Calibration of a stabilised token: the likelihood of its one-step transition, bounded and regularised.

Nothing is simulated: given the count of jumps in a step the next price is normal, with the drift's exact flow as mean,
so the objective is a smooth function of the parameters without noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr
from numba import njit

from riskops.checks import check_finite, check_integer, check_number, check_positive, check_subset
from riskops.errors import InputError
from riskops.models.calibration import Calibration
from riskops.models.correlation import check_correlation
from riskops.models.pegged import PeggedAsset
from riskops.models.pegged_rules import BOUNDS, PER_ASSET, WEAK_FACTOR, WEAK_HEALTH
from riskops.models.pegged_step import decays, flow, jump_left, pressure
from riskops.models.sample import Sample, sample_log_returns
from riskops.schema import validate
from riskops.threads import pinned_threads

__all__ = ["calibrate_pegged", "recalibration_schedule"]

Floats = npt.NDArray[np.float64]
M = TypeVar("M", bound=PeggedAsset)

FEWEST = 30
_LOWER, _WIDTH = (np.array(v) for v in ([b[0] for b in BOUNDS.values()], [b[1] - b[0] for b in BOUNDS.values()]))
_CENTRE = np.array([PER_ASSET[name] for name in BOUNDS])
#: Where every fit begins, as shares of the way between the bounds; the defaults come first.
_STARTS = (
    (_CENTRE - _LOWER) / _WIDTH,
    *(np.array(s) for s in ([0.25] * 4, [0.75] * 4, [0.25, 0.75] * 2, [0.75, 0.25] * 2)),
)
_DIFFERENCE = 1e-4


@njit(cache=True, nogil=True, error_model="numpy")
def _moved(deviations, log_depth, fiat, age, own, rules, out):  # type: ignore[no-untyped-def]
    """Where the drift takes each deviation in a step: the functions of the simulation themselves."""
    for i in range(deviations.shape[0]):
        rate = pressure(deviations[i], log_depth, fiat, age, own[5], own[6], own[7], rules)
        out[i] = flow(deviations[i], rate, own[2], own[3], own[4], rules)


def _log_sum(logs: Floats) -> float:
    """The logarithms of the sums of ``exp(logs)`` along the last axis, added up."""
    top = logs.max(axis=1, keepdims=True)
    return float(np.sum(top[:, 0] + np.log(np.sum(np.exp(logs - top), axis=1))))


@dataclass(frozen=True)
class _History:
    """One token's deviations, and the model of everything that is not estimated."""

    asset: str
    deviations: Floats
    days: float
    regularisation: float
    fixed: dict[str, Any]
    days_per_year: float

    def model(self, parameters: Floats) -> PeggedAsset:
        given = dict(zip(BOUNDS, parameters.tolist(), strict=True))
        return PeggedAsset((self.asset,), **given, **self.fixed, days_per_year=self.days_per_year)

    @cached_property
    def base(self) -> tuple[PeggedAsset, Mapping[str, Any], Mapping[str, Floats]]:
        """The model at the defaults, its tables and its start: what does not change from one trial to the next."""
        model = self.model(_CENTRE)
        return model, model.tables(self.days / self.days_per_year), model.start()

    def mixture(self, parameters: Floats) -> tuple[Floats, Floats, Floats]:
        """Log weights ``(count,)``, residuals ``(observation, count)``, variances ``(count,)`` of the transitions.

        The states are those of the model's start, past the grace period: a history says nothing of them.
        """
        from scipy import special

        alpha, beta, gamma, sigma = (parameters[i : i + 1] for i in range(4))
        model, tables, start = self.base
        kept, lost = decays(np.stack([alpha, 2.0 * alpha]) * self.days)
        own = tables["own"][0].copy()
        own[2:5] = np.concatenate([alpha, kept[0], lost[0] / alpha])
        own[5:8] *= np.concatenate([beta, beta, gamma]) / _CENTRE[[1, 1, 2]]
        mean, spread = jump_left(alpha, model.jump_mean, model.jump_deviation, self.days)
        before, moved = self.deviations[:-1], np.empty(len(self.deviations) - 1)
        depth, fiat = start["log_depth"][0], start["fiat_activity"][0]
        _moved(before, depth, fiat, model.grace_hours, own, tables["rules"], moved)
        counts, expected = np.arange(tables["jump_limits"].shape[1] + 1), model.jump_intensity[0] * self.days
        weights = special.xlogy(counts, expected) - expected - special.gammaln(counts + 1.0)
        weak = WEAK_FACTOR if start["network_health"][0] < WEAK_HEALTH else 1.0
        variances = (weak * sigma) ** 2 * lost[1] / (2.0 * alpha) + counts * spread**2
        return weights, (self.deviations[1:] - moved)[:, None] - counts * mean, variances

    def log_likelihood(self, parameters: Floats) -> float:
        weights, residuals, variances = self.mixture(parameters)
        return _log_sum(weights - 0.5 * (residuals * residuals / variances + np.log(2.0 * np.pi * variances)))

    def objective(self, place: Floats) -> float:
        """What is minimised, at shares of the way between the bounds."""
        parameters = _LOWER + place * _WIDTH
        pull = (parameters - _CENTRE) / _WIDTH
        return 0.5 * self.regularisation * float(np.sum(pull * pull)) - self.log_likelihood(parameters)


def _minimise(history: _History) -> tuple[Floats, dict[str, Any]]:
    """The best of the fixed starts, and how it was reached."""
    from scipy import optimize

    found = []
    for start in _STARTS:
        result = optimize.minimize(history.objective, start, method="L-BFGS-B", bounds=[(0.0, 1.0)] * len(BOUNDS))
        if result.success and np.isfinite(result.fun):
            found.append(result)
    if not found:
        raise InputError(f"log_return: the fit of {history.asset!r} converged from none of {len(_STARTS)} starts")
    best = min(found, key=lambda result: float(result.fun))
    about = {"objective": float(best.fun), "iterations": int(best.nit), "starts_converged": len(found)}
    return np.clip(np.asarray(best.x, dtype=np.float64), 0.0, 1.0), about


def _steps(history: _History, place: Floats, free: list[int], centre: float) -> Floats:
    """How far to go along each parameter for the objective to rise by 1/2, as it does one standard error away.

    The likelihood has a small kink wherever a price just reaches the band within its step; differences over a standard
    error see its curvature, much shorter ones see the nearest kink.
    """
    out = np.zeros(len(place))
    for i in free:
        low, high = 0.0, min(place[i] + 0.1, 0.5)  # beyond the bounds the parameters are still positive
        for _ in range(12):
            out[i] = 0.5 * (low + high)
            ends = [history.objective(place + sign * out[i] * np.eye(len(place))[i]) for sign in (1.0, -1.0)]
            low, high = (out[i], high) if 0.5 * sum(ends) - centre < 0.5 else (low, out[i])
    return np.diag(out)


def _standard_errors(history: _History, place: Floats) -> list[float | None]:
    """From the objective's Hessian by central differences over what is not at a bound; None at a bound, and for all
    where the Hessian is not positive definite."""
    free = [i for i in range(len(place)) if _DIFFERENCE < place[i] < 1.0 - _DIFFERENCE]
    hessian = np.zeros((len(free), len(free)))
    centre = history.objective(place)
    steps = _steps(history, place, free, centre)
    for a, i in enumerate(free):
        ahead, behind = history.objective(place + steps[i]), history.objective(place - steps[i])
        hessian[a, a] = (ahead - 2.0 * centre + behind) / steps[i, i] ** 2
        for b, j in enumerate(free[:a]):
            same = history.objective(place + steps[i] + steps[j]) + history.objective(place - steps[i] - steps[j])
            other = history.objective(place + steps[i] - steps[j]) + history.objective(place - steps[i] + steps[j])
            hessian[a, b] = hessian[b, a] = (same - other) / (4.0 * steps[i, i] * steps[j, j])
    out: list[float | None] = [None] * len(place)
    if free and np.linalg.eigvalsh(hessian)[0] > 0.0:
        for i, variance in zip(free, np.diagonal(np.linalg.inv(hessian)), strict=True):
            out[i] = float(_WIDTH[i] * np.sqrt(variance))
    return out


def _history_prices(returns: xr.Dataset, sample: Sample, last_price: Any, peg: float) -> tuple[Floats, str]:
    """Prices over the peg ``(observation + 1, asset)``, the one before the first return included, and their source."""
    source = "last_price"
    if last_price is None and "price" in returns:
        prices = validate(returns, "price")["price"].to_numpy()[-sample.observations :]
        last, source = check_finite("price", prices)[-1], "prices of the returns"
    elif last_price is None:
        last, source = np.full(len(sample.assets), peg), "assumed at the peg"
    else:
        last = np.array(_by_asset("last_price", last_price, sample.assets))
    for asset, value in zip(sample.assets, last.tolist(), strict=True):
        check_positive(f"last_price of {asset!r}", value)
    after = np.cumsum(sample.values[::-1], axis=0)[::-1]
    return np.concatenate([last / peg * np.exp(-after), (last / peg)[None, :]]), source


def _by_asset(name: str, given: float | Mapping[str, float], assets: tuple[str, ...]) -> list[float]:
    if not isinstance(given, Mapping):
        return [check_number(name, given)] * len(assets)
    check_subset(name, given, assets)
    for asset in assets:
        if asset not in given:
            raise InputError(f"{name}: {asset!r} is missing; a given {name} names every asset")
    return [check_number(f"{name} of {asset!r}", given[asset]) for asset in assets]


def _fixed_parameters(given: Mapping[str, Any], assets: tuple[str, ...]) -> dict[str, Any]:
    """The parameters that are not estimated, one an asset where the model has one an asset."""
    own = {"assets", "price", "correlation", "days_per_year", *BOUNDS}
    for name in given:
        if name in BOUNDS:
            raise InputError(f"fixed: {name!r} is estimated, within {BOUNDS[name]}; PeggedAsset itself takes any value")
    check_subset("fixed", given, sorted({f.name for f in fields(PeggedAsset)} - own))
    return {
        name: _by_asset(f"fixed {name}", value, assets) if name in PER_ASSET else check_number(f"fixed {name}", value)
        for name, value in given.items()
    }


def calibrate_pegged(
    cls: type[M],
    returns: xr.Dataset,
    *,
    days_per_year: float,
    window: int | None,
    last_price: float | Mapping[str, float] | None,
    peg: float,
    observation_days: float,
    regularisation: float,
    fixed: Mapping[str, Any] | None,
) -> Calibration[M]:
    """Fit every token by itself, then the correlation of their diffusions; :meth:`PeggedAsset.fit` says how."""
    for name, value in (("days_per_year", days_per_year), ("peg", peg), ("observation_days", observation_days)):
        check_positive(name, value)
    if check_number("regularisation", regularisation) < 0.0:
        raise InputError(f"regularisation: {regularisation!r} is below zero")
    sample = sample_log_returns(returns, window=window)
    if sample.observations < FEWEST:
        raise InputError(f"log_return: {sample.observations} observations are too few; at least {FEWEST} are needed")
    sample.volatility()  # names a series that does not vary
    prices, source = _history_prices(returns, sample, last_price, peg)
    held = _fixed_parameters(fixed or {}, sample.assets)
    histories, places, details = [], [], {}
    with pinned_threads():
        for a, asset in enumerate(sample.assets):
            own = {name: value[a] if isinstance(value, list) else value for name, value in held.items()}
            history = _History(asset, prices[:, a] - 1.0, observation_days, regularisation, own, days_per_year)
            bare = history.model(_CENTRE)
            if prices[:, a].min() <= bare.floor:
                raise InputError(f"price of {asset!r}: touches the floor, {bare.floor!r} of the peg, over the window")
            place, about = _minimise(history)
            places.append(_LOWER + place * _WIDTH)
            details[asset] = _detail(history, place) | about | {
                "observations_above_band": int(np.sum(prices[:-1, a] > bare.upper_band)),
                "observations_below_band": int(np.sum(prices[:-1, a] < bare.lower_band)),
            }  # fmt: skip
            histories.append(history)
        correlation = _correlation(histories, places)
    estimated = dict(zip(BOUNDS, np.stack(places, axis=1), strict=True))
    parameters: dict[str, Any] = {"price": prices[-1], "correlation": correlation} | estimated | held
    model = cls(sample.assets, **parameters, days_per_year=float(days_per_year))
    report = {
        **sample.window_report(days_per_year),
        "options": {
            "window": window,
            "last_price": dict(last_price) if isinstance(last_price, Mapping) else last_price,
            "peg": float(peg),
            "observation_days": float(observation_days),
            "regularisation": float(regularisation),
            "fixed": {k: dict(v) if isinstance(v, Mapping) else v for k, v in fixed.items()} if fixed else None,
        },
        "last_price_source": source,
        "bounds": {name: list(bounds) for name, bounds in BOUNDS.items()},
        "estimates": details,
    }
    return Calibration(model, report)


def _detail(history: _History, place: Floats) -> dict[str, Any]:
    """Estimates, standard errors and bounds of one token, by parameter."""
    errors = _standard_errors(history, place)
    parameters = _LOWER + place * _WIDTH
    at_bound = [("lower" if p <= _DIFFERENCE else "upper" if p >= 1.0 - _DIFFERENCE else None) for p in place.tolist()]
    rows = zip(BOUNDS, parameters.tolist(), errors, at_bound, strict=True)
    return {
        "parameters": {n: {"estimate": e, "standard_error": s, "at_bound": b} for n, e, s, b in rows},
        "log_likelihood": history.log_likelihood(parameters),
    }


def _correlation(histories: list[_History], places: list[Floats]) -> Floats:
    """Correlation of the diffusions, pair by pair: the likelihood of both tokens' moves given what was fitted to each.

    Every pair of jump counts has its bivariate normal, so that a jump neither hides nor makes a correlation.
    """
    from scipy import optimize

    matrix = np.eye(len(histories))
    known = [history.mixture(parameters) for history, parameters in zip(histories, places, strict=True)]
    for a in range(len(known)):
        for b in range(a):
            pulls, days = np.array([places[a][0], places[b][0]]), histories[a].days
            alone = np.expm1(-2.0 * pulls * days) / (2.0 * pulls)
            shared = np.expm1(-pulls.sum() * days) / pulls.sum() / -np.sqrt(alone.prod())
            result = optimize.minimize_scalar(
                _pair, args=(known[a], known[b], float(shared)), bounds=(-0.999, 0.999), method="bounded"
            )
            if not result.success:
                raise InputError(f"correlation: no fit of {histories[b].asset!r} and {histories[a].asset!r}")
            matrix[a, b] = matrix[b, a] = float(result.x)
    return check_correlation("correlation", matrix, size=len(known))


def _pair(correlation: float, first: tuple[Floats, ...], second: tuple[Floats, ...], shared: float) -> float:
    """The negative log-likelihood of two tokens' moves; ``shared`` is the correlation that unequal pulls leave of 1."""
    (weight_a, residual_a, variance_a), (weight_b, residual_b, variance_b) = first, second
    together = correlation * shared * np.sqrt(variance_a[0] * variance_b[0])
    x, y = residual_a[:, :, None], residual_b[:, None, :]
    a, b = variance_a[:, None], variance_b[None, :]
    determinant = a * b - together * together
    square = (x * x * b - 2.0 * together * x * y + y * y * a) / determinant
    logs = weight_a[:, None] + weight_b[None, :] - 0.5 * (square + np.log(determinant))
    return -_log_sum(logs.reshape(len(x), -1))


def recalibration_schedule(
    returns: xr.Dataset,
    *,
    every: int,
    window: int,
    days_per_year: float = 365.0,
    options: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Fit again every so many observations on a rolling window, as a desk that recalibrates on a schedule would.

    Parameters
    ----------
    returns
        Dataset with ``log_return`` ``(observation, asset)``, and ``price`` unless ``options`` give ``last_price``.
    every
        Observations from one fit to the next.
    window
        Observations in each fit; the first fit is on the first ``window`` of them.
    days_per_year
        Days in a year.
    options
        More options of :meth:`PeggedAsset.fit` by name; ``last_price`` is that of the last observation of all.

    Returns
    -------
    Dataset
        ``estimate``, ``standard_error`` (NaN at a bound) and ``at_bound`` ``(observation, asset, parameter)``, dated by
        the last observation that each fit used, in the units of :class:`PeggedAsset`; ``log_likelihood``
        ``(observation, asset)``. The fits are made now.

    Raises
    ------
    InputError
        When the window is longer than the returns, or a fit refuses its window.

    Notes
    -----
    Each fit sees its own window only, so what is judged after its date is out of sample.

    Examples
    --------
    >>> from riskops.schema import variable
    >>> moves = [[0.004 * (-1) ** k] for k in range(90)]
    >>> table = variable("log_return", ("observation", "asset"), moves, coords={"asset": ["USDX"]})
    >>> schedule = recalibration_schedule(table.to_dataset(), every=30, window=60)
    >>> schedule["estimate"].sizes["observation"], schedule["parameter"].values.tolist()
    (2, ['alpha', 'beta', 'gamma', 'sigma_base'])
    """
    check_integer("every", every, at_least=1)
    check_integer("window", window, at_least=FEWEST)
    given = dict(options or {})
    check_subset("options", given, ("last_price", "peg", "observation_days", "regularisation", "fixed"))
    sample = sample_log_returns(returns)
    if window > sample.observations:
        raise InputError(f"window: {window} observations were asked for and there are {sample.observations}")
    peg = check_positive("peg", given.get("peg", 1.0))
    prices = _history_prices(returns, sample, given.pop("last_price", None), peg)[0] * peg
    dated = returns[["log_return"]].assign(price=(("observation", "asset"), prices[1:]))
    stops = range(window, sample.observations + 1, every)
    found = [
        PeggedAsset.calibrate(
            dated.isel(observation=slice(stop - window, stop)), days_per_year=days_per_year, **given
        ).report["estimates"]
        for stop in stops
    ]  # fmt: skip
    detail = [[report[asset] for asset in sample.assets] for report in found]
    rows = [[[one["parameters"][name] for name in BOUNDS] for one in row] for row in detail]
    dims = ("observation", "asset", "parameter")
    missing = [[[np.nan if p["standard_error"] is None else p["standard_error"] for p in o] for o in r] for r in rows]
    table = returns["log_return"]
    dates = table["observation"].values if "observation" in table.coords else np.arange(sample.observations)
    about = "alpha 1/day, beta and gamma 1, sigma_base peg/sqrt(day)"
    return xr.Dataset(
        {
            "estimate": (dims, [[[p["estimate"] for p in o] for o in r] for r in rows], {"units": about}),
            "standard_error": (dims, missing, {"units": about, "description": "NaN at a bound."}),
            "at_bound": (dims, [[[p["at_bound"] is not None for p in o] for o in r] for r in rows], {"units": "1"}),
            "log_likelihood": (dims[:2], [[one["log_likelihood"] for one in row] for row in detail], {"units": "1"}),
        },
        coords={
            "observation": dates[[stop - 1 for stop in stops]],
            "asset": list(sample.assets),
            "parameter": list(BOUNDS),
        },
    )
