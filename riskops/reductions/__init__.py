"""Reductions over paths: frozen values that say what a chunk gives, how chunks merge and what comes out.

Results do not depend on how the paths were cut into chunks, nor on the order of merging, to the last bit.
"""

from riskops.reductions.comoments import CoMoments
from riskops.reductions.groups import INDEPENDENT, Groups, groups_of
from riskops.reductions.histogram import Histogram, histogram_quantile
from riskops.reductions.moments import Moments
from riskops.reductions.order import (
    Z95,
    interval_ranks,
    needed_paths,
    needed_tail,
    order_index,
    quantile_and_shortfall,
    shortfall_error,
    shortfall_interval,
    skewed_interval,
    skewness_over_root,
)
from riskops.reductions.reduction import (
    Reduction,
    chunk_states,
    combine_states,
    finalized,
    fuse,
    reduce_paths,
)
from riskops.reductions.second_pass import again, again_dataset
from riskops.reductions.tail import Tail
from riskops.reductions.tree import TileTree
from riskops.reductions.weighted_tail import WeightedTail

__all__ = [
    "INDEPENDENT",
    "Z95",
    "CoMoments",
    "Groups",
    "Histogram",
    "Moments",
    "Reduction",
    "Tail",
    "TileTree",
    "WeightedTail",
    "again",
    "again_dataset",
    "chunk_states",
    "combine_states",
    "finalized",
    "fuse",
    "groups_of",
    "histogram_quantile",
    "interval_ranks",
    "needed_paths",
    "needed_tail",
    "order_index",
    "quantile_and_shortfall",
    "reduce_paths",
    "shortfall_error",
    "shortfall_interval",
    "skewed_interval",
    "skewness_over_root",
]
