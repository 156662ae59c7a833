"""From raw draws to the shocks that a model declared: mixed, gathered from tables, counted.

Every loop has a fixed order over assets and runs over contiguous paths; nothing here depends on where a block begins,
or on the device that it is on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from riskops.models import Shock, path_kernel
from riskops.models.base import Array
from riskops.scalar import fma
from riskops.simulation.place import HOST, Place
from riskops.tables import row_of

__all__ = ["MixedShocks"]


@path_kernel(tables=("matrix",))
def _mix(out, draws, matrix):  # type: ignore[no-untyped-def]
    """out[a] = sum over j <= a of matrix[a, j] * draws[j], in the order of j; four terms a sweep to spare loads."""
    assets, n = out.shape
    strip = 512
    for start in range(0, n, strip):
        stop = min(start + strip, n)
        for a in range(assets):
            row = out[a, start:stop]
            first = matrix[a, 0]
            d0 = draws[0, start:stop]
            for i in range(stop - start):
                row[i] = first * d0[i]
            j = 1
            while j + 3 <= a:
                m0, m1, m2, m3 = matrix[a, j], matrix[a, j + 1], matrix[a, j + 2], matrix[a, j + 3]
                d0 = draws[j, start:stop]
                d1 = draws[j + 1, start:stop]
                d2 = draws[j + 2, start:stop]
                d3 = draws[j + 3, start:stop]
                for i in range(stop - start):
                    row[i] = fma(m3, d3[i], fma(m2, d2[i], fma(m1, d1[i], fma(m0, d0[i], row[i]))))
                j += 4
            while j <= a:
                m0 = matrix[a, j]
                d0 = draws[j, start:stop]
                for i in range(stop - start):
                    row[i] = fma(m0, d0[i], row[i])
                j += 1


@path_kernel(tables=("matrix",))
def _mix_common(out, own, common, matrix):  # type: ignore[no-untyped-def]
    """out[a] = matrix[a, factors] * own[a] + sum over j of matrix[a, j] * common[j], in the order of j; four terms
    a sweep to spare loads."""
    assets, n = out.shape
    factors = common.shape[0]
    strip = 1024
    for start in range(0, n, strip):
        stop = min(start + strip, n)
        for a in range(assets):
            row, drawn = out[a, start:stop], own[a, start:stop]
            weight = matrix[a, factors]
            for i in range(stop - start):
                row[i] = weight * drawn[i]
            j = 0
            while j + 3 < factors:
                m0, m1, m2, m3 = matrix[a, j], matrix[a, j + 1], matrix[a, j + 2], matrix[a, j + 3]
                d0 = common[j, start:stop]
                d1 = common[j + 1, start:stop]
                d2 = common[j + 2, start:stop]
                d3 = common[j + 3, start:stop]
                for i in range(stop - start):
                    row[i] = fma(m3, d3[i], fma(m2, d2[i], fma(m1, d1[i], fma(m0, d0[i], row[i]))))
                j += 4
            while j < factors:
                m0 = matrix[a, j]
                d0 = common[j, start:stop]
                for i in range(stop - start):
                    row[i] = fma(m0, d0[i], row[i])
                j += 1


#: States whose coefficients are blended; reading more of them from memory path by path is quicker.
FEW_STATES = 4


@path_kernel(tables=("matrices",))
def _mix_few_states(out, draws, selector, matrices):  # type: ignore[no-untyped-def]
    """The same sum with the matrix that each path's index state selects, one of up to four: every coefficient is taken
    from two pairs of constants, which vectorises."""
    assets, n = out.shape
    last = matrices.shape[0] - 1
    strip = 512
    for start in range(0, n, strip):
        stop = min(start + strip, n)
        state = selector[0, start:stop]
        for a in range(assets):
            row = out[a, start:stop]
            for j in range(a + 1):
                m0, m1 = matrices[0, a, j], matrices[min(1, last), a, j]
                m2, m3 = matrices[min(2, last), a, j], matrices[min(3, last), a, j]
                draw = draws[j, start:stop]
                for i in range(stop - start):
                    odd = (state[i] & np.int32(1)) != 0
                    low, high = m1 if odd else m0, m3 if odd else m2
                    taken = high if state[i] >= np.int32(2) else low
                    row[i] = taken * draw[i] if j == 0 else fma(taken, draw[i], row[i])


@path_kernel(tables=("matrices",))
def _mix_many_states(out, draws, selector, matrices):  # type: ignore[no-untyped-def]
    """The same for any number of states; the order of terms is that of ``_mix``."""
    assets, n = out.shape
    for a in range(assets):
        for i in range(n):
            out[a, i] = matrices[selector[0, i], a, 0] * draws[0, i]
        for j in range(1, a + 1):
            for i in range(n):
                out[a, i] = fma(matrices[selector[0, i], a, j], draws[j, i], out[a, i])


@path_kernel(tables=("table",))
def _gather_rows(out, words, table):  # type: ignore[no-untyped-def]
    """out[a] = table[row, a], the row that the word stands for."""
    assets, n = out.shape
    rows = np.uint32(table.shape[0])
    for a in range(assets):
        source = a if words.shape[0] > 1 else 0
        for i in range(n):
            out[a, i] = table[row_of(words[source, i], rows), a]


@path_kernel(tables=("limits",))
def _count_outcomes(out, words, limits):  # type: ignore[no-untyped-def]
    """out[a] = how many of the thresholds limits[a] are not above the word; one of 2^32 is above every word."""
    assets, n = out.shape
    for a in range(assets):
        row, word = out[a], words[a]
        for i in range(n):
            row[i] = np.int32(0)
        for k in range(limits.shape[1]):
            if limits[a, k] <= np.uint64(0xFFFFFFFF):
                limit = np.uint32(limits[a, k])
                for i in range(n):
                    row[i] += np.int32(word[i] >= limit)


class MixedShocks:
    """From the draws of a step to what the step of a model receives: draws mixed, rows gathered, outcomes counted.

    The arrays are made once and serve every step and, in turn, every model of a stretch of paths.
    """

    def __init__(
        self, shocks: Sequence[Shock], drawn: Sequence[Array], *, assets: int, dtype: np.dtype, place: Place = HOST
    ) -> None:
        self._shocks, self._drawn = shocks, drawn
        self._place = {shock.name: place for place, shock in enumerate(shocks)}
        self._received: list[Array] = []
        for shock, array in zip(shocks, drawn, strict=True):
            if shock.kind == "outcome":
                self._received.append(place.empty(tuple(array.shape), np.dtype(np.int32)))
            elif shock.mixing is not None or shock.kind == "rows":
                self._received.append(place.empty((assets, array.shape[1]), dtype))
            else:
                self._received.append(array)

    def of(self, tables: Mapping[str, Array], state: Mapping[str, Array]) -> dict[str, Array]:
        """The shocks by name, for a model with these tables in this state."""
        received = {}
        for shock, drawn, out in zip(self._shocks, self._drawn, self._received, strict=True):
            if shock.kind == "outcome" and shock.table is not None:
                _count_outcomes(out, drawn, tables[shock.table])
            elif shock.table is not None:
                _gather_rows(out, drawn, tables[shock.table])
            elif shock.selector is not None and shock.mixing is not None:
                few = tables[shock.mixing].shape[0] <= FEW_STATES
                mix = _mix_few_states if few else _mix_many_states
                mix(out, drawn, state[shock.selector], tables[shock.mixing])
            elif shock.common is not None and shock.mixing is not None:
                _mix_common(out, drawn, self._drawn[self._place[shock.common]], tables[shock.mixing])
            elif shock.mixing is not None:
                _mix(out, drawn, tables[shock.mixing])
            received[shock.name] = out
        return received
