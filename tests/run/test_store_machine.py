"""Any sequence of what befalls a store, against a model: what was recorded and not touched is read, all else is made
again, and what comes out is always the same."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from riskops.errors import StoreError
from riskops.run import Recorder, RunDirectory
from riskops.simulation.store import checksum, digest_paths, stored_chunks, stored_digests

CHUNK, MOST = 1024, 5
NUMBERS = np.random.default_rng(4).normal(size=(2, MOST * CHUNK)).astype(np.float32)


class Killed(Exception):
    """The process ended here."""


class Store(RuleBasedStateMachine):
    """The model: how many chunks there should be, and which of them lie whole with their record."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="riskops-machine-"))
        self.run = RunDirectory(self.folder / "one").create()
        self.made: list[int] = []
        self.whole: set[int] = set()
        self.chunks = 0
        self.kill_at: int | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @initialize(chunks=st.integers(1, 3))
    def begin(self, chunks: int) -> None:
        self.chunks = chunks
        Recorder(self.run).keep(self.source(), "loss")  # reserved, and nothing written

    def source(self) -> xr.Dataset:
        def make(block_info: Any = None) -> npt.NDArray[np.float32]:
            start, stop = block_info[None]["array-location"][-1]
            if self.kill_at == len(self.made):
                raise Killed
            self.made.append(start // CHUNK)
            return NUMBERS[:, start:stop]

        sizes = (CHUNK,) * self.chunks
        data = da.map_blocks(make, chunks=((2,), sizes), dtype=np.float32, meta=np.empty((0, 0), np.float32))
        return xr.Dataset({"loss": (("asset", "path"), data)})

    def file(self, chunk: int) -> Path:
        return self.run.store / "loss" / "c" / "0" / str(chunk)

    def record(self, chunk: int) -> Path:
        return self.run.partial / "checkpoints" / f"loss-{chunk:06d}.record"

    def resumed(self, kill_at: int | None) -> None:
        """One attempt at the whole, and what the model says of it."""
        self.made, self.kill_at = [], kill_at
        missing = [chunk for chunk in range(self.chunks) if chunk not in self.whole]
        recorder = Recorder(self.run)
        kept = recorder.keep(self.source(), "loss")["loss"].data
        assert recorder.found == {"loss": self.chunks - len(missing)}
        try:
            values, digests = dask.compute(kept, recorder.digests["loss"], scheduler="synchronous")
        except Killed:
            assert kill_at is not None
            self.whole |= {chunk for chunk in self.made if self.record(chunk).exists() and self.file(chunk).exists()}
            return
        assert sorted(self.made) == missing
        self.whole = set(range(self.chunks))
        np.testing.assert_array_equal(values, NUMBERS[:, : self.chunks * CHUNK])
        expected = digest_paths(da.from_array(NUMBERS[:, : self.chunks * CHUNK], chunks=(2, CHUNK))).compute()
        assert checksum(digests) == checksum(expected) == checksum(stored_digests(self.run.store, "loss"))

    @rule()
    def resume(self) -> None:
        self.resumed(None)

    @rule(after=st.integers(0, MOST))
    def killed(self, after: int) -> None:
        self.resumed(after)

    @precondition(lambda self: self.chunks < MOST)
    @rule()
    def extend(self) -> None:
        self.chunks += 1
        Recorder(self.run).keep(self.source(), "loss")

    @rule(data=st.data(), record=st.booleans(), how=st.sampled_from(["torn", "flipped", "gone", "empty", "foreign"]))
    def spoil(self, data: st.DataObject, record: bool, how: str) -> None:
        if not self.whole:
            return
        chunk = data.draw(st.sampled_from(sorted(self.whole)))
        path = self.record(chunk) if record else self.file(chunk)
        content = bytearray(path.read_bytes())
        if how == "gone":
            path.unlink()
        elif how == "foreign":
            others = sorted(self.whole - {chunk})
            if not others:
                return
            other = data.draw(st.sampled_from(others))
            shutil.copy(self.record(other) if record else self.file(other), path)
        else:
            at = data.draw(st.integers(0, len(content) - 1))
            content[at] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes({"torn": content[:at], "flipped": content, "empty": b""}[how])
        self.whole.discard(chunk)

    @rule()
    def leave_a_draft(self) -> None:
        """What a killed writer leaves."""
        draft = self.file(0).with_name("0.deadbeef.tmp")
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(b"half a chunk")

    @rule()
    def tear_the_metadata(self) -> None:
        place = self.run.store / "loss" / "zarr.json"
        place.write_bytes(place.read_bytes()[:50])
        with pytest.raises(StoreError, match=r"^one\.partial: loss: zarr\.json is missing or damaged$"):
            stored_chunks(self.run.store, "loss")
        Recorder(self.run).keep(self.source(), "loss")

    @invariant()
    def a_finish_leaves_only_what_belongs_there(self) -> None:
        if len(self.whole) < self.chunks or not self.chunks:
            return
        copy = RunDirectory(self.folder / "finished")
        shutil.copytree(self.run.partial, copy.partial)
        copy.finish({"format": 1, "status": "complete"})
        names = {path.name for path in (copy.store / "loss" / "c" / "0").iterdir()}
        assert names == {str(chunk) for chunk in range(self.chunks)}
        assert not (copy.path / "checkpoints").exists()
        shutil.rmtree(copy.path)


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=12)
