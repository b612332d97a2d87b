"""Attributes that are computed when they are first asked for."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, final, overload

Value = TypeVar("Value")


@final
class once(Generic[Value]):
    """`functools.cached_property` without the lock that it takes in Python 3.11: an evaluation of a small network asks for so
    many that locking them would be a tenth of its time. Threads that share an evaluation may compute a value twice.

    >>> class Circle:
    ...     @once
    ...     def area(self) -> float:
    ...         print("computed")
    ...         return 3.14
    >>> circle = Circle()
    >>> circle.area + circle.area
    computed
    6.28
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute, self._name, self.__doc__ = compute, compute.__name__, compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "once[Value]": ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: Any, owner: type) -> "Value | once[Value]":
        if instance is None:
            return self
        found = instance.__dict__[self._name] = self._compute(instance)
        return found
