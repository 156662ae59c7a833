"""VaR from history: one window, all windows of many series, correlations, refits on both cores, and memory."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from riskops.bench.memory import peaks
from riskops.bench.rows import Row, Target
from riskops.bench.timing import Setting, core_count, race
from riskops.cluster import Cluster, open_cluster
from riskops.errors import StoreError
from riskops.history import forecast, rolling_forecasts
from riskops.history.forecasts import forecaster
from riskops.history.forecasts.base import Prediction
from riskops.history.forecasts.windows import window_tails
from riskops.market import load_prices, returns_over
from riskops.reductions import CoMoments
from riskops.threads import pinned_threads

__all__ = ["history"]

SUITE = "history"
WINDOW, DAYS = 252, 8000
#: What is asked for: a window's VaR, and a correlation matrix, within so many seconds; and what was published for both.
VAR_SECONDS, CORRELATION_SECONDS = 1e-3, 5e-3
PUBLISHED_VAR, PUBLISHED_CORRELATION = 15e-3, 80e-3
#: Refits: series and days that are forecast, returns that each fit sees, and days between two fits.
REFIT_SERIES, REFIT_DAYS, REFIT_WINDOW, REFIT_EVERY = 16, 3000, 1000, 100
#: Numbers of series whose peak memory is compared, and the days of each.
SERIES, SERIES_DAYS = (250, 1000), 2500

#: Forecasts of many series that are made where they are needed, and a count of breaches of each: all that is kept.
#: It prints that of the first four.
MANY = """
import sys
import dask, dask.array as da, numpy as np, xarray as xr
from riskops.history import rolling_forecasts
series, days, workers = (int(word) for word in sys.argv[1:])

def made(block_info=None):
    (_, _), (first, last) = block_info[None]["array-location"]
    return np.stack([np.random.default_rng(k).standard_t(4, days) for k in range(first, last)], axis=1)

returns = da.map_blocks(made, chunks=((days,), (1,) * series), dtype=float, meta=np.empty((0, 0)))
coords = {"observation": np.arange(days), "asset": [f"series {k}" for k in range(series)]}
found = rolling_forecasts(
    xr.Dataset({"log_return": (("observation", "asset"), returns)}, coords=coords),
    methods=["historical", "ewma"], level=(0.95, 0.99), window=250,
)
with dask.config.set(scheduler="threads", num_workers=workers):
    breaches = found["breach"].sum("observation").compute()
