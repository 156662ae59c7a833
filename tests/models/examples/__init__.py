"""A small example of every built-in model, in the file of its kind: ``MODEL``, over two assets where it can be."""

from __future__ import annotations

from importlib import import_module

from riskops.models import Model

__all__ = ["example"]


def example(kind: str) -> Model:
    """The example of a built-in model."""
    model: Model = import_module(f"tests.models.examples.{kind}").MODEL
    return model
