"""Data as people give them, checked against a declaration."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.declare.layer import Declaration, Layer
from manifoldnet.errors import DataError

Targets = dict[str, NDArray]
Streams = Mapping[str, numpy.random.Generator]


@final
@attrs.frozen(eq=False, slots=False)
class StreamsApart(Mapping[str, numpy.random.Generator]):
    """A stream for each name, drawn from `rng` when the first is asked for: what draws nothing leaves `rng` as it is."""

    names: tuple[str, ...]
    rng: numpy.random.Generator

    @cached_property
    def _found(self) -> dict[str, numpy.random.Generator]:
        return {name: numpy.random.default_rng(self.rng.integers(2**63, size=4)) for name in self.names}

    def __getitem__(self, name: str) -> numpy.random.Generator:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def checked_inputs(declaration: Declaration, inputs: Any) -> dict[str, NDArray]:
    """The points of the input layers by name, (samples, units, size).

    `inputs` is (samples, units) where input units are one-dimensional, (samples, units, *shape)
    otherwise, and a mapping by name where there are several input layers. Raises DataError that says
    what was expected, and where the first point outside its manifold is.
    """
    layers = [layer for layer in declaration.layers if layer.is_input]
    raw = _by_name(inputs, [layer.name for layer in layers], "inputs")
    points = {layer.name: _points(layer, raw[layer.name]) for layer in layers}
    _check_lengths({name: len(values) for name, values in points.items()})
    return points


def checked_targets(declaration: Declaration, counts: Mapping[str, int], targets: Any, samples: int) -> Targets:
    """The targets of each interpretation by name; raises DataError that says what was expected."""
    raw = _by_name(targets, [output.name for output in declaration.outputs], "targets")
    return {
        output.name: output.interpretation.check_targets(raw[output.name], samples, counts[output.name], output.name)
        for output in declaration.outputs
    }


def sliced(samples: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` samples."""
    for start in range(0, samples, size):
        yield slice(start, min(start + size, samples))


def _by_name(values: Any, names: list[str], what: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        if len(names) > 1:
            raise DataError(f"the network has several {what} ({', '.join(names)}): give a mapping by name")
        return {names[0]: values}
    missing, unknown = [n for n in names if n not in values], [n for n in values if n not in names]
    if missing or unknown:
        raise DataError(
            f"{what} are a mapping with the names {', '.join(names)}; "
            + (f"missing: {', '.join(missing)}" if missing else f"unknown: {', '.join(map(str, unknown))}")
        )
    return values


def _points(layer: Layer, raw: Any) -> NDArray:
    encoded = layer.encode(raw) if layer.encode is not None else raw
    try:
        given = values = numpy.asarray(encoded, dtype=numpy.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"input {layer.name!r} takes numbers, received {type(raw).__name__}: {error}") from error
    manifold = layer.manifold
    if manifold.size == 1 and values.ndim == 2:
        values = values.reshape(*values.shape, *manifold.shape)
    expected = (layer.size, *manifold.shape)
    if values.shape[1:] != expected:
        shown = (layer.size,) if manifold.size == 1 else expected
        raise DataError(
            f"input {layer.name!r} has shape (samples, {', '.join(map(str, shown))}), received {given.shape}"
        )
    if not len(values):
        raise DataError(f"input {layer.name!r} holds no samples")
    _check_inside(layer, values)
    return values.reshape(len(values), layer.size, manifold.size)


def _check_inside(layer: Layer, values: NDArray) -> None:
    inside = layer.manifold.contains(values)
    if not inside.all():
        sample, unit = (int(i) for i in numpy.argwhere(~inside)[0])
        point = values[sample, unit].reshape(-1)
        raise DataError(
            f"input {layer.name!r}: row {sample}, column {unit} holds {point if point.size > 1 else point[0]}, "
            f"which is not a point of {layer.manifold}: {_remedy(point)}"
        )


def _remedy(point: NDArray) -> str:
    if numpy.isfinite(point).all():
        return "scale the data, or declare input(..., encode=f)"
    return "leave such rows out by mn.without_bad_rows(data), or --drop-bad-rows on the command line"


def _check_lengths(lengths: Mapping[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        raise DataError(f"inputs hold different numbers of samples: {dict(lengths)}")
