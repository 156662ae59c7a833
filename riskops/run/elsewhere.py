"""Arrays over paths at a URL (``store.url``): whether they can go there, and where."""

from __future__ import annotations

from riskops.cluster import Cluster
from riskops.errors import StoreError
from riskops.run.directory import RunDirectory
from riskops.simulation.location import location, names_under, seen_by_this_process_only

__all__ = ["place_elsewhere"]


def place_elsewhere(url: str | None, run: RunDirectory, cluster: Cluster) -> str | None:
    """The URL below which a run keeps its arrays over paths: the given one and the run's name.

    Parameters
    ----------
    url
        What the configuration asks for; None: the run's own folder.
    run
        The run that begins.
    cluster
        Who writes there.

    Returns
    -------
    str or None
        The run's own URL, for the manifest.

    Raises
    ------
    StoreError
        Something is there already, the store can't be reached, or the workers would not see it.
    """
    if url is None:
        return None
    own = f"{url}/{run.path.name}"
    place = location(own)
    if seen_by_this_process_only(place) and cluster.client is not None:
        raise StoreError(
            f"store.url: {url} is seen by this process only, and not by {cluster.kind} workers; "
            "take another URL or cluster.kind: threads"
        )
    if names_under(place):
        raise StoreError(f"store.url: {own} holds something already; remove it or choose another --out")
    return own
