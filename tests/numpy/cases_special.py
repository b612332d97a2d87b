"""Rows for linear algebra and special functions: see cases.py."""

import numpy
import scipy.linalg
import scipy.special

from tests.numpy.cases import Case, case


def _symmetric(np, x):
    return (x + np.matrix_transpose(x)) / 2.0


def _each(function, x):
    return numpy.array([function(m) for m in x.reshape(-1, *x.shape[-2:])]).reshape(x.shape)


# Half of them with equal eigenvalues, where differentiated eigenvectors would be infinite.
_DEGENERATE = numpy.array([numpy.eye(3), numpy.diag([2.0, 2.0, 0.5])])


def _norms() -> list[Case]:
    options = [
        {},
        {"axis": -1},
        {"axis": -1, "keepdims": True},
        {"axis": 0, "ord": 1},
        {"axis": 1, "ord": numpy.inf},
        {"axis": 1, "ord": -numpy.inf},
        {"axis": -1, "ord": 3},
        {"axis": -1, "ord": 2.5, "keepdims": True},
        {"axis": (0, 2)},
        {"axis": (-1, 0), "ord": 1},
        {"axis": (0, 1), "ord": numpy.inf, "keepdims": True},
        {"axis": (1, 2), "ord": "fro"},
        {"keepdims": True},
    ]
    return [case(f"norm {o}", lambda np, x, o=o: np.linalg.norm(x, **o), (2, 3, 2)) for o in options]


LINEAR_ALGEBRA = [
    *_norms(),
    case("norm of a vector", lambda np, x: np.linalg.norm(x, 1), (3,)),
    case("norm of a matrix", lambda np, x: np.linalg.norm(x, numpy.inf), (3, 2)),
    case("vector_norm", lambda np, x: np.linalg.vector_norm(x, axis=-1, ord=4), (2, 3)),
    case("matrix_norm", lambda np, x: np.linalg.matrix_norm(x, ord=1, keepdims=True), (2, 3, 3)),
    case("inv", lambda np, x: np.linalg.inv(x), (2, 3, 3), kind="spd"),
    case("pinv", lambda np, x: np.linalg.pinv(x), (2, 3, 2)),
    case("det", lambda np, x: np.linalg.det(x), (2, 3, 3)),
    case("slogdet", lambda np, x: np.linalg.slogdet(x)[1], (2, 3, 3)),
    case("slogdet sign", lambda np, x: np.linalg.slogdet(x)[0] * x[..., 0, 0], (2, 3, 3)),
    case("cholesky", lambda np, x: np.linalg.cholesky(_symmetric(np, x)), (2, 3, 3), kind="spd"),
    case("solve vector", lambda np, x, y: np.linalg.solve(x, y), (3, 3), (3,)),
    case("solve vectors", lambda np, x, y: np.linalg.solve(x, y), (2, 3, 3), (3,)),
    case("solve matrix", lambda np, x, y: np.linalg.solve(x, y), (3, 3), (2, 3, 4)),
    case("solve broadcast", lambda np, x, y: np.linalg.solve(x, y), (2, 1, 3, 3), (4, 3, 1)),
    case("eigh values", lambda np, x: np.linalg.eigh(_symmetric(np, x))[0], (2, 3, 3)),
    case("eigh vectors", lambda np, x: np.linalg.eigh(_symmetric(np, x))[1] ** 2, (2, 3, 3)),
    case("eigvalsh", lambda np, x: np.linalg.eigvalsh(_symmetric(np, x)), (3, 3)),
    case("svd values", lambda np, x: np.linalg.svd(x, full_matrices=False)[1], (2, 3, 2)),
    case("svd left", lambda np, x: np.linalg.svd(x, full_matrices=False)[0] ** 2, (2, 3, 2)),
    case("svd right", lambda np, x: np.linalg.svd(x, full_matrices=False)[2] ** 2, (2, 2, 3)),
    case("qr", lambda np, x: np.concatenate(list(np.linalg.qr(x)), -2), (2, 4, 3)),
    case("matrix_power", lambda np, x: np.linalg.matrix_power(x, 5), (2, 2, 2)),
    case("matrix_power inverse", lambda np, x: np.linalg.matrix_power(x, -2), (2, 2), kind="spd"),
    case("matrix_power zero", lambda np, x: np.linalg.matrix_power(x, 0) + x, (2, 2)),
    case("linalg trace", lambda np, x: np.linalg.trace(x, offset=-1), (2, 3, 3)),
    case("linalg diagonal", lambda np, x: np.linalg.diagonal(x, offset=1), (2, 3, 3)),
    case("linalg matmul", lambda np, x, y: np.linalg.matmul(x, y), (2, 3), (3, 2)),
    case(
        "linalg others",
        lambda np, x: np.linalg.outer(x, x) @ np.linalg.cross(x, 2.0 - x) + np.linalg.vecdot(x, x),
        (3,),
    ),
    case(
        "linalg tensordot",
        lambda np, x: np.linalg.tensordot(np.linalg.matrix_transpose(x), x, axes=1),
        (3, 2),
    ),
    case(
        "symmetric_expm",
        lambda np, x: np.linalg.symmetric_expm(x + _DEGENERATE),
        (2, 3, 3),
        oracle=lambda x: _each(scipy.linalg.expm, _symmetric(numpy, x) + _DEGENERATE),
    ),
    case(
        "symmetric_expm degenerate",
        lambda np, x: np.linalg.symmetric_expm(
            0.0 * x[..., None] + x[..., None] ** 3 * numpy.ones((3, 3)) + _DEGENERATE
        ),
        (2, 1),
        oracle=lambda x: _each(scipy.linalg.expm, x[..., None] ** 3 * numpy.ones((3, 3)) + _DEGENERATE),
    ),
    case(
        "symmetric_logm",
        lambda np, x: np.linalg.symmetric_logm(x),
        (2, 3, 3),
        kind="spd",
        oracle=lambda x: _each(scipy.linalg.logm, _symmetric(numpy, x)),
    ),
    case(
        "symmetric_sqrtm",
        lambda np, x: np.linalg.symmetric_sqrtm(x),
        (2, 3, 3),
        kind="spd",
        oracle=lambda x: _each(scipy.linalg.sqrtm, _symmetric(numpy, x)),
    ),
]


