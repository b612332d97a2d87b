"""Words for numbers and things, as pictures and tables show them."""

from typing import Any

import attrs

from manifoldnet.geometry.manifold import Manifold


def plural(count: int, word: str) -> str:
    """A count with its word.

    >>> plural(1, "unit"), plural(4160, "parameter")
    ('1 unit', '4,160 parameters')
    """
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def manifold_text(manifold: Manifold) -> str:
    """A manifold as a person would declare it.

    >>> from manifoldnet.geometry import Interval, Product, Real, Sphere
    >>> manifold_text(Interval(-1, 1)), manifold_text(Real(3)), manifold_text(Product(Real(1), Sphere(2)))
    ('Interval(-1, 1)', 'Real(3)', 'Product(Real(1), Sphere(2))')
    """
    kind: Any = type(manifold)
    values = {field.name: getattr(manifold, field.name) for field in attrs.fields(kind) if field.init}
    if len(values) > 1 and values.get("n") == 1:
        del values["n"]
    return f"{type(manifold).__name__}({', '.join(_value_text(value) for value in values.values())})"


def _value_text(value: object) -> str:
    if isinstance(value, Manifold):
        return manifold_text(value)
    if isinstance(value, tuple):
        return ", ".join(_value_text(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def units_text(units: tuple[int, ...]) -> str:
    """Unit numbers as a slice where they are one, else one by one.

    >>> units_text((0, 1, 2)), units_text((4,)), units_text((0, 3))
    ('0:3', '4', '0, 3')
    """
    if len(units) > 1 and units == tuple(range(units[0], units[0] + len(units))):
        return f"{units[0]}:{units[-1] + 1}"
    return ", ".join(map(str, units))
