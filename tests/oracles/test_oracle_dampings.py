"""What dampings add to the metrics of random networks, from the definitions."""

import hypothesis
import numpy
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet.geometry.manifold import Manifold
from tests.oracles import expected, spaces
from tests.oracles.compare import EXACT, tensor_deviation, vector_deviation
from tests.oracles.networks import Case, cases
from tests.oracles.reference import Unit

EPS, FLOOR, RELATIVE = 0.03, 0.2, 0.1


def has_plain_affine_parameters(case: Case) -> bool:
    """Whether the parameters of all affine units are written as biases and weights."""
    return not any(layer.is_affine and case.recipe.chart(f"{layer.name}/parameters") for layer in case.recipe.layers)


def plain_cases(**choices: str) -> SearchStrategy[Case]:
    """The cases that these oracles hold of."""
    return cases(**choices).filter(has_plain_affine_parameters).filter(lambda case: case.samples >= 3)


def floor(case: Case) -> NDArray:
    """E[c] E[a~ a~^T] of each affine unit, with the backpropagated weights c = phi'^T m phi' of pre-activations."""
    size = case.reference.tangent_size
    found = numpy.zeros((size, size))
    for unit, place in case.reference.places.items():
        if isinstance(unit, tuple) and case.recipe.layer(unit[0]).is_affine:
            q, widths = expected.parent_widths(case, unit)
            weight, read = numpy.zeros((q, q)), numpy.zeros((1 + sum(widths) // q,) * 2)
            for sample in case.references:
                rate = sample.own_rate(unit)
                on_bias = rate[:, :q]
                weight += on_bias.T @ sample.backpropagated_moduli[unit] @ on_bias / case.samples
                signals = read_signals(case, sample, unit)
                read += numpy.outer(signals, signals) / case.samples
            found[place.tangent, place.tangent] = numpy.kron(read, weight)
    return found


def read_signals(case: Case, sample: object, unit: Unit) -> NDArray:
    """(1, a): the numbers that the weights of an affine unit multiply."""
    parts = [case.reference._reading(k, sample.activities[k])[0] for edge in case.reference.wires[unit] for k in edge]
    return numpy.concatenate([numpy.ones(1), *parts])


@hypothesis.settings(max_examples=12)
@hypothesis.given(plain_cases())
def test_floor(case: Case) -> None:
    """It counts no sample's weight in a unit less than a part of their mean; in the entries, for reduced metrics."""
    covector = case.rng(6).standard_normal(case.program.tangent_layout.size)
    damping = mn.Floor(FLOOR) + mn.Tikhonov(EPS)
    damped = expected.backpropagated(case) + FLOOR * floor(case) + EPS * numpy.eye(len(covector))
    tensor = case.program.metric(mn.Backpropagated(), case.theta, case.inputs)
    assert tensor_deviation(tensor.floor.as_matrix(), floor(case)) < EXACT
    assert vector_deviation(tensor.solve(covector, damping), numpy.linalg.solve(damped, covector)) < EXACT
    quasi = case.program.metric(mn.QuasiDiagonal(mn.Backpropagated()), case.theta, case.inputs)
    reduced = expected.quasi_diagonal(case, damped)
    assert vector_deviation(quasi.solve(covector, damping), numpy.linalg.solve(reduced, covector)) < EXACT


@hypothesis.settings(max_examples=12)
@hypothesis.given(plain_cases())
def test_intrinsic(case: Case) -> None:
    """A + eps QD(A) on affine units, A + eps (tr(R^-1 A)/p) R on the others, R what their manifold declares."""
    covector = case.rng(6).standard_normal(case.program.tangent_layout.size)
    damping, identity = mn.Intrinsic(RELATIVE) + mn.Tikhonov(EPS), EPS * numpy.eye(len(covector))
    natural = expected.natural(case)
    for metric, dense in (
        (mn.Natural(), natural),
        (mn.UnitwiseNatural(), expected.unitwise(case, natural)),
        (mn.Backpropagated(), expected.backpropagated(case)),
    ):
        damped = dense + identity + RELATIVE * intrinsic(case, dense + identity)
        found = case.program.metric(metric, case.theta, case.inputs).solve(covector, damping)
        assert vector_deviation(found, numpy.linalg.solve(damped, covector)) < EXACT, metric


def intrinsic(case: Case, matrix: NDArray) -> NDArray:
    found = expected.quasi_diagonal(case, matrix)
    for owner, place in case.reference.places.items():
        block = matrix[place.tangent, place.tangent]
        if isinstance(owner, str):
            found[place.tangent, place.tangent] = numpy.trace(block) / len(block) * numpy.eye(len(block))
        elif not case.recipe.layer(owner[0]).is_affine:
            metric = declared_metric(case, owner)
            factor = numpy.trace(numpy.linalg.solve(metric, block)) / len(block)
            found[place.tangent, place.tangent] = factor * metric
    return found


def declared_metric(case: Case, unit: Unit) -> NDArray:
    """The Riemannian metric of a unit's parameter manifold, on its tangents."""
    manifold, place = case.recipe.layer(unit[0]).parameters, case.reference.places[unit]
    stored, chart = case.theta.flat[place.stored], case.recipe.chart(f"{unit[0]}/parameters")
    if chart:
        point = spaces.to_point(manifold, chart, stored)
        slopes = spaces.derivative(lambda u: spaces.to_point(manifold, chart, u), stored, numpy.eye(len(stored)))
        return inner_products(manifold, point, slopes)
    point = stored.reshape(manifold.shape)
    return inner_products(manifold, point, spaces.stored_frame(manifold, point).T.reshape(-1, *manifold.shape))


def inner_products(manifold: Manifold, point: NDArray, vectors: NDArray) -> NDArray:
    """Of ambient tangent vectors (k, *shape) at one point, (k, k)."""
    flat = vectors.reshape(len(vectors), -1)
    if isinstance(manifold, mn.SPD):
        turned = numpy.linalg.solve(point, vectors)
        return numpy.einsum("aij,bji->ab", turned, turned)
    if isinstance(manifold, mn.Product):
        pieces = zip(spaces.factors(manifold, point), spaces.factors(manifold, vectors), strict=True)
        return sum(inner_products(factor, p, v) for (factor, p), (_, v) in pieces)
    weights = {
        mn.Simplex: lambda p: 1.0 / p,
        mn.Positive: lambda p: 1.0 / p**2,
        mn.Interval: lambda p: 1.0 / ((p - manifold.low) * (manifold.high - p)),
    }.get(type(manifold), numpy.ones_like)(point)
    return (flat * weights) @ flat.T
