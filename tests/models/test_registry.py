"""Models by name: registration, entry points of outside packages, records and calibration."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from riskops.errors import InputError
from riskops.market import load_prices, log_returns
from riskops.models import (
    GeometricBrownianMotion,
    Model,
    Shock,
    State,
    calibrate,
    describe_models,
    fit_options,
    from_record,
    get_model,
    list_models,
    register,
    registry,
)
from riskops.models.built_in import BUILT_IN
from tests.models.toy_models import RowBootstrap, TwoRegimes, Uniform, example_models

MODULE = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from riskops.models import Model, Shock


@dataclass(frozen=True, eq=False)
class Flat(Model):
    """Prices that only grow."""

    rate: float

    kind: ClassVar[str] = "{kind}"
    shocks: ClassVar[tuple[Shock, ...]] = (Shock("unused", per="shared"),)

    @classmethod
    def fit(cls, returns, *, days_per_year=252.0, rate=0.1):
        return cls(tuple(returns["asset"].values.tolist()), rate)

    def tables(self, step_years):
        return {{"growth": np.full(1, self.rate * step_years)}}

    @staticmethod
    def advance(state, shocks, tables):
        state["log_growth"] += tables["growth"]
'''


@pytest.fixture(scope="module")
def prices():
    """Four stocks over four years, of different sectors."""
    return load_prices("sp500", start="2019-01-02", assets=["AAPL", "JPM", "PFE", "XOM"])


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """Each test registers into a copy."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package with a model and its entry point on the path, as an installer would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def _install(
        package: str, *, name: str, kind: str | None = None, value: str | None = None, text: str | None = None
    ):
        module = MODULE.format(kind=kind or name) if text is None else text
        (tmp_path / f"{package}.py").write_text(module)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[riskops.models]\n{name} = {value or f'{package}:Flat'}\n")
        importlib.invalidate_caches()

    yield _install
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


# --- by name -----------------------------------------------------------------------------------------------------


def test_built_in_model_is_known():
    assert get_model("geometric_brownian") is GeometricBrownianMotion
    assert list_models()["geometric_brownian"] is GeometricBrownianMotion


def test_unknown_kind_lists_the_known():
    with pytest.raises(InputError, match=r"model\.kind: 'hestn' is unknown; known are .*geometric_brownian"):
        get_model("hestn")


def test_registered_models_are_found_and_described():
    for cls in (TwoRegimes, RowBootstrap, Uniform):
        assert register(cls) is cls
        assert register(cls) is cls  # a second time is no clash with itself
    toys = ["toy_row_bootstrap", "toy_two_regimes", "toy_uniform"]
    assert list(list_models()) == sorted([*BUILT_IN, *toys])
    rows = {row["model"]: row for row in describe_models()}
    assert rows["toy_two_regimes"]["states"] == "log_growth (per asset), regime (index shared by all)"
    assert rows["toy_two_regimes"]["shocks"] == "diffusion (normal per asset), switch (word shared by all)"
    assert rows["geometric_brownian"]["options"] == "drift, window, nearest_correlation, factors"


@pytest.mark.parametrize("kind", ["toy_two_regimes", "toy_row_bootstrap", "toy_uniform"])
def test_records_of_outside_models_survive_json(kind):
    model = example_models()[kind]
    register(type(model))
    again = from_record(json.loads(json.dumps(model.record())))
    assert type(again) is type(model)
    assert again == model
    assert hash(again) == hash(model)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kind": "hestn"}, r"model\.kind: 'hestn' is unknown"),
        ({"parameters": {"drift": [0.0]}}, r"model record: parameters \['drift'\] of geometric_brownian are not"),
        ({"version": 1}, "model record: keys .*'version'.* are not assets, kind and parameters"),
    ],
)
def test_bad_record_is_refused(change, text):
    record = GeometricBrownianMotion(("A",), [0.1], [0.2], [[1.0]]).record()
    with pytest.raises(InputError, match=text):
        from_record(record | change)


# --- what a model must declare -----------------------------------------------------------------------------------


