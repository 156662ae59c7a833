"""Approximate quantiles of the loss for interactive use: one pass, little memory, an error that is guaranteed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_levels
from riskops.measures.curves import curve_ranks, curve_variables, named_figures, plain_paths
from riskops.reductions import Z95, reduce_paths
from riskops.reductions.sketch import ApproximateSketch, sketch_quantiles

__all__ = ["approximate_quantiles"]

NAME = "approximate_loss_quantile"


def approximate_quantiles(
    losses: xr.Dataset, *, level: float | Sequence[float] = (0.95, 0.99), relative_error: float = 0.01
) -> xr.Dataset:
    """Approximate quantiles of the loss, each within a relative error of the exact one; lazy, one pass.

    Parameters
    ----------
    losses
        ``loss`` ``([scenario, portfolio, horizon,] path)``, positive for a loss; plain draws. A part of the paths
        will do while exploring; the error below is against the quantile of the paths that are given.
    level
        One or several levels in (0, 1), each the decimal that it prints as.
    relative_error
        How far from the order statistic, relative to its size, a figure may be: from 1e-6 to 0.2.

    Returns
    -------
    Dataset
        ``approximate_loss_quantile`` ``(..., level)`` in money with ``_standard_error``, ``_low`` and ``_high``. Its
        attributes ``approximate`` and ``relative_error`` say what is guaranteed, which is at most what was asked for.

    Raises
    ------
    InputError
        A level outside (0, 1), a relative error outside its range, fewer paths than a 95 % interval needs, paths that
        are weighted or depend on each other, or (when computed) a loss that is not finite.

    Notes
    -----
    Losses are counted in buckets of fixed relative width, whose middle is returned
    (:class:`riskops.reductions.ApproximateSketch`). The standard error and the interval are those of the sample, as for
    the exact quantile, from approximate order statistics. :func:`riskops.quantile_curve` and
    :func:`riskops.value_at_risk` give the exact figures.

    References
    ----------
    Masson, Rim and Lee (2019), DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> losses = xr.Dataset({"loss": ("path", np.arange(1.0, 1001.0))}).chunk(path=1024)
    >>> found = approximate_quantiles(losses, level=0.95)["approximate_loss_quantile"]
    >>> round(float(found.compute().item()), 1), found.attrs["approximate"]
    (948.0, 'within 0.78 % of the order statistic')
    """
    levels = check_levels("level", level)
    ranks = curve_ranks(levels, plain_paths(losses))
    sketch = ApproximateSketch(relative_error=relative_error)
    result = reduce_paths(losses[["loss"]], sketch, name="approximate-sketch")
    found = curve_variables(losses, result, approximate_figures, NAME, "level", levels, ranks=ranks)
    error = sketch.guaranteed_error
    about = {"approximate": f"within {100.0 * error:.2g} % of the order statistic", "relative_error": error}
    return found.assign({name: array.assign_attrs(about) for name, array in found.items()})


def approximate_figures(result: Mapping[str, Any], *, ranks: npt.NDArray[np.int64]) -> dict[str, Any]:
    """The approximate quantiles and their errors; ``ranks`` ``(3, level)`` as :func:`curve_ranks` gives them."""
    value, low, high = (sketch_quantiles(result, one) for one in ranks)
    return named_figures(NAME, value, (high - low) / (2 * Z95), low, high)
