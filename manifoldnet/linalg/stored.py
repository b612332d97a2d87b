"""Metric tensors as plain arrays by name, and back: what a file can hold of them."""

from collections.abc import Iterable, Mapping

import numpy
from numpy.typing import NDArray

from manifoldnet.errors import DataError, ManifoldNetError
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.border import Border
from manifoldnet.linalg.bordered import Bordered
from manifoldnet.linalg.covector_rows import CovectorRows, GatheredRows, ProductRows
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.diagonal import Diagonal
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.factor import Factor
from manifoldnet.linalg.layered import LayeredFactor
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal
from manifoldnet.linalg.row_parts import ExplicitRows, RowPart
from manifoldnet.linalg.shared_reads import SharedReads
from manifoldnet.linalg.tensor import MetricTensor
from manifoldnet.linalg.units import Group, Partition, Units

FLOOR, BASE, SHARED = "floor.", "base.", "shared"


def tensor_arrays(tensor: MetricTensor) -> dict[str, NDArray]:
    """The numbers of a tensor, and of the floor that it carries; raises TypeError for an implicit one, which has none.

    >>> tensor_arrays(Diagonal([1.0, 4.0]))
    {'diagonal': array([1., 4.])}
    """
    found = _own_arrays(tensor)
    floor = tensor.floor
    return found if floor is None else {**found, **{FLOOR + key: part for key, part in _own_arrays(floor).items()}}


def _own_arrays(tensor: MetricTensor) -> dict[str, NDArray]:
    if isinstance(tensor, Diagonal):
        return {"diagonal": tensor.entries}
    if isinstance(tensor, Dense):
        return {"matrix": tensor.matrix}
    if isinstance(tensor, Bordered):
        return _bordered_arrays(tensor)
    if isinstance(tensor, Factor):
        return {"rows": tensor.rows}
    if isinstance(tensor, Blocks):
        return _joined(_block_arrays(f"blocks.{number}", part) for number, part in enumerate(tensor.blocks))
    if isinstance(tensor, LayeredFactor):
        base = {} if tensor.base is None else _own_arrays(tensor.base)
        parts = _joined(_row_arrays(f"parts.{number}", part) for number, part in enumerate(tensor.parts))
        return {**parts, **{BASE + key: values for key, values in base.items()}}
    if isinstance(tensor, QuasiDiagonal):
        found: dict[str, NDArray] = {}
        for number, part in enumerate(tensor.entries):
            found.update(_entry_arrays(number, part))
        return found
    raise TypeError(f"{tensor.name}: a {type(tensor).__name__} tensor has no numbers of its own to be kept")


def _bordered_arrays(tensor: Bordered) -> dict[str, NDArray]:
    found = {SHARED: tensor.shared}
    found.update({f"apart.{number}": rows for number, rows in enumerate(tensor.border.rows)})
    for number, block, cross in zip(tensor.border.groups, tensor.blocks, tensor.cross, strict=True):
        found.update({f"apart.{number}.block": block, f"apart.{number}.cross": cross})
    return found


def _joined(parts: Iterable[dict[str, NDArray]]) -> dict[str, NDArray]:
    return {key: values for part in parts for key, values in part.items()}


def _block_arrays(key: str, part: SharedReads | NDArray) -> dict[str, NDArray]:
    if not isinstance(part, SharedReads):
        return {key: part}
    plan = numpy.array([part.ridge, part.by_samples, part.forced])
    return {f"{key}.weights": part.weights, f"{key}.reads": part.reads, f"{key}.plan": plan}


def _row_arrays(key: str, part: RowPart) -> dict[str, NDArray]:
    if isinstance(part, ExplicitRows):
        return {f"{key}.values": part.values}
    assert isinstance(part, CovectorRows)
    return {f"{key}.covectors": part.covectors, f"{key}.reads": part.reads}


def _entry_arrays(number: int, part: Entries | NDArray) -> dict[str, NDArray]:
    if not isinstance(part, Entries):
        return {f"entries.{number}.block": part}
    found = {f"entries.{number}.bias": part.bias}
    found.update({f"entries.{number}.cross.{i}": values for i, values in enumerate(part.cross)})
    found.update({f"entries.{number}.own.{i}": values for i, values in enumerate(part.own)})
    return found


