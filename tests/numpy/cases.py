"""One row for each way of calling a function of `manifoldnet.numpy`.

A row's function takes the module first. With NumPy itself there, it is the oracle for values and, by central
differences, for derivatives; where NumPy has no such function the row brings an oracle of its own.
"""

from collections.abc import Callable
from typing import Any

import attrs
import numpy

Drawn = numpy.ndarray


@attrs.frozen(eq=False)
class Case:
    """A call, the arrays it is made with, and what computes the same without our code."""

    name: str
    function: Callable[..., Any]
    arrays: tuple[Drawn, ...]
    oracle: Callable[..., Any]


def _draw(kind: str, shape: tuple[int, ...], salt: int) -> Drawn:
    rng = numpy.random.default_rng([20, salt])
    if kind == "any":
        return rng.normal(size=shape)
    if kind == "large":
        return 5.0 * rng.normal(size=shape)
    if kind == "positive":
        return rng.uniform(0.4, 2.5, shape)
    if kind == "probability":
        return rng.uniform(0.1, 0.9, shape)
    if kind == "above one":
        return rng.uniform(1.2, 3.0, shape)
    if kind == "with zeros":
        return rng.normal(size=shape) * (rng.uniform(size=shape) < 0.6)
    if kind == "spd":
        root = rng.normal(size=shape)
        return root @ numpy.swapaxes(root, -1, -2) + 0.5 * numpy.eye(shape[-1])
    raise ValueError(kind)


def case(
    name: str,
    function: Callable[..., Any],
    *shapes: tuple[int, ...],
    kind: str = "any",
    oracle: Callable[..., Any] | None = None,
) -> Case:
    """A row whose arrays have the given shapes, drawn from the law called `kind`."""
    arrays = tuple(_draw(kind, shape, 7 * i + sum(map(ord, name))) for i, shape in enumerate(shapes))
    return Case(name, function, arrays, oracle or (lambda *xs: function(numpy, *xs)))


def _unary(kind: str, *names: str) -> list[Case]:
    return [case(name, lambda np, x, name=name: getattr(np, name)(x), (3, 2), kind=kind) for name in names]


def _binary(kind: str, *names: str) -> list[Case]:
    return [
        case(f"{name} {i}", lambda np, x, y, name=name: getattr(np, name)(x, y), *shapes, kind=kind)
        for name in names
        for i, shapes in enumerate([((3, 1), (2,)), ((), (2, 1)), ((2, 2), (2, 2))])
    ]


def _reduced(kind: str, *names: str) -> list[Case]:
    options: list[dict[str, Any]] = [
        {},
        {"axis": 0},
        {"axis": -1, "keepdims": True},
        {"axis": (0, 2)},
        {"axis": (-1, 1), "keepdims": True},
        {"keepdims": True},
    ]
    return [
        case(f"{name} {option}", lambda np, x, n=name, o=option: getattr(np, n)(x, **o), (2, 3, 2), kind=kind)
        for name in names
        for option in options
    ]


_MASK = numpy.array([[True, False], [False, False], [True, True]])
_EACH = numpy.array([[1, 0, 1, 1], [0, 2, 2, 0]])


ELEMENTWISE = [
    *_unary(
        "any",
        *(
            "abs",
            "absolute",
            "negative",
            "sign",
            "exp",
            "exp2",
            "expm1",
            "cbrt",
            "square",
            "reciprocal",
            "sin",
            "cos",
            "tan",
        ),
        *(
            "arctan",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "arcsinh",
            "asinh",
            "deg2rad",
            "radians",
            "rad2deg",
            "degrees",
        ),
        *("floor", "ceil", "trunc", "rint", "isfinite", "isnan", "isinf", "logical_not", "round"),
    ),
    *_unary("positive", "log", "log2", "log10", "log1p", "sqrt"),
    *_unary("probability", "arcsin", "asin", "arccos", "acos", "arctanh", "atanh"),
    *_unary("above one", "arccosh", "acosh"),
    *_binary(
        "any",
        *(
            "add",
            "subtract",
            "multiply",
            "divide",
            "true_divide",
            "maximum",
            "minimum",
            "logaddexp",
            "hypot",
            "arctan2",
        ),
        *(
            "atan2",
            "floor_divide",
            "mod",
            "remainder",
            "greater",
            "greater_equal",
            "less",
            "less_equal",
            "equal",
            "not_equal",
        ),
        *("logical_and", "logical_or", "logical_xor", "isclose"),
    ),
    *_binary("positive", "power", "pow"),
    case("power of a whole exponent", lambda np, x: np.power(x, 3), (3,)),
    case("round decimals", lambda np, x: np.round(x, 1), (3,)),
    case("where", lambda np, x, y: np.where(_MASK, x, y), (3, 2), (3, 2)),
    case("where row and number", lambda np, x: np.where(_MASK, x, 1.0), (2,)),
    case("where scalars", lambda np, x, y: np.where(_MASK, x, y), (), (1, 2)),
    case("where traced condition", lambda np, x: np.where(x > 0.0, x * x, -x), (4, 3)),
    case("clip", lambda np, x: np.clip(x, -0.5, 0.5), (3, 4)),
    case("clip one side", lambda np, x: np.clip(x, None, 0.2), (3, 4)),
    case("clip at traced bounds", lambda np, x, a, b: np.clip(x, a, a + b * b), (3, 4), (4,), (3, 1)),
    case("operators", lambda np, x, y: (x + 2.0 * y - x / (1.0 + y * y)) ** 2 - (-x) % 3.0, (3, 2), (2,)),
    case("a list of traced numbers", lambda np, x: np.exp(np.array([x[0], 2.0 * x[1]])), (2,)),
]