def _variant(**attributes):
    return type("Variant", (Uniform,), {"kind": "variant"} | attributes)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: "no class", "model: 'no class' is not a complete dataclass"),
        (lambda: Model, "model: .* is not a complete dataclass"),
        (lambda: _variant(kind="Not A Name"), "model Variant: kind 'Not A Name' is not a lower-case name"),
        (lambda: _variant(states=()), "model Variant: its first state is not log_growth per asset"),
        (lambda: _variant(states=(State("price"),)), "model Variant: its first state is not log_growth per asset"),
        (lambda: _variant(shocks=()), "model Variant: it declares no shocks"),
        (lambda: _variant(shocks=(Shock("z"), Shock("z"))), r"model Variant: two shocks have one name \(z, z\)"),
        (
            lambda: _variant(shocks=(Shock("z", mixing="m", selector="regime"),)),
            "model Variant: selector 'regime' of shock z is no shared index state",
        ),
        (
            lambda: _variant(kind="geometric_brownian"),
            "model geometric_brownian: .*Variant clashes with riskops.models.geometric_brownian",
        ),
    ],
)
def test_bad_declarations_are_refused(make, text):
    with pytest.raises(InputError, match=text):
        register(make())


# --- entry points ------------------------------------------------------------------------------------------------


def test_outside_model_is_found_through_its_entry_point(install, prices):
    install("outside_flat", name="flat_growth")
    assert "outside_flat" not in sys.modules
    cls = get_model("flat_growth")
    assert cls.__module__ == "outside_flat"
    assert get_model("flat_growth") is cls
    assert list_models()["flat_growth"] is cls
    assert fit_options("flat_growth") == {"rate": 0.1}
    calibration = calibrate(log_returns(prices), kind="flat_growth", options={"rate": 0.25})
    assert calibration.model.rate == 0.25
    assert calibration.report["options"] == {"rate": 0.25}
    assert calibration.report["window_end"] == "2022-12-28"
    assert from_record(json.loads(json.dumps(calibration.model.record()))) == calibration.model


def test_report_of_a_model_without_its_own_follows_the_window(install, prices):
    text = MODULE.format(kind="flat_window").replace("rate=0.1", "rate=0.1, window=None")
    install("outside_window", name="flat_window", text=text)
    for window, observations in ((100, 100), (None, prices.sizes["observation"] - 1)):
        report = calibrate(log_returns(prices), kind="flat_window", options={"window": window}).report
        assert report["observations"] == observations
        assert report["options"] == {"rate": 0.1, "window": window}
    assert report["window_start"] < "2019-02-01"


def test_entry_point_is_not_loaded_until_asked_for(install):
    install("outside_broken", name="broken", text="raise RuntimeError('no such luck')\n")
    assert get_model("geometric_brownian") is GeometricBrownianMotion
    text = r"model broken: entry point broken = outside_broken:Flat of outside_broken does not load: .*no such luck"
    for ask in (lambda: get_model("broken"), list_models):
        with pytest.raises(InputError, match=text):
            ask()
    with pytest.raises(InputError, match=r"'hestn' is unknown; known are .*broken"):
        get_model("hestn")


def test_entry_point_without_its_class_is_refused(install):
    install("outside_missing", name="missing", value="outside_missing:Absent")
    with pytest.raises(InputError, match=r"model missing: entry point .* does not load: AttributeError"):
        get_model("missing")


def test_entry_point_to_something_else_is_refused(install):
    install("outside_other", name="other", text="Flat = 3\n")
    with pytest.raises(
        InputError, match=r"model other: entry point .* is refused: model: 3 is not a complete dataclass"
    ):
        get_model("other")


def test_entry_point_of_another_kind_is_refused(install):
    install("outside_misnamed", name="one", kind="two")
    with pytest.raises(InputError, match=r"model one: entry point .* is refused: it is of kind 'two'"):
        get_model("one")
    assert "two" not in registry._registered


def test_entry_point_that_takes_a_built_in_name_is_refused(install):
    install("outside_thief", name="geometric_brownian")
    text = "model geometric_brownian: entry point .* of outside_thief clashes with riskops.models.geometric_brownian"
    with pytest.raises(InputError, match=text):
        get_model("geometric_brownian")


def test_two_packages_with_one_name_are_refused(install):
    install("outside_first", name="same")
    install("outside_second", name="same")
    with pytest.raises(InputError, match=r"model same: entry point .* clashes with entry point same = outside_"):
        get_model("same")


# --- calibration -------------------------------------------------------------------------------------------------


def test_unknown_option_is_refused(prices):
    with pytest.raises(InputError, match=r"model\.windw: is no option of geometric_brownian; known are drift, window"):
        calibrate(log_returns(prices), kind="geometric_brownian", options={"windw": 100})


def test_calibration_of_real_prices_is_that_of_numpy(prices):
    returns = log_returns(prices)
    model = calibrate(returns, kind="geometric_brownian", options={"window": 504}).model
    values = returns["log_return"].values[-504:]
    np.testing.assert_allclose(model.covariance_log_growth(1.0), np.cov(values.T) * 252, rtol=1e-12)
    assert model.assets == tuple(prices["asset"].values)
