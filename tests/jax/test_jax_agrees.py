"""Compiled evaluations on one network of each kind of stage, against the reference."""

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.recipes import RowsRecipe
from manifoldnet.linalg.bordered import Bordered
from manifoldnet.linalg.damping import Damping
from manifoldnet.linalg.dense import Dense
from manifoldnet.metrics.full import structure_of
from manifoldnet.metrics.names import METRICS, metric_named
from manifoldnet.metrics.rows import FisherRows
from tests.jax.kinds import KINDS, data

pytest.importorskip("jax", reason="needs the extra `jax`")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(600)]

# Entries are sums of the same terms in another order.
EXACT = 1e-9


def deviation(found: object, expected: object) -> float:
    found, expected = numpy.asarray(found), numpy.asarray(expected)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    return float(numpy.abs(found - expected).max() / (numpy.abs(expected).max() + 1e-300))


def both(name: str) -> tuple[Program, Program, mn.Parameters]:
    net = KINDS[name]()
    reference, program = mn.compile(net), mn.compile(net, backend="jax")
    return reference, program, reference.initialize(numpy.random.default_rng(1))


@pytest.mark.parametrize("name", KINDS)
def test_outputs_losses_and_differentials(name: str) -> None:
    reference, program, theta = both(name)
    x, y = data(name)
    found, expected = program.output(theta, x), reference.output(theta, x)
    parts = expected if isinstance(expected, dict) else {"": expected}
    for key, values in parts.items():
        assert deviation(found[key] if key else found, values) < EXACT
    assert deviation(program.losses(theta, x, y), reference.losses(theta, x, y)) < EXACT
    assert abs(program.loss(theta, x, y) - reference.loss(theta, x, y)) < EXACT
    assert deviation(program.differential(theta, x, y).flat, reference.differential(theta, x, y).flat) < EXACT
    v = numpy.random.default_rng(2).standard_normal(program.tangent_layout.size)
    norms = [p.at(theta, x, y).natural_norm2(v) for p in (program, reference)]
    assert deviation(*norms) < EXACT


BORDERED = (mn.Tikhonov(0.01), mn.Intrinsic(0.1), mn.Floor(0.1) + mn.Intrinsic(0.03), mn.LeastNorm())


@pytest.mark.parametrize("damping", BORDERED, ids=str)
def test_a_natural_metric_with_a_border_is_the_compiled_matrix(damping: Damping) -> None:
    """Its entries come of the reference's rows: here beside the sum of those that are compiled."""
    _, program, theta = both("sparse")
    # more rows than parameters
    x, y = data("sparse", 60)
    run = program.at(theta, x, y)
    tensor = run.metric(mn.Natural())
    assert isinstance(tensor, Bordered)
    matrix = program.engine.gram(run, RowsRecipe("fisher")) / 60
    assert deviation(tensor.as_matrix(), matrix) < EXACT
    floor, v = tensor._floor, run.differential().flat
    dense = Dense(matrix, partition=program.partition, floor=floor)
    # solutions lose as many digits as the condition number has
    assert deviation(tensor.solve(v, damping), dense.solve(v, damping)) < EXACT / 1e-3


def test_a_batch_that_is_cut_over_devices_is_summed_there() -> None:
    net = KINDS["sparse"]()
    one, shared = mn.compile(net, backend="jax"), mn.compile(net, backend="jax", devices="all")
    assert [structure_of(FisherRows(), program, 60) for program in (one, shared)] == ["bordered", "matrix"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", KINDS)
def test_entries_and_solves(name: str, metric: str) -> None:
    """Monte Carlo metrics draw the same targets from the same generator."""
    reference, program, theta = both(name)
    x, y = data(name)
    found, expected = (
        p.metric(metric_named(metric), theta, x, y, rng=numpy.random.default_rng(3)) for p in (program, reference)
    )
    assert type(found) is type(expected)
    assert deviation(found.as_matrix(), expected.as_matrix()) < EXACT
    v = numpy.random.default_rng(2).standard_normal(program.tangent_layout.size)
    eps = 1e-2 * float(numpy.abs(expected.as_matrix()).max())
    assert deviation(found.solve(v, mn.Tikhonov(eps)), expected.solve(v, mn.Tikhonov(eps))) < EXACT / 1e-2


@pytest.mark.parametrize("damping", [mn.Intrinsic(0.03), mn.Floor(0.1) + mn.LeastNorm(), mn.PseudoInverse()])
@pytest.mark.parametrize("name", ["sparse", "dense", "charted"])
def test_dampings_have_what_they_measure_by(name: str, damping: Damping) -> None:
    reference, program, theta = both(name)
    x, y = data(name)
    slope = reference.differential(theta, x, y).flat
    for rule in (mn.Backpropagated(), mn.QuasiDiagonal(mn.Backpropagated())):
        found, expected = (p.metric(rule, theta, x, y).solve(slope, damping) for p in (program, reference))
        # directions near a cut are not the same to more digits than these
        assert deviation(found, expected) < 1e-6


@pytest.mark.parametrize("name", ["sparse", "charted", "dense"])
def test_chunks(name: str) -> None:
    """A batch in pieces of uneven size, drawn targets included."""
    reference, program, theta = both(name)
    x, y = data(name)
    small = mn.Program(
        program.declaration,
        program.lowered,
        "jax",
        workspace=3 * program.workspace // program.chunk_size(1),
        engine=program.engine,
    )
    assert small.chunk_size(1) < 7
    for rule in (mn.UnitwiseMonteCarloNatural(2), mn.MonteCarloNatural(), mn.QuasiDiagonal(mn.Natural())):
        found, expected = (p.metric(rule, theta, x, y, rng=numpy.random.default_rng(3)) for p in (small, reference))
        assert deviation(found.as_matrix(), expected.as_matrix()) < EXACT
    assert deviation(small.differential(theta, x, y).flat, reference.differential(theta, x, y).flat) < EXACT