REDUCTIONS = [
    *_reduced("any", "sum", "mean", "var", "std", "max", "min", "amax", "amin", "prod", "all", "any"),
    *_reduced("with zeros", "prod"),
    case("sum of nothing", lambda np, x: np.sum(x, ()), (2, 3)),
    case("sum scalar", lambda np, x: np.sum(x), ()),
    case("prod scalar", lambda np, x: np.prod(x), ()),
    case("var ddof", lambda np, x: np.var(x, -1, ddof=1), (2, 3)),
    case("std ddof", lambda np, x: np.std(x, 0, ddof=1, keepdims=True), (3, 2)),
    case("cumsum", lambda np, x: np.cumsum(x, 0), (3, 2)),
    case("cumsum last", lambda np, x: np.cumsum(x, -1), (2, 3)),
    case("cumsum flat", lambda np, x: np.cumsum(x), (3, 2)),
    case("cumprod", lambda np, x: np.cumprod(x, 0), (4, 2)),
    case("cumprod zeros", lambda np, x: np.cumprod(x, -1), (3, 5), kind="with zeros"),
    case("cumprod flat", lambda np, x: np.cumprod(x), (3, 2)),
    case("diff", lambda np, x: np.diff(x), (2, 4)),
    case("diff twice", lambda np, x: np.diff(x, n=2, axis=0), (4, 2)),
    case("sort", lambda np, x: np.sort(x), (3, 4)),
    case("sort first", lambda np, x: np.sort(x, 0), (4, 2)),
    case("argsort", lambda np, x: np.argsort(x, 0), (4, 2)),
    case("argmax", lambda np, x: np.argmax(x, -1), (3, 4)),
    case("argmin", lambda np, x: np.argmin(x), (3, 4)),
    case("count_nonzero", lambda np, x: np.count_nonzero(x, -1), (3, 4), kind="with zeros"),
]

