"""Given loadings: the same from YAML, CSV and a mapping; what is refused, by the asset's name; a path in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from riskops.config import load_config
from riskops.errors import ConfigError, InputError
from riskops.models import GeometricBrownianMotion, calibrate
from riskops.models.factor_loadings import given_loadings
from tests.models.factor_market import market_loadings, market_returns

GIVEN = {"A": [0.6, 0.1], "B": [0.5, -0.3], "C": [0.2, 0.0]}


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


@pytest.mark.parametrize("ending", ["yaml", "csv", "mapping"])
def test_loadings_are_taken_in_the_order_of_the_assets(tmp_path: Path, ending: str) -> None:
    rows = [f"{b[0]!r}, {asset} ,{b[1]!r}" for asset, b in GIVEN.items()]
    source = {
        "yaml": write(tmp_path, "loadings.yaml", yaml.safe_dump(GIVEN)),
        "csv": write(tmp_path, "loadings.csv", "\n".join(["market, asset, value", *rows])),
        "mapping": GIVEN,
    }[ending]
    structure = given_loadings(source, assets=["C", "A"])  # type: ignore[arg-type]
    np.testing.assert_array_equal(structure.loadings, [[0.2, 0.0], [0.6, 0.1]])
    np.testing.assert_allclose(structure.own**2, [0.96, 0.63])


def test_a_fit_takes_given_loadings_and_says_how_near_the_sample_they_are() -> None:
    returns = market_returns(market_loadings(3, 1), days=400)
    names = [str(name) for name in returns["asset"].values]
    given = dict(zip(names, GIVEN.values(), strict=True))
    fitted = calibrate(returns, kind="geometric_brownian", options={"factors": given})
    assert isinstance(fitted.model, GeometricBrownianMotion)
    np.testing.assert_array_equal(fitted.model.correlation.loadings, list(GIVEN.values()))  # type: ignore[union-attr]
    report = fitted.report["factors"]
    assert (report["method"], report["factors"]) == ("given loadings", 2)
    sample = np.corrcoef(returns["log_return"].values.T)
    assert report["largest_error"] == pytest.approx(np.abs(np.asarray(fitted.model.correlation) - sample).max())
    assert fitted.report["options"]["factors"] == given


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"B": None}, "factors: None of 'B' is not a list of loadings, one a factor"),
        ({"B": "0.5"}, "factors: '0.5' of 'B' is not a list of loadings"),
        ({"B": [0.5]}, "factors: 'B' has 1 loadings and 'A' has 2"),
        ({"B": [0.5, float("inf")]}, "factors: loading of 'B': inf"),
        ({"B": [0.5, "x"]}, "factors: loading of 'B': 'x'"),
        (
            {"B": [0.8, 0.7]},
            "factors: the squares of the loadings of 'B' sum to 1.13; they must leave its own variance",
        ),
    ],
)
def test_what_is_refused_names_the_asset(change: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=f"^{text}"):
        given_loadings({**GIVEN, **change}, assets=list(GIVEN))
    with pytest.raises(InputError, match="factors: 'D' is missing; given loadings name every asset"):
        given_loadings(GIVEN, assets=["A", "D"])


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("f.txt", "", "is no file of loadings; its name must end in .yaml, .yml or .csv"),
        ("f.yaml", "- 1\n", "holds list data; asset to list of loadings was expected"),
        ("f.csv", "name,one\nA,1\n", "columns name, one are not asset and one a factor"),
        ("f.csv", "asset\nA\n", "columns asset are not asset and one a factor"),
        ("f.csv", "asset,one,one\nA,1,1\n", "column 'one' is given twice"),
        ("f.csv", "", "is empty; a first line of asset and one column a factor was expected"),
        ("f.csv", "asset,one\nA,0.1\nA,0.2\n", "line 3: asset 'A' is given twice"),
        ("f.csv", "asset,one\nA,much\n", "line 2: 'much' is not a number"),
        ("f.csv", "asset,one\nA\n", "line 2: 1 values are not for 2 columns"),
        ("f.csv", 'asset,one\nA,"0.1\n', "is not CSV: "),
    ],
)
def test_files_that_hold_no_loadings_are_refused(tmp_path: Path, name: str, text: str, problem: str) -> None:
    file = write(tmp_path, name, text)
    with pytest.raises(InputError) as caught:
        given_loadings(str(file), assets=["A"])
    assert str(caught.value).startswith(f"factors: {file}: {problem}")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"^factors: .*binary.csv: is not UTF-8 text"):
        given_loadings(tmp_path / "binary.csv", assets=["A"])
    with pytest.raises(InputError, match=r"none.csv: no such file"):
        given_loadings(tmp_path / "none.csv", assets=["A"])


def test_a_path_in_a_configuration_is_looked_for_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "loadings.yaml", yaml.safe_dump(GIVEN))
    portfolio = {"name": "all", "capital": 100.0, "weights": "equal"}
    plain = {"market": {"prices": "sp500"}, "portfolios": [portfolio], "model": {"factors": "loadings.yaml"}}
    file = write(tmp_path, "config.yaml", yaml.safe_dump(plain))
    assert load_config(file).model.options()["factors"] == str(tmp_path / "loadings.yaml")
    assert load_config(file, overrides=["model.factors=3"]).model.options()["factors"] == 3
    assert load_config(file, overrides=["model.factors={A: [0.5]}"]).model.options()["factors"] == {"A": [0.5]}
    for value, text in (
        ("none.csv", r"model.factors: 'none.csv' is no file"),
        ("2.5", "model.factors: 2.5 is not a whole number, text, a mapping of assets to lists of numbers or null"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(file, overrides=[f"model.factors={value}"])
        assert str(caught.value).startswith(text)
