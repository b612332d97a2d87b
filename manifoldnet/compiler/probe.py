"""Probing a user's map when it is compiled: shape, broadcasting, purity, membership and derivative."""

from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.general import GeneralStage
from manifoldnet.declare.layer import Layer
from manifoldnet.declare.maps import Map
from manifoldnet.errors import ManifoldNetError, MapError
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.numpy.derivatives import jacobian

SAMPLES, UNITS, STEP = 4, 3, 1e-5


def probe_map(layer: Layer, stage: GeneralStage) -> None:
    """Raise MapError, naming the layer and the user's file and line, unless the stage's function is usable."""
    assert isinstance(layer.map, Map)
    rng = numpy.random.default_rng(0)
    where = f"layer {layer.name!r}: map {layer.map.name} ({layer.map.source})"
    parts = _random_parts(layer, stage, rng, where)
    joint = _joined(parts)
    values = _called(stage, joint, where)
    _check_shape(values, joint, stage, where)
    if not numpy.array_equal(values, _called(stage, joint, where), equal_nan=True):
        raise MapError(f"{where} gave two results for the same arguments: a map must be a pure function")
    _check_alone(values, joint, stage, where)
    _check_inside(values, stage, where)
    _check_derivative(joint, parts, stage, rng, where)


Parts = list[tuple[Manifold, NDArray]]


def _random_parts(layer: Layer, stage: GeneralStage, rng: numpy.random.Generator, where: str) -> Parts:
    """Random points for the parameter and each parent, (SAMPLES, UNITS, m, *shape)."""
    parts: Parts = []
    if isinstance(layer.map, Map) and layer.map.parameters is not None:
        points = _initial_points(layer.map, layer.map.parameters, layer.size, rng, where)
        parts.append((layer.map.parameters, points.reshape(SAMPLES, UNITS, 1, *layer.map.parameters.shape)))
    for parent in stage.parents:
        m, manifold = parent.units.shape[1], parent.space.manifold
        points = manifold.sample(rng, SAMPLES * UNITS * m)
        parts.append((manifold, points.reshape(SAMPLES, UNITS, m, *manifold.shape)))
    return parts


def _initial_points(map: Map, manifold: Manifold, size: int, rng: numpy.random.Generator, where: str) -> NDArray:
    """Parameters for SAMPLES * UNITS units, drawn as often as it takes for the `size` units that the layer has."""
    draw, expected = map.initial or manifold.sample, (size, *manifold.shape)
    found: list[NDArray] = []
    while len(found) * size < SAMPLES * UNITS:
        points = numpy.asarray(draw(rng, size), dtype=numpy.float64)
        if points.shape != expected or not manifold.contains(points).all():
            raise MapError(
                f"{where}: initial(rng, {size}) must draw points of {manifold} of shape {expected}, received shape "
                f"{points.shape}; {manifold.explain(points)}"
            )
        found.append(points)
    return numpy.concatenate(found)[: SAMPLES * UNITS]


def _joined(parts: Parts) -> NDArray:
    return numpy.concatenate([points.reshape(SAMPLES, UNITS, -1) for _, points in parts], axis=2)


def _called(stage: GeneralStage, joint: NDArray, where: str) -> NDArray:
    try:
        return numpy.asarray(stage.apply(joint))
    except ManifoldNetError as error:
        raise MapError(f"{where}: {error}") from error
    except Exception as error:
        shapes = [(*joint.shape[:-1], p.units.shape[1], *p.space.manifold.shape) for p in stage.parents]
        raise MapError(
            f"{where} failed on points of shapes {_shown(stage, shapes)}: {type(error).__name__}: {error}"
        ) from error


def _shown(stage: GeneralStage, shapes: Sequence[tuple[int, ...]]) -> str:
    parameter = [(SAMPLES, UNITS, *stage.parameter_shape)] if stage.passes_parameter else []
    return ", ".join(map(str, [*parameter, *shapes]))


