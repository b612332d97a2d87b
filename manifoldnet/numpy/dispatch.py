"""How a function of `manifoldnet.numpy` chooses the library that computes it.

The type of the arguments decides, nested lists included. NumPy arrays, Python numbers and autograd's traced
arrays are computed by autograd (the reference). Any other array that answers `__array_namespace__`, as JAX
arrays and tracers do, is computed by the namespace it answers with. Nothing here imports such a library: an
array of its own brings it along.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeAlias

import autograd.numpy as autograd_numpy
import numpy
from autograd.extend import Box
from autograd.numpy.numpy_boxes import ArrayBox

from manifoldnet.errors import MapError, UnknownFunctionError

# An array of any of the libraries above, or what NumPy would read as one. No common base class exists.
Array: TypeAlias = Any

# The common ones are looked up first, since every call asks: these, and autograd's arrays of them, which the reference
# computes too.
_PLAIN_TYPES = frozenset((numpy.ndarray, numpy.float64, float, int, bool, str, type(None)))
_COMPUTED_TYPES = _PLAIN_TYPES | {ArrayBox}
_are_computed = _COMPUTED_TYPES.issuperset
_LISTS = (list, tuple)
_ROWS = frozenset(_LISTS)
_REFERENCE_TYPES = (
    numpy.ndarray,
    numpy.generic,
    numpy.dtype,
    int,
    float,
    complex,
    str,
    bytes,
    slice,
    type(None),
    type,
)


def leaves(tree: Any) -> Iterator[Any]:
    """What nested lists, tuples and dictionaries hold.

    >>> list(leaves([1.0, (2.0, {"a": 3.0})]))
    [1.0, 2.0, 3.0]
    """
    if isinstance(tree, _LISTS):
        for branch in tree:
            yield from leaves(branch)
    elif isinstance(tree, dict):
        yield from leaves(tuple(tree.values()))
    else:
        yield tree


def namespace_of(*trees: Any) -> Any:
    """The array namespace that must compute these arguments; None for the reference (NumPy under autograd).

    Raises `MapError` when arrays of two traced libraries meet.

    >>> namespace_of(1.0, [numpy.ones(2)]) is None
    True
    """
    for tree in trees:
        kind = type(tree)
        # shapes, indices and rows of arrays are looked through at once
        if kind not in _COMPUTED_TYPES and not (kind in _ROWS and _are_computed(map(type, tree))):
            return _found_in(trees)
    return None


def _found_in(trees: Any) -> Any:
    foreign, boxed = None, False
    for leaf in leaves(trees):
        if isinstance(leaf, _REFERENCE_TYPES):
            continue
        if isinstance(leaf, Box):
            boxed = True
        elif hasattr(type(leaf), "__array_namespace__"):
            namespace = leaf.__array_namespace__()
            if foreign is not None and foreign is not namespace:
                raise _mixed(foreign, namespace)
            foreign = namespace
    if boxed and foreign is not None:
        raise _mixed(autograd_numpy, foreign)
    return foreign


def is_traced(*trees: Any) -> bool:
    """Whether some leaf is an array of autograd's or of another library, not a number or NumPy array.

    >>> is_traced([1.0, numpy.ones(2)])
    False
    """
    if _PLAIN_TYPES.issuperset(map(type, trees)):
        return False
    return any(not isinstance(leaf, _REFERENCE_TYPES) for leaf in leaves(trees))


def holds(condition: Array) -> bool:
    """Whether a condition holds everywhere, as far as can be told: traced entries have no value yet and count as true.

    Whoever compiles a traced computation looks at its results instead.

    >>> holds(numpy.array([True, False]))
    False
    """
    return is_traced(condition) or bool(numpy.all(condition))


def _mixed(one: Any, other: Any) -> MapError:
    return MapError(
        f"arrays of {_name(one)} and of {_name(other)} meet in one call, and neither can differentiate "
        "through the other; expected arrays of one library. Convert constants to NumPy arrays, which go "
        "with both."
    )


def _name(namespace: Any) -> str:
    return str(getattr(namespace, "__name__", namespace))


def find(namespace: Any, path: str) -> Callable[..., Any]:
    """The function of a foreign namespace that is called `path`, e.g. "linalg.solve".

    Raises `UnknownFunctionError` where that library has none.
    """
    found = namespace
    for part in path.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise UnknownFunctionError(
                f"{_name(namespace)} has no function {path!r}, which manifoldnet.numpy needs for its arrays; "
                "use NumPy arrays (the autograd backend), or compose it from functions that it has."
            )
    return found


def companion(namespace: Any, path: str) -> ModuleType:
    """A module beside a foreign namespace, e.g. "scipy.special" of the package that `jax.numpy` belongs to.

    The package is in memory already, since one of its arrays is; `UnknownFunctionError` where it has no such
    module.
    """
    package = _name(namespace).partition(".")[0]
    try:
        return importlib.import_module(f"{package}.{path}" if path else package)
    except ImportError as error:
        raise UnknownFunctionError(
            f"the package of {_name(namespace)} has no module {path!r}, which manifoldnet.numpy needs for "
            "its arrays; use NumPy arrays (the autograd backend) here."
        ) from error


def as_array(value: Array) -> Array:
    """Lists and tuples, traced entries included, as one array; anything else unchanged."""
    if not isinstance(value, _LISTS):
        return value
    namespace = namespace_of(value)
    return autograd_numpy.array(value) if namespace is None else namespace.asarray(value)


def listed(
    path: str,
    arrays: int | None = 1,
    foreign: Callable[..., Any] | None = None,
    plain: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function of `manifoldnet.numpy` out of the one that computes it with autograd.

    The first `arrays` positional arguments are arrays, all of them where it is None; lists there become
    arrays first. For arrays of another library the namespace's function called `path` is used, or
    `foreign(namespace, *arguments)`. `plain` computes NumPy arrays with no derivative to record, most calls, of a function
    whose only arguments are `arrays` of them.
    """

    def decorate(reference: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(reference)

        def chosen(*arguments: Any, **options: Any) -> Any:
            if _are_computed(map(type, arguments)) and _are_computed(map(type, options.values())):
                return reference(*arguments, **options)
            namespace = namespace_of(*arguments, *options.values())
            count = len(arguments) if arrays is None else arrays
            arguments = (*map(as_array, arguments[:count]), *arguments[count:])
            if namespace is None:
                return reference(*arguments, **options)
            signature.bind(*arguments, **options)
            if foreign is not None:
                return foreign(namespace, *arguments, **options)
            return find(namespace, path)(*arguments, **options)

        function = chosen if plain is None else _with_plain(plain, reference, chosen, arrays)
        return functools.wraps(reference)(function)

    return decorate


_PLAIN = frozenset((numpy.ndarray, float))


def _with_plain(
    plain: Callable[..., Any], reference: Callable[..., Any], chosen: Callable[..., Any], arrays: int | None
) -> Callable[..., Any]:
    """`plain` where all arguments are NumPy arrays or numbers, else `chosen`, which is `reference` for a traced array."""

    def one(x: Array, /) -> Array:
        kind = type(x)
        return plain(x) if kind in _PLAIN else reference(x) if kind is ArrayBox else chosen(x)

    def two(x: Array, y: Array, /) -> Array:
        return plain(x, y) if type(x) in _PLAIN and type(y) in _PLAIN else chosen(x, y)

    def several(*arguments: Array) -> Array:
        is_plain = len(arguments) == arrays and _PLAIN.issuperset(map(type, arguments))
        return plain(*arguments) if is_plain else chosen(*arguments)

    return one if arrays == 1 else two if arrays == 2 else several
