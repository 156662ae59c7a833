"""Plots as parts of a page: their elements, and the library that draws them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["embed", "library"]


def embed(plots: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Turn plots into script elements, and a ``<div>`` for each by its name."""
    from bokeh.embed import components

    # One document a plot: in a common one Bokeh walks all plots anew for each that is added.
    scripts, elements = [], {}
    for name, plot in plots.items():
        script, element = components(plot)
        scripts.append(str(script))
        elements[name] = str(element)
    return "".join(scripts), elements


def library() -> str:
    """The core of BokehJS as script elements for a page that must open without a network.

    The library can load TeX, map and icon services, which no plot here uses; their addresses are blanked so that the
    page names nothing to load.
    """
    from bokeh.resources import Resources

    script = str(Resources(mode="inline", components=["bokeh"], log_level="error").render_js())
    for service in ("https://cdn.jsdelivr.net", "https://maps.googleapis.com"):
        script = script.replace(service, "about:blank#")
    return script
