"""Words for numbers and things, as pictures and tables show them."""

from manifoldnet.declare.textual import manifold_text as declared_text
from manifoldnet.geometry.manifold import Manifold


def plural(count: int, word: str) -> str:
    """A count with its word.

    >>> plural(1, "unit"), plural(4160, "parameter")
    ('1 unit', '4,160 parameters')
    """
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def manifold_text(manifold: Manifold) -> str:
    """A manifold as a person would declare it; one of their own as it shows itself.

    >>> from manifoldnet.geometry import Interval
    >>> manifold_text(Interval(-1, 1))
    'Interval(-1, 1)'
    """
    return declared_text(manifold) or repr(manifold)


def units_text(units: tuple[int, ...]) -> str:
    """Unit numbers as a slice where they are one, else one by one.

    >>> units_text((0, 1, 2)), units_text((4,)), units_text((0, 3))
    ('0:3', '4', '0, 3')
    """
    if len(units) > 1 and units == tuple(range(units[0], units[0] + len(units))):
        return f"{units[0]}:{units[-1] + 1}"
    return ", ".join(map(str, units))
