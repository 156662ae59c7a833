"""Reading a backtest by name: each number that a table, plot or sentence shows is looked up here, so views agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from riskops.errors import InputError
from riskops.report.formatting import DASH, level_text

__all__ = ["FAMILIES", "BacktestView", "MethodRow", "family_of", "score_text"]

#: What a test looks at, by its name; a test of another name is one of its own family.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "coverage": ("kupiec", "binomial", "time_until_first_failure", "traffic_light"),
    "independence": ("independence", "weibull_durations"),
    "conditional coverage": ("conditional_coverage", "time_between_failures", "mixed_kupiec", "dynamic_quantile"),
    "distribution": ("berkowitz", "berkowitz_tail"),
    "expected shortfall": (
        *("z1", "z2", "z3", "exceedance_residuals", "costanzino_curran", "du_escanciano", "shortfall_regression"),
        *("shortfall_intercept", "calibration", "calibration_one_sided", "calibration_general"),
    ),
}
_OTHER = "other tests"
#: Scores that rank methods, the first that the results have.
_RANKED = ("fissler_ziegel", "fissler_ziegel_half", "tick")
_USUAL = 0.99


def family_of(test: str) -> str:
    """The family of a test.

    Examples
    --------
    >>> family_of("kupiec")
    'coverage'
    """
    return next((family for family, tests in FAMILIES.items() if test in tests), _OTHER)


def score_text(score: float | None, name: str | None) -> str:
    """A score: those of Fissler and Ziegel have no unit, a tick loss is a small part of the value."""
    if score is None or not np.isfinite(score):
        return DASH
    return f"{score:.3e}" if name == "tick" else f"{score:.4f}"


@dataclass(frozen=True)
class MethodRow:
    """What is said of one method at one level, over all series; what is not known is None."""

    method: str
    rank: int | None
    breach_rate: float | None
    rejected: Mapping[str, float | None]
    all_rejected: float | None
    tests: int
    score: float | None
    in_sets: int | None
    right_number_on: int | None


class BacktestView:
    """Results of a backtest that answer by method, series and level.

    It reads a variable when it is asked for it, and only the part that it is asked for: the forecasts of a large run
    are many. Labels are told by their dims, ``asset`` or ``portfolio`` being that of the series.
    """

    def __init__(self, results: xr.Dataset) -> None:
        self.results = results
        self.attrs = dict(results.attrs)

    # -- labels -------------------------------------------------------------------------------------------------------

    @cached_property
    def series_dim(self) -> str:
        """The dim of the series."""
        found = [dim for dim in ("asset", "portfolio") if dim in self.results.dims]
        if len(found) != 1:
            raise InputError(f"results: they need one of the dims asset and portfolio; they have {found or 'neither'}")
        return found[0]

    def labels(self, dim: str) -> list[Any]:
        """The labels of a dim in their order; none where the results lack it."""
        return list(self.results[dim].values.tolist()) if dim in self.results.coords else []

    @cached_property
    def methods(self) -> list[str]:
        """The methods, in the order of the results."""
        return [str(name) for name in self.labels("method")]

    @cached_property
    def series(self) -> list[str]:
        """The series, in the order of the results."""
        return [str(name) for name in self.labels(self.series_dim)]

    @cached_property
    def levels(self) -> list[float]:
        """The levels, ascending."""
        return sorted(float(level) for level in self.labels("level"))

    @cached_property
    def tests(self) -> list[str]:
        """The tests, in the order of the results."""
        return [str(name) for name in self.labels("test")]

    @cached_property
    def nulls(self) -> dict[str, str]:
        """The null hypothesis of each test, where the results say it."""
        return dict(zip(self.tests, map(str, self.labels("null_hypothesis")), strict=False))

    @cached_property
    def families(self) -> list[str]:
        """The families of the tests that there are."""
        return [name for name in (*FAMILIES, _OTHER) if any(family_of(test) == name for test in self.tests)]

    @property
    def size(self) -> float:
        """The size of the tests, 5 % unless the results say another."""
        return float(self.attrs.get("size", 0.05))

    def level(self, level: float | None = None) -> float:
        """A level of the results; without one 99 % where it is there, else the highest but one."""
        if level is None:
            return _USUAL if _USUAL in self.levels else self.levels[-min(2, len(self.levels))]
        return float(self._known("level", level))

    def one_series(self, series: str | None = None) -> str:
        """A series of the results; without one the first."""
        return self.series[0] if series is None else str(self._known(self.series_dim, series))

    def main_series(self, most: int = 2) -> list[str]:
        """The series that are drawn: portfolios, which come last, and the series before them; else the first ones."""
        if len(self.series) <= most or str(self.attrs.get("weights", "{}")) != "{}":
            return self.series[::-1][:most]
        return self.series[:most]

    def _known(self, dim: str, label: Any) -> Any:
        if label not in self.labels(dim):
            raise InputError(f"{dim}: {label!r} is not among {', '.join(map(str, self.labels(dim)))}")
        return label

    # -- numbers ------------------------------------------------------------------------------------------------------

    def values(self, name: str, dims: Sequence[str], **where: Any) -> npt.NDArray[Any]:
        """The values of a variable at some labels, over the dims that are left, in the order asked for.

        ``series`` stands for the dim of the series. What a variable has no dim for is passed over.
        """
        if name not in self.results:
            raise InputError(f"results: variable {name!r} is missing")
        array = self.results[name]
        chosen = {self.series_dim if dim == "series" else dim: label for dim, label in where.items()}
        for dim, label in chosen.items():
            if dim in array.dims:
                self._known(dim, label)
        # by a mapping: as a keyword, "method" is xarray's rule of filling
        part = array.sel({dim: label for dim, label in chosen.items() if dim in array.dims})
        order = [self.series_dim if dim == "series" else dim for dim in dims]
        if set(order) != set(part.dims):
            raise InputError(f"{name}: dims {tuple(map(str, part.dims))} are not {tuple(order)}")
        return np.asarray(part.transpose(*order).values)

    def p_values(self, dims: Sequence[str], *, kind: str = "best", **where: Any) -> npt.NDArray[np.float64]:
        """P-values: ``simulated``, ``asymptotic``, or the ``best``: simulated where there is one."""
        simulated, asymptotic = (
            self.values(name, dims, **where).astype(np.float64) if name in self.results else None
            for name in ("simulated_p_value", "p_value")
        )
        missing = np.full([len(self.labels(self.series_dim if dim == "series" else dim)) for dim in dims], np.nan)
        simulated = missing if simulated is None else simulated
        asymptotic = missing if asymptotic is None else asymptotic
        if kind == "best":
            return np.where(np.isnan(simulated), asymptotic, simulated)
        return simulated if kind == "simulated" else asymptotic

    def rejections(self, level: float) -> npt.NDArray[np.float64]:
        """Whether a test rejects, 0 or 1 (test, method, series); NaN where it has no p-value."""
        dims = ("test", "method", "series")
        known = ~np.isnan(self.p_values(dims, level=level))
        return np.where(known, self.values("rejected", dims, level=level), np.nan)

    def breach_rates(self, level: float) -> npt.NDArray[np.float64]:
        """Breaches a forecast (method, series); NaN without forecasts."""
        breaches = self.values("breaches", ("method", "series"), level=level).astype(np.float64)
        days = self.values("forecasts", ("method", "series"), level=level).astype(np.float64)
        return breaches / np.where(days > 0, days, np.nan)

    @cached_property
    def ranking_score(self) -> str | None:
        """The score that methods are ranked by; None where there is none."""
        known = set(map(str, self.labels("score_name"))) if "score" in self.results else set()
        return next((name for name in _RANKED if name in known), None)

    def scores(self, level: float, *, series: str | None = None, name: str | None = None) -> npt.NDArray[np.float64]:
        """The score of each method, of one series or the mean over all; NaN for a method that lacks one of them.

        A series of which no method has a score is left out.
        """
        score = self.ranking_score if name is None else str(self._known("score_name", name))
        found = self.values("score", ("method", "series"), score_name=score, level=level).astype(np.float64)
        if series is not None:
            return found[:, self.series.index(self.one_series(series))]
        judged = ~np.all(np.isnan(found), axis=0)
        return found[:, judged].mean(axis=1) if judged.any() else found.mean(axis=1)

    def order(self, level: float, *, series: str | None = None) -> list[str]:
        """The methods, the best score first; those without one last, in the order of the results."""
        if self.ranking_score is None:
            return list(self.methods)
        places = np.argsort(np.nan_to_num(self.scores(level, series=series), nan=np.inf), kind="stable")
        return [self.methods[place] for place in places]

    def rows(self, level: float) -> list[MethodRow]:
        """What is said of each method, the best score first."""
        rates = _means(self.breach_rates(level), axis=1)
        shares, everything, counts, right = self._shares(level)
        scores = self.scores(level) if self.ranking_score is not None else np.full(len(self.methods), np.nan)
        sets = self.in_sets(level)
        rows = []
        for rank, method in enumerate(self.order(level), start=1):
            m = self.methods.index(method)
            rows.append(
                MethodRow(
                    method=method,
                    rank=rank if np.isfinite(scores[m]) else None,
                    breach_rate=_known(rates[m]),
                    rejected={family: _known(share[m]) for family, share in shares.items()},
                    all_rejected=_known(everything[m]),
                    tests=int(counts[m]),
                    score=_known(scores[m]),
                    in_sets=None if sets is None else int(sets[m]),
                    right_number_on=None if right is None else int(right[m]),
                )
            )
        return rows

    def _shares(self, level: float) -> tuple[dict[str, Any], Any, Any, Any]:
        """Of each method: the share of rejections by family and in all, the number of tests, and on how many series the
        first test of coverage does not reject."""
        if "rejected" not in self.results or not self.tests:
            nothing = np.full(len(self.methods), np.nan)
            return {}, nothing, np.zeros(len(self.methods), np.int64), None
        found = self.rejections(level)
        shares = {
            family: _means(found[[family_of(test) == family for test in self.tests]], axis=(0, 2))
            for family in self.families
        }
        first = next((i for i, test in enumerate(self.tests) if test in FAMILIES["coverage"]), None)
        right = None if first is None else (found[first] == 0.0).sum(axis=1)
        return shares, _means(found, axis=(0, 2)), (~np.isnan(found)).sum(axis=(0, 2)), right

    @property
    def sets(self) -> int:
        """The number of model confidence sets of a level: one a series, or one of all series together; 0: none."""
        if "in_confidence_set" not in self.results:
            return 0
        return len(self.series) if self.series_dim in self.results["in_confidence_set"].dims else 1

    def in_sets(self, level: float) -> npt.NDArray[np.int64] | None:
        """In how many of the confidence sets each method is; None where there are none."""
        if not self.sets:
            return None
        single = self.series_dim not in self.results["in_confidence_set"].dims
        dims = ("method",) if single else ("method", "series")
        inside = self.values("in_confidence_set", dims, level=level).astype(np.int64)
        return inside.reshape(len(self.methods), -1).sum(axis=1)

    def set_text(self, row: MethodRow, *, between: str) -> str:
        """In which sets a method is: yes or no where there is one, else how many of how many."""
        if row.in_sets is None:
            return DASH
        return f"{row.in_sets}{between}{self.sets}" if self.sets > 1 else "yes" if row.in_sets else "no"

    def whose_sets(self) -> str:
        """What the sets are of, after the words ``the confidence set``."""
        if self.sets > 1:
            return f" of all {self.sets} series"
        return " of all series together" if len(self.series) > 1 else ""

    def ensemble(self) -> str | None:
        """The method that combines the others; None where there is none."""
        members = set(map(str, self.labels("member")))
        beyond = [method for method in self.methods if method not in members]
        return beyond[0] if members and len(beyond) == 1 else None

    # -- words --------------------------------------------------------------------------------------------------------

    def facts(self) -> list[tuple[str, str]]:
        """What the forecasts are of and from, as labels and texts; what the results do not say is left out."""
        facts = [("Series", _counted(self.series)), ("Methods", str(len(self.methods)))]
        facts.append(("Levels", ", ".join(map(level_text, self.levels))))
        if self.results.sizes.get("observation") and "observation" in self.results.coords:
            dates = self.results["observation"].values
            ends = [str(np.datetime_as_string(d, "D")) if dates.dtype.kind == "M" else str(d) for d in dates[[0, -1]]]
            facts.append(("Forecasts", f"{len(dates):,}, {ends[0]} to {ends[1]}"))
        if "window" in self.attrs:
            scheme = self.attrs.get("scheme", "rolling")
            facts.append(("Window", f"{int(self.attrs['window']):,} returns, {scheme}"))
        if "refit_every" in self.attrs:
            facts.append(("Fitted again", f"every {int(self.attrs['refit_every']):,} days"))
        if "horizon" in self.attrs:
            days = int(self.attrs["horizon"])
            facts.append(("Horizon", f"{days} day{'' if days == 1 else 's'}"))
        return facts


def _counted(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)}, {names[0]} to {names[-1]}"


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _means(values: npt.NDArray[np.float64], *, axis: Any) -> npt.NDArray[np.float64]:
    """The mean of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    number = known.sum(axis=axis)
    return np.where(known, values, 0.0).sum(axis=axis) / np.where(number, number, np.nan)
