"""Volatility models of one series by quasi maximum likelihood with ``arch``: scaled for its optimiser, and tried again
from other starting values where it does not converge. The only importer of ``arch``'s models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from riskops.errors import InputError

__all__ = ["FEWEST", "INNOVATIONS", "MEANS", "STARTS", "VOLATILITIES", "ArchFit", "fit_arch"]

Floats = npt.NDArray[np.float64]

INNOVATIONS: dict[str, Literal["normal", "t", "skewt"]] = {"normal": "normal", "student_t": "t", "skewed_t": "skewt"}
MEANS: dict[str, Literal["Constant", "Zero"]] = {"constant": "Constant", "zero": "Zero"}
#: What ``arch`` calls each recursion, and how many asymmetric terms it has.
VOLATILITIES: dict[str, tuple[Literal["GARCH", "EGARCH"], int]] = {
    "garch": ("GARCH", 0),
    "gjr": ("GARCH", 1),
    "egarch": ("EGARCH", 1),
}

#: Fewer observations do not tell a variance's persistence from its level.
FEWEST = 100
#: An estimate nearer to the end of its range than this is reported as being there.
_AT_BOUND = 1e-6

#: The end of the range of degrees of freedom in ``arch``.
_FEWEST_DEGREES = 2.05
#: The optimiser's default of 100 iterations does not suffice a flat likelihood.
_ENOUGH = {"maxiter": 2000}
#: SLSQP's "positive directional derivative for linesearch".
_NO_WAY_UP = 8
#: Alpha, beta and degrees of freedom to start from again: smooth, usual and rough volatilities.
STARTS = ((0.03, 0.95, 8.0), (0.1, 0.85, 6.0), (0.2, 0.7, 5.0), (0.4, 0.5, 4.5))

_NAMES = {
    "mu": "mean",
    "omega": "omega",
    "alpha[1]": "alpha",
    "gamma[1]": "gamma",
    "beta[1]": "beta",
    "nu": "degrees_of_freedom",
    "eta": "degrees_of_freedom",
    "lambda": "skewness",
}


@dataclass(frozen=True, eq=False)
class ArchFit:
    """A fit to returns that were multiplied by ``scale``: ``result`` is ``arch``'s own, in those units."""

    result: Any
    scale: float
    #: From how many other starting values the optimiser was run again.
    restarts: int
    #: Whether it ended where it found no way up, and did not call that converged.
    unfinished: bool
    exponential: bool

    def estimates(self) -> dict[str, float]:
        """The parameters by name, in the units of the returns; a mean or asymmetry that was not estimated is zero."""
        given = {_NAMES[name]: float(value) for name, value in self.result.params.items()}
        found = {"mean": 0.0, "gamma": 0.0} | given
        found["mean"] /= self.scale
        if self.exponential:
            found["omega"] -= (1.0 - found["beta"]) * 2.0 * math.log(self.scale)
            return found
        found["omega"] /= self.scale * self.scale
        # the optimiser keeps its bounds to rounding only
        found["alpha"] = max(found["alpha"], 0.0)
        found["gamma"] = max(found["gamma"], -found["alpha"])
        found["beta"] = max(found["beta"], 0.0)
        return found

    def at_bound(self) -> list[str]:
        """The estimates at the end of their range, where standard errors mean little."""
        found = self.estimates()
        alpha, gamma, beta = found["alpha"], found["gamma"], found["beta"]
        if self.exponential:
            distances = {"persistence": 1.0 - beta}
        else:
            distances = {"alpha": alpha, "beta": beta, "persistence": 1.0 - alpha - gamma / 2.0 - beta}
            if gamma != 0.0:
                distances["alpha + gamma"] = alpha + gamma
        if "degrees_of_freedom" in found:
            distances["degrees_of_freedom"] = found["degrees_of_freedom"] - _FEWEST_DEGREES
        return [name for name, distance in distances.items() if distance <= _AT_BOUND]

    def standard_errors(self) -> dict[str, float | None]:
        """The robust errors of the estimates of a GARCH or GJR-GARCH; None where one is not defined."""
        if self.exponential:
            raise InputError("standard_errors: those of an EGARCH do not follow from the scaled fit one by one")
        units = {"mu": self.scale, "omega": self.scale * self.scale}
        return {
            _NAMES[name]: float(error) / units.get(name, 1.0) if math.isfinite(error) else None
            for name, error in self.result.std_err.items()
        }

    @property
    def stable(self) -> bool:
        """Whether a small change of the first variance is less than 1/e of itself in the last one of the sample.

        A day carries a change of an EGARCH's ``log h`` on by the factor ``beta - (alpha |z| + gamma z) / 2``, and the
        product over the sample says how far; its logarithm's mean is below zero for an invertible model (Straumann and
        Mikosch 2006). Where it is large the variances are chaos: they differ by orders of magnitude with the last bits
        of the estimates; where it is about one, a variance that got too small makes the next ``z`` large without bound.
        Those of a GARCH or GJR-GARCH are always stable.
        """
        if not self.exponential:
            return True
        found = self.estimates()
        z = np.asarray(self.result.std_resid)
        carried = found["beta"] - 0.5 * (found["alpha"] * np.abs(z) + found["gamma"] * z)
        with np.errstate(divide="ignore"):
            return bool(np.log(np.abs(carried)).sum() < -1.0)

    @property
    def log_likelihood(self) -> float:
        """Of the returns as they are."""
        return float(self.result.loglikelihood) + int(self.result.nobs) * math.log(self.scale)


