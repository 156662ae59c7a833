"""What a fault is injected into: a job of 64 chunks, the undisturbed run of it, and how a run is held to that one.

A case is a generator: it injects its fault, looks at what came of it, and yields once for each time it did so. What it
finds lost, wrong or otherwise than expected goes into its :class:`Tally`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riskops.run import RunDirectory, verify
from tests.faults.commands import Command, stored_chunks, until

__all__ = ["CASES", "CHUNKS", "CHUNK_PATHS", "CONFIGURATION", "Fault", "Ground", "Tally", "fault", "missing_tool"]

CHUNKS, CHUNK_PATHS = 64, 4096

CONFIGURATION = """
title: A job that faults are injected into
market: {prices: sp500, start: 2019-01-02, assets: [XOM, AAPL, JPM, MSFT]}
portfolios:
  - {name: equal, capital: 1000000, weights: equal}
  - {name: long_short, cash: 250000, shares: {AAPL: 1000, XOM: -500}}
model: {kind: faulty}
simulation: {paths: 262144, steps: 5, seed: 7, chunk_paths: 4096}
risk: {levels: [0.9, 0.99], horizons: [1, 5]}
stress: {library: market, scenarios: [covid_2020_q1, volatility_doubled]}
report: {html: false}
"""


@dataclass
class Tally:
    """What came of a fault, over all the times that it was injected."""

    times: int = 0
    lost: list[str] = field(default_factory=list)
    """Runs whose work could not be brought to its end again."""
    wrong: list[str] = field(default_factory=list)
    """Runs with other figures, or other arrays, than the undisturbed one."""
    unexpected: list[str] = field(default_factory=list)
    """What was said or done otherwise than it should be."""

    @property
    def survived(self) -> bool:
        """Whether all went as it should."""
        return not (self.lost or self.wrong or self.unexpected)


@dataclass(frozen=True)
class Fault:
    """A kind of fault: its name, what has to come of it, and the function that injects it."""

    name: str
    expected: str
    inject: Callable[[Ground], Iterator[None]]
    needs: tuple[str, ...] = ()
    """Programs of the system, or ``root``; a fault that can't be injected for want of them counts as a failure."""


CASES: dict[str, Fault] = {}


def fault(name: str, *, expected: str, needs: Sequence[str] = ()) -> Callable[..., Any]:
    """Enter a case into the table."""

    def enter(function: Callable[[Ground], Iterator[None]]) -> Callable[[Ground], Iterator[None]]:
        CASES[name] = Fault(name, expected, function, tuple(needs))
        return function

    return enter


def missing_tool(needs: Sequence[str]) -> str | None:
    """What a case needs and this machine, or this user, has not."""
    for name in needs:
        there = os.geteuid() == 0 if name == "root" else shutil.which(name) is not None
        if not there:
            return name
    return None


@dataclass
class Ground:
    """An empty folder, the configuration, the undisturbed run, and the tally of one case."""

    folder: Path
    configuration: Path
    undisturbed: Path
    tally: Tally = field(default_factory=Tally)
    _places: int = 0

    def place(self, name: str = "run") -> Path:
        """A fresh place for a run."""
        self._places += 1
        folder = self.folder / f"{self._places:03d}"
        folder.mkdir(parents=True)
        return folder / name

    def run(self, place: Path, *words: str, program: tuple[str, ...] | None = None, **environment: str) -> Command:
        """``riskops run`` of the configuration into the place."""
        words = ("run", str(self.configuration), "--out", str(place), "--quiet", *words)
        return Command(*words, program=program, **environment)

    def resume(self, place: Path, *words: str, program: tuple[str, ...] | None = None, **environment: str) -> Command:
        """``riskops runs resume``."""
        return Command("runs", "resume", str(place), "--quiet", *words, program=program, **environment)

    def copy_of(self, place: Path) -> Path:
        """A copy of a partial run, to be spoilt."""
        copy = self.place()
        shutil.copytree(place.with_name(place.name + ".partial"), copy.with_name(copy.name + ".partial"))
        return copy

    def interrupted(self, place: Path, *words: str, chunks: int = 8) -> Path:
        """A partial run that holds some chunks: its client was killed when they were stored."""
        with self.run(place, *words) as command:
            self.reach(command, lambda: stored_chunks(place) >= chunks, f"{chunks} chunks were stored")
            command.kill()
        return place

    def reach(self, command: Command, condition: Callable[[], bool], what: str) -> bool:
        """Wait until a run has come so far; one that ends before is otherwise than it should be."""
        if until(condition, while_running=command):
            return True
        return self.expect(False, f"the run ended before {what}: {command.result(1.0).error[-600:]}")

    def expect(self, good: bool, otherwise: str) -> bool:
        """Note what is otherwise than it should be."""
        if not good:
            self.tally.unexpected.append(otherwise)
        return good

    def expect_line(self, command: Command, status: int, *parts: str) -> bool:
        """A command must have ended with this status and one line that holds these parts, without a traceback."""
        result = command.result()
        lines = [line for line in result.error.splitlines() if line.strip()]
        good = result.status == status and len(lines) == 1 and all(part in lines[0] for part in parts)
        return self.expect(good, f"status {result.status}, not {status} with {parts}: {result.error[-600:]!r}")

    def hold(self, place: Path) -> bool:
        """Hold a run that should be complete to the undisturbed one, hash by hash."""
        if not (place / "manifest.json").is_file():
            self.tally.lost.append(f"{place.name}: there is no complete run")
            return False
        mine, theirs = (json.loads((run / "manifest.json").read_text("utf-8")) for run in (place, self.undisturbed))
        same = (place / "results.json").read_bytes() == (self.undisturbed / "results.json").read_bytes()
        if not same or mine["arrays"] != theirs["arrays"]:
            self.tally.wrong.append(f"{place}: other bytes than the undisturbed run")
            return False
        differences = verify(RunDirectory(place))
        if differences:
            self.tally.wrong.append(f"{place}: {differences[:3]}")
        return not differences

    def hold_resumed(self, place: Path, *words: str, **environment: str) -> bool:
        """Resume a partial run with the command, which must succeed, and hold it to the undisturbed one."""
        result = self.resume(place, *words, **environment).result()
        if result.status != 0:
            self.tally.lost.append(f"{place}: can't be resumed: {result.error.strip()[-600:]}")
            return False
        return self.hold(place)

    def system(self, *words: str) -> None:
        """Run a program of the system that has to succeed."""
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
