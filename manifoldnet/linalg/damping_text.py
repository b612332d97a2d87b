"""Dampings by name, as they are written on the command line."""

import re
from collections.abc import Callable

from manifoldnet.errors import DeclarationError
from manifoldnet.linalg.damping import Floor, Intrinsic, LeastNorm, PseudoInverse, Tikhonov
from manifoldnet.linalg.tensor import Damping

_KINDS: dict[str, Callable[..., Damping]] = {
    "tikhonov": Tikhonov,
    "intrinsic": Intrinsic,
    "floor": Floor,
    "pseudo-inverse": PseudoInverse,
    "least-norm": LeastNorm,
}
_WITH_DEFAULT = ("pseudo-inverse", "least-norm")


def damping_from_text(text: str) -> Damping | None:
    """The damping that a text such as `tikhonov:1e-4` or `floor:0.1+tikhonov:1e-6` names; None for `none`.

    Raises DeclarationError, which lists the known names.

    >>> damping_from_text("floor:0.1 + tikhonov:1e-6")
    DampingSum(parts=(Floor(eps=0.1), Tikhonov(eps=1e-06)))
    """
    pieces = [piece.strip().lower() for piece in re.split(r"\+(?=\s*[a-zA-Z])", text)]
    if pieces == ["none"]:
        return None
    total: Damping | None = None
    for piece in pieces:
        part = _part_from_text(piece, text)
        total = part if total is None else total + part
    return total


def _part_from_text(piece: str, text: str) -> Damping:
    name, colon, number = piece.partition(":")
    if name.strip() not in _KINDS:
        raise DeclarationError(
            f"{text!r} is not a damping: {name.strip()!r} is unknown; known are none, "
            f"{', '.join(f'{kind}:NUMBER' for kind in _KINDS)}, and sums of them with +"
        )
    kind = _KINDS[name.strip()]
    if not colon and name.strip() in _WITH_DEFAULT:
        return kind()
    try:
        value = float(number)
    except ValueError:
        raise DeclarationError(
            f"{text!r} is not a damping: expected {name.strip()}:NUMBER such as {name.strip()}:1e-4, received {piece!r}"
        ) from None
    return kind(value)


__all__ = ["damping_from_text"]
