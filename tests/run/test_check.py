"""verify finds whatever was changed, replay finds whatever does not come out again, compare finds what differs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from riskops.cluster import open_cluster
from riskops.errors import StoreError
from riskops.run import Replay, RunDirectory, compare, replay, verify
from riskops.run.manifest import sealed
from tests.small_job import edit_json, make_run


def replayed(place: Path, kind: str = "synchronous") -> Replay:
    with open_cluster(kind) as cluster:
        return replay(RunDirectory(place), cluster=cluster)


def flip(path: Path) -> None:
    """Turn one bit over in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(bytes(content))


def figure(place: Path, **wanted: object) -> int:
    """The position of a figure in ``results.json``."""
    records = json.loads((place / "results.json").read_text("utf-8"))["figures"]
    return next(i for i, record in enumerate(records) if all(record[k] == v for k, v in wanted.items()))


# -- verify


def test_nothing_is_wrong_with_a_finished_run(finished_run: Path) -> None:
    assert verify(RunDirectory(finished_run)) == []


def loss_bit(place: Path) -> None:
    flip(place / "results.zarr" / "loss" / "c" / "0" / "0" / "0" / "3")


def lost_chunk(place: Path) -> None:
    (place / "results.zarr" / "loss" / "c" / "0" / "0" / "0" / "1").unlink()


def rewritten_losses(place: Path) -> None:
    """Another number with a right CRC."""
    zarr.open_array(place / "results.zarr", path="loss", mode="r+")[0, 0, 0, 17] += 1.0


def measure_bit(place: Path) -> None:
    flip(next((place / "results.zarr" / "value_at_risk" / "c").rglob("0/0/0/0")))


def lost_measure(place: Path) -> None:
    shutil.rmtree(place / "results.zarr" / "expected_shortfall")


def rewritten_price(place: Path) -> None:
    zarr.open_array(place / "results.zarr", path="prices/price", mode="r+")[5, 1] *= 2.0


def results_bit(place: Path) -> None:
    flip(place / "results.json")


def lost_report(place: Path) -> None:
    (place / "report.html").unlink()


def edited_manifest(place: Path) -> None:
    edit_json(place / "manifest.json", ["seed"], "8")


def emptied_manifest(place: Path) -> None:
    (place / "manifest.json").write_text('{"format": 1, "status": "complete"}', "utf-8")


def lost_store(place: Path) -> None:
    shutil.rmtree(place / "results.zarr")


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (loss_bit, r"results\.zarr/loss: .*loss, paths 3072 to 4096: damaged \(.*\)"),
        (lost_chunk, r"results\.zarr/loss: .*loss, paths 1024 to 2048: missing"),
        (rewritten_losses, r"results\.zarr/loss: checksum does not match"),
        (measure_bit, r"results\.zarr/value_at_risk: .*"),
        (lost_measure, r"results\.zarr/expected_shortfall: is missing"),
        (rewritten_price, r"results\.zarr/prices: dates, names or prices are not those of prices_sha256"),
        (results_bit, r"results\.json: sha256 does not match"),
        (lost_report, r"report\.html: is missing"),
        (edited_manifest, r"manifest\.json: its own sha256 does not match"),
        (emptied_manifest, r"manifest\.json: its own sha256 does not match"),
    ],
)
def test_verify_names_what_was_changed(spoil: Callable[[Path], None], line: str, run_copy: Path) -> None:
    spoil(run_copy)
    wrong = verify(RunDirectory(run_copy))
    assert re.fullmatch(line, wrong[0])
    assert len(wrong) == 1 or spoil is emptied_manifest


def test_verify_names_everything_that_was_changed(run_copy: Path) -> None:
    for spoil in (edited_manifest, results_bit, loss_bit, rewritten_price):
        spoil(run_copy)
    names = [line.split(":")[0] for line in verify(RunDirectory(run_copy))]
    assert names == ["manifest.json", "results.json", "results.zarr/loss", "results.zarr/prices"]


def test_verify_says_when_the_store_is_gone(run_copy: Path) -> None:
    lost_store(run_copy)
    assert re.match(r"results\.zarr: can't be opened \(.*\)", verify(RunDirectory(run_copy))[0])


def test_a_checksum_does_not_depend_on_the_chunks(
    finished_run: Path, small_configuration: Path, tmp_path: Path
) -> None:
    other = make_run(small_configuration, tmp_path / "other", "report.html=false", "simulation.chunk_paths=2048")
    one, two = (json.loads((place / "manifest.json").read_text()) for place in (finished_run, other))
    assert one["arrays"]["loss"] == two["arrays"]["loss"]
    assert one["how"] != two["how"]
    assert verify(RunDirectory(other)) == []


# -- replay


def test_a_replay_is_identical(finished_run: Path) -> None:
    outcome = replayed(finished_run)
    count = len(json.loads((finished_run / "results.json").read_text())["figures"])
    assert (outcome.identical, outcome.differences, outcome.facts) == (True, [], ())
    assert outcome.verdict == f"all {count:,} figures are identical"
    assert outcome.refit == "fitting the recorded prices again gives the recorded parameters"


