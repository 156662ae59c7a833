"""The length of a bootstrap's blocks: given, or the optimal one of Politis and White for the sample."""

from __future__ import annotations

import math

from riskops.checks import check_number
from riskops.errors import InputError
from riskops.models.sample import Sample
from riskops.threads import pinned_threads

__all__ = ["AUTOMATIC", "choose_block_length"]

#: What an automatic choice is made for.
AUTOMATIC = ("returns", "squared_returns")

#: Fewer observations leave too few autocovariances to choose from.
FEWEST = 50


def choose_block_length(
    sample: Sample, *, method: str, block_length: float | str | None
) -> tuple[float, dict[str, float] | None]:
    """The block length that a fit uses, and the optimal one of each asset where it was chosen.

    Parameters
    ----------
    sample
        The log returns of the window.
    method
        ``"iid"``, ``"circular_block"`` or ``"stationary"``.
    block_length
        A number; ``"returns"`` or ``"squared_returns"``; None is the former, or 1 for ``iid``.

    Returns
    -------
    The length, and the optimal lengths by asset (None where nothing was chosen), whose average it is: at least 1, at
    most the number of rows, rounded up for ``circular_block``.

    Raises
    ------
    InputError
        When the length is no number and no known choice, or there are too few observations to choose.

    Notes
    -----
    The estimate is that of ``arch.bootstrap.optimal_block_length``: D. N. Politis and H. White, *Automatic block-length
    selection for the dependent bootstrap*, Econometric Reviews 23 (2004), with the correction of A. Patton, D. N.
    Politis and H. White, Econometric Reviews 28 (2009). It is optimal for the mean of one series; rows are drawn for
    all assets at once, hence the average.
    """
    if method == "iid" and block_length is None:
        return 1.0, None
    if block_length is not None and not isinstance(block_length, str):
        return check_number("block_length", block_length), None
    what = block_length or "returns"
    if what not in AUTOMATIC or method == "iid":
        known = "left out with method: iid" if method == "iid" else f"a number or one of {', '.join(AUTOMATIC)}"
        raise InputError(f"block_length: {block_length!r} is not {known}")
    if sample.observations < FEWEST:
        raise InputError(
            f"block_length: {sample.observations} observations are too few to choose it from, {FEWEST} are needed; "
            "give a number"
        )
    from arch.bootstrap import optimal_block_length

    series = sample.values if what == "returns" else sample.values**2
    with pinned_threads():
        column = "circular" if method == "circular_block" else "stationary"
        chosen = [float(length) for length in optimal_block_length(series)[column]]
    average = min(max(1.0, math.fsum(chosen) / len(chosen)), float(sample.observations))
    length = float(math.ceil(average)) if method == "circular_block" else average
    return length, dict(zip(sample.assets, chosen, strict=True))