print(int(breaches.isel(asset=slice(4)).sum()))
"""


def history(setting: Setting) -> list[Row]:
    """All comparisons of the suite."""
    prices = load_prices("sp500")
    returns = returns_over(prices, days=1)[["simple_return"]]
    values = returns["simple_return"].to_numpy()
    days = max(2 * WINDOW, min(DAYS, round(DAYS * setting.scale)))
    return [
        *_one_window(returns),
        _correlation(values),
        *_rolling(returns.isel(observation=slice(-days, None))),
        _refits(returns, setting),
        _memory(setting),
    ]


def _one_window(returns: xr.Dataset) -> list[Row]:
    """VaR and ES of the last 252 returns: the method itself, and the public function with its Dataset."""
    last = returns.isel(asset=[0], observation=slice(-WINDOW, None))
    window = np.array(last["simple_return"].to_numpy()[:, 0])
    method, end = forecaster("historical"), np.array([WINDOW])

    def ours() -> Prediction:
        return method.fit(window, levels=(0.95, 0.99), days=1).predict(window, end, window=WINDOW)

    def public() -> xr.Dataset:
        found: xr.Dataset = forecast(last, method="historical", level=(0.95, 0.99)).compute(scheduler="synchronous")
        return found

    one, whole = race(ours, public, rounds=30)
    # ceil(252 * 0.95) = 240 and ceil(252 * 0.99) = 250
    worst = np.sort(-window)[[239, 249]]
    same = np.array_equal(one.result.value_at_risk[:, 0], worst)
    figures = whole.result["forecast_value_at_risk"].to_numpy().reshape(-1)
    work = f"VaR and ES at 95 and 99 % of {WINDOW} returns"
    return [
        Row(SUITE, "one window", work, one.seconds, "the target: 1 ms", VAR_SECONDS, same, Target(least_ratio=1.0)),
        Row(
            SUITE,
            "one window, forecast()",
            f"{work}, lazy, with its graph and Dataset",
            whole.seconds,
            "a published figure: 15 ms",
            PUBLISHED_VAR,
            bool(np.array_equal(figures, worst)),
        ),
    ]


def _correlation(values: npt.NDArray[np.float64]) -> Row:
    """The correlation matrix with its errors, by the kernel whose figures do not depend on how the work is cut."""
    moments, columns = CoMoments("simple_return", "none"), np.ascontiguousarray(values.T)

    def ours() -> dict[str, Any]:
        return moments.finalize(moments.combine([moments.chunk({"simple_return": columns}, first_path=0)]))

    mine, theirs = race(ours, partial(np.corrcoef, columns), rounds=30)
    agrees = bool(np.allclose(mine.result["correlation"], theirs.result, rtol=0.0, atol=1e-12))
    return Row(
        SUITE,
        "correlation",
        f"{len(columns)} assets x {columns.shape[1]:,} daily returns, with covariances and errors",
        mine.seconds,
        "the target: 5 ms",
        CORRELATION_SECONDS,
        agrees,
        Target(least_ratio=1.0),
        notes=(f"NumPy's corrcoef takes {1e3 * theirs.seconds:.2f} ms, a published figure is 80 ms",),
        details={"numpy_s": theirs.seconds, "published_s": PUBLISHED_CORRELATION},
    )


def _rolling(returns: xr.Dataset) -> list[Row]:
    """VaR of every window against pandas, which finds the same order statistics; then what the engine adds."""
    values = returns["simple_return"].to_numpy()
    table, losses = pd.DataFrame(-values), np.ascontiguousarray(-values.T)
    ends = np.arange(WINDOW, len(values) + 1)
    levels = (0.95, 0.975, 0.99, 0.997)

    def ours(levels: tuple[float, ...]) -> npt.NDArray[np.float64]:
        return window_tails(losses, starts=ends - WINDOW, ends=ends, levels=levels)[0]

    def theirs(levels: tuple[float, ...]) -> npt.NDArray[np.float64]:
        # (252 - 1) * level is no whole number at these levels, so that the place above is the loss of rank ceil(252 l)
        windows = table.rolling(WINDOW)
        found = [windows.quantile(level, interpolation="higher").to_numpy()[WINDOW - 1 :] for level in levels]
        return np.stack(found).transpose(2, 0, 1)

    engine = rolling_forecasts(returns, methods="historical", level=0.99, window=WINDOW)
    mine, pandas, mine_all, pandas_all, rolled = race(
        partial(ours, (0.99,)),
        partial(theirs, (0.99,)),
        partial(ours, levels),
        partial(theirs, levels),
        lambda: engine.compute(scheduler="synchronous"),
        rounds=9,
        seconds=20.0,
    )
    days, assets = values.shape
    work = f"{days:,} days x {assets} assets, windows of {WINDOW}, 1 thread: VaR and ES"
    figures = rolled.result["forecast_value_at_risk"].to_numpy()[0, :, 0]
    return [
        Row(
            SUITE,
            "rolling",
            f"{work} at 99 %",
            mine.seconds,
            "pandas rolling quantile at 99 %, without ES",
            pandas.seconds,
            bool(np.array_equal(mine.result, pandas.result)),
            Target(least_ratio=20.0),
        ),
        Row(
            SUITE,
            "rolling, four levels",
            f"{work} at four levels",
            mine_all.seconds,
            "pandas rolling quantile, four times, without ES",
            pandas_all.seconds,
            bool(np.array_equal(mine_all.result, pandas_all.result)),
        ),
        Row(
            SUITE,
            "rolling, the engine",
            f"{work} at 99 % with breaches, ranks and notes, as a Dataset",
            rolled.seconds,
            "pandas rolling quantile at 99 %, without ES",
            pandas.seconds,
            bool(np.array_equal(figures, pandas.result[:, 0, :-1])),
        ),
    ]


def _refits(returns: xr.Dataset, setting: Setting) -> Row:
    """GARCH refits of many series on Dask's worker processes, against the same fits in as many processes without it."""
    workers = min(2, core_count())
    series = max(workers, min(REFIT_SERIES, round(REFIT_SERIES * setting.scale)))
    length = REFIT_WINDOW + max(2 * REFIT_EVERY, round(REFIT_DAYS * min(setting.scale, 1.0)))
    part = returns.isel(asset=slice(series), observation=slice(-length, None))
    fits = series * len(_refit_days(part.sizes["observation"]))
    turns = {"cluster": count(), "bare": count()}

    def scaled(contestant: str) -> xr.Dataset:
        """Returns that differ a little from round to round: a fit that was made once is remembered."""
        return part * (1.0 + 1e-6 * next(turns[contestant]))

    def bare(pool: ProcessPoolExecutor) -> npt.NDArray[np.float64]:
        columns = scaled("bare")["simple_return"].to_numpy().T
        return np.stack(list(pool.map(refitted, np.ascontiguousarray(columns))))

    def spread(cluster: Cluster) -> npt.NDArray[np.float64]:
        lazy = rolling_forecasts(
            scaled("cluster"), methods="garch_normal", level=0.99, window=REFIT_WINDOW, refit_every=REFIT_EVERY
        )
        (found,) = cluster.compute(lazy["forecast_value_at_risk"])
        return np.asarray(found.to_numpy()[0, :, 0])

    with (
        open_cluster("processes", workers=workers) as cluster,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        mine, theirs = race(partial(spread, cluster), partial(bare, pool), rounds=5, seconds=60.0)
    return Row(
        SUITE,
        "refits",
        f"{fits:,} GARCH fits to {REFIT_WINDOW:,} returns of {series} series, {workers} processes",
        mine.seconds,
        "the same fits in as many processes, without Dask",
        theirs.seconds,
        bool(np.array_equal(mine.result, theirs.result)),
        Target(least_ratio=1 / 1.15),
    )


def _refit_days(days: int) -> range:
    return range(REFIT_WINDOW, days, REFIT_EVERY)


def refitted(returns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The rolling forecasts of one series, in a plain loop."""
    method, days = forecaster("garch_normal"), len(returns)
    found = np.empty(days - REFIT_WINDOW)
    with pinned_threads():
        for start in _refit_days(days):
            fit = method.fit(returns[start - REFIT_WINDOW : start], levels=(0.99,), days=1)
            ends = np.arange(start, min(start + REFIT_EVERY, days))
            told = fit.predict(returns, ends, window=REFIT_WINDOW)
            found[ends - REFIT_WINDOW] = told.value_at_risk[0]
    return found


def _memory(setting: Setting) -> Row:
    """The peak of a process that forecasts a thousand series, against that of one that forecasts a quarter of them."""
    few, many = (max(4, round(number * min(setting.scale, 1.0))) for number in SERIES)
    days = max(500, round(SERIES_DAYS * min(setting.scale, 1.0)))
    (less, one), (more, other) = (_peak(number, days) for number in (few, many))
    return Row(
        SUITE,
        "memory",
        f"{many:,} series x {days:,} days, rolling plain and EWMA forecasts, their breaches counted",
        more,
        f"{few:,} series",
        less,
        one == other,
        Target(least_ratio=1 / 1.2),
        unit="B",
    )


def _peak(series: int, days: int) -> tuple[int, int]:
    """The largest resident size in bytes of a process that forecasts so many series, and its count for the first."""
    command = [sys.executable, "-c", MANY, str(series), str(days), str(min(2, core_count()))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=False) as process:
        try:
            found = peaks(process)[process.pid]
            out = process.stdout.read() if process.stdout else b""
        finally:
            process.kill()
            process.wait()
    if process.returncode or not out.strip().isdigit():
        status = process.returncode
        raise StoreError(f"bench: the forecasts of {series} series did not run; the process ended with {status}")
    return found, int(out)
