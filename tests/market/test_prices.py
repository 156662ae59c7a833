"""Loading prices: the bundled data, every kind of file, and one clear line for everything that is wrong."""

from __future__ import annotations

import datetime
import gzip
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from riskops.errors import InputError, MissingExtraError
from riskops.market import list_datasets, load_prices

GOOD = "date,A,B\n2020-01-01,1.5,2\n2020-01-02,1.25,3\n2020-01-03,1,4\n"


def write(tmp_path: Path, text: str, name: str = "p.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_bundled_stocks() -> None:
    prices = load_prices("sp500")
    assert dict(prices.sizes) == {"observation": 8313, "asset": 20}
    assert prices["price"].dims == ("observation", "asset")
    assert prices["price"].dtype == np.float64
    assert prices["observation"].dtype == np.dtype("datetime64[ns]")
    assert str(prices["observation"].values[0])[:10] == "1990-01-02"
    assert str(prices["observation"].values[-1])[:10] == "2022-12-28"
    assert prices["price"].sel(asset="AAPL").values[[0, -1]].tolist() == [0.264, 125.674]
    assert prices["price"].attrs["units"] == "money"
    assert prices.attrs["source"] == "sp500"
    assert prices.attrs["adjustments"] == []
    assert "SP500" not in prices["asset"].values


def test_bundled_index_and_notice() -> None:
    index = load_prices("sp500_index")
    assert index["asset"].values.tolist() == ["SP500"]
    assert float(index["price"][0, 0]) == 359.69
    assert list(list_datasets()) == ["sp500", "sp500_index"]
    notice = (files("riskops.market") / "data" / "NOTICE").read_text()
    assert "skfolio" in notice
    assert "BSD 3-Clause" in notice


def test_content_hash_is_that_of_the_selected_content() -> None:
    # The bytes are written out here by hand: dates in ns, names as JSON, prices row by row, all little-endian.
    import hashlib

    prices = load_prices("sp500", assets=["XOM", "AAPL"], start="2022-12-27")
    days = np.array(["2022-12-27", "2022-12-28"], "datetime64[ns]").astype("<i8").tobytes()
    values = np.array([[108.408, 129.652], [106.627, 125.674]], "<f8").tobytes()
    assert prices.attrs["sha256"] == hashlib.sha256(days + b'["XOM","AAPL"]' + values).hexdigest()
    assert load_prices("sp500", start="2022-12-27").attrs["sha256"] != prices.attrs["sha256"]


def test_start_end_and_assets_select() -> None:
    prices = load_prices("sp500", start=datetime.date(2020, 3, 14), end="2020-03-17", assets=["XOM", "AAPL"])
    assert [str(d)[:10] for d in prices["observation"].values] == ["2020-03-16", "2020-03-17"]
    assert prices["asset"].values.tolist() == ["XOM", "AAPL"]
    same = load_prices("sp500", start=np.datetime64("2020-03-14"), end=pd.Timestamp("2020-03-17"))
    assert same.sizes["observation"] == 2


def test_an_end_date_means_the_whole_day(tmp_path: Path) -> None:
    path = write(tmp_path, "t,A\n2020-01-01 10:00,1\n2020-01-01 16:00,2\n2020-01-02 16:00:00.5,3\n")
    assert load_prices(path, end="2020-01-01").sizes["observation"] == 2
    assert load_prices(path, start="2020-01-01", end="2020-01-02").sizes["observation"] == 3


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.parquet", "q.parquet", "p.zarr", "P.CSV"])
def test_round_trip_of_every_kind_of_file(tmp_path: Path, name: str) -> None:
    prices = load_prices("sp500", start="2022-01-03", assets=["AAPL", "MSFT", "XOM"])
    path = tmp_path / name
    frame = prices["price"].to_pandas()
    if name == "p.zarr":
        as_text = prices.assign_coords(asset=np.array(prices["asset"].values, dtype=np.dtypes.StringDType()))
        as_text.to_zarr(path, zarr_format=3, consolidated=False)
    elif name == "p.parquet":
        frame.to_parquet(path)
    elif name == "q.parquet":
        frame.reset_index().assign(observation=lambda f: f["observation"].dt.strftime("%Y-%m-%d")).to_parquet(path)
    else:
        frame.to_csv(path)
    back = load_prices(path)
    assert back.attrs["sha256"] == prices.attrs["sha256"]
    assert back.attrs["source"] == str(path)
    xr.testing.assert_equal(back["price"], prices["price"])


def test_frames_and_datasets_in_memory() -> None:
    prices = load_prices("sp500", start="2022-12-01")
    assert load_prices(prices).attrs["sha256"] == prices.attrs["sha256"]
    assert load_prices(prices["price"].to_pandas()).attrs["sha256"] == prices.attrs["sha256"]
    assert load_prices(prices.transpose()).attrs["sha256"] == prices.attrs["sha256"]


def test_blank_lines_byte_order_mark_and_spaces(tmp_path: Path) -> None:
    text = "\ufeffdate, A ,B\n\n2020-01-01, 1.5 ,2\n\n2020-01-02,1.25,3\n2020-01-03,1,4\n"
    assert load_prices(write(tmp_path, text)).attrs["sha256"] == load_prices(write(tmp_path, GOOD)).attrs["sha256"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; a header line with dates and assets was expected"),
        ("date\n2020-01-01\n", "has no column of prices; the first column is dates, then one column an asset"),
        ("date;A\n2020-01-01;1\n", "has no column of prices"),
        ("date,A\n", "holds no rows of prices"),
        ("date,A\n2020-01-01,1\n", "1 rows of prices in the window; at least 2 are needed"),
        ("date,A,A\n2020-01-01,1,1\n", "column 'A' is given twice"),
        ("date,A,\n2020-01-01,1,1\n", "the name of price column 2, '', is not text"),
        ("date,A\n2020-01-01,1\n2020-01-02,one\n", "line 3, asset 'A': 'one' is not a number"),
        ('date,A\n2020-01-01,"1,000"\n', "line 2, asset 'A': '1,000' is not a number"),
        ("date,A\n2020-01-01,1\n2020-01-02,1,2\n", "line 3 has 3 cells, the header has 2"),
        ("date,A,B\n2020-01-01,1\n", "line 2 has 2 cells, the header has 3"),
        ("date,A\n01/02/2020,1\n", "line 2: '01/02/2020' is not a date (YYYY-MM-DD)"),
        ("date,A\n2020-02-30,1\n", "line 2: '2020-02-30' is not a date (YYYY-MM-DD)"),
        ("date,A\n2020,1\n", "line 2: '2020' is not a date (YYYY-MM-DD)"),
        ("date,A\n1500-01-01,1\n", "line 2: '1500-01-01' is not a date (YYYY-MM-DD)"),
        ("date,A\n2020-01-01T00:00:00Z,1\n", "line 2: '2020-01-01T00:00:00Z' is not a date (YYYY-MM-DD)"),
        ("date,A\n,1\n", "line 2: '' is not a date (YYYY-MM-DD)"),
        ("date,A\n2020-01-01,1\n2020-01-01,1\n", "date 2020-01-01 is given twice"),
        ("date,A\n2020-01-02,1\n2020-01-01,1\n", "date 2020-01-01 follows 2020-01-02; dates must ascend"),
        ("date,A\n2020-01-01,1\n2020-01-02,0\n", "asset 'A' on 2020-01-02: price 0.0 is not positive and finite"),
        ("date,A\n2020-01-01,1\n2020-01-02,-3\n", "asset 'A' on 2020-01-02: price -3.0 is not positive and finite"),
        ("date,A\n2020-01-01,1\n2020-01-02,1e309\n", "asset 'A' on 2020-01-02: price inf is not positive and finite"),
        (
            "date,A,B\n2020-01-01,1,2\n2020-01-02,,\n2020-01-03,1,NA\n",
            "asset 'A' has no price on 2020-01-02 (3 missing in 2 of 2 assets); "
            "set gaps (market.gaps, init --gaps) to drop_assets, drop_dates or {forward_fill: days} to go on",
        ),
        ('date,A\n2020-01-01,"1\n', "is not CSV: unexpected end of data"),
    ],
)
def test_refused_csv(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_prices(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: {message}")
    assert "\n" not in line


@pytest.mark.parametrize("gaps", ["error", "drop_assets", "drop_dates", {"forward_fill": 3}])
def test_no_policy_mends_a_price_of_zero(tmp_path: Path, gaps: Any) -> None:
    path = write(tmp_path, "date,A,B\n2020-01-01,1,2\n2020-01-02,0,3\n2020-01-03,1,4\n")
    with pytest.raises(InputError, match=r"asset 'A' on 2020-01-02: price 0\.0 is not positive and finite"):
        load_prices(path, gaps=gaps)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"assets": ["A", "C"]}, "assets: 'C' is unknown; known are A, B"),
        ({"assets": ["A", "A"]}, "assets: 'A' is given twice"),
        ({"assets": []}, "assets: [] is not a list of names"),
        ({"assets": "A"}, "assets: 'A' is not a list of names"),
        ({"start": "2019-12-31"}, "start: 2019-12-31 lies outside the prices of {path}, 2020-01-01 to 2020-01-03"),
        ({"start": "2020-01-04"}, "start: 2020-01-04 lies outside the prices of {path}, 2020-01-01 to 2020-01-03"),
        ({"end": "2020-01-04"}, "end: 2020-01-04 lies outside the prices of {path}, 2020-01-01 to 2020-01-03"),
        ({"end": "2019-01-01"}, "end: 2019-01-01 lies outside the prices of {path}, 2020-01-01 to 2020-01-03"),
        ({"start": "2020-01-03", "end": "2020-01-02"}, "end: 2020-01-02 is before start, 2020-01-03"),
        ({"start": "2020-01-03"}, "{path}: 1 rows of prices in the window; at least 2 are needed"),
        ({"start": "last year"}, "start: 'last year' is not a date (YYYY-MM-DD)"),
        ({"start": 2020}, "start: 2020 is not a date (YYYY-MM-DD)"),
        ({"end": "2020-02-30"}, "end: '2020-02-30' is not a date (YYYY-MM-DD)"),
        ({"gaps": "ignore"}, "gaps: 'ignore' is not one of error, drop_assets, drop_dates, {'forward_fill': days}"),
        ({"gaps": {"forward_fill": 0}}, "gaps.forward_fill: 0 is not an integer >= 1"),
        ({"gaps": {"forward_fill": 1.5}}, "gaps.forward_fill: 1.5 is not an integer >= 1"),
        ({"gaps": {"backward_fill": 1}}, "gaps: {'backward_fill': 1} is not one of"),
    ],
)
def test_refused_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(InputError) as caught:
        load_prices(path, **options)
    assert str(caught.value).startswith(message.replace("{path}", str(path)))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sp600", "source: 'sp600' is neither a bundled data set (sp500, sp500_index) nor the path of a price file"),
        ("no/such.csv", "no/such.csv: no such file"),
        ("no/such.zarr", "no/such.zarr: no such file"),
        ("prices.xlsx", "prices.xlsx: is not a price file; its name must end in .csv, .csv.gz, .parquet, .zarr"),
        (7, "source: 7 is not a name, a path, a DataFrame or a Dataset"),
    ],
)
def test_refused_sources(source: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_prices(source)
    assert str(caught.value) == message


def test_damaged_files(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("date,Zürich\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.csv: is not UTF-8 text"):
        load_prices(tmp_path / "latin.csv")
    (tmp_path / "plain.csv.gz").write_text(GOOD)
    with pytest.raises(InputError, match=r"plain\.csv\.gz: cannot be read: Not a gzipped file"):
        load_prices(tmp_path / "plain.csv.gz")
    (tmp_path / "short.csv.gz").write_bytes(gzip.compress(GOOD.encode())[:-9])
    with pytest.raises(InputError, match=r"short\.csv\.gz: cannot be read: Compressed file ended"):
        load_prices(tmp_path / "short.csv.gz")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: cannot be read: Is a directory"):
        load_prices(tmp_path / "folder.csv")
    (tmp_path / "text.parquet").write_text(GOOD)
    with pytest.raises(InputError, match=r"text\.parquet: cannot be read as Parquet: "):
        load_prices(tmp_path / "text.parquet")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(InputError, match=r"empty\.zarr: cannot be read as Zarr \(format 3\): "):
        load_prices(tmp_path / "empty.zarr")
    (tmp_path / "text.zarr").write_text("x")
    with pytest.raises(InputError, match=r"text\.zarr: cannot be read as Zarr \(format 3\): "):
        load_prices(tmp_path / "text.zarr")


def test_zarr_of_format_2_is_refused(tmp_path: Path) -> None:
    prices = load_prices("sp500", start="2022-12-20", assets=["AAPL"])
    prices.to_zarr(tmp_path / "old.zarr", zarr_format=2, consolidated=False)
    with pytest.raises(InputError, match=r"old\.zarr: cannot be read as Zarr \(format 3\): "):
        load_prices(tmp_path / "old.zarr")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"reading Parquet needs pyarrow: pip install 'riskops\[parquet\]'"):
        load_prices(tmp_path / "p.parquet")


def test_the_bundled_data_need_no_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert load_prices("sp500").sizes["asset"] == 20


DATES = pd.date_range("2020-01-01", periods=3)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame(), "frame: is empty; dates and assets were expected"),
        (pd.DataFrame({"A": ["1", "2", "x"]}, index=DATES), "frame: asset 'A' holds str values, not numbers"),
        (pd.DataFrame({"A": [True] * 3}, index=DATES), "frame: asset 'A' holds bool values, not numbers"),
        (pd.DataFrame([[1.0, 2.0]] * 3, columns=["A", "A"], index=DATES), "frame: column 'A' is given twice"),
        (pd.DataFrame({600519: [1.0] * 3}, index=DATES), "frame: the name of price column 1, 600519, is not text"),
        (
            pd.DataFrame({"A": [1.0] * 3}, index=DATES.tz_localize("UTC")),
            "frame: dates carry the time zone UTC; plain dates were expected",
        ),
        (pd.DataFrame({"A": [1.0] * 2}, index=pd.DatetimeIndex(["2020-01-01", None])), "frame: row 2: the date is"),
        (pd.DataFrame({"d": ["x"] * 3, "A": [1.0] * 3}), "frame: row 1: 'x' is not a date (YYYY-MM-DD)"),
        (pd.DataFrame({"A": [1.0, None, 2.0]}, index=DATES), "frame: asset 'A' has no price on 2020-01-02"),
    ],
)
def test_refused_frames(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_prices(frame)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("ds", "message"),
    [
        (
            xr.Dataset({"close": ("t", [1.0])}),
            "dataset: has no variable 'price' with the dims ('observation', 'asset')",
        ),
        (xr.Dataset({"price": ("observation", [1.0])}), "dataset: has no variable 'price' with the dims"),
        (
            xr.Dataset({"price": (("observation", "asset"), np.ones((3, 1)))}, coords={"asset": ["A"]}),
            "dataset: 'price' has no coordinate 'observation'",
        ),
        (
            xr.Dataset(
                {"price": (("observation", "asset"), [["1"], ["2"]])},
                coords={"asset": ["A"], "observation": DATES[:2]},
            ),
            "dataset: 'price' holds <U1 values, not numbers",
        ),
        (
            xr.Dataset(
                {"price": (("observation", "asset"), np.ones((2, 2)))},
                coords={"asset": ["A", "A"], "observation": DATES[:2]},
            ),
            "dataset: column 'A' is given twice",
        ),
    ],
)
def test_refused_datasets(ds: xr.Dataset, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_prices(ds)
    assert str(caught.value).startswith(message)
