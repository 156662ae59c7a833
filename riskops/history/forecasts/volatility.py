"""Fits of GARCH, GJR-GARCH and EGARCH to a sample of returns, shared by all methods that stand on one."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from threading import Lock

import numpy as np

from riskops.arch_fit import FEWEST, INNOVATIONS, MEANS, STARTS, VOLATILITIES, ArchFit, fit_arch
from riskops.checks import check_one_of
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats, Integers, Law, check_sample, window_starts
from riskops.history.forecasts.laws import NormalLaw, SkewedTLaw, StudentTLaw
from riskops.history.forecasts.recursion import Recursion, filter_variance, presample_variance
from riskops.threads import pinned_threads

__all__ = ["FEWEST", "Volatility", "VolatilityFit", "clear_fits", "fit_volatility"]

#: How many fits a process keeps; each is a dozen numbers.
_KEPT = 4096
#: By how much less likely than a constant variance a fit may be: the presample variance enters the first days.
_LESS_LIKELY = 0.5
#: No variance of the filter may be so many times the mean square of the sample.
_LARGEST = 1e3
#: To what part of itself a filtered variance has to be that of ``arch``.
_AGREE = 1e-3
_fits: OrderedDict[tuple[Volatility, bytes], VolatilityFit] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True)
class Volatility:
    """Which recursion, which likelihood and which mean: all of orders one.

    Parameters
    ----------
    volatility
        ``garch`` (Bollerslev 1986), ``gjr`` (Glosten, Jagannathan and Runkle 1993: falls weigh differently), ``egarch``
        (Nelson 1991: of the logarithm).
    innovations
        ``normal``, ``student_t`` or ``skewed_t`` (Hansen 1994), each of mean zero and variance one.
    mean
        Of a day's return: ``constant``, estimated with the rest, or ``zero``.
    """

    volatility: str = "garch"
    innovations: str = "normal"
    mean: str = "constant"

    def __post_init__(self) -> None:
        check_one_of("volatility", self.volatility, tuple(VOLATILITIES))
        check_one_of("innovations", self.innovations, tuple(INNOVATIONS))
        check_one_of("mean", self.mean, tuple(MEANS))


@dataclass(frozen=True, eq=False)
class VolatilityFit:
    """The estimates, in the units of the returns; with them the variance of any day follows from the returns before."""

    recursion: Recursion
    #: The variance before the first return that a day's forecast looks back to.
    presample: float
    #: Of the returns' innovations: degrees of freedom and skewness, where the likelihood has them.
    shape: Mapping[str, float]
    log_likelihood: float
    notes: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, float]:
        """What was estimated, by name; ``presample_variance`` is read off the sample."""
        given = self.recursion._asdict()
        del given["exponential"]
        return given | dict(self.shape) | {"presample_variance": self.presample}

    def loss_law(self) -> Law:
        """The law of the innovations of losses: a return's skewness has the other sign."""
        if "skewness" in self.shape:
            return SkewedTLaw(self.shape["degrees_of_freedom"], -self.shape["skewness"])
        return StudentTLaw(self.shape["degrees_of_freedom"]) if self.shape else NormalLaw()

    def variances(self, returns: Floats) -> Floats:
        """The variance of each return given those before it, and last the forecast: ``(len(returns) + 1,)``."""
        return filter_variance(returns, self.recursion, presample=self.presample)

    def loss_residuals(self, returns: Floats) -> Floats:
        """The standardised losses of a sample: minus the residuals over their conditional deviations."""
        return (self.recursion.mean - returns) / np.sqrt(self.variances(returns)[:-1])

    def forecast_variances(self, returns: Floats, ends: Integers, *, window: int | None) -> Floats:
        """The variance ``(n,)`` of the day after each end, filtered through the window of returns before it.

        Every window starts from the presample variance of the fit, so a day's forecast depends on its own window and on
        the parameters, not on what other days are forecast beside it.
        """
        if window is None:
            return self.variances(returns[: ends[-1]])[ends]
        starts = window_starts(ends, window)
        return np.array([self.variances(returns[s:e])[-1] for s, e in zip(starts, ends, strict=True)])