def tensor_from(arrays: Mapping[str, NDArray], partition: Partition, name: str) -> MetricTensor:
    """The tensor that `tensor_arrays` made arrays of; raises DataError where they do not fit the partition.

    >>> import numpy
    >>> from manifoldnet.linalg.units import Whole
    >>> pair = Partition(2, [Whole([[0, 1]])])
    >>> tensor_from({"diagonal": numpy.array([1.0, 4.0])}, pair, "a metric").diagonal()
    array([1., 4.])
    """
    own = {key: part for key, part in arrays.items() if not key.startswith(FLOOR)}
    floor = {key.removeprefix(FLOOR): part for key, part in arrays.items() if key.startswith(FLOOR)}
    under = _tensor(floor, partition, f"the floor of {name}", None) if floor else None
    tensor = _tensor(own, partition, name, under)
    if tensor.size != partition.size:
        raise DataError(f"{name}: the file holds a metric of {tensor.size} parameters, expected {partition.size}")
    return tensor


def _tensor(arrays: Mapping[str, NDArray], partition: Partition, name: str, floor: MetricTensor | None) -> MetricTensor:
    try:
        if "diagonal" in arrays:
            return Diagonal(arrays["diagonal"], name=name, partition=partition, floor=floor)
        if "matrix" in arrays:
            return Dense(arrays["matrix"], name=name, partition=partition, floor=floor)
        if SHARED in arrays:
            return _bordered(arrays, partition, name, floor)
        if "rows" in arrays:
            return Factor(arrays["rows"], name=name, partition=partition, floor=floor)
        numbers = range(len(partition.groups))
        if any(key.startswith("blocks.") for key in arrays):
            return Blocks(partition, tuple(_blocks(arrays, f"blocks.{i}") for i in numbers), name=name, floor=floor)
        if any(key.startswith("parts.") for key in arrays):
            return _layered(arrays, partition, name, floor)
        entries = tuple(_entries(arrays, group, i) for i, group in enumerate(partition.groups))
        return QuasiDiagonal(partition, entries, name=name, floor=floor)
    except KeyError as error:
        raise DataError(f"{name}: the file holds no {error.args[0]}") from error
    except (ManifoldNetError, TypeError, ValueError) as error:
        raise DataError(f"{name}: the file's arrays do not fit the network: {error}") from error


def _bordered(arrays: Mapping[str, NDArray], partition: Partition, name: str, floor: MetricTensor | None) -> Bordered:
    border = Border(partition, tuple(arrays[f"apart.{number}"] for number in range(len(partition.groups))))
    blocks, cross = ([arrays[f"apart.{number}.{part}"] for number in border.groups] for part in ("block", "cross"))
    return Bordered(border, blocks, cross, arrays[SHARED], name=name, partition=partition, floor=floor)


def _layered(
    arrays: Mapping[str, NDArray], partition: Partition, name: str, floor: MetricTensor | None
) -> LayeredFactor:
    parts = tuple(_rows(arrays, f"parts.{i}") for i in range(len(partition.groups)))
    base = {key.removeprefix(BASE): values for key, values in arrays.items() if key.startswith(BASE)}
    under = _tensor(base, partition, name, None) if base else None
    return LayeredFactor(partition, parts, under, name=name, floor=floor)


def _blocks(arrays: Mapping[str, NDArray], key: str) -> SharedReads | NDArray:
    if f"{key}.plan" not in arrays:
        return arrays[key]
    ridge, by_samples, forced = arrays[f"{key}.plan"]
    return SharedReads(arrays[f"{key}.weights"], arrays[f"{key}.reads"], float(ridge), bool(by_samples), bool(forced))


def _rows(arrays: Mapping[str, NDArray], key: str) -> RowPart:
    if f"{key}.values" in arrays:
        return ExplicitRows(arrays[f"{key}.values"])
    covectors, reads = arrays[f"{key}.covectors"], arrays[f"{key}.reads"]
    return ProductRows(covectors, reads) if reads.ndim == 2 else GatheredRows(covectors, reads)


def _entries(arrays: Mapping[str, NDArray], group: Group, number: int) -> Entries | NDArray:
    if not isinstance(group, Units):
        return arrays[f"entries.{number}.block"]
    kinds = range(len(group.parents))
    return Entries(
        arrays[f"entries.{number}.bias"],
        [arrays[f"entries.{number}.cross.{i}"] for i in kinds],
        [arrays[f"entries.{number}.own.{i}"] for i in kinds],
    )


__all__ = ["tensor_arrays", "tensor_from"]
