"""Links: the scalar functions phi through which affine units pass their pre-activation."""

from collections.abc import Callable
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet import numpy as np
from manifoldnet.errors import DeclarationError
from manifoldnet.geometry.interval import Interval
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.positive import Positive
from manifoldnet.geometry.real import Real
from manifoldnet.numpy.derivatives import derivative

Scalar = Callable[[NDArray], NDArray]


# The exponential of this and the reciprocal of that are both finite and not subnormal.
_FINITE = 700.0


@final
@attrs.frozen(eq=False)
class StableLog:
    """log|phi| and its derivative, finite where phi itself underflows."""

    value: Scalar
    derivative: Scalar


@final
@attrs.frozen(eq=False)
class Link:
    """A scalar function phi with a name, applied to every component of a pre-activation.

    `function` broadcasts over any shape; `slope` is its derivative, from automatic differentiation
    unless given in closed form. `image(n)` is the manifold on which n of its values live. `gain`
    scales initial weights so that a unit keeps the spread of its signals. `log_odds_slope` says, for
    a link onto an interval, that the log-odds of its value are exactly `log_odds_slope * y`; with
    `stable_log` this keeps losses and moduli finite for units that saturate. `with_slope` gives value and
    derivative at once, where they share most of their work; like `function`, of arrays of whatever library computes.

    >>> float(logistic.function(0.0)), float(logistic.derivative_at(0.0))
    (0.5, 0.25)
    """

    name: str
    function: Scalar
    slope: Scalar | None = None
    image: Callable[[int], Manifold] = Real
    gain: float = 1.0
    log_odds_slope: float | None = None
    stable_log: StableLog | None = None
    with_slope: Callable[[NDArray], tuple[NDArray, NDArray]] | None = None

    def value_and_slope(self, preactivation: NDArray) -> tuple[NDArray, NDArray | None]:
        """phi(y) at every component of a pre-activation, and phi'(y) where the link gives both at once."""
        if self.with_slope is not None:
            return self.with_slope(preactivation)
        value = self.function(preactivation)
        return numpy.asarray(value) if isinstance(preactivation, numpy.ndarray) else value, None

    def derivative_at(self, preactivation: NDArray) -> NDArray:
        """phi'(y) at every component of `preactivation` (...), of the same shape (eq. 6)."""
        if self.slope is not None:
            return self.slope(preactivation)
        return derivative(self.function, preactivation)


def _logistic_slope(y: NDArray) -> NDArray:
    decay = np.exp(-np.abs(y))
    root = 1.0 + decay
    # in place, which large arrays gain from
    root *= root
    decay /= root
    return decay


def _logistic_with_slope(y: NDArray) -> tuple[NDArray, NDArray]:
    if not isinstance(y, numpy.ndarray):
        return _traced_logistic_with_slope(y)
    # with e = exp(-y), kept finite, 1 - phi is e phi: neither side loses a digit where units saturate
    decay = numpy.negative(y)
    numpy.exp(numpy.minimum(decay, _FINITE, out=decay), out=decay)
    value = numpy.add(decay, 1.0)
    numpy.reciprocal(value, out=value)
    decay *= value
    decay *= value
    return value, decay


def _traced_logistic_with_slope(y: NDArray) -> tuple[NDArray, NDArray]:
    decay = np.exp(-np.abs(y))
    whole = 1.0 + decay
    return np.where(y >= 0.0, 1.0, decay) / whole, decay / (whole * whole)


def _tanh_slope(y: NDArray) -> NDArray:
    # 1 - tanh(y)^2 loses every digit to cancellation from |y| = 19 on
    return 4.0 * _logistic_slope(2.0 * y)


def _scaled_tanh_slope(y: NDArray) -> NDArray:
    return 1.7159 * 2.0 / 3.0 * _tanh_slope(2.0 * y / 3.0)


def _softplus_log(y: NDArray) -> NDArray:
    # below -30, softplus(y) = exp(y) (1 - exp(y)/2 + ...), whose logarithm is y to rounding
    return np.where(y < -30.0, y - 0.5 * np.exp(np.minimum(y, 0.0)), np.log(np.softplus(np.maximum(y, -30.0))))


