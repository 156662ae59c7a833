"""Records beside a run in the making: small sealed files that say what was stored, and of which run.

A CRC32C tells a damaged chunk, not one that was copied from another run. So the digests of a chunk's tiles are written
beside it once it is stored, sealed with the identity of the simulation, and what is resumed trusts only chunks whose
content and record agree. States of reductions are kept under the same seal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from riskops.simulation.location import Location, read_object, write_object

__all__ = ["Records"]

SEAL_BYTES = 32


@dataclass(frozen=True)
class Records:
    """The records of one run: a folder, and the identity of what is simulated."""

    folder: Location
    identity: str

    def write(self, name: str, index: int, payload: bytes) -> None:
        """Keep the record of one chunk, whole or not at all."""
        write_object(self._place(name, index), self._seal(name, index, payload), payload)

    def read(self, name: str, index: int) -> bytes | None:
        """The record of one chunk; None where there is none, or one that is damaged or another run's."""
        found = read_object(self._place(name, index))
        if found is None:
            return None
        seal, payload = found[:SEAL_BYTES].tobytes(), found[SEAL_BYTES:].tobytes()
        return payload if seal == self._seal(name, index, payload) else None

    def _place(self, name: str, index: int) -> Location:
        return self.folder / f"{name}-{index:06d}.record"

    def _seal(self, name: str, index: int, payload: bytes) -> bytes:
        return hashlib.sha256(f"{self.identity}\0{name}\0{index}\0".encode() + payload).digest()
