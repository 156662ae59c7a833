"""What the pages share: their frame, their styles, and the one place where templates are filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from riskops.report.formatting import DASH
from riskops.report.plots import embed, library
from riskops.report.timings import timing_rows

__all__ = ["render", "safe"]


def render(
    template: str,
    *,
    title: str,
    styles: Sequence[str],
    drawn: Mapping[str, Any],
    configuration: str,
    lineage: Mapping[str, Any],
    timings: Mapping[str, Any] | None,
    filters: Mapping[str, Callable[..., Any]],
    values: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> str:
    """Fill in a template that extends ``page.html.j2``.

    ``styles`` are files of the templates' folder. ``drawn`` are the plots by name; ``values`` is told their elements,
    which are safe to show, and gives what else the template shows.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    script, elements = embed(drawn)
    environment = Environment(loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(filters)
    rows = None if timings is None else timing_rows(timings)
    text: str = environment.get_template(template).render(
        title=title,
        css=safe("".join(map(_read, styles))),
        library=safe(library()) if drawn else "",
        script=safe(script),
        configuration=configuration,
        lineage=list(_flat(lineage)),
        timings=rows,
        paths_known=any(row.paths_per_second is not None or row.bytes_written is not None for row in rows or ()),
        seconds=0.0 if timings is None else timings["seconds"],
        dash=DASH,
        **values({name: safe(element) for name, element in elements.items()}),
    )
    return text


def safe(text: str) -> Any:
    """Mark what riskops or Bokeh wrote as HTML; everything else that reaches a template is escaped."""
    from markupsafe import Markup

    return Markup(text)


def _read(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{key}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{key}", DASH if value is None else str(value)