def _check_shape(values: NDArray, joint: NDArray, stage: GeneralStage, where: str) -> None:
    expected = (*joint.shape[:2], *stage.space.manifold.shape)
    if values.shape != expected:
        raise MapError(
            f"{where} must return points of {stage.space.manifold} of shape (samples, units, *shape) = {expected}, "
            f"received {values.shape}: keep the leading axes, and give reductions an axis counted from the end"
        )
    if values.dtype != numpy.float64:
        raise MapError(f"{where} must return float64, received {values.dtype}: multiply by 1.0 rather than by integers")


def _check_alone(values: NDArray, joint: NDArray, stage: GeneralStage, where: str) -> None:
    for sample in range(SAMPLES):
        for unit in range(UNITS):
            alone = _called(stage, joint[sample : sample + 1, unit : unit + 1], where)
            if alone.shape[2:] != values.shape[2:] or not numpy.allclose(
                alone, values[sample, unit], rtol=1e-9, atol=1e-12, equal_nan=True
            ):
                raise MapError(
                    f"{where} mixes samples or units: sample {sample}, unit {unit} gives {alone.reshape(-1)} alone and "
                    f"{values[sample, unit].reshape(-1)} among others. A reduction such as np.sum needs axis=-1"
                )


def _check_inside(values: NDArray, stage: GeneralStage, where: str) -> None:
    if not stage.space.manifold.contains(values).all():
        raise MapError(f"{where} leaves {stage.space.manifold}: {stage.space.manifold.explain(values)}")


def _check_derivative(
    joint: NDArray, parts: Parts, stage: GeneralStage, rng: numpy.random.Generator, where: str
) -> None:
    try:
        matrix = jacobian(stage.apply, joint, 1, len(stage.space.manifold.shape))
    except Exception as error:
        raise MapError(
            f"{where} cannot be differentiated: {error}. Write it with `from manifoldnet import numpy as np`"
        ) from error
    matrix = matrix.reshape(*joint.shape[:2], -1, joint.shape[2])
    start = 0
    for index, (manifold, points) in enumerate(parts):
        tangent = rng.standard_normal((*points.shape[:3], manifold.dim))
        velocity = (manifold.frame(points) @ tangent[..., None])[..., 0].reshape(SAMPLES, UNITS, -1)
        stop = start + velocity.shape[2]
        exact = (matrix[..., start:stop] @ velocity[..., None])[..., 0]
        moved = [_moved(parts, index, sign * STEP * tangent) for sign in (1.0, -1.0)]
        ahead, behind = (_called(stage, _joined(part), where).reshape(exact.shape) for part in moved)
        _compare(
            exact, (ahead - behind) / (2.0 * STEP), "parameter" if _is_parameter(stage, index) else "parent", where
        )
        start = stop


def _is_parameter(stage: GeneralStage, index: int) -> bool:
    return index == 0 and stage.parameters is not None


def _moved(parts: Parts, index: int, tangent: NDArray) -> Parts:
    manifold, points = parts[index]
    return [*parts[:index], (manifold, manifold.retract(points, tangent)), *parts[index + 1 :]]


def _compare(exact: NDArray, differences: NDArray, what: str, where: str) -> None:
    # central differences are good to about STEP^2 and rounding / STEP, relative to the size of the derivative
    scale = 1.0 + numpy.abs(differences).max()
    if not numpy.isfinite(exact).all() or numpy.abs(exact - differences).max() > 1e-5 * scale:
        worst = numpy.unravel_index(numpy.nanargmax(numpy.abs(exact - differences)), exact.shape)
        raise MapError(
            f"{where} has a derivative along its {what} that disagrees with finite differences: "
            f"{exact[worst]:.6g} against {differences[worst]:.6g}. Write it with `from manifoldnet import numpy as np` "
            "and smoothly: a function with kinks or one that leaves the tape (float(), np.array of results) does this"
        )