def _softplus_log_slope(y: NDArray) -> NDArray:
    held = np.maximum(y, -30.0)
    return np.where(y < -30.0, 1.0 - 0.5 * np.exp(np.minimum(y, 0.0)), np.expit(held) / np.softplus(held))


logistic = Link(
    "logistic",
    np.expit,
    _logistic_slope,
    image=lambda n: Interval(0.0, 1.0, n),
    gain=2.0,
    log_odds_slope=1.0,
    stable_log=StableLog(lambda y: -np.softplus(-y), lambda y: np.expit(-y)),
    with_slope=_logistic_with_slope,
)
tanh = Link("tanh", np.tanh, _tanh_slope, image=lambda n: Interval(-1.0, 1.0, n), gain=1.0, log_odds_slope=2.0)
scaled_tanh = Link(
    "scaled_tanh",
    lambda y: 1.7159 * np.tanh(2.0 * y / 3.0),
    _scaled_tanh_slope,
    image=lambda n: Interval(-1.7159, 1.7159, n),
    gain=1.5,
    log_odds_slope=4.0 / 3.0,
)
identity = Link("identity", lambda y: 1.0 * y, lambda y: np.ones_like(y))
softplus = Link(
    "softplus",
    np.softplus,
    np.expit,
    image=Positive,
    stable_log=StableLog(_softplus_log, _softplus_log_slope),
)
relu = Link("relu", lambda y: np.maximum(y, 0.0), lambda y: 1.0 * (y > 0.0))

NAMED_LINKS = {link.name: link for link in (logistic, tanh, scaled_tanh, identity, softplus, relu)}


def keeps_to(link: Link, manifold: Manifold) -> bool:
    """Whether the link's values lie on the manifold whatever the pre-activation.

    A listed link keeps to its own image, which rounding may close but never leaves.
    """
    listed = any(link is known for known in NAMED_LINKS.values())
    return isinstance(manifold, Real) or (listed and manifold == link.image(manifold.dim))


def as_link(link: Link | Scalar | str) -> Link:
    """The link itself, a named one, or one made of a user's scalar function (derivative by autograd).

    Raises DeclarationError for anything else, and for a function that is not elementwise.
    """
    if isinstance(link, Link):
        return link
    if isinstance(link, str):
        if link not in NAMED_LINKS:
            raise DeclarationError(f"no link is named {link!r}: the named links are {', '.join(NAMED_LINKS)}")
        return NAMED_LINKS[link]
    if not callable(link):
        raise DeclarationError(
            f"a link is a scalar function such as mn.logistic, received {type(link).__name__} {link!r}"
        )
    _check_elementwise(link)
    return Link(getattr(link, "__name__", "link"), link)


def _check_elementwise(function: Scalar) -> None:
    name = getattr(function, "__name__", repr(function))
    sample = numpy.linspace(-1.3, 1.7, 6).reshape(2, 3)
    values = _called(function, sample, name)
    if values.shape != sample.shape:
        raise DeclarationError(
            f"link {name!r} must act on every component alone: an array of shape {sample.shape} gave shape {values.shape}"
        )
    if values.dtype != numpy.float64 or not numpy.isfinite(values).all():
        raise DeclarationError(
            f"link {name!r} must give finite float64 numbers wherever a pre-activation may be: between -1.3 and 1.7 it gave "
            f"{values.dtype} {values.reshape(-1)}"
        )
    if not numpy.array_equal(values, _called(function, sample, name)):
        raise DeclarationError(f"link {name!r} gave two results for the same argument: a link must be a pure function")
    singly = [[float(_called(function, numpy.array([y]), name)[0]) for y in row] for row in sample]
    if not numpy.allclose(values, singly, rtol=1e-12, atol=1e-12):
        raise DeclarationError(
            f"link {name!r} must act on every component alone: its values depend on the other components"
        )


def _called(function: Scalar, values: NDArray, name: str) -> NDArray:
    try:
        with numpy.errstate(all="ignore"):
            return numpy.asarray(function(values))
    except Exception as error:
        raise DeclarationError(f"link {name!r} failed on an array: {type(error).__name__}: {error}") from error
