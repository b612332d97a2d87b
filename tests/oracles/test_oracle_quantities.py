"""The paper's quantities at every unit: b, J, Phi, Phi_kk' and m, in the frames of the units' charts."""

from collections.abc import Iterator

import hypothesis
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler import quantities
from manifoldnet.compiler.run import Run
from tests.oracles import spaces
from tests.oracles.compare import EXACT, vector_deviation
from tests.oracles.networks import Case, cases
from tests.oracles.reference import Unit


def run_of(case: Case) -> Run:
    return case.program.at(case.theta, case.inputs, case.targets)


def hidden_units(case: Case) -> list[Unit]:
    """All units that are not inputs."""
    return [unit for unit in case.references[0].activities if case.recipe.layer(unit[0]).map != "input"]


def everywhere(case: Case) -> Iterator[tuple[int, Unit]]:
    return ((s, unit) for unit in hidden_units(case) for s in range(case.samples))


def in_frame(case: Case, sample: int, unit: Unit) -> NDArray:
    """From the frame of the unit's chart to the oracle's basis there."""
    reference = case.references[sample]
    return numpy.linalg.pinv(reference.bases[unit]) @ case.reference.frame(unit, reference.activities[unit][0])


def check(case: Case, found: dict[str, NDArray], expected: dict[tuple[int, Unit], NDArray]) -> None:
    """Layer by layer, each on the scale of its own largest entry, or of a thousandth of the network's."""
    largest = max(numpy.abs(values).max() for values in expected.values())
    for layer in found:
        pairs = [(found[layer][s, u], e) for (s, (name, u)), e in expected.items() if name == layer]
        stacked = [numpy.array(side) for side in zip(*pairs, strict=True)]
        scale = max(numpy.abs(stacked[1]).max(), 1e-3 * largest)
        assert numpy.abs(stacked[0] - stacked[1]).max() <= EXACT * scale + 1e-150, layer


@hypothesis.settings(max_examples=15)
@hypothesis.given(cases())
def test_activities_and_backpropagated_values(case: Case) -> None:
    """Equations 4 and 5: what a change of one unit's activity does to the loss, its sign turned."""
    run = run_of(case)
    for layer, points in quantities.activities(run).items():
        size = case.recipe.layer(layer).size
        expected = [[sample.activities[layer, u][0] for u in range(size)] for sample in case.references]
        assert vector_deviation(points, numpy.array(expected)) < EXACT
    values = {
        (s, unit): -in_frame(case, s, unit).T @ case.references[s].effects(case.target(s), unit)
        for s, unit in everywhere(case)
    }
    check(case, quantities.backpropagated_values(run), values)


@hypothesis.settings(max_examples=15)
@hypothesis.given(cases())
def test_moduli(case: Case) -> None:
    """Phi_k (eqs. 14-17, 66), contributions added before squaring, and m_k (eqs. 26-27, 76), added after."""
    run = run_of(case)
    fisher, back = {}, {}
    for s, unit in everywhere(case):
        frame, sample = in_frame(case, s, unit), case.references[s]
        fisher[s, unit] = frame.T @ sample.fisher_modulus(unit) @ frame
        back[s, unit] = frame.T @ sample.backpropagated_moduli[unit] @ frame
    check(case, quantities.fisher_moduli(run), fisher)
    check(case, quantities.backpropagated_moduli(run), back)


@hypothesis.settings(max_examples=15)
@hypothesis.given(cases())
def test_pairs_of_units(case: Case) -> None:
    """Phi_kk' (eq. 102) of the first and the last unit, from the rows whose products it is made of."""
    units = hidden_units(case)
    one, other = units[0], units[-1]
    rows = quantities.output_derivatives(run_of(case))
    if one == other:
        return
    for s, sample in enumerate(case.references):
        joint = sample.fisher_modulus(one, other)
        pair = joint[: sample.dim(one), sample.dim(one) :]
        expected = in_frame(case, s, one).T @ pair @ in_frame(case, s, other)
        found = rows[one[0]][:, s, one[1]].T @ rows[other[0]][:, s, other[1]]
        assert numpy.abs(found - expected).max() <= EXACT * numpy.abs(joint).max()


@hypothesis.settings(max_examples=15)
@hypothesis.given(cases())
def test_transfer_rates(case: Case) -> None:
    """Equations 13 and 65, also where outputs feed other outputs: d z/d a_k of all output numbers."""
    run = run_of(case)
    for output in case.recipe.outputs:
        found = quantities.transfer_rates(run, output.name)
        scale = run.whole.readings[output.name].scale
        largest = max(numpy.abs(values).max() for values in found.values())
        for s, unit in everywhere(case):
            sample = case.references[s]
            z = on_scale(case.reference.numbers(output, sample.moved(unit)), output.meaning, scale)
            expected = numpy.imag(z).T / spaces.STEP @ in_frame(case, s, unit)
            assert numpy.abs(found[unit[0]][:, s, unit[1]] - expected).max() <= EXACT * largest


def on_scale(z: NDArray, meaning: str, scale: str) -> NDArray:
    """Output numbers of the reference on the scale that a program reads."""
    if scale == "log-odds":
        assert meaning == "bernoulli"
        return numpy.log(z / (1.0 - z))
    return numpy.log(z) if scale == "log" else z


@hypothesis.settings(max_examples=15)
@hypothesis.given(cases())
def test_length_in_the_natural_metric_by_one_forward_pass(case: Case) -> None:
    tangent = case.rng(9).standard_normal(case.program.tangent_layout.size)
    natural = sum(tangent @ sample.natural() @ tangent for sample in case.references) / case.samples
    assert abs(run_of(case).natural_norm2(tangent) - natural) <= EXACT * natural
