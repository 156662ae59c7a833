"""What a series of returns is like: its length, gaps, tails, clustering, asymmetry and breaks, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from riskops.history.forecasts.base import Floats

__all__ = ["ARCH_LAGS", "LAGS", "TAIL", "SampleStatistics", "describe_sample"]

#: Lags of the Ljung-Box tests and of the test for ARCH effects, and the share of losses that the Hill index looks at.
LAGS = 10
ARCH_LAGS = 5
TAIL = 0.05
#: Fewer returns leave nothing to test.
_LEAST = 50


@dataclass(frozen=True)
class SampleStatistics:
    """One series in numbers; a statistic that the sample is too short or too constant for is NaN.

    Parameters
    ----------
    observations, missing
        Observed returns, and days without one after the first of them.
    zero_share, longest_stale
        The share of returns that are zero, and the longest run of them.
    skewness, excess_kurtosis, jarque_bera
        Of the sample (population formulas), and the p-value of Jarque and Bera's test of normality.
    tail_asymmetry
        ``(q95 + q05 - 2 q50) / (q95 - q05)`` of the returns' quantiles (Hinkley 1975): skewness that single days do not
        make.
    hill_index
        The tail index of the largest 5 % of the losses (Hill 1975): moments of that order and above do not exist.
    autocorrelation
        P-value of the portmanteau test over 10 lags of the returns, robust to clustering (Diebold 1986): the sum of
        ``(sum_t d(t) d(t-k))^2 / sum_t d(t)^2 d(t-k)^2`` over the lags k, d the deviations.
    ljung_box_squared, ljung_box_sizes
        P-values of Ljung and Box's test over 10 lags, of the squared and of the absolute deviations; a single jump can
        hide the clustering of squares, not that of sizes.
    arch_effects
        P-value of Engle's Lagrange multiplier test for ARCH over 5 lags.
    leverage, leverage_test
        The slope of ``|r(t)|`` on ``r(t-1)`` (negative: falls are followed by larger moves), and its p-value, robust to
        heteroscedasticity (White 1980).
    break_test, break_at
        P-value of the test for one break in the variance by cumulated squares (Inclan and Tiao 1994; with the long-run
        variance of Sanso, Arago and Carrion 2004), and the observed return after which it lies, if there is one.
    """

    observations: float
    missing: float
    zero_share: float
    longest_stale: float
    skewness: float
    excess_kurtosis: float
    jarque_bera: float
    tail_asymmetry: float
    hill_index: float
    autocorrelation: float
    ljung_box_squared: float
    ljung_box_sizes: float
    arch_effects: float
    leverage: float
    leverage_test: float
    break_test: float
    break_at: float


def describe_sample(values: Floats) -> SampleStatistics:
    """The statistics of a series ``(day,)``; NaN: not observed."""
    seen = np.isfinite(values)
    own = values[seen]
    n = len(own)
    missing = int(np.count_nonzero(~seen[int(np.argmax(seen)) :])) if n else len(values)
    zero = own == 0.0
    known = {
        "observations": float(n),
        "missing": float(missing),
        "zero_share": float(zero.mean()) if n else math.nan,
        "longest_stale": float(_longest_run(zero)),
    }
    rest = [name for name in SampleStatistics.__dataclass_fields__ if name not in known]
    if n < _LEAST or np.all(own == own[0]):
        return SampleStatistics(**known, **dict.fromkeys(rest, math.nan))
    from scipy.stats import chi2, kstwobign, norm

    deviations = own - own.mean()
    variance = float(np.mean(deviations**2))
    skewness = float(np.mean(deviations**3)) / variance**1.5
    kurtosis = float(np.mean(deviations**4)) / variance**2 - 3.0
    squares, sizes = deviations**2, np.abs(deviations)
    slope, t = _leverage(own)
    distance, at = _cumulated_squares(squares)
    return SampleStatistics(
        **known,
        skewness=skewness,
        excess_kurtosis=kurtosis,
        jarque_bera=float(chi2.sf(n / 6.0 * (skewness**2 + kurtosis**2 / 4.0), 2)),
        tail_asymmetry=_tail_asymmetry(own),
        hill_index=_hill(-own),
        autocorrelation=float(chi2.sf(_robust_portmanteau(deviations), LAGS)),
        ljung_box_squared=float(chi2.sf(_ljung_box(squares - variance), LAGS)),
        ljung_box_sizes=float(chi2.sf(_ljung_box(sizes - sizes.mean()), LAGS)),
        arch_effects=float(chi2.sf(_multiplier(squares), ARCH_LAGS)),
        leverage=slope,
        leverage_test=2.0 * float(norm.sf(abs(t))),
        break_test=float(kstwobign.sf(distance)),
        break_at=float(at),
    )


def _longest_run(flags: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> int:
    longest = current = 0
    for flag in flags.tolist():
        current = current + 1 if flag else 0
        longest = max(longest, current)
    return longest


def _tail_asymmetry(own: Floats) -> float:
    low, middle, high = np.quantile(own, (0.05, 0.5, 0.95)).tolist()
    return float((high + low - 2.0 * middle) / (high - low)) if high > low else 0.0


def _hill(losses: Floats) -> float:
    """``1 / mean(log(x(i) / x(k + 1)))`` of the ``k`` largest losses."""
    largest = np.sort(losses)[::-1][: int(TAIL * len(losses)) + 1]
    if len(largest) < 3 or largest[-1] <= 0.0:
        return math.nan
    mean = float(np.mean(np.log(largest[:-1] / largest[-1])))
    return 1.0 / mean if mean > 0.0 else math.nan


def _ljung_box(deviations: Floats) -> float:
    """``n (n + 2) sum rho_k^2 / (n - k)`` over the lags; zero where nothing varies."""
    n = len(deviations)
    total = float(np.sum(deviations * deviations))
    if total == 0.0:
        return 0.0
    rho = [float(np.sum(deviations[k:] * deviations[:-k])) / total for k in range(1, LAGS + 1)]
    return n * (n + 2) * sum(r * r / (n - k) for k, r in enumerate(rho, start=1))


def _robust_portmanteau(deviations: Floats) -> float:
    """Ljung and Box's sum with each autocovariance over its own variance, whatever the variance of days does."""
    total = 0.0
    for k in range(1, LAGS + 1):
        products = deviations[k:] * deviations[:-k]
        spread = float(np.sum(products**2))
        total += float(np.sum(products)) ** 2 / spread if spread > 0.0 else 0.0
    return total


