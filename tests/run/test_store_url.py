"""Arrays over paths at a URL: the same figures and bytes as in a folder, checked, resumed and replayed from there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from riskops.cli import app
from riskops.cluster import open_cluster
from riskops.config import Config, config_from_mapping
from riskops.errors import ConfigError, StoreError
from riskops.run import RunDirectory, execute, open_run, prepare, replay, resume, verify
from riskops.simulation import store
from riskops.simulation.location import _one_line, location, names_under, read_object, remove_tree, write_object
from tests.run.test_failing_writes import CONFIGURATION

#: ``s3://bucket`` where tests/faults/on_s3.py runs these tests against a server.
BUCKET = os.environ.get("RISKOPS_TEST_BUCKET")


def configured(url: str | None) -> Config:
    return config_from_mapping({**CONFIGURATION, "store": {"url": url, "paths": True}})


def begun(config: Config, place: Path, kind: str = "synchronous", **options: Any) -> Path:
    with open_cluster(kind, **options) as cluster:
        return execute(prepare(config), configuration=config.resolved(), out=place, cluster=cluster, html=False)


@pytest.fixture(scope="module")
def in_a_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begun(configured(None), tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(params=["memory", "file", *(["s3"] if BUCKET else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place of its own."""
    if request.param == "s3":
        yield f"{BUCKET}/{tmp_path.name}"
        return
    yield f"memory://tests/{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}/elsewhere"
    remove_tree(location(f"memory://tests/{tmp_path.name}"))


def test_figures_and_digests_are_those_of_a_folder(url: str, in_a_folder: Path, tmp_path: Path) -> None:
    run = begun(configured(url), tmp_path / "run", kind="threads", workers=2)
    assert (run / "results.json").read_bytes() == (in_a_folder / "results.json").read_bytes()
    manifest, plain = (json.loads((place / "manifest.json").read_text()) for place in (run, in_a_folder))
    assert manifest["arrays"] == plain["arrays"]
    assert manifest["how"]["store_url"] == f"{url}/run"
    assert not (run / "results.zarr" / "loss").exists()
    there = names_under(location(f"{url}/run"))
    assert "results.zarr/loss/c/0/0/0/2" in there
    assert not any("checkpoints" in name for name in there), "what a run in the making kept is gone"
    mine = [name for name in there if "/loss/" in name]
    for name in mine:  # object by object the bytes that a folder holds
        found = read_object(location(f"{url}/run") / name)
        assert found is not None
        assert found.tobytes() == (in_a_folder / name).read_bytes()
    stored, folder = open_run(run), open_run(in_a_folder)
    assert set(stored.variables) == set(folder.variables)
    np.testing.assert_array_equal(stored["loss"].values, folder["loss"].values)
    assert stored["log_growth"].attrs == folder["log_growth"].attrs
    assert verify(RunDirectory(run)) == []
    with open_cluster("synchronous") as cluster:
        assert replay(RunDirectory(run), cluster=cluster).identical


def test_what_is_spoilt_there_is_found(url: str, tmp_path: Path) -> None:
    run = RunDirectory(begun(configured(url), tmp_path / "run"))
    place = run.arrays / "loss" / "c" / "0" / "0" / "0" / "1"
    found = read_object(place)
    assert found is not None
    found[77] ^= 1
    write_object(place, found.tobytes())
    assert verify(run) == ["results.zarr/loss: run: loss, paths 1024 to 2048: damaged (its CRC32C does not match)"]
    remove_tree(location(f"{url}/run"))
    assert verify(run)
    with pytest.raises(StoreError, match=r"its arrays over paths are not at .*, where the manifest says"):
        open_run(run.path)


def test_a_run_that_was_cut_off_goes_on_there(
    url: str, in_a_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = store._write_block, []

    @wraps(write)
    def dying(*args: Any, **kwargs: Any) -> Any:
        if len(written) == 3:
            raise RuntimeError("cut")
        written.append(1)
        return write(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write_block", dying)
        with pytest.raises(RuntimeError, match="cut"):
            begun(configured(url), tmp_path / "run")
    with open_cluster("synchronous") as cluster:
        run = resume(RunDirectory(tmp_path / "run"), cluster=cluster)
    manifest, plain = (json.loads((place / "manifest.json").read_text()) for place in (run, in_a_folder))
    assert manifest["arrays"] == plain["arrays"]
    assert sum(manifest["resumed_chunks"][name] for name in ("loss", "log_growth")) == 3
    assert verify(RunDirectory(run)) == []


def test_a_place_that_is_taken_is_refused(url: str, tmp_path: Path) -> None:
    write_object(location(f"{url}/run/something"), b"mine")
    with pytest.raises(StoreError, match=r"^store\.url: .*/run holds something already; remove it or choose another"):
        begun(configured(url), tmp_path / "run")
    assert not (tmp_path / "run.partial").exists()


def test_memory_is_refused_where_workers_would_not_see_it(tmp_path: Path) -> None:
    line = r"^store\.url: memory://tests is seen by this process only, and not by processes workers; take another"
    with pytest.raises(StoreError, match=line):
        begun(configured("memory://tests"), tmp_path / "run", kind="processes", workers=1)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("runs", r"store\.url: 'runs' is not a URL of s3, gs, az, file, memory, such as s3://bucket/folder"),
        ("ftp://host/x", r"store\.url: 'ftp://host/x' is not a URL of s3"),
        ("s3://", r"store\.url: 's3://' is not a URL"),
        ("s3:///x", r"store\.url: 's3:///x' names no bucket; write s3://bucket/folder"),
        ("file://relative/x", r"store\.url: 'file://relative/x' names the host 'relative'; a folder here is file:///"),
        ("s3://key:secret@bucket/x", r"store\.url: credentials and options come from the environment"),
        ("s3://bucket/x?key=secret", r"store\.url: credentials and options come from the environment"),
    ],
)
def test_a_url_that_is_none_is_refused(url: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        configured(url)


def test_a_command_does_not_write_where_nothing_outlives_it(tmp_path: Path) -> None:
    given = ["--set", "store.url=memory://tests", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, ["run", "configs/market_risk.yaml", "--quiet", *given])
    assert result.exit_code == 2
    assert result.stderr == (
        "riskops: store.url: memory://tests is gone when the command ends; take a folder, or another URL\n"
    )


def test_a_store_without_credentials_says_so() -> None:
    line = r"^store\.url: s3://bucket: credentials are missing; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in"
    with pytest.raises(StoreError, match=line), _one_line("s3://bucket"):
        raise OSError("Error performing PUT http://169.254.169.254/latest/api/token in 1 ms")


def test_a_store_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing listens there, and no credentials are asked for."""
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with pytest.raises(StoreError, match=r"^store\.url: s3://nobody-there/x/run: [^\n]+$"):
        begun(configured("s3://nobody-there/x"), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
