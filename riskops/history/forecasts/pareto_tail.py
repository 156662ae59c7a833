"""A law of losses or innovations with Pareto tails: the sample itself in between (McNeil and Frey 2000)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riskops.checks import check_finite, check_level, exact_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.laws import order_ranks
from riskops.history.forecasts.pareto import ParetoFit, fit_sorted
from riskops.history.forecasts.thresholds import tail_threshold
from riskops.reductions import order_index

__all__ = ["ParetoTail", "fit_pareto_tail"]


@dataclass(frozen=True, eq=False)
class ParetoTail:
    """A sample of losses whose upper tail, and the lower one where it is given, is a fitted Pareto tail.

    Quantiles between the thresholds are order statistics, ``x(k)`` with ``k = ceil(n probability)``: a fitted tail says
    nothing below its threshold. The shortfall is the exact average of that quantile function. The probability of a loss
    between the thresholds is its mid-rank in the sample that it joins, ``(number below + half the number equal + 1/2) /
    (n + 1)``, kept between the masses of the two tails.
    """

    #: ``(n,)``, ascending.
    losses: Floats
    upper: ParetoFit
    #: Fitted to the losses with the other sign; None: the lower end of the sample is kept as it is.
    lower: ParetoFit | None = None

    def quantile(self, probability: Floats) -> Floats:
        """The smallest loss that is not exceeded with each probability."""
        given = np.asarray(probability, np.float64)
        p = given.ravel()
        n = len(self.losses)
        rank = order_ranks(p, n)
        found = self.losses[rank - 1]
        above = np.flatnonzero(rank > n - self.upper.exceedances)
        share = n * (1.0 - p[above]) / self.upper.exceedances
        found[above] = self.upper.quantile_beyond(np.minimum(share, 1.0))
        if self.lower is not None:
            below = np.flatnonzero(rank <= self.lower.exceedances)
            share = n * p[below] / self.lower.exceedances
            found[below] = -self.lower.quantile_beyond(np.minimum(share, 1.0))
        return found.reshape(given.shape)

    def shortfall(self, level: float) -> float:
        """The average of the quantile function beyond ``level``.

        Raises
        ------
        InputError
            The shape of the upper tail is 1 or more: the average is infinite.
        """
        n, upper, lower = len(self.losses), self.upper, self.lower
        exact = exact_level(check_level("level", level))
        rank = order_index(level, n)
        if rank > n - upper.exceedances:
            return upper.expected_shortfall(level)
        total = upper.exceedances * upper.mean_beyond(1.0)
        first = rank
        if lower is not None and rank <= lower.exceedances:
            first = lower.exceedances + 1
            part = float(n * exact)
            total -= lower.exceedances * lower.mean_beyond(1.0) - part * lower.mean_beyond(part / lower.exceedances)
        else:
            total += float(rank - n * exact) * float(self.losses[rank - 1])
            first += 1
        total += math.fsum(self.losses[first - 1 : n - upper.exceedances].tolist())
        return total / float(n * (1 - exact))

    def probability(self, loss: Floats) -> Floats:
        """The probability of a loss no larger than each."""
        x = np.asarray(loss, np.float64)
        n = len(self.losses)
        below = np.searchsorted(self.losses, x, side="left")
        upto = np.searchsorted(self.losses, x, side="right")
        found = (0.5 * (below + upto) + 0.5) / (n + 1.0)
        found = np.minimum(found, 1.0 - self.upper.tail_mass)
        tail = x > self.upper.threshold
        found = np.where(tail, 1.0 - self.upper.mass_above(np.where(tail, x, self.upper.threshold)), found)
        if self.lower is not None:
            end = -self.lower.threshold
            tail = x < end
            found = np.where(x >= end, np.maximum(found, self.lower.tail_mass), found)
            found = np.where(tail, self.lower.mass_above(-np.where(tail, x, end)), found)
        return np.asarray(found)


def fit_pareto_tail(
    losses: npt.ArrayLike,
    *,
    threshold: str | float = "fraction",
    fraction: float = 0.1,
    estimator: str = "likelihood",
    both: bool = False,
) -> ParetoTail:
    """Fit a Pareto tail to a sample of losses or of standardised residuals, loss positive.

    Parameters
    ----------
    losses
        ``(n,)``, in any order.
    threshold, fraction
        Where the tail begins: see :func:`riskops.history.forecasts.thresholds.tail_threshold`.
    estimator
        As :func:`riskops.history.forecasts.pareto.fit_pareto` takes it.
    both
        Whether the lower tail is fitted too, as sums over several days need. It begins by the same rule on the other
        side; where the threshold is a number, beyond as large a share of the sample as that of the upper tail.

    Raises
    ------
    InputError
        A loss that is not finite, or a tail that cannot be fitted; the text says which side.

    Examples
    --------
    >>> law = fit_pareto_tail(np.sinh(np.linspace(-3.0, 3.0, 1001)), both=True)
    >>> law.upper.exceedances, law.lower.exceedances
    (100, 100)
    >>> law.quantile(np.array([0.1, 0.5, 0.9, 0.99])).round(2).tolist()
    [-5.47, 0.0, 5.47, 9.43]
    """
    ordered = np.sort(check_finite("losses", losses).ravel())
    upper = fit_sorted(ordered, tail_threshold(ordered, threshold=threshold, fraction=fraction), estimator)
    if not both:
        return ParetoTail(ordered, upper)
    gains = -ordered[::-1]
    if isinstance(threshold, str):
        begin = tail_threshold(gains, threshold=threshold, fraction=fraction)
    else:
        begin = float(gains[len(gains) - 1 - upper.exceedances])
    try:
        lower = fit_sorted(gains, begin, estimator)
    except InputError as wrong:
        raise InputError(f"lower tail: {wrong}") from wrong
    if upper.exceedances + lower.exceedances > len(ordered):
        raise InputError(
            f"threshold: {upper.threshold:.6g} leaves {upper.exceedances} of {len(ordered)} losses in the upper tail; "
            "the lower one needs the same room; choose a higher threshold"
        )
    return ParetoTail(ordered, upper, lower)