def fit_arch(
    returns: Floats,
    *,
    deviation: float,
    volatility: str,
    innovations: str,
    mean: str,
    what: str,
    start: int | None = None,
    invertible: bool = False,
) -> ArchFit:
    """Fit ``VOLATILITIES[volatility]`` of orders one to a series of that standard deviation.

    The first fit that converges is taken, from arch's own starting values and then from ``STARTS``; with ``start``, the
    one from that place of ``STARTS`` alone. Where the best estimate lies between bounds, the optimiser may end there
    without a way up and not call it converged, which depends on the last bits; the best such end of all starts is taken
    then. ``what`` begins the text of the error. ``invertible`` keeps an EGARCH's ``alpha`` at least 0.01 and its
    ``beta`` at most 0.999: see :attr:`ArchFit.stable`.
    """
    from arch import arch_model

    scale = _scale_of(deviation)
    process, asymmetric = VOLATILITIES[volatility]
    model = arch_model(
        np.ascontiguousarray(returns) * scale,
        mean=MEANS[mean],
        vol=process,
        p=1,
        o=asymmetric,
        q=1,
        dist=INNOVATIONS[innovations],
        rescale=False,
    )
    exponential = process == "EGARCH"
    if exponential and invertible:
        model.volatility = _invertible_egarch()
    found, restarts = _converged(model, what, (deviation * scale) ** 2, exponential, start)
    return ArchFit(found, scale, restarts, found.convergence_flag != 0, exponential)


def _invertible_egarch() -> Any:
    from arch.univariate import EGARCH

    class Invertible(EGARCH):
        """Large ``z`` of either sign raise the variance, and it reverts: stable but for extreme ``gamma``."""

        def bounds(self, resids: Any) -> Any:
            omega, _, gamma, _ = super().bounds(resids)
            return [omega, (0.01, np.inf), gamma, (0.0, 0.999)]

    return Invertible(1, 1, 1)


def _scale_of(deviation: float) -> float:
    """100 (percent), or the power of ten that brings unusual returns to the same size."""
    return 100.0 if 1e-3 <= deviation <= 0.3 else 10.0 ** math.ceil(-math.log10(deviation))


def _converged(model: Any, what: str, variance: float, exponential: bool, start: int | None) -> tuple[Any, int]:
    """The fit, and from how many of ``STARTS`` the optimiser was run."""

    def run(values: tuple[float, float, float] | None) -> Any:
        given = None
        if values is not None:
            alpha, beta, degrees = values
            omega = math.log(variance) * (1.0 - beta) if exponential else variance * (1.0 - alpha - beta)
            known = {"omega": omega, "alpha[1]": alpha, "beta[1]": beta, "nu": degrees, "eta": degrees}
            given = np.array([known.get(name, 0.0) for name in names])
        return model.fit(disp="off", show_warning=False, starting_values=given, options=_ENOUGH)

    names = [*model.parameter_names(), *model.volatility.parameter_names(), *model.distribution.parameter_names()]
    starts = (None, *STARTS) if start is None else (STARTS[start],)
    ends = []
    for number, values in enumerate(starts):
        found = run(values)
        if np.all(np.isfinite(found.params)):
            if found.convergence_flag == 0:
                return found, number
            if found.convergence_flag == _NO_WAY_UP:
                ends.append(found)
    if ends:
        return max(ends, key=lambda end: float(end.loglikelihood)), len(starts) - 1
    raise InputError(f"{what} did not converge ({found.optimization_result.message}); try another window")
