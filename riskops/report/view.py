"""Reading results by name: each number that a table, a plot or a sentence shows is looked up here, so views agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops import schema
from riskops.errors import InputError
from riskops.report.formatting import DASH, Figure, Money, count_text, horizon_text, level_text

__all__ = ["BASE", "Contribution", "ShapeRow", "StressRow", "SummaryRow", "View"]

BASE = "base"
_NOTHING = Figure(None)
#: What the switches of a configuration leave out.
_LEFT_OUT = {"dependence": "correlations of returns", "contributions": "contributions of the assets"}


@dataclass(frozen=True)
class SummaryRow:
    """Simulated and historical tail risk of one portfolio at one horizon and level."""

    horizon: float
    level: float
    value_at_risk: Figure
    expected_shortfall: Figure
    historical_value_at_risk: Figure
    historical_expected_shortfall: Figure

    @property
    def too_few(self) -> bool:
        """Whether there is a historical figure that has no error, for want of observations."""
        past = (self.historical_value_at_risk, self.historical_expected_shortfall)
        return any(figure.value is not None and figure.standard_error is None for figure in past)


@dataclass(frozen=True)
class StressRow:
    """One scenario: its instant loss, the tail risk after it, and the change against the base."""

    scenario: str
    stress_loss: Figure
    stress_drawdown: Figure
    value_at_risk: Figure
    expected_shortfall: Figure
    value_at_risk_change: Figure
    expected_shortfall_change: Figure


@dataclass(frozen=True)
class ShapeRow:
    """The moments of one portfolio's loss at one horizon."""

    horizon: float
    mean_loss: Figure
    loss_standard_deviation: Figure
    loss_skewness: Figure
    loss_excess_kurtosis: Figure


@dataclass(frozen=True)
class Contribution:
    """One asset's exposure and its share in the tail risk; the last row may combine many small ones."""

    asset: str
    exposure: Figure
    value_at_risk: Figure
    expected_shortfall: Figure


