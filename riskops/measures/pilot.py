"""Where the losses come from: a pilot that finds the directions, shifts and tilts that a sampling method needs.

The pilot draws plain paths that no run uses, the last ones that the generator can number, and looks at the loss of one
portfolio at one horizon. It runs once, before the graph, like a calibration, and what it finds is part of the spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.checks import check_level, check_one_of
from riskops.errors import InputError
from riskops.measures.control_variates import check_controlled
from riskops.portfolio import portfolio_loss
from riskops.reductions import order_index
from riskops.rng import MAX_PATHS, TILE, tile_counters
from riskops.simulation import METHODS, Sampling, SimulationSpec, path_job
from riskops.simulation.draws import Draws
from riskops.simulation.sampling import PILOT_PATHS
from riskops.threads import pinned_threads

__all__ = ["arrange"]

Floats = npt.NDArray[np.float64]

#: Part of a tilted distribution that stays the model's own.
KEPT_SHARE = 0.5
#: Strata of tiles that the pilot works through at once.
_BLOCK = 8 * TILE


def arrange(
    spec: SimulationSpec,
    *,
    book: xr.Dataset,
    method: str,
    portfolio: str | None = None,
    horizon: float | None = None,
    level: float = 0.99,
    replicates: int = 32,
    dimensions: int = 256,
) -> SimulationSpec:
    """Arrange the draws of a spec for a book: run the pilot where the method needs one, and return the new spec.

    Parameters
    ----------
    spec
        What to simulate; its own sampling is replaced.
    book
        ``exposure`` ``(portfolio, asset)``, as :func:`riskops.portfolio.book` gives it.
    method
        ``plain``, ``antithetic``, ``control_variate``, ``importance``, ``moment_matching``, ``sobol`` or
        ``stratified``; see :class:`riskops.simulation.Sampling`.
    portfolio, horizon
        The portfolio, and the horizon in days, whose losses ``importance`` and ``stratified`` are made for; the first
        one and the last step by default. Figures of all others stay right, and their errors say what they are.
    level
        The confidence level whose tail ``importance`` draws into.
    replicates, dimensions
        For ``sobol``: independent scrambles, and how many coordinates are Sobol's.

    Returns
    -------
    SimulationSpec
        The spec with a complete :class:`riskops.simulation.Sampling`.

    Raises
    ------
    InputError
        An unknown method or portfolio, a method that the model or the number of paths does not serve, or a loss that
        depends on no draw.

    Notes
    -----
    ``stratified`` takes the direction of steepest loss: the slopes of the loss on the sums of the normals, by least
    squares. ``importance`` shifts every normal to its mean given a loss beyond the pilot's VaR (the cross-entropy
    choice) and tilts discrete outcomes halfway to their frequencies there. ``sobol`` turns correlated normals to their
    principal components. Single precision does for all of them.

    References
    ----------
    Glasserman (2003), Monte Carlo Methods in Financial Engineering, 4.3 and 4.6; Rubinstein and Kroese (2004), The
    Cross-Entropy Method.

    Examples
    --------
    >>> from riskops.models import GeometricBrownianMotion
    >>> from riskops.schema import variable
    >>> model = GeometricBrownianMotion(("A", "B"), np.zeros(2), np.array([0.2, 0.3]), np.eye(2))
    >>> names = {"portfolio": ["p"], "asset": ["A", "B"]}
    >>> book = xr.Dataset({"exposure": variable("exposure", ("portfolio", "asset"), [[1.0, 1.0]], coords=names)})
    >>> found = arrange(SimulationSpec(model, paths=4096, seed=1), book=book, method="stratified")
    >>> [round(x, 2) for x in found.sampling.direction["diffusion"]]
    [-0.55, -0.83]
    """
    check_one_of("sampling.method", method, tuple(METHODS))
    plain = replace(spec, sampling=Sampling())
    last = spec.steps if horizon is None else spec.step_of(horizon, name="sampling.horizon")
    if method == "sobol":
        found = Sampling("sobol", replicates=replicates, dimensions=dimensions, steps=last, rotation=_components(plain))
    elif method in ("importance", "stratified"):
        names = [str(name) for name in book["portfolio"].values]
        if portfolio is not None and portfolio not in names:
            raise InputError(f"sampling.portfolio: {portfolio!r} is not among {', '.join(names)}")
        chosen = book.sel(portfolio=[names[0] if portfolio is None else portfolio])
        pilot = _Pilot(plain, chosen, last)
        found = pilot.stratified() if method == "stratified" else pilot.importance(check_level("level", level))
    else:
        if method == "control_variate":
            check_controlled(plain.model)
        found = Sampling(method)  # type: ignore[arg-type]
    return replace(spec, sampling=found)


class _Pilot:
    """The losses of the pilot paths, and the sums of their draws over the steps."""

    def __init__(self, spec: SimulationSpec, book: xr.Dataset, last: int) -> None:
        self.spec, self.last = replace(spec, dtype="float32", paths=PILOT_PATHS), last
        model = self.spec.model
        job = path_job(self.spec, times=[self.spec.time_of(last)])
        tables = model.tables(self.spec.step_years)
        growth: list[npt.NDArray[Any]] = []
        sums: list[dict[str, Floats]] = []
        counts: dict[str, list[npt.NDArray[np.int8]]] = {}
        for first in range(MAX_PATHS - PILOT_PATHS, MAX_PATHS, _BLOCK):
            counters = tile_counters(first, _BLOCK)
            growth.append(job.block(counters, _BLOCK)[0])
            draws = Draws(
                model.shocks,
                Sampling(),
                seed=self.spec.seed,
                n=_BLOCK,
                assets=len(model.assets),
                dtype=np.dtype(np.float32),
                tables=tables,
            )
            draws.start(counters)
            total = {
                shock.name: np.zeros(array.shape)
                for shock, array in zip(model.shocks, draws.arrays, strict=True)
                if shock.kind == "normal"
            }
            for step in range(1, last + 1):
                draws.draw(step)
                for shock, array in zip(model.shocks, draws.arrays, strict=True):
                    if shock.kind == "normal":
                        total[shock.name] += array
                    elif shock.kind == "outcome" and shock.table is not None:
                        counts.setdefault(shock.name, []).append(_outcomes(array, tables[shock.table]))
            sums.append(total)
        self.sums = {name: np.concatenate([total[name] for total in sums], axis=1) for name in sums[0]}
        blocks = len(sums)
        #: outcomes ``(factor, step, path)`` of each outcome shock
        self.outcomes = {
            name: np.concatenate([np.stack(found[b * last : (b + 1) * last], axis=1) for b in range(blocks)], axis=2)
            for name, found in counts.items()
        }
        self.tables = tables
        paths = xr.Dataset(
            {
                "log_growth": (
                    ("time", "asset", "path"),
                    np.concatenate(growth, axis=-1),
                )
            },
            coords={"time": [self.spec.time_of(last)], "asset": list(model.assets)},
        )
        self.loss: Floats = portfolio_loss(paths, book=book)["loss"].values.reshape(-1)

    def stratified(self) -> Sampling:
        if not self.sums:
            raise InputError(f"sampling.method: stratified arranges normals, and model {self.spec.model.kind} has none")
        stacked = np.concatenate(list(self.sums.values()))
        with pinned_threads():
            centred = self.loss - self.loss.mean()
            slopes = np.linalg.lstsq(stacked.T, centred, rcond=None)[0]
        length = float(np.sqrt(np.sum(slopes * slopes)))
        if not length > 0.0:
            raise InputError("sampling.portfolio: its loss depends on no draw")
        return Sampling("stratified", steps=self.last, direction=self._by_shock(slopes / length))

    def importance(self, level: float) -> Sampling:
        beyond = self.loss > np.sort(self.loss)[order_index(level, len(self.loss)) - 1]
        if not beyond.any():
            raise InputError("sampling.portfolio: its loss depends on no draw")
        shift = {name: total[:, beyond].mean(axis=1) / self.last for name, total in self.sums.items()}
        tilt = {}
        for shock in self.spec.model.shocks:
            if shock.name in self.outcomes and shock.table is not None:
                limits = np.atleast_2d(self.tables[shock.table]).astype(np.float64)
                edges = np.concatenate([np.zeros((len(limits), 1)), limits, np.full((len(limits), 1), 2.0**32)], axis=1)
                own = np.diff(edges, axis=1) / 2.0**32
                there = self.outcomes[shock.name][:, :, beyond]
                seen = np.stack([(there == k).mean(axis=(1, 2)) for k in range(own.shape[1])], axis=1)
                tilt[shock.name] = tuple((KEPT_SHARE * own + (1.0 - KEPT_SHARE) * seen).reshape(-1).tolist())
        return Sampling("importance", shift={k: tuple(v.tolist()) for k, v in shift.items()}, tilt=tilt)

    def _by_shock(self, vector: Floats) -> Mapping[str, tuple[float, ...]]:
        out, first = {}, 0
        for name, total in self.sums.items():
            out[name] = tuple(vector[first : first + len(total)].tolist())
            first += len(total)
        return out


def _outcomes(words: npt.NDArray[Any], limits: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """How many thresholds are not above each word, ``(factor, path)``."""
    table = np.atleast_2d(limits)
    rows = [np.searchsorted(table[min(f, len(table) - 1)], row, side="right") for f, row in enumerate(words)]
    return np.stack(rows).astype(np.int8)


def _components(spec: SimulationSpec) -> dict[str, tuple[float, ...]]:
    """For every mixed shock, the orthogonal matrix whose columns turn components into its normals: ``L V = U S``."""
    tables = spec.model.tables(spec.step_years)
    out = {}
    with pinned_threads():
        for shock in spec.model.shocks:
            if shock.mixing is not None and shock.selector is None:
                _, _, right = np.linalg.svd(tables[shock.mixing])
                out[shock.name] = tuple(np.ascontiguousarray(right.T).reshape(-1).tolist())
    return out
