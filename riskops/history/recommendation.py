"""Which methods suit a series, by rules that can be read, and in sentences that say on which numbers they rest.

The rules, in this order; ``n`` is the number of observed returns and ``beyond`` the number of them that are expected
beyond the level, ``n (1 - level)``, for a horizon of ``h`` days ``n (1 - level) / h``:

1. *Clustered*: the Ljung-Box test of squared or of absolute returns has a p-value below 1 %. *Heavy-tailed*: Jarque
   and Bera's test has, and the excess kurtosis is above 1/2. *Skewed*: the asymmetry of the 5 % tails is beyond 0.08
   and beyond ``3 / sqrt(n)``. *Asymmetric*: falls are followed by larger moves, with a p-value below 1 %.
2. Clustered with 1,000 returns or more: conditional extreme value theory where the tails are heavy and the level is
   99 % or above, filtered historical simulation, then a GARCH (a GJR-GARCH where asymmetric) with the innovations that
   the tails ask for, and CAViaR as the one that assumes no distribution, where 10 are beyond.
3. Clustered with 500 to 999: the GARCH first, then filtered historical simulation. With fewer: EWMA and
   volatility-weighted historical simulation, which estimate no recursion.
4. Not clustered, heavy-tailed: peaks over threshold where the level is 99 % or above and there are 500 returns, then a
   Student t (a skewed one where skewed), and historical simulation where 5 are beyond.
5. Neither: a normal (a skewed t where skewed), and historical simulation where 5 are beyond.

A method that needs more returns than there are, or has no way to the horizon, is passed over.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.checks import check_integer, check_level
from riskops.errors import InputError
from riskops.history.forecasts.base import Floats
from riskops.history.forecasts.registry import METHODS, forecaster
from riskops.history.sample_statistics import ARCH_LAGS, LAGS, TAIL, SampleStatistics, describe_sample
from riskops.history.series import Missing, check_returns, day_text, read_series
from riskops.schema import variable

__all__ = ["recommend"]

#: A p-value below this is a finding.
_SIZE = 0.01
_NAMES = tuple(field.name for field in fields(SampleStatistics))


@dataclass(frozen=True)
class Question:
    """What all tasks share."""

    level: float
    days: int
    missing: Missing


@dataclass(frozen=True, eq=False)
class Advice:
    """What one series is like, the methods that suit it, best first, and why."""

    statistics: SampleStatistics
    methods: tuple[str, ...]
    text: str


def recommend(
    returns: xr.Dataset, *, level: float = 0.99, horizon: int = 1, missing: Missing = "skip", series_per_task: int = 1
) -> xr.Dataset:
    """Say which methods suit each series, by documented rules, with the numbers that they rest on.

    Parameters
    ----------
    returns
        ``simple_return`` or ``log_return`` (observation, asset), or ``portfolio_return`` (observation, portfolio), in
        memory or lazy.
    level
        The confidence level that is to be forecast.
    horizon
        The number of days that a loss spans.
    missing
        ``"skip"``: a series consists of its own observed days, and the advice says how many are missing. ``"error"``: a
        NaN return is an error.
    series_per_task
        The number of series that one task goes through.

    Returns
    -------
    Dataset
        Lazy:

        - ``recommendation`` (series): the explanation, a paragraph of plain sentences;
        - ``recommendation_rank`` (method, series): 1 for the first choice, 2 for the next, NaN for what is not
          recommended, over all methods;
        - ``series_statistic`` (statistic_name, series): the numbers, by the names that the explanation uses.

    Raises
    ------
    InputError
        A level outside (0, 1), a horizon that is no whole number of days, dates that do not ascend, an infinite return.

    Notes
    -----
    The rules stand in the documentation of :mod:`riskops.history.recommendation`. They choose what is worth a backtest,
    and replace none: compare the choices by ``rolling_forecasts`` and their scores.

    References
    ----------
    Jarque and Bera (1980); Ljung and Box (1978); Engle (1982), the test for ARCH; Hill (1975); Inclan and Tiao (1994),
    Use of cumulative sums of squares for retrospective detection of changes of variance; Sanso, Arago and Carrion
    (2004), Testing for changes in the unconditional variance of financial time series.

    Examples
    --------
    >>> from riskops.market import load_prices, simple_returns
    >>> returns = simple_returns(load_prices("sp500", assets=["JPM"], start="2015-01-01"))
    >>> advice = recommend(returns, level=0.99).compute()
    >>> first = advice["recommendation_rank"].isel(asset=0).argmin("method")
    >>> print(advice["method"].values[int(first)])
    conditional_evt
    """
    question = Question(check_level("level", level), check_integer("horizon", horizon, at_least=1), missing)
    check_integer("series_per_task", series_per_task, at_least=1)
    series = read_series(returns, missing=missing, series_per_task=series_per_task)
    token = tokenize(series.values.name, series.names, series.dates, question)
    groups = series.values.chunks[1]
    advice = da.blockwise(
        _advise_block,
        "s",
        series.values,
        "ts",
        da.from_array(np.array(series.names), chunks=(groups,), name=f"series-recommend-{token}"),
        "s",
        da.from_array(series.dates, chunks=-1, name=f"dates-recommend-{token}"),
        "t",
        settings=question,
        concatenate=True,
        dtype=object,
        meta=np.empty(0, object),
        name=f"recommend-{token}",
    )
    names = list(series.names)
    found = {"recommendation": da.map_blocks(_texts, advice, dtype=object, meta=np.empty(0, object))}
    for name, function, labels in (
        ("recommendation_rank", _ranks, list(METHODS)),
        ("series_statistic", _numbers, list(_NAMES)),
    ):
        found[name] = da.blockwise(
            function,
            "ls",
            advice,
            "s",
            new_axes={"l": len(labels)},
            dtype=np.float64,
            meta=np.empty((0, 0)),
            name=f"{name.replace('_', '-')}-{token}",
        )
    coords = {series.dim: names}
    return xr.Dataset(
        {
            "recommendation": variable("recommendation", (series.dim,), found["recommendation"], coords=coords),
            "recommendation_rank": variable(
                "recommendation_rank",
                ("method", series.dim),
                found["recommendation_rank"],
                coords={"method": list(METHODS), **coords},
            ),
            "series_statistic": variable(
                "series_statistic",
                ("statistic_name", series.dim),
                found["series_statistic"],
                coords={"statistic_name": list(_NAMES), **coords},
            ),
        },
        attrs={"level": question.level, "horizon": question.days, "missing": missing, "returns": series.variable},
    )


def _texts(advice: npt.NDArray[Any]) -> npt.NDArray[Any]:
    out = np.empty(len(advice), object)
    out[:] = [one.text for one in advice]
    return out


def _ranks(advice: npt.NDArray[Any]) -> Floats:
    out = np.full((len(METHODS), len(advice)), np.nan)
    places = {name: i for i, name in enumerate(METHODS)}
    for s, one in enumerate(advice):
        for rank, name in enumerate(one.methods, start=1):
            out[places[name], s] = rank
    return out


def _numbers(advice: npt.NDArray[Any]) -> Floats:
    return np.array([astuple(one.statistics) for one in advice], np.float64).T


def _advise_block(
    values: Floats, names: npt.NDArray[Any], dates: npt.NDArray[Any], *, settings: Question
) -> npt.NDArray[Any]:
    check_returns(values, [str(name) for name in names], dates, missing=settings.missing)
    out = np.empty(values.shape[1], object)
    for s in range(values.shape[1]):
        column = np.array(values[:, s])
        out[s] = advise(describe_sample(column), settings, days=dates[np.isfinite(column)])
    return out


def advise(found: SampleStatistics, question: Question, *, days: npt.NDArray[Any]) -> Advice:
    """The methods for a series of such statistics, and the sentences; ``days`` are the dates of its returns."""
    n = int(found.observations)
    texts = _data_sentences(found, days)
    if math.isnan(found.excess_kurtosis):
        texts.append("They are too few, or do not vary, so nothing can be told from them: no method is recommended.")
        return Advice(found, (), " ".join(texts))
    clustered = min(found.ljung_box_squared, found.ljung_box_sizes) < _SIZE
    heavy = found.jarque_bera < _SIZE and found.excess_kurtosis > 0.5
    skewed = abs(found.tail_asymmetry) > max(0.08, 3.0 / math.sqrt(n))
    asymmetric = found.leverage_test < _SIZE and found.leverage < 0.0
    beyond = n * (1.0 - question.level) / question.days
    texts += _finding_sentences(found, days, clustered=clustered, heavy=heavy, asymmetric=asymmetric)
    recursion = (
        ("gjr" if asymmetric else "garch") + "_" + ("normal" if not heavy else "skewed_t" if skewed else "student_t")
    )
    free = "caviar_asymmetric" if asymmetric else "caviar_symmetric"
    far = question.level >= 0.99
    if clustered and n >= 1000:
        wanted = [*(["conditional_evt"] if heavy and far else []), "filtered_historical", recursion]
        wanted += [free] if beyond >= 10.0 else []
        why = (
            "volatility clusters and the history is long enough to fit a volatility model and keep what it leaves over"
        )
    elif clustered and n >= 500:
        wanted = [recursion, "filtered_historical"]
        why = "volatility clusters; the history carries a volatility model, but few standardised losses in its tail"
    elif clustered:
        wanted = ["ewma", "volatility_weighted"]
        why = f"volatility clusters, and {n:,} returns are too few to estimate how fast it is forgotten"
    else:
        law = "skewed_t" if skewed else "student_t" if heavy else "normal"
        wanted = [*(["peaks_over_threshold"] if heavy and far and n >= 500 else []), law]
        wanted += ["historical"] if beyond >= 5.0 else []
        why = "nothing shows that volatility clusters, so the sample as a whole tells the tail"
    suited = tuple(name for name in wanted if _possible(name, n, question.days))
    left = [name for name in wanted if name not in suited]
    texts.append(f"About {beyond:.1f} losses over {_span(question.days)} lie beyond the level {question.level!r}.")
    texts.append(f"Recommended: {', '.join(suited)}; {why}." if suited else "No method has what it needs here.")
    if left:
        texts.append(f"Passed over, for want of returns or of a way to the horizon: {', '.join(left)}.")
    return Advice(found, suited, " ".join(texts))


def _possible(name: str, n: int, days: int) -> bool:
    method = forecaster(name)
    try:
        method.horizon_rule(days)
    except InputError:
        return False
    # sums that do not overlap need so many times the returns
    return n >= method.least * (days if name.startswith("caviar") else 1)


def _span(days: int) -> str:
    return "one day" if days == 1 else f"{days} days"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _data_sentences(found: SampleStatistics, days: npt.NDArray[Any]) -> list[str]:
    """How much data there is, and what is wrong with it."""
    n = int(found.observations)
    span = f" from {day_text(days[0])} to {day_text(days[-1])}" if n else ""
    texts = [f"{n:,} returns{span}."]
    if found.missing:
        texts.append(f"{int(found.missing):,} days after the first are missing.")
    if found.zero_share > 0.05 or found.longest_stale >= 5:
        texts.append(
            f"{found.zero_share:.1%} of the returns are zero, {int(found.longest_stale)} in a row at most: prices may "
            "be stale, and figures too low."
        )
    return texts


def _finding_sentences(
    found: SampleStatistics, days: npt.NDArray[Any], *, clustered: bool, heavy: bool, asymmetric: bool
) -> list[str]:
    """What the tests say, a sentence each."""
    hill = f"; tail index of the largest {TAIL:.0%} of losses {found.hill_index:.1f}"
    hill = "" if math.isnan(found.hill_index) else hill
    texts = [
        f"Excess kurtosis {found.excess_kurtosis:.1f}, skewness {found.skewness:.2f}, asymmetry of the tails "
        f"{found.tail_asymmetry:.2f} (Jarque-Bera {_p(found.jarque_bera)}{hill}): "
        f"tails are {'heavier than' if heavy else 'about those of'} the normal."
    ]
    tests = (
        f"(Ljung-Box over {LAGS} lags {_p(found.ljung_box_squared)}, of their sizes {_p(found.ljung_box_sizes)}, "
        f"ARCH over {ARCH_LAGS} {_p(found.arch_effects)})"
    )
    texts.append(
        f"Squared or absolute returns are autocorrelated {tests}: volatility clusters."
        if clustered
        else f"Neither squared nor absolute returns are autocorrelated {tests}."
    )
    if asymmetric:
        texts.append(f"Falls are followed by larger moves than rises ({_p(found.leverage_test)}).")
    if found.autocorrelation < _SIZE:
        texts.append(
            f"Returns themselves are autocorrelated ({_p(found.autocorrelation)}): losses over several days are not "
            "those of independent days."
        )
    if found.break_test < _SIZE:
        when = day_text(days[int(found.break_at) - 1])
        texts.append(f"The variance seems to break after {when} ({_p(found.break_test)}): a rolling window forgets it.")
    return texts
