"""Curves of the loss: its quantiles at many levels, the probabilities that it exceeds thresholds; exact, with errors.

A curve is read off order statistics and counts, so it does not depend on chunks, order or scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import bdtrik, betainc, betaincinv

from riskops.checks import check_finite, check_integer, check_levels, check_unique
from riskops.errors import InputError
from riskops.measures.lazy import lazy_variables
from riskops.reductions import Z95, groups_of, interval_ranks, needed_paths, order_index, reduce_paths
from riskops.reductions.exceedances import ExceedanceCounts
from riskops.reductions.order import SIDE
from riskops.reductions.order_statistics import order_statistics
from riskops.schema import ERROR_SUFFIXES, validate

__all__ = ["even_levels", "exceedance_curve", "quantile_curve"]

Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


def even_levels(number: int) -> tuple[float, ...]:
    """So many levels in the middle of equal steps of probability: ``(i + 1/2) / number``.

    Examples
    --------
    >>> even_levels(4)
    (0.125, 0.375, 0.625, 0.875)
    """
    check_integer("levels", number, at_least=1)
    return tuple(float(Fraction(2 * i + 1, 2 * number)) for i in range(number))


def quantile_curve(losses: xr.Dataset, *, levels: int | Sequence[float] = 1000) -> xr.Dataset:
    """The quantiles of the loss at many levels, exactly; lazy, two passes over the losses in bounded memory.

    Parameters
    ----------
    losses
        ``loss`` ``([scenario, portfolio, horizon,] path)``, positive for a loss; plain draws.
    levels
        Levels in (0, 1), each the decimal that it prints as; or how many, evenly spread (:func:`even_levels`).

    Returns
    -------
    Dataset
        ``loss_quantile`` ``(..., level)`` in money with ``_standard_error``, ``_low`` and ``_high``.

    Raises
    ------
    InputError
        A level outside (0, 1), fewer paths than its 95 % interval needs, paths that are weighted or depend on each
        other, or (when computed) a loss that is not finite.

    Notes
    -----
    With n losses ascending the quantile is ``x(k)``, ``k = ceil(n level)`` in integers: at a level above one half it is
    the value at risk. The 95 % interval is the distribution-free one between two order statistics, for each level by
    itself, and the standard error its width over 2 * 1.96. Memory grows with the square root of paths times levels,
    whatever the losses: :func:`riskops.reductions.order_statistics_bytes`.

    References
    ----------
    David and Nagaraja (2003), Order Statistics, 7.1; Munro and Paterson (1980), Selection and sorting with limited
    storage.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> losses = xr.Dataset({"loss": ("path", np.arange(1.0, 1001.0))}).chunk(path=1024)
    >>> curve = quantile_curve(losses, levels=[0.05, 0.5, 0.95]).compute()
    >>> curve["loss_quantile"].values.tolist(), curve["loss_quantile_low"].values.tolist()
    ([50.0, 500.0, 950.0], [37.0, 469.0, 936.0])
    """
    wanted = check_levels("levels", levels if isinstance(levels, Iterable) else even_levels(levels))
    n = plain_paths(losses)
    needed = 0 if isinstance(levels, Iterable) else max(needed_paths(wanted[0]), needed_paths(wanted[-1]))
    if n < needed:
        raise InputError(f"levels: {levels} reach to {wanted[0]!r}, whose 95 % interval needs {needed} paths, not {n}")
    ranks = curve_ranks(wanted, n)
    distinct, place = np.unique(ranks, return_inverse=True)
    result = order_statistics(losses, ranks=distinct.tolist())
    return curve_variables(
        losses, result, quantile_figures, "loss_quantile", "level", wanted, place=place.reshape(ranks.shape)
    )


def quantile_figures(result: Mapping[str, Any], *, place: Whole) -> dict[str, Float]:
    """The quantiles and their errors from order statistics ``(..., rank)``; ``place`` ``(3, level)`` says which are the
    quantiles and the ends of their intervals."""
    value, low, high = (result["values"][..., one] for one in place)
    return named_figures("loss_quantile", value, (high - low) / (2 * Z95), low, high)


def exceedance_curve(losses: xr.Dataset, *, threshold: float | Sequence[float]) -> xr.Dataset:
    """The probability that the loss exceeds each threshold; lazy, one pass over the losses.

    Parameters
    ----------
    losses
        ``loss`` ``([scenario, portfolio, horizon,] path)``, positive for a loss; plain draws.
    threshold
        Losses, in money, the same for every row.

    Returns
    -------
    Dataset
        ``exceedance_probability`` ``(..., threshold)`` with ``_standard_error``, ``_low`` and ``_high``.

    Raises
    ------
    InputError
        A threshold that is not finite or given twice, paths that are weighted or depend on each other, or (when
        computed) a loss that is not finite.

    Notes
    -----
    Of n losses m exceed a threshold: ``p = m / n``, standard error ``sqrt(p (1 - p) / n)``. The 95 % interval is that
    of Clopper and Pearson (1934), which holds for every p and n: where no loss exceeds a threshold it says how large
    the probability may be.

    References
    ----------
    Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the binomial.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> losses = xr.Dataset({"loss": ("path", np.arange(1.0, 1001.0))}).chunk(path=1024)
    >>> curve = exceedance_curve(losses, threshold=[950.0, 1000.0]).compute()
    >>> curve["exceedance_probability"].values.tolist()
    [0.05, 0.0]
    >>> [round(bound, 4) for bound in curve["exceedance_probability_high"].values.tolist()]
    [0.0654, 0.0037]
    """
    given = list(threshold) if isinstance(threshold, Iterable) else [threshold]
    check_unique("threshold", given)
    wanted = np.sort(check_finite("threshold", given)) + 0.0
    if not len(wanted):
        raise InputError("threshold: at least one is needed")
    plain_paths(losses)
    result = reduce_paths(losses[["loss"]], ExceedanceCounts(thresholds=wanted), name="exceedances")
    return curve_variables(losses, result, exceedance_figures, "exceedance_probability", "threshold", wanted.tolist())


def exceedance_figures(result: Mapping[str, Any]) -> dict[str, Float]:
    """The probabilities and their errors from the numbers of losses that exceed each threshold."""
    counts, n = result["counts"].astype(np.float64), float(result["paths"])
    share = counts / n
    with np.errstate(invalid="ignore"):  # at the ends the inverse has no parameter
        low = np.where(counts > 0, betaincinv(counts, n - counts + 1.0, SIDE), 0.0)
        high = np.where(counts < n, betaincinv(counts + 1.0, n - counts, 1.0 - SIDE), 1.0)
    return named_figures("exceedance_probability", share, np.sqrt(share * (1.0 - share) / n), low, high)


def plain_paths(losses: xr.Dataset) -> int:
    """The number of paths; weighted ones, and such as depend on each other, are refused: the errors would be wrong."""
    validate(losses, "loss")
    groups = groups_of(losses.attrs)
    if "loss_weight" in losses or groups.unit != "path":
        what = "are weighted" if "loss_weight" in losses else f"depend on each other by {groups.text}"
        raise InputError(f"loss: its paths {what}; curves need plain draws (sampling.method: plain)")
    return int(losses.sizes["path"])


def curve_ranks(levels: Sequence[float], n: int) -> Whole:
    """The ranks ``(3, level)`` of the quantiles and of the ends of their intervals; as :func:`interval_ranks`, but for
    all levels at once."""
    p = np.array(levels)
    low, high = _binomial_quantiles(SIDE, n, p), _binomial_quantiles(1.0 - SIDE, n, p) + 1
    for level in p[(low < 1) | (high > n)][:1].tolist():
        interval_ranks(level, n)  # says how many paths it needs
    return np.stack([np.array([order_index(level, n) for level in levels]), low, high])


def _binomial_quantiles(probability: float, n: int, p: Float) -> Whole:
    """The smallest k with ``P(X <= k) >= probability``, X binomial(n, p)."""

    def reached(k: Whole) -> npt.NDArray[np.bool_]:
        inside = np.clip(k, 0, n - 1)
        found = betainc(n - inside, inside + 1.0, 1.0 - p) >= probability
        return (k >= n) | (found & (k >= 0))

    k: Whole = np.clip(np.ceil(np.nan_to_num(bdtrik(probability, float(n), p))), 0, n).astype(np.int64)
    while not (enough := reached(k)).all():
        k += ~enough
    while (early := (k > 0) & reached(k - 1)).any():
        k -= early
    return k


def named_figures(name: str, *figures: Float) -> dict[str, Float]:
    """A figure, its standard error and the ends of its interval, by name."""
    return dict(zip((name, *(name + suffix for suffix in ERROR_SUFFIXES)), figures, strict=True))


def curve_variables(
    losses: xr.Dataset, result: Any, function: Any, name: str, dim: str, points: Sequence[float], **options: Any
) -> xr.Dataset:
    """The lazy variables ``(..., dim)`` of a figure and its errors, which ``function`` makes of the result."""
    loss = losses["loss"]
    lead = tuple(str(d) for d in loss.dims[:-1])
    return lazy_variables(
        result,
        function,
        outputs=dict.fromkeys((name, *(name + suffix for suffix in ERROR_SUFFIXES)), (*lead, dim)),
        coords={**{d: loss[d] for d in lead if d in loss.coords}, dim: list(points)},
        sizes={**{d: loss.sizes[d] for d in lead}, dim: len(points)},
        stage=name.replace("_", "-"),
        **options,
    )
