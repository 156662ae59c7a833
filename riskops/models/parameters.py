"""What models share about their parameters: checks of shapes and names, arrays that can't change, the drift option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from riskops.checks import check_finite, check_number, check_positive, check_subset, check_unique
from riskops.errors import InputError
from riskops.models.sample import Sample

__all__ = ["check_assets", "drift_of", "frozen", "per_asset", "positive_per_asset", "set_frozen"]

Floats = npt.NDArray[np.float64]


def frozen(values: npt.ArrayLike) -> Floats:
    """A contiguous copy that can't be written to."""
    array = np.array(values, dtype=np.float64, order="C")
    array.flags.writeable = False
    return array


def set_frozen(model: object, state: Mapping[str, Any]) -> None:
    """Set the fields of a frozen dataclass; float arrays, which come out of a pickle writeable, are frozen again."""
    for name, value in state.items():
        object.__setattr__(model, name, frozen(value) if isinstance(value, np.ndarray) else value)


def check_assets(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a model's assets: texts, unique, at least one."""
    assets = tuple(names)
    if not assets:
        raise InputError("assets: at least one is needed")
    for asset in assets:
        if not isinstance(asset, str) or not asset:
            raise InputError(f"assets: {asset!r} is not a name")
    check_unique("assets", assets)
    return assets


def per_asset(name: str, values: npt.ArrayLike, assets: Sequence[str]) -> Floats:
    """Return finite numbers, one an asset, that can't be written to."""
    array = check_finite(name, values)
    if array.shape != (len(assets),):
        raise InputError(f"{name}: shape {array.shape} is not {(len(assets),)}, one number an asset")
    return frozen(array)


def positive_per_asset(name: str, values: npt.ArrayLike, assets: Sequence[str]) -> Floats:
    """Return numbers above zero, one an asset."""
    array = per_asset(name, values, assets)
    for asset, value in zip(assets, array.tolist(), strict=True):
        check_positive(f"{name} of {asset!r}", value)
    return array


def drift_of(
    drift: str | Mapping[str, float], sample: Sample, *, half_variance: npt.NDArray[np.float64], days_per_year: float
) -> Floats:
    """The drift of each price a year that the option ``drift`` asks for.

    ``"historical"``: the mean log return a year plus ``half_variance`` (what a year's log growth loses to the variance:
    ``sigma^2 / 2`` for a diffusion), so that the expected log growth is the sample's; ``"zero"``; or a rate by asset.
    """
    if isinstance(drift, Mapping):
        check_subset("drift", drift, sample.assets)
        for asset in sample.assets:
            if asset not in drift:
                raise InputError(f"drift: {asset!r} is missing; a given drift names every asset")
        return np.array([check_number(f"drift of {asset!r}", drift[asset]) for asset in sample.assets])
    if drift == "zero":
        return np.zeros(len(sample.assets))
    if drift == "historical":
        return sample.mean * days_per_year + half_variance
    raise InputError(f"drift: {drift!r} is not 'historical', 'zero' or a mapping from asset to yearly rate")
