"""The contract of a simulation model: a frozen value with named parameters, declared shocks and one scalar step.

A model knows nothing of generators, chunks or Dask. For every step the engine draws the shocks that the model declares
into blocks whose last axis runs over paths, mixes them where a mixing matrix is declared, and calls ``advance``, which
moves the states in place: a short compiled loop over the model's scalar ``step``, both at module level in the model's
file. Everything that depends on the length of a step is made once, on the host, by ``tables``.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.errors import InputError

__all__ = ["Array", "Model", "Shock", "State"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class State:
    """One state variable of a model.

    ``per="asset"`` gives an array ``(asset, path)``, ``per="shared"`` one row ``(1, path)``; ``kind="real"`` is stored
    in the simulation's dtype, ``kind="index"`` as int32 (a regime). The first state of every model is ``log_growth``.
    """

    name: str
    per: Literal["asset", "shared"] = "asset"
    kind: Literal["real", "index"] = "real"


@dataclass(frozen=True)
class Shock:
    """One source of randomness, drawn anew at each step; its position among a model's shocks is its ``stream``.

    kind
        ``normal``: standard normals; quantiles of other distributions are read off a table at them
        (:func:`riskops.tables.tabulate`), which lets every way of sampling that works on normals work on them too.
        ``uniform``: signed folded probabilities, ``+p`` for the quantile p <= 1/2 and ``-p`` for the quantile 1 - p, so
        that both tails keep full precision. ``outcome``: int32 counts of the thresholds of a table that are not above
        the word (Poisson counts). ``word``: the uint32 word itself, for thresholds that depend on the state. ``rows``:
        rows of a historical table, drawn with equal probability.
    per
        ``asset`` draws one factor an asset, ``shared`` a single factor, ``factor`` as many as ``factors`` says;
        ``rows`` shared by all assets takes one row for all of them, which keeps their dependence.
    mixing
        For normals: the name of the table ``(asset, asset)``, lower triangular, that the draws are multiplied with;
        with ``selector`` it is ``(state, asset, asset)`` and the named index state picks the matrix of each path; with
        ``common`` it is ``(asset, factor + 1)``, the loadings on the common normals and, last, the weight of the
        asset's own.
    factors, common
        ``factors``: how many normals a shock per ``factor`` draws. ``common``: on a mixed shock, the name of that
        shock. Only a model's value knows the number, so the class declares neither:
        :func:`riskops.models.factor_structure.with_factors` adds them.
    table
        For ``rows``: the name of the table ``(row, asset)``. For ``outcome``: that of the integer thresholds, ``(asset,
        outcome - 1)`` or ``(1, outcome - 1)`` when shared, as :func:`riskops.tables.poisson_thresholds` makes them.
    """

    name: str
    kind: Literal["normal", "uniform", "outcome", "word", "rows"] = "normal"
    per: Literal["asset", "shared", "factor"] = "asset"
    mixing: str | None = None
    selector: str | None = None
    table: str | None = None
    factors: int = 0
    common: str | None = None

    def __post_init__(self) -> None:
        if self.mixing is not None and (self.kind != "normal" or self.per != "asset"):
            raise InputError(f"shock {self.name}: mixing needs normals per asset")
        if self.selector is not None and self.mixing is None:
            raise InputError(f"shock {self.name}: selector needs mixing")
        if (self.table is not None) != (self.kind in ("outcome", "rows")):
            raise InputError(f"shock {self.name}: kinds 'outcome' and 'rows' take a table, the others none")
        if (self.per == "factor") != (self.factors > 0) or (self.per == "factor" and self.kind != "normal"):
            raise InputError(f"shock {self.name}: normals per factor, and they alone, say how many factors there are")
        if self.common is not None and (self.mixing is None or self.selector is not None):
            raise InputError(f"shock {self.name}: common needs mixing without a selector")

    def count(self, assets: int) -> int:
        """How many numbers a path draws of it in a step."""
        return {"asset": assets, "shared": 1, "factor": self.factors}[self.per]


@dataclass(frozen=True, eq=False)
class Model(ABC):
    """A simulation model: subclass it as a frozen dataclass whose fields are ``assets`` and the parameters."""

    assets: tuple[str, ...]

    #: The name it is registered under, its states (``log_growth`` first) and its shocks, in the order of their streams.
    #: A model whose correlation is by factors has one shock more than its class, behind the others.
    kind: ClassVar[str]
    states: ClassVar[tuple[State, ...]] = (State("log_growth"),)
    shocks: ClassVar[tuple[Shock, ...]]

    #: Whether today's price enters the dynamics (a peg, a barrier). An instant price move then has to be simulated from
    #: its own start; otherwise it is added to the log growth of the unshocked paths, which are the same.
    price_enters_dynamics: ClassVar[bool] = False

    #: Whether the initial states are drawn: the engine then draws every shock once more, as step 0, for ``begin``.
    draws_start: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def fit(cls, returns: xr.Dataset, *, days_per_year: float = 252.0) -> Self:
        """Estimate the parameters from the ``log_return`` ``(observation, asset)`` of ``returns``.

        A model may take more keyword arguments, all with defaults. One whose fit adjusts anything also has a class
        method ``calibrate`` with the arguments of ``fit``, which returns a :class:`riskops.models.Calibration`.
        """

    @abstractmethod
    def tables(self, step_years: float) -> Mapping[str, Array]:
        """Everything that the kernels need for steps of ``step_years``, by name, computed on the host.

        Real tables are float64 here and reach ``advance`` in the simulation's dtype; integer tables (the thresholds
        that words are compared with) reach it as they are, because float32 would not hold them.
        """

    @staticmethod
    @abstractmethod
    def advance(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Move every state by one step, in place.

        Blocks are ``(asset or 1, path)``, real tables in the simulation's dtype. Shocks that a selector mixes were
        mixed with the index state as it was before the step.
        """

    @staticmethod
    def begin(state: Mapping[str, Array], shocks: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        """Draw the initial states, in place, from the values of ``start``; called where ``draws_start`` is true."""
        raise InputError("begin: the model draws its initial states but does not say how")

    def start(self) -> Mapping[str, npt.NDArray[np.float64]]:
        """The initial value ``(asset,)`` or ``(1,)`` of every state; zero unless a model says otherwise."""
        return {s.name: np.zeros(len(self.assets) if s.per == "asset" else 1) for s in self.states}

    def shocked(self, *, volatility: float = 1.0, correlation: float = 0.0, drift: float = 0.0) -> Self:
        """The model under a scenario: volatilities multiplied, correlations moved towards one by a share in [0, 1), a
        yearly drift added.

        A model for which one of them has no meaning refuses it.
        """
        if (volatility, correlation, drift) == (1.0, 0.0, 0.0):
            return self
        raise InputError(f"model {self.kind}: volatility, correlation and drift shocks do not apply to it")

    def mean_log_growth(self, years: float) -> npt.NDArray[np.float64]:
        """The exact mean ``(asset,)`` of log growth after ``years``, where it is known."""
        raise InputError(f"model {self.kind}: the mean of its log growth is not known in closed form")

    def covariance_log_growth(self, years: float) -> npt.NDArray[np.float64]:
        """The exact covariance ``(asset, asset)`` of log growth after ``years``, where it is known."""
        raise InputError(f"model {self.kind}: the covariance of its log growth is not known in closed form")

    def mean_simple_return(self, years: float) -> npt.NDArray[np.float64]:
        """The exact mean ``(asset,)`` of the simple return after ``years``, where it is known: what control variates
        need."""
        raise InputError(f"model {self.kind}: the mean of its simple return is not known in closed form")

    def parameters(self) -> dict[str, Any]:
        """The parameters by name, as JSON holds them exactly (a float prints as the shortest text that reads back)."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "assets"}
        return {name: _plain(value) for name, value in named.items()}

    def record(self) -> dict[str, Any]:
        """The model as a plain mapping from which :func:`riskops.models.from_record` makes it again, bit for bit."""
        return {"kind": self.kind, "assets": list(self.assets), "parameters": self.parameters()}

    def fingerprint(self) -> str:
        """The sha256 of the record: equal for equal models, in every process."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        text = json.dumps(self.record(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.fingerprint() == self.fingerprint()

    def __hash__(self) -> int:
        return hash(self.fingerprint())

    def __dask_tokenize__(self) -> object:
        return (type(self).__module__, type(self).__qualname__, self.fingerprint())


def _plain(value: Any) -> Any:
    """A parameter as JSON holds it: an array as lists, a part with a record of its own by that."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.record() if hasattr(value, "record") else value
