"""What a fit gives: the model, and a report of what it was made from and of whatever was adjusted on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import xarray as xr

from riskops.errors import InputError
from riskops.models.base import Model
from riskops.models.registry import fit_options, get_model
from riskops.models.sample import sample_log_returns

__all__ = ["Calibration", "calibrate"]

M = TypeVar("M", bound=Model, covariant=True)


@dataclass(frozen=True)
class Calibration(Generic[M]):
    """A fitted model and the report that a run writes into its manifest (plain JSON values only).

    Every report has ``observations``, ``window_start``, ``window_end`` (ISO dates, ``None`` for undated returns),
    ``days_per_year`` and ``options``; a model adds what it adjusted.
    """

    model: M
    report: Mapping[str, Any]


def calibrate(
    returns: xr.Dataset, *, kind: str, days_per_year: float = 252.0, options: Mapping[str, Any] | None = None
) -> Calibration[Model]:
    """Fit the model of that kind and report what it was made from.

    Parameters
    ----------
    returns
        Dataset with ``log_return`` ``(observation, asset)``; NaN is an error.
    kind
        The model's name.
    days_per_year
        Observations in a year.
    options
        More arguments of the model's ``fit``, by name.

    Returns
    -------
    The model, and the report for the manifest: that of the model's own ``calibrate`` where it has one.

    Raises
    ------
    InputError
        When the kind or an option is unknown, or the fit refuses the returns.

    Examples
    --------
    >>> import xarray as xr
    >>> from riskops.schema import variable
    >>> table = variable("log_return", ("observation", "asset"), [[0.01], [-0.01], [0.02]], coords={"asset": ["A"]})
    >>> calibration = calibrate(xr.Dataset({"log_return": table}), kind="geometric_brownian", options={"window": 2})
    >>> calibration.model.kind, calibration.report["observations"]
    ('geometric_brownian', 2)
    """
    cls = get_model(kind)
    given = dict(options or {})
    known = fit_options(kind)
    for name in given:
        if name not in known:
            raise InputError(f"model.{name}: is no option of {kind}; known are {', '.join(known) or 'none'}")
    detailed = getattr(cls, "calibrate", None)
    if detailed is not None:
        calibration: Calibration[Model] = detailed(returns, days_per_year=days_per_year, **given)
        return calibration
    model = cls.fit(returns, days_per_year=days_per_year, **given)
    used = known | given
    sample = sample_log_returns(returns, window=used.get("window"))
    report = {
        **sample.window_report(days_per_year),
        "options": used,
    }
    return Calibration(model, report)
