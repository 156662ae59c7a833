"""Reductions over paths: frozen values that say what a chunk gives, how chunks merge and what comes out.

Results do not depend on how the paths were cut into chunks, nor on the order of merging, to the last bit.
"""

from riskops.reductions.brackets import Brackets
from riskops.reductions.comoments import CoMoments
from riskops.reductions.exceedances import ExceedanceCounts
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
from riskops.reductions.order_statistics import order_statistics, order_statistics_bytes
from riskops.reductions.rank_summary import RankSummary
from riskops.reductions.reduction import (
    Reduction,
    boxed,
    chunk_states,
    combine_states,
    finalized,
    fuse,
    reduce_paths,
)
from riskops.reductions.second_pass import again, again_dataset
from riskops.reductions.sketch import ApproximateSketch, sketch_quantiles
from riskops.reductions.tail import Tail
from riskops.reductions.tree import TileTree
from riskops.reductions.weighted_tail import WeightedTail
from riskops.reductions.worst_losses import Cut, WorstLosses

__all__ = [
    "INDEPENDENT",
    "Z95",
    "ApproximateSketch",
    "Brackets",
    "CoMoments",
    "Cut",
    "ExceedanceCounts",
    "Groups",
    "Histogram",
    "Moments",
    "RankSummary",
    "Reduction",
    "Tail",
    "TileTree",
    "WeightedTail",
    "WorstLosses",
    "again",
    "again_dataset",
    "boxed",
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
    "order_statistics",
    "order_statistics_bytes",
    "quantile_and_shortfall",
    "reduce_paths",
    "shortfall_error",
    "shortfall_interval",
    "sketch_quantiles",
    "skewed_interval",
    "skewness_over_root",
]
