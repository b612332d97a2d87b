"""Affine stages taken apart: what compiled functions know of them when they are compiled, and what they are given."""

from typing import Any

import numpy

from manifoldnet.compiler.affine import AffineStage
from manifoldnet.compiler.backends.jax.affine import AffineShape, Source
from manifoldnet.compiler.backends.jax.spaces import space_arrays, space_of
from manifoldnet.compiler.backends.jax.stage import slots_of


def affine_shape(stage: AffineStage, room: tuple[int, ...]) -> AffineShape:
    """The static part of an affine stage, with room for so many parents of each width."""
    return AffineShape(
        slots=slots_of(stage.slots),
        units=stage.units,
        link=stage.link,
        space=space_of(stage.space),
        sources=tuple(Source(s.layer, s.is_whole, s.count, space_of(s.space), s.start, s.stop) for s in stage.sources),
        blocks=tuple((parents, block.columns.shape[2]) for parents, block in zip(room, stage.blocks, strict=True)),
        dense=stage.dense,
        plain=_is_plain(stage),
        may_leave=stage.may_leave,
    )


def _is_plain(stage: AffineStage) -> bool:
    scale, shift = stage.preactivation_scale, stage.preactivation_shift
    return numpy.array_equal(scale, numpy.eye(len(scale))) and not shift.any()


def affine_arrays(stage: AffineStage, shape: AffineShape) -> dict[str, Any]:
    """The traced part: wiring as positions, and the numbers of affine charts."""
    columns = [
        numpy.pad(block.columns, ((0, 0), (0, parents - block.columns.shape[1]), (0, 0)), constant_values=stage.columns)
        for block, (parents, _) in zip(stage.blocks, shape.blocks, strict=True)
    ]
    found: dict[str, Any] = {
        "space": space_arrays(stage.space),
        "sources": [
            {"space": space_arrays(s.space), **({} if s.is_whole else {"units": _int32(s.units)})}
            for s in stage.sources
        ],
        "columns": [_int32(part[:1] if shape.dense else part) for part in columns],
    }
    if not shape.plain:
        found["preactivation_inverse"] = numpy.linalg.inv(stage.preactivation_scale)
        found["preactivation_shift"] = stage.preactivation_shift
    return {**found, **(_dense_places(shape, columns) if shape.dense else _places(stage, shape, columns))}


def _dense_places(shape: AffineShape, columns: list) -> dict[str, Any]:
    order = numpy.concatenate([part[0].reshape(-1) for part in columns])
    if (order == numpy.arange(len(order))).all():
        return {}
    return {"rows": _int32(numpy.argsort(order)), "columns_in_order": _int32(order)}


def _places(stage: AffineStage, shape: AffineShape, columns: list) -> dict[str, Any]:
    """For each entry of the weight matrix, where it stands among values by unit; the end where there is none."""
    units, q = shape.units, shape.inner_dim
    places = numpy.full((stage.columns + 1, units, q), units * shape.width)
    by_unit = numpy.arange(units * shape.width).reshape(units, shape.width)
    start = q
    for (parents, e), part in zip(shape.blocks, columns, strict=True):
        stop = start + parents * e * q
        positions = by_unit[:, start:stop].reshape(units, parents, e, q)
        places[part, numpy.arange(units)[:, None, None]] = positions
        start = stop
    return {"places": _int32(places[:-1].reshape(stage.columns, units * q))}


def _int32(values: Any) -> Any:
    return numpy.asarray(values, dtype=numpy.int32)
