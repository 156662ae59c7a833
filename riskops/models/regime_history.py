"""What a history of returns says about the regimes behind it: their probabilities on every day."""

from __future__ import annotations

import numpy as np
import xarray as xr

from riskops.errors import InputError
from riskops.models.regime_filter import cholesky_factors, infer, log_densities
from riskops.models.regime_switching import RegimeSwitching
from riskops.models.sample import sample_log_returns
from riskops.schema import validate, variable

__all__ = ["regime_probabilities"]


def regime_probabilities(returns: xr.Dataset, *, model: RegimeSwitching) -> xr.Dataset:
    """The probability of each regime on each day of a history, from the returns up to the day and from all of them.

    Parameters
    ----------
    returns
        Dataset with ``log_return`` ``(observation, asset)`` for the assets of the model, in any order; NaN is an error
        that says where. The observations are days, as they were for the fit.
    model
        A regime-switching model.

    Returns
    -------
    Dataset
        ``filtered_regime_probability`` and ``smoothed_regime_probability`` ``(observation, state)``; ``state`` numbers
        the regimes as the model does. The attribute ``log_likelihood`` is that of the returns under the model.

    Raises
    ------
    InputError
        When the assets are not those of the model, the chain has no single stationary distribution, or no regime
        explains a day at all (its density is zero in double precision).

    Notes
    -----
    Hamilton's filter (1989) and Kim's smoother (1994). The first day's regime has the stationary distribution; the fit,
    which estimates its law, differs on the first days alone. Filtered probabilities know no later return and may be
    used as signals of their day; smoothed ones know the whole history and may not.

    Examples
    --------
    >>> from riskops.market import load_prices, log_returns
    >>> returns = log_returns(load_prices("sp500_index", start="2019-01-02"))
    >>> found = regime_probabilities(returns, model=RegimeSwitching.fit(returns))
    >>> crash = found["smoothed_regime_probability"].sel(observation="2020-03-16")
    >>> crash.values.round(3).tolist()
    [0.0, 1.0]
    """
    if not isinstance(model, RegimeSwitching):
        raise InputError(f"model: {model!r} is not a regime-switching model")
    table = validate(returns, "log_return")["log_return"]
    given = [str(name) for name in table["asset"].values] if "asset" in table.coords else []
    if sorted(given) != sorted(model.assets):
        raise InputError(f"returns: assets {', '.join(given)} are not those of the model, {', '.join(model.assets)}")
    sample = sample_log_returns(returns)
    values = np.ascontiguousarray(sample.values[:, [given.index(name) for name in model.assets]])
    means, covariances = model.daily_moments()
    lowers = cholesky_factors(covariances)
    if lowers is None:
        raise InputError("model: the covariance of a regime is singular")
    found = infer(log_densities(values, means, lowers), model.transition, model.stationary_distribution())
    if not np.isfinite(found.log_likelihood):
        raise InputError("returns: there is a day that no regime of the model explains")
    coords = {"state": np.arange(len(model.transition))}
    if "observation" in table.coords:
        coords["observation"] = table["observation"].values
    dims = ("observation", "state")
    arrays = {
        name: variable(name, dims, data, coords=coords)
        for name, data in (
            ("filtered_regime_probability", found.filtered),
            ("smoothed_regime_probability", found.smoothed),
        )
    }
    return xr.Dataset(arrays, attrs={"log_likelihood": found.log_likelihood})