SHAPES = [
    case("shape ndim size", lambda np, x: np.reshape(x, np.shape(x)[::-1]) * np.ndim(x) * np.size(x), (3, 2)),
    case("reshape", lambda np, x: np.reshape(x, (2, -1)), (3, 4)),
    case("ravel", lambda np, x: np.ravel(x), (3, 2)),
    case("transpose", lambda np, x: np.transpose(x), (2, 3, 4)),
    case("transpose axes", lambda np, x: np.transpose(x, (1, 2, 0)), (2, 3, 4)),
    case("permute_dims", lambda np, x: np.permute_dims(x, (2, 0, 1)), (2, 3, 4)),
    case("swapaxes", lambda np, x: np.swapaxes(x, 0, -1), (2, 3, 4)),
    case("matrix_transpose", lambda np, x: np.matrix_transpose(x), (2, 3, 4)),
    case("moveaxis", lambda np, x: np.moveaxis(x, 0, -1), (2, 3, 4)),
    case("moveaxis two", lambda np, x: np.moveaxis(x, (0, 1), (-1, 0)), (2, 3, 4)),
    case("expand_dims", lambda np, x: np.expand_dims(x, (0, -1)), (2, 3)),
    case("squeeze", lambda np, x: np.squeeze(x, -1), (2, 1, 1)),
    case("squeeze all", lambda np, x: np.squeeze(x), (1, 2, 1)),
    case("broadcast_to", lambda np, x: np.broadcast_to(x, (2, 3, 4)), (3, 1)),
    case("broadcast_to a number", lambda np, x: np.broadcast_to(x, 3), ()),
    case("broadcast_arrays", lambda np, x, y: np.stack(np.broadcast_arrays(x, y)), (3, 1), (2,)),
    case("stack", lambda np, x, y: np.stack([x, y, 2.0 * x]), (3, 2), (3, 2)),
    case("stack last", lambda np, x: np.stack([x, numpy.ones((3, 2))], axis=-1), (3, 2)),
    case("stack numbers", lambda np, x: np.stack([x[0], 1.0, x[1]]), (2,)),
    case("concatenate", lambda np, x, y: np.concatenate([x, y], -1), (3, 2), (3, 1)),
    case("concatenate constant first", lambda np, x: np.concatenate([numpy.ones((1, 2)), x]), (3, 2)),
    case("concatenate flat", lambda np, x, y: np.concatenate([x, y], None), (3, 2), (2,)),
    case("concat", lambda np, x, y: np.concat([x, y, x], axis=1), (3, 2), (3, 1)),
    case("unstack", lambda np, x: np.unstack(x, axis=-1)[1], (3, 2), oracle=lambda x: x[..., 1]),
    case("vstack", lambda np, x, y: np.vstack([x, y]), (3,), (2, 3)),
    case("hstack", lambda np, x, y: np.hstack([x, y]), (2, 1), (2, 3)),
    case("hstack vectors", lambda np, x, y: np.hstack([x, y, 1.0]), (1,), (3,)),
    case("column_stack", lambda np, x, y: np.column_stack([x, y]), (3,), (3, 2)),
    case("block", lambda np, x, y: np.block([[x, y], [numpy.zeros((1, 2)), 2.0 * y[:1]]]), (2, 2), (2, 3)),
    case("block row", lambda np, x, y: np.block([x, y]), (2, 2), (2, 3)),
    case("atleast_1d", lambda np, x: np.atleast_1d(x), ()),
    case("atleast_2d", lambda np, x: np.atleast_2d(x), (3,)),
    case("take", lambda np, x: np.take(x, [2, 0, 2], axis=1), (2, 3)),
    case("take flat", lambda np, x: np.take(x, numpy.array([[0, 5], [1, 1]])), (2, 3)),
    case("take one", lambda np, x: np.take(x, 1, axis=-1), (2, 3)),
    case("take_along_axis", lambda np, x: np.take_along_axis(x, _EACH, axis=1), (2, 3)),
    case("take_along_axis broadcast", lambda np, x: np.take_along_axis(x, _EACH[:1], axis=-1), (2, 3)),
    case("flip", lambda np, x: np.flip(x, -1), (2, 3)),
    case("flip all", lambda np, x: np.flip(x), (2, 3)),
    case("flipud", lambda np, x: np.flipud(x), (2, 3)),
    case("fliplr", lambda np, x: np.fliplr(x), (2, 3)),
    case("roll", lambda np, x: np.roll(x, 1, axis=-1), (2, 3)),
    case("roll two", lambda np, x: np.roll(x, (1, -2), axis=(0, 1)), (2, 3)),
    case("roll flat", lambda np, x: np.roll(x, 4), (2, 3)),
    case("repeat", lambda np, x: np.repeat(x, 2, axis=-1), (2, 3)),
    case("repeat unequal", lambda np, x: np.repeat(x, [1, 0, 2], axis=1), (2, 3)),
    case("repeat flat", lambda np, x: np.repeat(x, 2), (2, 3)),
    case("tile", lambda np, x: np.tile(x, 2), (2, 3)),
    case("tile more axes", lambda np, x: np.tile(x, (2, 1, 3)), (2, 3)),
    case("split", lambda np, x: np.split(x, 2, axis=-1)[1], (3, 4)),
    case("split at", lambda np, x: np.concatenate(np.split(x, [1, 3], axis=1)[::-1], 1), (3, 4)),
    case("triu", lambda np, x: np.triu(x, 1), (2, 3, 3)),
    case("tril", lambda np, x: np.tril(x, k=-1), (2, 3, 3)),
    case("diagonal", lambda np, x: np.diagonal(x, 1, -2, -1), (2, 3, 4)),
    case("diagonal below", lambda np, x: np.diagonal(x, -1), (3, 3)),
    case("diag", lambda np, x: np.diag(x, 1), (3,)),
    case("diag below", lambda np, x: np.diag(x, k=-2), (2,)),
    case("diag of a matrix", lambda np, x: np.diag(x), (3, 4)),
    case("pad", lambda np, x: np.pad(x, ((1, 0), (0, 2))), (2, 3)),
    case("pad value", lambda np, x: np.pad(x, 1, constant_values=2.0), (2, 2)),
    case("array_equal", lambda np, x: np.array_equal(x, 1.0 * x), (2, 3)),
    case("indexing", lambda np, x: x[..., None, ::2] * x[:, [0, 1, 1], None], (2, 3)),
]

