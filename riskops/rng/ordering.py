"""Which draw drives what: Brownian-bridge order over the steps, and which pairs get the first Sobol dimensions.

Sobol points are best in their first dimensions, and in few dimensions at a time. Driven in the bridge's order, the
first draw of a path settles where it ends, the second its middle, and so on by halves: most of what a result depends
on then hangs on few draws.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
import numpy.typing as npt

from riskops.checks import check_integer

__all__ = ["bridge_intervals", "bridge_matrix", "dimension_order"]


def bridge_intervals(steps: int) -> npt.NDArray[np.int32]:
    """What each draw of a Brownian bridge over ``steps`` steps settles: ``(steps, 3)``, rows ``left, middle, right``.

    Draw ``k`` moves the point after ``middle`` steps, between ``left`` and ``right``, which earlier draws have settled.
    The longest interval comes first, the earliest of equally long ones, and is halved (an odd one has its shorter half
    first). Row 0, the end of the path, is ``0, steps, steps``.

    Examples
    --------
    >>> bridge_intervals(4).tolist()
    [[0, 4, 4], [0, 2, 4], [0, 1, 2], [2, 3, 4]]
    """
    check_integer("steps", steps, at_least=1)
    rows = [(0, steps, steps)]
    waiting = [(-steps, 0)]
    while waiting:
        length, left = heapq.heappop(waiting)
        right = left - length
        if right - left >= 2:
            middle = left + (right - left) // 2
            rows.append((left, middle, right))
            heapq.heappush(waiting, (left - middle, left))
            heapq.heappush(waiting, (middle - right, middle))
    return np.array(rows, np.int32)


def bridge_matrix(steps: int) -> npt.NDArray[np.float64]:
    """The orthogonal matrix of a Brownian bridge: step ``t`` takes the normal ``sum over k of B[t, k] * y[k]``.

    ``y_0`` drives the end of the path, ``y_1`` its middle, and so on (:func:`bridge_intervals`). Rows and columns are
    orthonormal, so that independent standard normals ``y`` give independent standard normals. Column ``k`` is nonzero
    on the steps of its interval alone, with one value before the middle and one after it.

    Examples
    --------
    >>> bridge_matrix(4).round(3)
    array([[ 0.5  ,  0.5  ,  0.707,  0.   ],
           [ 0.5  ,  0.5  , -0.707,  0.   ],
           [ 0.5  , -0.5  ,  0.   ,  0.707],
           [ 0.5  , -0.5  ,  0.   , -0.707]])
    """
    intervals = bridge_intervals(steps)
    matrix = np.zeros((steps, steps))
    for k, (left, middle, right) in enumerate(intervals.tolist()):
        before, after, length = middle - left, right - middle, right - left
        matrix[left:middle, k] = math.sqrt((after if k else 1) / ((before if k else 1) * length))
        if after:
            matrix[middle:right, k] = -math.sqrt(before / (after * length))
    return matrix


def dimension_order(steps: int, factors: int, dimensions: int) -> npt.NDArray[np.int32]:
    """The Sobol dimension ``(steps, factors)`` of draw ``k`` of the bridge for principal component ``j``; -1 for none.

    Draws are ranked by the halving that they belong to (0; 1; 2 and 3; 4 to 7; ...), whose intervals are about equally
    long, then by component, then by their number. The first ``dimensions`` pairs in this order get one each, at most
    as many as there are pairs; the rest takes pseudo-random words.

    Examples
    --------
    >>> dimension_order(4, 2, 6).tolist()
    [[0, 1], [2, 3], [4, -1], [5, -1]]
    """
    check_integer("steps", steps, at_least=1)
    check_integer("factors", factors, at_least=1)
    check_integer("dimensions", dimensions, at_least=0)
    pairs = sorted((k.bit_length(), j, k) for k in range(steps) for j in range(factors))
    order = np.full((steps, factors), -1, np.int32)
    for dimension, (_, j, k) in enumerate(pairs[:dimensions]):
        order[k, j] = dimension
    return order
