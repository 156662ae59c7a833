"""What methods have to tell the user: notes, counted, and carried through the results as JSON."""

from __future__ import annotations

import json
from collections import Counter

import xarray as xr

from riskops.errors import InputError

__all__ = ["forecast_notes"]


def forecast_notes(forecasts: xr.Dataset) -> list[tuple[str, str, str, int]]:
    """What the methods had to tell, as rows of method, series, note and the number of fits that it was said of.

    Parameters
    ----------
    forecasts
        As :func:`rolling_forecasts` or :func:`forecast` gives it, computed: ``forecast_notes`` (method, series).

    Returns
    -------
    list of tuple
        ``(method, series, note, fits)``, in the order of the methods and series, the most frequent note first. Days
        that have no forecast because a method failed are told by notes that begin with ``no forecast``.

    Raises
    ------
    InputError
        There is no ``forecast_notes``.

    Examples
    --------
    >>> import xarray as xr
    >>> notes = xr.DataArray([['{"shape at its bound": 3}']], dims=("method", "asset"))
    >>> held = xr.Dataset({"forecast_notes": notes}, coords={"method": ["normal"], "asset": ["A"]})
    >>> forecast_notes(held)
    [('normal', 'A', 'shape at its bound', 3)]
    """
    if "forecast_notes" not in forecasts:
        raise InputError("dataset: variable 'forecast_notes' is missing")
    notes = forecasts["forecast_notes"]
    _, dim = notes.dims
    rows = []
    for m, method in enumerate(notes["method"].to_numpy()):
        for s, series in enumerate(notes[dim].to_numpy()):
            counts = Counter(json.loads(str(notes.to_numpy()[m, s])))
            rows += [(str(method), str(series), note, int(fits)) for note, fits in counts.most_common()]
    return rows
