"""Initial parameters, drawn in reference coordinates."""

import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.affine_coordinates import AffineCoordinates, Reference
from manifoldnet.compiler.lowering import Lowered
from manifoldnet.declare.layer import Declaration, Layer
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.errors import DeclarationError


def initial_flat(declaration: Declaration, lowered: Lowered, rng: numpy.random.Generator) -> NDArray:
    """The stored numbers of every layer's initial parameters, layers in declaration order."""
    parts = [_layer(layer, lowered, rng) for layer in declaration.layers if layer.name in lowered.stored]
    for output in declaration.outputs:
        if output.name in lowered.stored:
            n = sum(lowered.spaces[s.layer].size * len(s.units) for s in output.sources)
            parts.append(output.interpretation.initial(n))
    return numpy.concatenate(parts) if parts else numpy.zeros(0)


def _layer(layer: Layer, lowered: Lowered, rng: numpy.random.Generator) -> NDArray:
    if isinstance(layer.map, Affine):
        return _affine(layer, lowered, rng)
    assert isinstance(layer.map, Map) and layer.map.parameters is not None
    draw = layer.map.initial or layer.map.parameters.sample
    points = numpy.asarray(draw(rng, layer.size), dtype=numpy.float64)
    expected = (layer.size, *layer.map.parameters.shape)
    if points.shape != expected or not layer.map.parameters.contains(points).all():
        raise DeclarationError(
            f"layer {layer.name!r}: initial parameters are {layer.size} points of {layer.map.parameters}, of shape "
            f"{expected}; received shape {points.shape}"
        )
    return lowered.parameter_spaces[layer.name].store(points).reshape(-1)


def _affine(layer: Layer, lowered: Lowered, rng: numpy.random.Generator) -> NDArray:
    """Section 4's rule: centred weights of deviation gain/sqrt(d) on signals of spread 1, pre-activations centred.

    For tanh units w ~ N(0, 1/d) with bias 0; for logistic ones w ~ N(0, 16/d) with bias -sum w / 2.
    """
    assert isinstance(layer.map, Affine)
    q, place = layer.manifold.dim, lowered.stored[layer.name]
    coordinates = AffineCoordinates(layer, lowered.spaces)
    fan_in = numpy.asarray(place.counts) / q - 1.0
    bias, weights = numpy.zeros((layer.size, q)), []
    for edge in layer.edges:
        manifold, units = lowered.spaces[edge.parent].manifold, numpy.nonzero(edge.mask)[0]
        spread = layer.map.link.gain / numpy.sqrt(fan_in[units]) / manifold.scale
        weights.append(rng.standard_normal((len(units), manifold.hull_dim, q)) * spread[:, None, None])
        numpy.subtract.at(bias, units, manifold.centre * weights[-1].sum(axis=1))
    return coordinates.from_reference(Reference(bias, tuple(weights)))[place.mask]
