"""What each task forecast, kept beside a run in the making, so that a run that is resumed does not fit it again."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from riskops.history.rolled import Rolled
from riskops.run.directory import RunDirectory
from riskops.simulation.records import Records

__all__ = ["RunMemory", "kept_tasks"]

_PREFIX = "forecasts"


@dataclass(frozen=True)
class RunMemory:
    """The sealed records of one run; a record that is damaged, or another run's, counts as missing."""

    records: Records

    @classmethod
    def of(cls, run: RunDirectory) -> RunMemory:
        """The memory of a run in the making; its path is absolute, for workers that started in another folder."""
        here = RunDirectory(run.path.absolute())
        return cls(Records(here.checkpoints, here.identity()))

    def recall(self, key: str) -> Rolled | None:
        """What was kept under a key."""
        content = self.records.read(_name(key), 0)
        if content is None:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays: dict[str, npt.NDArray[Any]] = {name: archive[name] for name in archive.files}
            said = json.loads(str(arrays.pop("said").item()))
            return Rolled(**arrays, notes=said["notes"], seconds=said["seconds"])
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            return None

    def keep(self, key: str, found: Rolled) -> None:
        """Keep what a task forecast, whole or not at all."""
        content = io.BytesIO()
        arrays = {name: value for name, value in vars(found).items() if isinstance(value, np.ndarray)}
        said = json.dumps({"notes": found.notes, "seconds": found.seconds}, sort_keys=True)
        np.savez(content, allow_pickle=False, said=np.array(said), **arrays)
        self.records.write(_name(key), 0, content.getvalue())


def kept_tasks(run: RunDirectory) -> int:
    """How many tasks of a run in the making are kept."""
    folder = run.partial / "checkpoints"
    return sum(1 for _ in folder.glob(f"{_PREFIX}-*.record"))


def _name(key: str) -> str:
    return f"{_PREFIX}-{hashlib.sha256(key.encode()).hexdigest()[:24]}"
