"""Activation maps f_theta: how a unit's activity comes from its parameter and its parents' activities."""

import inspect
from collections.abc import Callable
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.declare.links import Link, Scalar, as_link, identity
from manifoldnet.errors import DeclarationError
from manifoldnet.geometry.manifold import Manifold


@final
@attrs.frozen(eq=False)
class Affine:
    """phi(affine function of the parents): the ordinary unit of the paper's section 1.

    Its parameter is an abstract affine function, written as a bias and weights with respect to the
    parents' charts and the unit's pre-activation chart.

    >>> Affine().link.name
    'identity'
    """

    link: Link = attrs.field(default=identity, converter=as_link)

    @property
    def name(self) -> str:
        return f"affine, {self.link.name}"


def _manifold_or_none(instance: object, attribute: attrs.Attribute, value: object) -> None:
    if value is not None and not isinstance(value, Manifold):
        raise DeclarationError(f"Map({attribute.name}=...) takes a manifold such as mn.Real(3), received {value!r}")


@final
@attrs.frozen(eq=False)
class Map:
    """A unit whose activity is `function(theta, *parents)`, any differentiable function of points.

    `function` receives the unit's parameter `(..., *parameters.shape)` and, for each edge, the wired
    units of that parent as points `(..., m, *manifold.shape)`; it returns a point of `activity`,
    `(..., *activity.shape)`, and broadcasts over the leading axes. With `parameters=None` a function
    that takes only the parents is called without a parameter. `initial(rng, units)` draws initial
    parameters, points `(units, *parameters.shape)`; by default the parameter manifold samples them.
    """

    function: Callable[..., NDArray]
    parameters: Manifold | None = attrs.field(default=None, validator=_manifold_or_none)
    activity: Manifold | None = attrs.field(default=None, validator=_manifold_or_none)
    initial: Callable[[numpy.random.Generator, int], NDArray] | None = None

    def __attrs_post_init__(self) -> None:
        if not callable(self.function):
            raise DeclarationError(f"Map takes a function of points, received {self.function!r}")
        if self.activity is None:
            raise DeclarationError(
                f"Map({self.name}) needs the manifold of its activity: Map(f, parameters=..., activity=mn.Real(1))"
            )

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    @property
    def source(self) -> str:
        """Where the user wrote the function, as `file:line`, for error messages."""
        code = getattr(self.function, "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(self.function)

    def takes_parameter(self, parents: int) -> bool:
        """Whether the function wants a parameter before its `parents` arguments.

        Raises DeclarationError if the number of its arguments fits neither reading.
        """
        if self.parameters is not None:
            return True
        signature = inspect.signature(self.function)
        if _accepts(signature, parents):
            return False
        if _accepts(signature, parents + 1):
            return True
        raise DeclarationError(
            f"map {self.name} ({self.source}) has {parents} parents and no parameter: it must take {parents} "
            f"arguments, but its signature is {self.name}{signature}"
        )


def _accepts(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def as_map(value: object) -> Affine | Map:
    """The map itself, or an affine map through a link; raises DeclarationError for anything else."""
    if isinstance(value, Affine | Map):
        return value
    if isinstance(value, Link):
        return Affine(value)
    raise DeclarationError(
        f"map= takes mn.Affine(link) or mn.Map(function, parameters=..., activity=...), received {value!r}"
    )


__all__ = ["Affine", "Map", "Scalar", "as_map"]