CONSTRUCTION = [
    case("array", lambda np, x: np.array([[x[0], 1.0], [2.0, x[1]]]), (2,)),
    case("asarray", lambda np, x: np.asarray([x[0], numpy.ones(2)]), (2, 2)),
    case("array of an array", lambda np, x: np.array(x, dtype=np.float64), (2,)),
    case("full", lambda np, x: np.full((2, 3), x), (3,)),
    case("full plain", lambda np, x: x * np.full(2, 3.0), (2,)),
    case("full_like", lambda np, x, y: np.full_like(x, y), (2, 3), ()),
    case("zeros_like ones_like", lambda np, x: x * np.ones_like(x) + np.zeros_like(x), (2, 3)),
    case("linspace", lambda np, x, y: np.linspace(x, y, 4), (), ()),
    case("linspace arrays", lambda np, x, y: np.linspace(x, y, 3, endpoint=False), (2, 1), (3,)),
    case("zeros ones eye", lambda np, x: x @ np.eye(3, 2, k=-1) + np.ones(2) + np.zeros((1, 2)), (2, 3)),
    case("identity", lambda np, x: np.identity(3) * x, (3,)),
    case("arange", lambda np, x: np.arange(3) * x + np.arange(1.0, 4.0), (3,)),
    case("tri", lambda np, x: np.tri(3, k=-1) * x, (3,)),
    case("tril_indices", lambda np, x: x[(..., *np.tril_indices(3))], (2, 3, 3)),
    case("triu_indices", lambda np, x: x[(..., *np.triu_indices(3, 1))], (2, 3, 3)),
    case(
        "one_hot",
        lambda np, x: np.one_hot(numpy.array([1, 0, 2]), 3) * x,
        (3,),
        oracle=lambda x: numpy.eye(3)[[1, 0, 2]] * x,
    ),
    case("constants", lambda np, x: x * np.pi + np.e - np.euler_gamma + 1.0 / np.inf + x[np.newaxis], (3,)),
    case("types", lambda np, x: x * np.float64(2.0) + np.int64(3) + np.bool_(True) + np.isnan(np.nan), (3,)),
]

PRODUCTS = [
    case("matmul", lambda np, x, y: np.matmul(x, y), (2, 3, 4), (4, 2)),
    case("matmul vector", lambda np, x, y: np.matmul(x, y), (2, 3, 4), (4,)),
    case("matmul row", lambda np, x, y: np.matmul(x, y), (4,), (2, 4, 3)),
    case("matmul broadcast", lambda np, x, y: x @ y, (2, 1, 2, 3), (3, 3, 2)),
    case("dot", lambda np, x, y: np.dot(x, y), (2, 3), (3, 2)),
    case("dot vectors", lambda np, x, y: np.dot(x, y), (3,), (3,)),
    case("inner", lambda np, x, y: np.inner(x, y), (2, 3), (4, 3)),
    case("tensordot", lambda np, x, y: np.tensordot(x, y, 1), (2, 3), (3, 2)),
    case("tensordot axes", lambda np, x, y: np.tensordot(x, y, axes=([0, 2], [1, 0])), (2, 3, 4), (4, 2)),
    case("vecdot", lambda np, x, y: np.vecdot(x, y), (2, 1, 3), (4, 3)),
    case("vecdot keepdims", lambda np, x, y: np.vecdot(x, y, axis=-2, keepdims=True) * x, (2, 4, 3), (4, 3)),
    case("vecdot axis", lambda np, x, y: np.vecdot(x, y, axis=0), (3, 2), (3, 1)),
    case(
        "matvec",
        lambda np, x, y: np.matvec(x, y),
        (2, 3, 4),
        (4,),
        oracle=lambda x, y: (x @ y[..., None])[..., 0],
    ),
    case("vecmat", lambda np, x, y: np.vecmat(x, y), (2, 3), (3, 4), oracle=lambda x, y: x @ y),
    case("outer", lambda np, x, y: np.outer(x, y), (2, 2), (3,)),
    case("cross", lambda np, x, y: np.cross(x, y), (2, 1, 3), (4, 3)),
    case("cross axis", lambda np, x, y: np.cross(x, y, axis=0), (3, 2), (3, 2)),
    case("kron", lambda np, x, y: np.kron(x, y), (2, 2), (2, 3)),
    case("trace", lambda np, x: np.trace(x), (3, 3, 2)),
    case("trace axes", lambda np, x: np.trace(x, 1, axis1=-2, axis2=-1), (2, 3, 3)),
    case("einsum", lambda np, x, y: np.einsum("...ij,...jk->...ik", x, y), (2, 3, 4), (4, 2)),
    case("einsum summed", lambda np, x, y: np.einsum("...i,j->...", x, y), (2, 3), (2,)),
    case("einsum implicit", lambda np, x, y: np.einsum("ij,jk", x, y), (2, 3), (3, 2)),
    case(
        "einsum three",
        lambda np, x, y, z: np.einsum("ni,ij,nj->n", x, y, z, optimize=True),
        (4, 2),
        (2, 3),
        (4, 3),
    ),
    case("einsum ones", lambda np, x, y: np.einsum("ij,ij->ij", x, y), (3, 1), (3, 2)),
]
