"""The loss of every portfolio on every path: a block of log growth becomes a block of losses, in a fixed order of sums.

``expm1`` is taken once for each (scenario, time, asset, path) and serves 32 portfolios. The kernels run along the
paths in strips that stay in the first-level cache; they hold their own loops, since BLAS and NumPy's vector functions
give other bits for other lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from riskops.backend import device_empty, device_view, is_on_device
from riskops.checks import check_number, check_unique
from riskops.errors import InputError
from riskops.models import path_kernel
from riskops.scalar import expm1, fma
from riskops.schema import validate, variable

__all__ = ["portfolio_loss"]

#: Paths worked on at once: the returns of one asset and the losses of a few portfolios fit the first-level cache.
STRIP = 1024
#: Portfolios worked on at once: their losses of a strip, 256 kB, stay in the second-level cache from asset to asset.
TOGETHER = 32


def portfolio_loss(paths: xr.Dataset, *, book: xr.Dataset, horizons: Sequence[float] | None = None) -> xr.Dataset:
    """The loss of today's positions, held unchanged, on every path.

    ``loss = -sum over assets of exposure * expm1(log_growth)``: against today's unshocked value, cash earning nothing.
    The sum runs over the assets in the order of ``paths``, in double precision with one rounding an asset (fma); growth
    in single precision goes through ``expm1`` in single precision. The bits do not depend on the chunks.

    Parameters
    ----------
    paths
        ``log_growth`` ([scenario,] time, asset, path), float32 or float64; a Dask array stays lazy, a NumPy array is
        worked on at once.
    book
        ``exposure`` (portfolio, asset) in the same assets, in any order, as :func:`book` gives it.
    horizons
        Times of ``paths``, in days, in ascending order; every time after 0 when left out.

    Returns
    -------
    Dataset
        ``loss`` ([scenario,] portfolio, horizon, path), money, float64, loss positive; the attributes of ``book``.
        Where the paths carry likelihood ratios, ``loss_weight`` (horizon, path).

    Raises
    ------
    InputError
        A horizon that is not among the times or given twice, assets of book and paths that differ, an exposure that is
        not finite, or growth of another dtype.

    Notes
    -----
    NaN rule: a path with a NaN in its growth has a NaN loss, whatever the exposure.

    Examples
    --------
    >>> from riskops.schema import variable
    >>> growth = variable("log_growth", ("time", "asset", "path"), np.log([[[1.1, 0.8]]]),
    ...                   coords={"time": [1.0], "asset": ["A"]})
    >>> exposure = variable("exposure", ("portfolio", "asset"), [[100.0]], coords={"portfolio": ["p"], "asset": ["A"]})
    >>> loss = portfolio_loss(xr.Dataset({"log_growth": growth}), book=xr.Dataset({"exposure": exposure}))
    >>> loss["loss"].values.round(9).tolist()
    [[[-10.0, 20.0]]]
    """
    validate(paths, "log_growth")
    validate(book, "exposure")
    growth = paths["log_growth"]
    if growth.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f"log_growth: dtype {growth.dtype} is neither float32 nor float64")
    times = [float(time) for time in growth["time"].to_numpy()]
    wanted = _check_horizons(horizons, times)
    steps = np.array([times.index(horizon) for horizon in wanted], dtype=np.int64)
    exposure = _aligned_exposure(book, [str(name) for name in growth["asset"].to_numpy()])
    scenarios = [str(name) for name in growth["scenario"].to_numpy()] if "scenario" in growth.dims else None
    dims = (() if scenarios is None else ("scenario",)) + ("portfolio", "horizon", "path")
    coords: dict[str, Any] = {"portfolio": book["portfolio"].to_numpy(), "horizon": np.array(wanted)}
    if scenarios is not None:
        coords["scenario"] = scenarios
    loss = variable("loss", dims, _lazy_loss(growth.data, exposure, steps), coords=coords)
    losses = xr.Dataset({"loss": loss}, attrs=dict(book.attrs))
    if "likelihood_ratio" in paths:
        ratio = paths["likelihood_ratio"].sel(time=wanted)
        losses["loss_weight"] = variable("loss_weight", ("horizon", "path"), ratio.data, coords={"horizon": wanted})
    if "independent" in paths.attrs:  # which paths depend on each other, for the errors of what is made of them
        losses.attrs["independent"] = paths.attrs["independent"]
    return losses


def _check_horizons(horizons: Sequence[float] | None, times: Sequence[float]) -> list[float]:
    known = ", ".join(f"{time:g}" for time in times[:30]) + (", ..." if len(times) > 30 else "")
    if horizons is None:
        wanted = [time for time in times if time > 0.0]
        if not wanted:
            raise InputError(f"horizons: the paths hold no time after 0, only {known}")
        return wanted
    wanted = [check_number("horizons", horizon) for horizon in horizons]
    if not wanted:
        raise InputError("horizons: at least one is needed")
    for horizon in wanted:
        if horizon not in times:
            raise InputError(f"horizons: {horizon:g} is not among the times of the paths, {known}")
    check_unique("horizons", wanted)
    if sorted(wanted) != wanted:
        raise InputError(f"horizons: {', '.join(f'{h:g}' for h in wanted)} do not ascend")
    return wanted


def _aligned_exposure(book: xr.Dataset, assets: list[str]) -> npt.NDArray[np.float64]:
    held = [str(name) for name in book["asset"].to_numpy()]
    for name in held:
        if name not in assets:
            raise InputError(f"book: asset {name!r} is not among the simulated ones")
    for name in assets:
        if name not in held:
            raise InputError(f"book: the simulated asset {name!r} is missing")
    exposure = book["exposure"].to_numpy().astype(np.float64)[:, [held.index(name) for name in assets]]
    bad = np.argwhere(~np.isfinite(exposure))
    if len(bad):
        p, a = bad[0]
        portfolio = str(book["portfolio"].to_numpy()[p])
        raise InputError(f"book: exposure of {portfolio!r} in {assets[a]!r}: {float(exposure[p, a])!r} is not finite")
    return np.ascontiguousarray(exposure)


def _lazy_loss(growth: Any, exposure: npt.NDArray[np.float64], steps: npt.NDArray[np.int64]) -> Any:
    if not isinstance(growth, da.Array):
        return loss_block(growth if is_on_device(growth) else np.asarray(growth), exposure, steps)
    growth = growth.rechunk({axis: -1 for axis in range(growth.ndim - 1) if growth.numblocks[axis] > 1})
    # Time becomes horizon and asset becomes portfolio, each one block wide: nothing is contracted, nothing copied.
    s, t, a, i = "scenario", "time", "asset", "path"
    lead = (s,) if growth.ndim == 4 else ()
    return da.blockwise(
        loss_block,
        (*lead, a, t, i),
        growth,
        (*lead, t, a, i),
        exposure=exposure,
        steps=steps,
        adjust_chunks={a: (len(exposure),), t: (len(steps),)},
        concatenate=True,
        dtype=np.dtype(np.float64),
        meta=np.empty((0,) * growth.ndim),
        name="portfolio-loss-" + tokenize(growth.name, exposure, steps),
    )


def loss_block(growth: Any, exposure: npt.NDArray[Any], steps: npt.NDArray[Any]) -> Any:
    """Losses ``([scenario,] portfolio, horizon, path)`` of a block of growth ``([scenario,] time, asset, path)``.

    They are where the growth is: on a device, in arrays of the library that made it, and with the same bits.
    """
    block: Any = growth if growth.ndim == 4 else growth[None]
    empty: Any = np.empty
    if is_on_device(growth):
        block, empty = device_view(block), device_empty
    else:
        block = np.ascontiguousarray(block)
    scenarios, paths = block.shape[0], block.shape[3]
    loss = empty((scenarios, len(exposure), len(steps), paths), np.dtype(np.float64))
    _loss(loss, block, empty((1, paths), block.dtype), exposure, steps)
    return loss if growth.ndim == 4 else loss[0]


@path_kernel(tables=("exposure", "steps"))
def _loss(loss, growth, change, exposure, steps):  # type: ignore[no-untyped-def]
    """``change``, one number a path, holds the simple returns of an asset, strip by strip: widened only when they are
    summed, since doubles in the loop that makes them would halve its vectors. Portfolios are worked on a few at a time,
    and the returns made again for each few: the losses of a thousand would go through memory once an asset."""
    paths = growth.shape[3]
    for s in range(growth.shape[0]):
        for h in range(len(steps)):
            for first in range(0, paths, STRIP):
                stop = min(first + STRIP, paths)
                returns = change[0, : stop - first]
                for few in range(0, len(exposure), TOGETHER):
                    for a in range(growth.shape[2]):
                        source = growth[s, steps[h], a, first:stop]
                        for i in range(len(source)):
                            returns[i] = expm1(source[i])
                        for p in range(few, min(few + TOGETHER, len(exposure))):
                            amount = -exposure[p, a]
                            row = loss[s, p, h, first:stop]
                            if a == 0:
                                for i in range(len(row)):
                                    row[i] = fma(amount, np.float64(returns[i]), 0.0)
                            else:
                                for i in range(len(row)):
                                    row[i] = fma(amount, np.float64(returns[i]), row[i])
