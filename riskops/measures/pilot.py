"""Where the losses come from: a pilot that finds the directions, shifts and tilts that a sampling method needs.

The pilot draws plain paths that no run uses, the last ones that the generator can number, and looks at the loss of one
portfolio at one horizon. It runs once, before the graph, like a calibration, and what it finds is part of the spec.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from riskops.simulation.draws import Draws, outcome_ends
from riskops.simulation.sampling import PILOT_PATHS
from riskops.threads import pinned_threads

__all__ = ["arrange"]

Floats = npt.NDArray[np.float64]

#: Part of a tilted distribution that stays the model's own.
KEPT_SHARE = 0.5
#: Paths that the pilot works through at once.
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
    if last < 1:
        raise InputError(f"sampling.horizon: {horizon!r} days is before the first step")
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
    """The losses of the pilot paths; their draws are made again where they are looked at, and never kept."""

    def __init__(self, spec: SimulationSpec, book: xr.Dataset, last: int) -> None:
        self.spec, self.last = replace(spec, dtype="float32", paths=PILOT_PATHS), last
        self.tables = spec.model.tables(spec.step_years)
        time = spec.time_of(last)
        job = path_job(self.spec, times=[time])
        growth = [job.block(self._counters(block), _BLOCK)[0] for block in self._blocks()]
        paths = xr.Dataset(
            {"log_growth": (("time", "asset", "path"), np.concatenate(growth, axis=-1))},
            coords={"time": [time], "asset": list(spec.assets)},
        )
        self.loss: Floats = portfolio_loss(paths, book=book)["loss"].values.reshape(-1)

    def stratified(self) -> Sampling:
        names = [shock.name for shock in self.spec.model.shocks if shock.kind == "normal"]
        if not names:
            raise InputError(
                f"sampling.method: stratified arranges normals, and model {self.spec.model.kind} draws none; "
                "antithetic serves it"
            )
        sums = {name: np.zeros((self._factors(name), PILOT_PATHS)) for name in names}
        for block, drawn in self._draws():
            for name in names:
                sums[name][:, block] += drawn[name]
        with pinned_threads():
            centred = self.loss - self.loss.mean()
            slopes = np.linalg.lstsq(np.concatenate(list(sums.values())).T, centred, rcond=None)[0]
        length = float(np.sqrt(np.sum(slopes * slopes)))
        if not length > 0.0:
            raise InputError("sampling.portfolio: its loss depends on no normal")
        parts = np.split(slopes / length, np.cumsum([len(sums[name]) for name in names])[:-1])
        direction = {name: tuple(part.tolist()) for name, part in zip(names, parts, strict=True)}
        return Sampling("stratified", steps=self.last, direction=direction)

    def importance(self, level: float) -> Sampling:
        kinds = {shock.name: shock.kind for shock in self.spec.model.shocks}
        normals = [name for name, kind in kinds.items() if kind == "normal"]
        ends = {
            shock.name: outcome_ends(self.tables[shock.table], self._factors(shock.name)).astype(np.int64)
            for shock in self.spec.model.shocks
            if shock.kind == "outcome" and shock.table is not None
        }
        if not normals and not ends:
            raise InputError(
                f"sampling.method: importance moves normals and outcomes, and model {self.spec.model.kind} draws none; "
                "antithetic serves it"
            )
        beyond = self._beyond(level)
        shift = {name: np.zeros(self._factors(name)) for name in normals}
        seen = {name: np.zeros((len(edges), edges.shape[1] - 1)) for name, edges in ends.items()}
        for block, drawn in self._draws():
            there = beyond[block]
            for name in normals:
                shift[name] += drawn[name][:, there].sum(axis=1, dtype=np.float64)
            for name, edges in ends.items():
                for f, words in enumerate(drawn[name][:, there]):
                    outcome = np.searchsorted(edges[f, 1:-1], words, side="right")
                    seen[name][f] += np.bincount(outcome, minlength=edges.shape[1] - 1)
        draws = self.last * np.count_nonzero(beyond)
        tilt = {
            name: KEPT_SHARE * np.diff(ends[name], axis=1) / 2.0**32 + (1.0 - KEPT_SHARE) * seen[name] / draws
            for name in ends
        }
        return Sampling(
            "importance",
            shift={name: tuple((total / draws).tolist()) for name, total in shift.items()},
            tilt={name: tuple(probability.reshape(-1).tolist()) for name, probability in tilt.items()},
        )

    def _beyond(self, level: float) -> npt.NDArray[np.bool_]:
        """Which paths lose more than the pilot's VaR."""
        ascending = np.sort(self.loss)
        if ascending[0] == ascending[-1]:
            raise InputError("sampling.portfolio: its loss depends on no draw")
        beyond = self.loss > ascending[order_index(level, PILOT_PATHS) - 1]
        if not beyond.any():
            raise InputError(f"sampling.level: no path of the pilot, of {PILOT_PATHS}, lies beyond {level!r}")
        return beyond

    def _blocks(self) -> Iterator[slice]:
        return (slice(first, first + _BLOCK) for first in range(0, PILOT_PATHS, _BLOCK))

    def _counters(self, block: slice) -> npt.NDArray[np.uint32]:
        return tile_counters(MAX_PATHS - PILOT_PATHS + block.start, _BLOCK)

    def _factors(self, name: str) -> int:
        (shock,) = (shock for shock in self.spec.model.shocks if shock.name == name)
        return shock.count(len(self.spec.assets))

    def _draws(self) -> Iterator[tuple[slice, Mapping[str, npt.NDArray[Any]]]]:
        """The draws by shock, of every block of paths and every step."""
        shocks = self.spec.model.shocks
        draws = Draws(
            shocks,
            Sampling(),
            seed=self.spec.seed,
            n=_BLOCK,
            assets=len(self.spec.assets),
            dtype=np.dtype(np.float32),
            tables=self.tables,
        )
        for block in self._blocks():
            draws.start(self._counters(block))
            for step in range(1, self.last + 1):
                draws.draw(step)
                yield block, {shock.name: array for shock, array in zip(shocks, draws.arrays, strict=True)}


def _components(spec: SimulationSpec) -> dict[str, tuple[float, ...]]:
    """For every mixed shock, the orthogonal matrix whose columns turn components into its normals: ``L V = U S``; where
    it takes common normals, into these, whose weights are all columns but the last."""
    tables = spec.model.tables(spec.step_years)
    out = {}
    with pinned_threads():
        for shock in spec.model.shocks:
            if shock.mixing is not None and shock.selector is None:
                matrix = tables[shock.mixing] if shock.common is None else tables[shock.mixing][:, :-1]
                _, _, right = np.linalg.svd(matrix, full_matrices=matrix.shape[0] <= matrix.shape[1])
                out[shock.common or shock.name] = tuple(np.ascontiguousarray(right.T).reshape(-1).tolist())
    return out
