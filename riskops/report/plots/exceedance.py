"""The exceedance curve of a portfolio's loss, on a logarithmic scale of probability."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from riskops.errors import InputError
from riskops.report.formatting import Money, level_text
from riskops.report.plots.style import BLUE, SKY, frame, money_ticks
from riskops.schema import validate

__all__ = ["exceedance_plot"]


def exceedance_plot(curve: xr.Dataset) -> Any:
    """Draw with which probability a loss is exceeded, down to the rarest level of a quantile curve.

    Parameters
    ----------
    curve
        ``loss_quantile`` ``(level,)`` with ``_low`` and ``_high``, of one scenario, portfolio and horizon, such as
        :func:`riskops.quantile_curve` returns.

    Returns
    -------
    bokeh.plotting.figure
        The loss at each level against ``1 - level`` on a logarithmic axis, in a band from the lower to the upper end of
        its 95 % interval.

    Raises
    ------
    InputError
        The curve has more dims than ``level``, or fewer than two levels.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from riskops.measures import quantile_curve
    >>> losses = xr.Dataset({"loss": ("path", np.arange(1.0, 1001.0))}).chunk(path=1024)
    >>> exceedance_plot(quantile_curve(losses, levels=20))
    figure(...)
    """
    validate(curve, "loss_quantile", "loss_quantile_low", "loss_quantile_high")
    if curve["loss_quantile"].dims != ("level",) or curve.sizes["level"] < 2:
        raise InputError(f"loss_quantile: dims {curve['loss_quantile'].dims} are not one curve of two levels or more")
    value, low, high = (curve["loss_quantile" + suffix].values for suffix in ("", "_low", "_high"))
    levels = curve["level"].values.tolist()
    beyond = np.array([1.0 - level for level in levels])
    money = Money.fit(str(curve.attrs.get("currency", "money")), scale=float(np.abs(value).max()))
    plot = frame(
        "Exceedance",
        f"Loss ({money.unit}); gains are negative",
        "Probability that the loss is larger",
        height=380,
        y_axis_type="log",
    )
    band = np.concatenate([low, high[::-1]]) / money.divisor
    plot.patch(band, np.concatenate([beyond, beyond[::-1]]), fill_color=SKY, fill_alpha=0.4, line_color=None)
    plot.line(value / money.divisor, beyond, line_color=BLUE, line_width=2)
    span = float(high.max() - low.min()) / money.divisor
    margin = 0.02 * span if span > 0.0 else 1.0
    plot.x_range.start, plot.x_range.end = low.min() / money.divisor - margin, high.max() / money.divisor + margin
    plot.y_range.start, plot.y_range.end = 0.8 * float(beyond.min()), 1.0
    money_ticks(plot.xaxis[0], money)
    decades = 10.0 ** np.arange(np.floor(np.log10(beyond.min())), 1.0)
    shares = [float(f"{share:.0e}") for share in decades]
    plot.yaxis[0].ticker = shares
    plot.yaxis[0].major_label_overrides = {share: level_text(share) for share in shares}
    return plot