def fit_volatility(spec: Volatility, returns: Floats, *, method: str) -> VolatilityFit:
    """Fit by quasi maximum likelihood with ``arch``; a fit to the same returns that the process remembers is taken.

    ``method`` names the forecaster in the texts of errors. Starting values are those of ``arch``, then fixed ones: a
    fit does not depend on which were made before it. The recursion starts from
    :func:`riskops.history.forecasts.recursion.presample_variance` about the sample's mean (about zero where ``mean`` is
    ``zero``): ``arch``'s default.

    Raises
    ------
    InputError
        Fewer than 100 returns, returns that are constant or not finite, or no start from which the optimiser converges.
    """
    check_sample(method, returns, least=FEWEST)
    sample = np.ascontiguousarray(returns, np.float64)
    key = (spec, hashlib.blake2b(sample.tobytes(), digest_size=16).digest())
    with _lock:
        known = _fits.get(key)
        if known is not None:
            _fits.move_to_end(key)
            return known
    made = _fit(spec, sample, method)
    with _lock:
        _fits[key] = made
        while len(_fits) > _KEPT:
            _fits.popitem(last=False)
    return made


def clear_fits() -> None:
    """Forget the fits that the process remembers."""
    with _lock:
        _fits.clear()


def _fit(spec: Volatility, sample: Floats, method: str) -> VolatilityFit:
    """The first sound maximum: arch's own fit, and where that is none, those from fixed starting values."""
    what = f"{method}: the fit of {spec.volatility} to {len(sample)} returns"
    fitted = partial(
        fit_arch,
        sample,
        deviation=float(np.std(sample, ddof=1)),
        volatility=spec.volatility,
        innovations=spec.innovations,
        mean=spec.mean,
        what=what,
    )
    with pinned_threads(), np.errstate(all="ignore"):  # trial steps may leave the range of double precision
        found = fitted()
        made = _in_units(spec, sample, found, notes=())
        if _is_sound(made, found, sample):
            return made
        note = "the first estimate is no sound maximum of the likelihood; another start's is taken"
        if found.exponential:  # what is changed below for no other
            note = (
                f"an EGARCH with {'no sound maximum' if found.stable else 'an unstable filter'} is fitted again with"
                " alpha at least 0.01 and beta at most 0.999"
            )
        for start in (None, *range(len(STARTS))):
            try:
                found = fitted(start=start, invertible=True)
            except InputError:
                continue
            made = _in_units(spec, sample, found, notes=(note,))
            if _is_sound(made, found, sample):
                return made
    raise InputError(
        f"{what} has no sound maximum: it is less likely than a constant variance, or its variances leave any range; "
        "take a longer window, or another method where many returns are equal"
    )


def _in_units(spec: Volatility, sample: Floats, found: ArchFit, *, notes: tuple[str, ...]) -> VolatilityFit:
    estimates = found.estimates()
    centre = float(sample.mean()) if spec.mean == "constant" else 0.0
    return VolatilityFit(
        Recursion(found.exponential, *(estimates[name] for name in Recursion._fields[1:])),
        presample=presample_variance(sample, mean=centre),
        shape={name: estimates[name] for name in ("degrees_of_freedom", "skewness") if name in estimates},
        log_likelihood=found.log_likelihood,
        notes=(*notes, *_notes(found)),
    )


def _is_sound(made: VolatilityFit, found: ArchFit, sample: Floats) -> bool:
    """Whether an end of the optimiser can be forecast from.

    It is at least as likely as normal returns of a constant variance, which all models contain; the filter is stable;
    and its variances are the recursion's own, not held by the bounds that ``arch`` sets them for its optimiser, and
    none is a thousand times that of the sample.
    """
    squares = float(np.mean((sample - (sample.mean() if made.recursion.mean else 0.0)) ** 2))
    constant = -0.5 * len(sample) * (math.log(2.0 * math.pi * squares) + 1.0)
    if not (found.log_likelihood >= constant - _LESS_LIKELY and found.stable):
        return False
    theirs = (np.asarray(found.result.conditional_volatility) / found.scale) ** 2
    ours = made.variances(sample)
    return bool(np.all(np.abs(ours[:-1] - theirs) <= _AGREE * theirs) and np.all(ours <= _LARGEST * squares))


def _notes(found: ArchFit) -> tuple[str, ...]:
    notes = []
    if found.unfinished:
        notes.append("the optimiser ended without a way up from every start; its best end is taken")
    elif found.restarts:
        notes.append(f"the optimiser converged from the starting values number {found.restarts + 1} only")
    if found.at_bound():
        notes.append(f"estimates at the end of their range: {', '.join(found.at_bound())}")
    return tuple(notes)
