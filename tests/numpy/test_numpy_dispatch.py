"""Which library computes, what is refused, and what the refusals say."""

import importlib
import operator
from typing import Any

import numpy
import pytest

import manifoldnet.numpy as np
from manifoldnet.errors import MapError, UnknownFunctionError
from manifoldnet.numpy.derivatives import make_vjp
from manifoldnet.numpy.dispatch import namespace_of


class _Library:
    """A stand-in for a foreign array library that notes how it is called."""

    __name__ = "foreign.numpy"

    def __init__(self, *names: str) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self._names = names

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._names:
            raise AttributeError(name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append((name, arguments, options))
            return arguments[0]

        return call


class _Foreign:
    """An array of such a library."""

    shape, ndim = (2,), 1

    def __init__(self, library: _Library) -> None:
        self._library = library

    def __array_namespace__(self) -> _Library:
        return self._library


def test_a_foreign_array_is_computed_by_its_own_library() -> None:
    library = _Library("sum", "logaddexp", "where")
    x = _Foreign(library)
    np.sum(x, axis=-1, keepdims=True)
    np.logaddexp(1.0, x)
    np.where(True, 0.0, x)
    assert library.calls == [
        ("sum", (x,), {"axis": -1, "keepdims": True}),
        ("logaddexp", (1.0, x), {}),
        ("where", (True, 0.0, x), {}),
    ]


def test_a_foreign_array_deep_inside_lists_decides() -> None:
    library = _Library("asarray")
    x = _Foreign(library)
    assert namespace_of([[1.0, [numpy.ones(2), x]]]) is library
    nested = [[1.0, x]]
    assert np.array(nested) is nested
    assert library.calls[0] == ("asarray", (nested,), {})


def test_numpy_and_autograd_arrays_belong_to_the_reference() -> None:
    assert namespace_of(numpy.ones(2), 1, [2.0, None, "x"], numpy.float64(1.0), slice(1)) is None
    make_vjp(lambda x: x * (1.0 if namespace_of([x]) is None else numpy.nan), numpy.ones(2))


def test_two_libraries_do_not_mix() -> None:
    with pytest.raises(MapError, match=r"foreign\.numpy and of foreign\.numpy meet in one call.*Convert constants"):
        np.add(_Foreign(_Library("add")), _Foreign(_Library("add")))
    with pytest.raises(MapError, match=r"autograd\.numpy.* and of foreign\.numpy meet"):
        make_vjp(lambda x: np.add(x, _Foreign(_Library("add"))), numpy.ones(2))
    with pytest.raises(MapError, match=r"autograd\.numpy.* and of foreign\.numpy meet"):
        make_vjp(lambda x: np.concatenate([x, [_Foreign(_Library("concatenate"))]]), numpy.ones(2))


def test_what_a_foreign_library_lacks_is_named() -> None:
    with pytest.raises(UnknownFunctionError, match=r"foreign\.numpy has no function 'cbrt'"):
        np.cbrt(_Foreign(_Library("sum")))
    with pytest.raises(UnknownFunctionError, match=r"foreign\.numpy has no module 'scipy.special'"):
        np.erf(_Foreign(_Library("sum")))


def test_options_that_have_no_tested_derivative_are_refused_on_every_backend() -> None:
    mask = numpy.array([True, False])
    for x in (numpy.ones(2), _Foreign(_Library("sum"))):
        with pytest.raises(TypeError, match="where"):
            np.sum(x, where=mask)
        with pytest.raises(TypeError, match="positional"):
            np.sum(x, 0, None, None, True)


@pytest.mark.parametrize(
    ("module", "name", "near"),
    [
        (np, "logaddexp2", "logaddexp"),
        (np, "nanmean", "mean"),
        (np.linalg, "eigvals", "eigvalsh"),
        (np.special, "logsoftmax", "log_softmax"),
    ],
)
def test_an_unlisted_name_is_refused_with_a_remedy(module: Any, name: str, near: str) -> None:
    with pytest.raises(UnknownFunctionError, match=rf"does not list '{name}'.*\b{near}\b.*[Cc]ompose it from"):
        getattr(module, name)
    assert not hasattr(module, name)


def test_a_name_like_no_other_gets_the_general_remedy() -> None:
    with pytest.raises(UnknownFunctionError, match=r"does not list 'xyzzy'\. Only functions .* are listed"):
        np.xyzzy  # noqa: B018


def test_traced_arrays_stay_float64() -> None:
    with pytest.raises(MapError, match="received a traced array and dtype int64; expected float64"):
        make_vjp(lambda x: np.array(x, dtype=int), numpy.ones(2))


@pytest.mark.parametrize("subscripts", ["...ii->...i", "ij,jj->i"])
def test_einsum_refuses_repeated_letters(subscripts: str) -> None:
    operands = [numpy.ones((2, 2))] * (1 + subscripts.count(","))
    with pytest.raises(ValueError, match="repeats a letter; take the diagonal"):
        np.einsum(subscripts, *operands)


def test_einsum_refuses_a_late_ellipsis() -> None:
    with pytest.raises(ValueError, match=r"'i\.\.\.' has an ellipsis that is not first"):
        np.einsum("i...,i->...", numpy.ones((2, 3)), numpy.ones(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: np.stack([numpy.ones(2), numpy.ones(3)]), r"stack received the shapes \[\(2,\), \(3,\)\]"),
        (lambda: np.stack([]), r"stack received the shapes \[\]; expected one shape"),
        (lambda: np.concatenate([]), "concatenate received no array"),
        (lambda: np.diag(numpy.ones((2, 2, 2))), r"diag received the shape \(2, 2, 2\)"),
        (lambda: np.linalg.norm(numpy.ones(2), -1), "norm received ord=-1"),
        (lambda: np.linalg.norm(numpy.ones((2, 2)), "nuc"), "norm received ord='nuc' for matrices"),
        (lambda: np.linalg.norm(numpy.ones((2, 2, 2)), 1, (0, 1, 2)), r"axis=\(0, 1, 2\); expected two axes"),
        (lambda: np.linalg.qr(numpy.ones((2, 3))), r"qr received matrices of shape \(2, 3\)"),
        (lambda: np.linalg.svd(numpy.ones((2, 3))), "svd received full_matrices=True"),
        (lambda: np.take(numpy.ones(3), [0], axis=1), "axis 1 is out of bounds for array of dimension 1"),
    ],
)
def test_wrong_calls_say_what_was_received(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_is_copied_into_the_wrong_type() -> None:
    assert np.full(2, 3).dtype == numpy.float64
    assert np.zeros_like(numpy.arange(3)).dtype == numpy.float64
    assert np.asarray([1.0, 2.0]).tolist() == [1.0, 2.0]


def test_listed_functions_are_found_again_by_name() -> None:
    """Charts and links hold them, and may travel to another process."""
    for function in (np.exp, np.sum, np.expit, np.linalg.symmetric_expm, np.softmax, np.arcsinh):
        module = importlib.import_module(function.__module__)
        assert operator.attrgetter(function.__qualname__)(module) is function