def _multiplier(squares: Floats) -> float:
    """``n R^2`` of the regression of squares on their lags."""
    n = len(squares) - ARCH_LAGS
    past = [squares[ARCH_LAGS - k : len(squares) - k] for k in range(1, ARCH_LAGS + 1)]
    # in units of their mean: the solver's tolerance is about the size of the columns
    design, target = np.column_stack([np.ones(n), *(one / squares.mean() for one in past)]), squares[ARCH_LAGS:]
    centred = target - target.mean()
    total = float(np.sum(centred**2))
    if total == 0.0:
        return 0.0
    fitted = design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return n * (1.0 - float(np.sum((target - fitted) ** 2)) / total)


def _leverage(own: Floats) -> tuple[float, float]:
    """The slope of ``|r(t)|`` on ``r(t-1)`` and its robust t statistic."""
    before, sizes = own[:-1] - own[:-1].mean(), np.abs(own[1:])
    spread = float(np.sum(before**2))
    if spread == 0.0:
        return 0.0, 0.0
    slope = float(np.sum(before * sizes)) / spread
    residuals = sizes - sizes.mean() - slope * before
    error = math.sqrt(float(np.sum((before * residuals) ** 2))) / spread
    return slope, slope / error if error > 0.0 else 0.0


def _cumulated_squares(squares: Floats) -> tuple[float, int]:
    """The largest distance of the cumulated squares from a straight line, in standard errors, and after how many."""
    n = len(squares)
    deviations = squares - squares.mean()
    # Bartlett's weights: clustering makes cumulated squares wander without any break
    reach = int(1.5 * n ** (1.0 / 3.0))
    long_run = float(np.mean(deviations**2))
    for k in range(1, reach + 1):
        long_run += 2.0 * (1.0 - k / (reach + 1.0)) * float(np.sum(deviations[k:] * deviations[:-k])) / n
    if long_run <= 0.0:
        return 0.0, 0
    distance = np.abs(np.cumsum(deviations))
    at = int(np.argmax(distance))
    return float(distance[at]) / math.sqrt(n * long_run), at + 1