@pytest.mark.parametrize("name", ["value", "standard_error", "high"])
def test_replay_names_the_figure_that_was_edited(name: str, run_copy: Path) -> None:
    wanted = {"measure": "expected_shortfall", "portfolio": "equal", "scenario": "base", "horizon": 5.0, "level": 0.99}
    at = figure(run_copy, **wanted)
    record = json.loads((run_copy / "results.json").read_text())["figures"][at]
    edit_json(run_copy / "results.json", ["figures", at, name], float(np.nextafter(record[name], 0)))
    outcome = replayed(run_copy)
    assert not outcome.identical
    assert [{key: found[key] for key in wanted} for found in outcome.differences] == [wanted]
    assert outcome.verdict.startswith("1 of ")


def test_replay_names_the_fact_that_was_edited(run_copy: Path) -> None:
    edit_json(run_copy / "results.json", ["paths"], 50_000)
    outcome = replayed(run_copy)
    assert (outcome.identical, outcome.differences, outcome.facts) == (False, [], ("paths",))
    assert outcome.verdict.endswith("results.json says something else about paths")


def test_a_replay_by_another_version_is_judged_by_its_figures(run_copy: Path) -> None:
    edit_json(run_copy / "results.json", ["riskops"], "0.0.1")
    assert replayed(run_copy).identical


def test_figures_that_are_missing_or_too_many_are_found(run_copy: Path) -> None:
    path = run_copy / "results.json"
    results = json.loads(path.read_text("utf-8"))
    gone = results["figures"].pop(3)
    results["figures"].append({**gone, "portfolio": "another"})
    path.write_text(json.dumps(results), "utf-8")
    found = [(d["portfolio"], d["first"], d["second"]) for d in replayed(run_copy).differences]
    assert found == [("another", gone["value"], None), (gone["portfolio"], None, gone["value"])]


def test_replay_says_when_a_fit_would_come_out_differently(run_copy: Path) -> None:
    """A model that was recorded with other parameters than its prices give: they are used, and it is said."""
    manifest = json.loads((run_copy / "manifest.json").read_text("utf-8"))
    manifest["what"]["calibration"]["options"]["window"] = 500
    from riskops.run.job import spec_hash

    manifest["spec_hash"] = spec_hash(manifest["what"])
    (run_copy / "manifest.json").write_text(json.dumps(sealed(manifest)), "utf-8")
    outcome = replayed(run_copy)
    assert outcome.refit.startswith("fitting the recorded prices again gives other parameters")
    assert (outcome.differences, outcome.facts) == ([], ("spec_hash",))


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (rewritten_price, r"results\.zarr/prices: dates, names or prices are not those of prices_sha256"),
        (lost_store, r"results\.zarr/prices: can't be read"),
        (emptied_manifest, r"the manifest's spec does not have the hash None that it claims"),
    ],
)
def test_a_spoilt_run_is_not_replayed(spoil: Callable[[Path], None], line: str, run_copy: Path) -> None:
    spoil(run_copy)
    with pytest.raises(StoreError, match=line):
        replayed(run_copy)


@pytest.mark.parametrize("text", ["{", "[]", '{"figures": [{"measure": "mean_loss"}]}'])
def test_results_that_cannot_be_read_are_an_error(text: str, run_copy: Path, finished_run: Path) -> None:
    (run_copy / "results.json").write_text(text)
    for check in (lambda: replayed(run_copy), lambda: compare(RunDirectory(finished_run), RunDirectory(run_copy))):
        with pytest.raises(StoreError, match=r"copy: results\.json can't be read"):
            check()


# -- compare


def test_compare_finds_what_differs(finished_run: Path, run_copy: Path) -> None:
    one, two = RunDirectory(finished_run), RunDirectory(run_copy)
    assert compare(one, two) == []
    at = figure(run_copy, measure="mean_loss", portfolio="equal", scenario="base", horizon=1.0)
    before = json.loads((run_copy / "results.json").read_text())["figures"][at]["value"]
    edit_json(run_copy / "results.json", ["figures", at, "value"], 0.5)
    assert compare(one, two) == [
        {
            "portfolio": "equal",
            "scenario": "base",
            "horizon": 1.0,
            "measure": "mean_loss",
            "level": None,
            "asset": None,
            "other_asset": None,
            "first": before,
            "second": 0.5,
        }
    ]


def test_compare_lists_the_figures_of_one_run_only(
    finished_run: Path, small_configuration: Path, tmp_path: Path
) -> None:
    other = make_run(small_configuration, tmp_path / "other", "report.html=false", "risk.levels=[0.9, 0.95]")
    differences = compare(RunDirectory(finished_run), RunDirectory(other))
    assert {d["level"] for d in differences} == {0.95, 0.99}, "what does not depend on the levels is the same"
    assert all((d["first"] is None) == (d["level"] == 0.95) for d in differences)


@pytest.mark.parametrize("check", [verify, replayed, lambda run: compare(run, run)])
def test_a_run_that_is_not_complete_is_refused(check: Callable[..., object], tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "one").create()
    run.write_json("manifest.json", {"format": 1, "status": "partial"})
    with pytest.raises(StoreError, match=r"one: the run is not complete; finish it \(riskops runs resume .*one\)"):
        check(run.path if check is replayed else run)