def _named(name: str, oracle, kind: str = "any") -> Case:
    return case(name, lambda np, x: getattr(np, name)(x), (3, 2), kind=kind, oracle=oracle)


SPECIAL = [
    _named("expit", lambda x: 1.0 / (1.0 + numpy.exp(-x)), "large"),
    _named("logit", lambda p: numpy.log(p / (1.0 - p)), "probability"),
    _named("softplus", lambda x: numpy.log1p(numpy.exp(x)), "large"),
    _named("softplus_tails", lambda x: numpy.log1p(numpy.exp(-numpy.abs(x))).sum(axis=-1), "large"),
    _named("log_expit", lambda x: -numpy.log1p(numpy.exp(-x)), "large"),
    _named("log_sigmoid", lambda x: -numpy.log1p(numpy.exp(-x)), "large"),
    _named("erf", scipy.special.erf),
    _named("erfc", scipy.special.erfc),
    _named("erfinv", scipy.special.erfinv, "probability"),
    _named("ndtr", scipy.special.ndtr),
    _named("ndtri", scipy.special.ndtri, "probability"),
    _named("gammaln", scipy.special.gammaln, "positive"),
    _named("digamma", scipy.special.digamma, "positive"),
    case("logsumexp", lambda np, x: np.logsumexp(x), (3, 2), oracle=scipy.special.logsumexp),
    case(
        "logsumexp axis",
        lambda np, x: np.logsumexp(x, -1),
        (3, 2),
        oracle=lambda x: numpy.log(numpy.exp(x).sum(-1)),
    ),
    case(
        "logsumexp axes",
        lambda np, x: np.logsumexp(x, axis=(0, 2), keepdims=True),
        (2, 3, 2),
        oracle=lambda x: numpy.log(numpy.exp(x).sum((0, 2), keepdims=True)),
    ),
    case("softmax", lambda np, x: np.softmax(x), (3, 4), oracle=lambda x: scipy.special.softmax(x, -1)),
    case(
        "softmax axis",
        lambda np, x: np.softmax(x, axis=0),
        (3, 4),
        oracle=lambda x: scipy.special.softmax(x, 0),
    ),
    case(
        "log_softmax",
        lambda np, x: np.log_softmax(x),
        (3, 4),
        oracle=lambda x: scipy.special.log_softmax(x, -1),
    ),
    case("xlogy", lambda np, x, y: np.xlogy(x, y), (3, 1), (2,), kind="positive", oracle=scipy.special.xlogy),
    case(
        "xlogy zero",
        lambda np, y: np.xlogy(numpy.array([0.0, 2.0]), y),
        (2,),
        kind="positive",
        oracle=lambda y: 2.0 * numpy.log(y) * [0, 1],
    ),
    case("entr", lambda np, x: np.special.entr(x), (3,), kind="positive", oracle=scipy.special.entr),
]
