"""Outputs, losses and differentials of random networks, against the reference and against finite differences."""

from collections.abc import Callable

import hypothesis
import numpy
from numpy.typing import NDArray

from tests.oracles.compare import DIFFERENCES, EXACT, unit_deviation, vector_deviation
from tests.oracles.expected import gradients
from tests.oracles.networks import Case, cases


@hypothesis.settings(max_examples=40)
@hypothesis.given(cases())
def test_outputs_and_losses(case: Case) -> None:
    found = case.program.output(case.theta, case.inputs)
    for output in case.recipe.outputs:
        points = found[output.name] if isinstance(found, dict) else found
        expected = numpy.array([sample.point(output) for sample in case.references])
        assert vector_deviation(points, expected) < EXACT, output.name
    losses = numpy.array([sample.loss(case.target(s)) for s, sample in enumerate(case.references)])
    assert vector_deviation(case.program.losses(case.theta, case.inputs, case.targets), losses) < EXACT
    average = case.program.loss(case.theta, case.inputs, case.targets)
    assert abs(average - losses.mean()) < EXACT * numpy.abs(losses).max()


@hypothesis.settings(max_examples=40)
@hypothesis.given(cases())
def test_differentials_by_complex_steps(case: Case) -> None:
    found = case.program.differential(case.theta, case.inputs, case.targets).flat
    assert unit_deviation(case, found, gradients(case).mean(axis=0)) < EXACT


@hypothesis.settings(max_examples=25)
@hypothesis.given(cases())
def test_differentials_by_finite_differences(case: Case) -> None:
    """Along the program's own steps: additions, or retractions from curved parameters in their frames."""
    program, differential = case.program, case.program.differential(case.theta, case.inputs, case.targets).flat
    scale = numpy.linalg.norm(differential)
    for tangent in directions(case):
        slope = central(lambda t, v=tangent: program.loss(program.step(case.theta, t * v), case.inputs, case.targets))
        assert abs(slope - differential @ tangent) < DIFFERENCES * scale * numpy.linalg.norm(tangent)


def directions(case: Case) -> NDArray:
    """Two random tangents, and one along every unit's parameters in turn of a few units."""
    size, rng = case.program.tangent_layout.size, case.rng(5)
    places = list(case.reference.places.values())
    alone = numpy.zeros((min(4, len(places)), size))
    for row, index in enumerate(rng.permutation(len(places))[: len(alone)]):
        place = places[index].tangent
        alone[row, place] = rng.standard_normal(place.stop - place.start)
    return numpy.concatenate([rng.standard_normal((2, size)), alone])


def central(function: Callable[[float], float], step: float = 2e-4) -> float:
    """The derivative at 0 by central differences with one step of Richardson's extrapolation."""
    whole, half = ((function(h) - function(-h)) / (2.0 * h) for h in (step, step / 2.0))
    return (4.0 * half - whole) / 3.0