class View:
    """A results Dataset that answers for single figures by coordinate.

    A coordinate that the results do not have (no ``scenario`` when nothing was stressed) is passed over; a label that
    an existing coordinate lacks is an error.
    """

    def __init__(self, results: xr.Dataset) -> None:
        self.results = schema.validate(results, "value_at_risk", "expected_shortfall")
        self.attrs = dict(results.attrs)
        for dim in ("horizon", "level"):
            if not self.results.sizes.get(dim) or dim not in self.results.coords:
                raise InputError(f"{dim}: the results have no labels of this dim")
        self._arrays: dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]] = {}

    @cached_property
    def _labels(self) -> dict[str, list[Any]]:
        return {str(dim): self.results[dim].values.tolist() for dim in self.results.dims if dim in self.results.coords}

    def labels(self, dim: str) -> list[Any]:
        """The labels of a dim in their order; none when the results lack it."""
        return self._labels.get(dim, [])

    def array(self, name: str, **where: Any) -> npt.NDArray[Any]:
        """The values of a variable at some labels, the dims that are not named kept in order."""
        if name not in self._arrays:
            schema.validate(self.results, name)
            array = self.results[name]
            self._arrays[name] = (tuple(map(str, array.dims)), array.values)
        dims, values = self._arrays[name]
        return np.asarray(
            values[tuple(self._position(dim, where[dim]) if dim in where else slice(None) for dim in dims)]
        )

    @cached_property
    def _positions(self) -> dict[str, dict[Any, int]]:
        return {dim: {label: k for k, label in enumerate(labels)} for dim, labels in self._labels.items()}

    def _position(self, dim: str, label: Any) -> int:
        found = self._positions.get(dim, {}).get(label)
        if found is None:
            known = ", ".join(map(str, self.labels(dim)[:20]))
            raise InputError(f"{dim}: {label!r} is not in the results, which have {known}")
        return found

    def figure(self, measure: str, **where: Any) -> Figure:
        """One figure with its error; the empty figure when the results lack the measure or it does not apply."""
        if measure not in self.results:
            return _NOTHING
        numbers = [_finite(self.array(measure, **where))]
        for suffix in schema.ERROR_SUFFIXES:
            name = measure + suffix
            numbers.append(_finite(self.array(name, **where)) if name in self.results else None)
        return _NOTHING if numbers[0] is None else Figure(*numbers)

    # -- what is in the results -----------------------------------------------------------------------------------

    @property
    def portfolios(self) -> list[str]:
        """The portfolios; one without a name when the results have no such dim."""
        return [str(name) for name in self.labels("portfolio")] or [""]

    def largest(self, most: int | None) -> list[str]:
        """The portfolios in their order; of more than ``most`` those of the largest expected shortfall, largest first.

        Judged in the base scenario at the longest horizon and the highest level. None is for all of them, in the order
        in which those that are left out would follow.
        """
        names = self.portfolios
        if most is not None and len(names) <= most:
            return names
        at: dict[str, Any] = {"horizon": self.horizons[-1], "level": self.levels[-1]}
        size = {n: self.figure("expected_shortfall", scenario=BASE, portfolio=n, **at).value for n in names}
        return sorted(names, key=lambda name: -(size[name] or 0.0))[:most]

    @property
    def horizons(self) -> list[float]:
        return sorted(self.labels("horizon"))

    @property
    def levels(self) -> list[float]:
        return sorted(self.labels("level"))

    @property
    def stressed(self) -> list[str]:
        """The scenarios other than the base."""
        return [str(name) for name in self.labels("scenario") if name != BASE]

    def text(self, attribute: str) -> str:
        """An attribute of the run for people; a dash when it was not given."""
        return count_text(self.attrs[attribute]) if attribute in self.attrs else DASH

    def portfolio_value(self, portfolio: str) -> float | None:
        """Today's value of a portfolio, None when the results do not state it."""
        return self.figure("portfolio_value", portfolio=portfolio).value

    def money(self, portfolio: str) -> Money:
        """How this portfolio's amounts are written; the unit is the same for all portfolios."""
        currency = str(self.attrs.get("currency", schema.MONEY))
        return Money.fit(currency, scale=self._scale(portfolio), largest=self._largest)

    @cached_property
    def _largest(self) -> float:
        return max(self._scale(name) for name in self.portfolios)

    def _scale(self, portfolio: str) -> float:
        scale = abs(self.portfolio_value(portfolio) or 0.0)
        if "exposure" in self.results:
            scale = max(scale, float(np.abs(self.array("exposure", portfolio=portfolio)).sum()))
        if scale == 0.0:
            scale = float(np.nanmax(np.abs(self.array("value_at_risk", portfolio=portfolio)), initial=0.0))
        return scale

    # -- the rows of tables ---------------------------------------------------------------------------------------

    def summary(self, portfolio: str) -> list[SummaryRow]:
        """The rows of the summary table: every horizon and level of the base scenario."""
        rows = []
        for horizon in self.horizons:
            for level in self.levels:
                where = {"portfolio": portfolio, "horizon": horizon, "level": level}
                rows.append(
                    SummaryRow(
                        horizon,
                        level,
                        self.figure("value_at_risk", scenario=BASE, **where),
                        self.figure("expected_shortfall", scenario=BASE, **where),
                        self.figure("historical_value_at_risk", **where),
                        self.figure("historical_expected_shortfall", **where),
                    )
                )
        return rows

    def shape(self, portfolio: str) -> list[ShapeRow]:
        """The rows of the moments' table: every horizon of the base scenario; none when no moment is given."""
        names = ("mean_loss", "loss_standard_deviation", "loss_skewness", "loss_excess_kurtosis")
        if not any(name in self.results for name in names):
            return []
        return [
            ShapeRow(h, *(self.figure(name, scenario=BASE, portfolio=portfolio, horizon=h) for name in names))
            for h in self.horizons
        ]

    def stress(self, portfolio: str, *, horizon: float, level: float) -> list[StressRow]:
        """The rows of the stress table, the base first; none when nothing was stressed."""
        rows = []
        for scenario in [BASE, *self.stressed] if self.stressed else []:
            at = {"scenario": scenario, "portfolio": portfolio}
            tail = at | {"horizon": horizon, "level": level}
            change = scenario != BASE  # the base's change against itself is no figure
            rows.append(
                StressRow(
                    scenario,
                    self.figure("stress_loss", **at) if change else _NOTHING,
                    self.figure("stress_drawdown", **at),
                    self.figure("value_at_risk", **tail),
                    self.figure("expected_shortfall", **tail),
                    self.figure("value_at_risk_change", **tail) if change else _NOTHING,
                    self.figure("expected_shortfall_change", **tail) if change else _NOTHING,
                )
            )
        return rows

    def contributions(self, portfolio: str, *, horizon: float, level: float, most: int = 30) -> list[Contribution]:
        """The assets of a portfolio by contribution to expected shortfall, the smallest beyond ``most`` combined."""
        if "component_expected_shortfall" not in self.results:
            return []
        where = {"portfolio": portfolio, "horizon": horizon, "level": level}
        rows = [
            Contribution(
                str(asset),
                self.figure("exposure", portfolio=portfolio, asset=asset),
                self.figure("component_value_at_risk", asset=asset, **where),
                self.figure("component_expected_shortfall", asset=asset, **where),
            )
            for asset in self.labels("asset")
        ]
        rows = [row for row in rows if any(figure.value for figure in (row.exposure, row.expected_shortfall))]
        rows.sort(key=lambda row: -(row.expected_shortfall.value or 0.0))
        if len(rows) <= most:
            return rows
        ranked = sorted(rows, key=lambda row: -abs(row.expected_shortfall.value or 0.0))
        shown = {row.asset for row in ranked[: most - 1]}
        rest = [row for row in rows if row.asset not in shown]
        sums = [
            Figure(math.fsum(getattr(row, name).value or 0.0 for row in rest))
            for name in ("exposure", "value_at_risk", "expected_shortfall")
        ]
        return [*(row for row in rows if row.asset in shown), Contribution(f"{len(rest)} other assets", *sums)]

    def effective_observations(self) -> dict[float, float]:
        """Independent observations behind the historical figures by horizon; empty when the results do not say."""
        if "historical_value_at_risk" not in self.results:
            return {}
        given = self.results["historical_value_at_risk"].attrs.get("effective_observations")
        numbers = [] if given is None else np.atleast_1d(given).tolist()
        return dict(zip(self.labels("horizon"), numbers, strict=False))

    def correlation(self, horizon: float, *, most: int) -> tuple[list[str], npt.NDArray[Any]]:
        """Names and correlations of the assets; of more than ``most``, those with the largest exposure."""
        values = self.array("correlation", horizon=horizon)
        names = [str(name) for name in self.labels("asset")]
        if len(names) > most:
            size = np.ones(len(names))
            if "exposure" in self.results:
                size = np.abs(self.array("exposure")).reshape(-1, len(names)).sum(axis=0)
            kept = np.sort(np.argsort(-size, kind="stable")[:most])
            values, names = values[np.ix_(kept, kept)], [names[i] for i in kept]
        return names, values

    @property
    def weighted(self) -> bool:
        """Whether the histogram sums weights of paths."""
        return self.attrs.get("sampling") == "importance"

    # -- words ----------------------------------------------------------------------------------------------------

    def facts(self) -> list[tuple[str, str]]:
        """What a reader must know of any figure: when, from which data, by which model and with how many paths."""
        observations = self.text("window_observations")
        return [
            ("As of", self.text("as_of")),
            (
                "Calibration window",
                f"{self.text('window_start')} to {self.text('window_end')} ({observations} observations)",
            ),
            ("Model", self.text("model")),
            ("Paths", f"{self.text('paths')} (seed {self.attrs.get('seed', DASH)}, {self.text('dtype')})"),
            ("Horizons", ", ".join(horizon_text(horizon) for horizon in self.horizons)),
            *((("Sampling", self.text("sampling")),) if self.attrs.get("sampling", "plain") != "plain" else ()),
            *((("Target", target_text(self.attrs["target"], self.attrs)),) if "target" in self.attrs else ()),
            *((("Left out", left_out_text(self.attrs["left_out"])),) if self.attrs.get("left_out") else ()),
            *(("Adjusted", str(line)) for line in self.attrs.get("adjustments", ())),
        ]


def left_out_text(names: Sequence[str]) -> str:
    """What a run was asked not to compute, in words."""
    return ", ".join(f"{_LEFT_OUT[name]} (risk.{name}: false)" for name in names)


def target_text(target: Mapping[str, Any], attrs: Mapping[str, Any]) -> str:
    """What became of a target accuracy, in a line."""
    at = "" if target["measure"] == "mean_loss" else f" at {level_text(target['level'])}"
    got = "without an error" if target["reached"] is None else f"{target['reached']:.3g}"
    said = "met" if target["met"] else "NOT met"
    what = str(target["measure"]).replace("_", " ")
    return (
        f"relative error of {what}{at} within {target['relative_error']:g}: {said}, {got} at {attrs['paths']:,} paths"
    )


def _finite(value: npt.NDArray[Any]) -> float | None:
    if value.ndim:
        raise InputError(f"figure: dims of shape {value.shape} are left open")
    number = float(value)
    return number if math.isfinite(number) else None
