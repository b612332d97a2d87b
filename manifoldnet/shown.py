"""How things show themselves in a notebook: asked of classes on every floor, answered by `manifoldnet.views`."""

import functools


@functools.singledispatch
def html_of(thing: object) -> str | None:
    """A thing as HTML; None where nobody has said how.

    >>> html_of(object()) is None
    True
    """
    return None


@functools.singledispatch
def svg_of(thing: object) -> str | None:
    """A thing as a picture, SVG text; None where nobody has said how, or where it cannot be drawn."""
    return None
