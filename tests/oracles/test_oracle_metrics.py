"""Every metric of random networks against its definition, evaluated by brute force."""

import hypothesis
import numpy
import pytest

import manifoldnet as mn
from tests.oracles import expected
from tests.oracles.compare import EXACT, tensor_deviation, vector_deviation
from tests.oracles.networks import Case, cases


def matrix(case: Case, metric: object) -> numpy.ndarray:
    return case.program.metric(metric, case.theta, case.inputs, case.targets).as_matrix()


@hypothesis.settings(max_examples=35)
@hypothesis.given(cases())
def test_natural_is_the_expectation_over_all_outcomes(case: Case) -> None:
    """Proposition 27, cross terms and output parameters included; the unitwise one has its diagonal blocks."""
    natural = expected.natural(case)
    assert tensor_deviation(matrix(case, mn.Natural()), natural) < EXACT
    assert tensor_deviation(matrix(case, mn.UnitwiseNatural()), expected.unitwise(case, natural)) < EXACT


@hypothesis.settings(max_examples=30)
@hypothesis.given(cases())
def test_outer_product_is_the_average_over_samples(case: Case) -> None:
    """Definition 14, from the reference's gradients and from the program's own on one sample at a time."""
    outer = expected.outer_product(case)
    assert tensor_deviation(matrix(case, mn.OuterProduct()), outer) < EXACT
    assert tensor_deviation(matrix(case, mn.UnitwiseOuterProduct()), expected.unitwise(case, outer)) < EXACT
    rows = [case.program.differential(case.theta, *one_sample(case, s)).flat for s in range(case.samples)]
    assert tensor_deviation(matrix(case, mn.OuterProduct()), expected.outer_products(numpy.array(rows))) < EXACT


def one_sample(case: Case, sample: int) -> tuple[object, object]:
    """Inputs and targets of one sample."""
    chosen = [
        {name: part[sample : sample + 1] for name, part in data.items()}
        if isinstance(data, dict)
        else data[sample : sample + 1]
        for data in (case.inputs, case.targets)
    ]
    return chosen[0], chosen[1]


@hypothesis.settings(max_examples=35)
@hypothesis.given(cases())
def test_backpropagated_is_the_recursion_on_perturbations(case: Case) -> None:
    """Equations 56 to 59."""
    assert tensor_deviation(matrix(case, mn.Backpropagated()), expected.backpropagated(case)) < EXACT


@hypothesis.settings(max_examples=30)
@hypothesis.given(cases())
def test_reductions_of_the_dense_blocks(case: Case) -> None:
    """Definition 23 on the dense blocks, and their diagonals."""
    outer = expected.unitwise(case, expected.outer_product(case))
    back = expected.backpropagated(case)
    for metric, dense in ((mn.UnitwiseOuterProduct(), outer), (mn.Backpropagated(), back)):
        quasi = expected.quasi_diagonal(case, dense)
        tolerance = EXACT * expected.conditioning(case, dense)
        assert tensor_deviation(matrix(case, mn.QuasiDiagonal(metric)), quasi) < tolerance, metric
        diagonal = numpy.diag(numpy.diagonal(dense))
        assert tensor_deviation(matrix(case, mn.Diagonal(metric)), diagonal) < EXACT, metric
    natural = expected.natural(case)
    tolerance = EXACT * expected.conditioning(case, natural)
    quasi = expected.quasi_diagonal(case, natural)
    assert tensor_deviation(matrix(case, mn.QuasiDiagonal(mn.Natural())), quasi) < tolerance


@hypothesis.settings(max_examples=25)
@hypothesis.given(cases())
def test_solves_are_inverses_of_the_dense_matrices(case: Case) -> None:
    """Under Tikhonov damping exactly as remark 12: on full blocks, or on A_00 and A_ii before the reduction."""
    eps, covector = 0.03, case.rng(6).standard_normal(case.program.tangent_layout.size)
    damping, identity = mn.Tikhonov(eps), eps * numpy.eye(len(covector))
    natural, back = expected.natural(case), expected.backpropagated(case)
    damped = {
        mn.Natural(): natural + identity,
        mn.UnitwiseNatural(): expected.unitwise(case, natural) + identity,
        mn.OuterProduct(): expected.outer_product(case) + identity,
        mn.Backpropagated(): back + identity,
        mn.Diagonal(mn.Backpropagated()): numpy.diag(numpy.diagonal(back)) + identity,
        mn.Euclidean(): (1.0 + eps) * numpy.eye(len(covector)),
    }
    if not any(case.recipe.chart(f"{layer.name}/parameters") for layer in case.recipe.layers):
        damped[mn.QuasiDiagonal(mn.Backpropagated())] = expected.quasi_diagonal(case, back + identity)
    for metric, tensor in damped.items():
        found = case.program.metric(metric, case.theta, case.inputs, case.targets).solve(covector, damping)
        assert vector_deviation(found, numpy.linalg.solve(tensor, covector)) < EXACT, metric


@hypothesis.settings(max_examples=10)
@hypothesis.given(cases())
def test_metrics_that_are_not_invariant(case: Case) -> None:
    """AdaGrad of the paper's section 4: root mean squares of each component of the gradient; Euclidean: Id."""
    squares = (expected.gradients(case) ** 2).mean(axis=0)
    assert tensor_deviation(matrix(case, mn.AdaGrad()), numpy.diag(numpy.sqrt(squares))) < EXACT
    assert numpy.array_equal(matrix(case, mn.Euclidean()), numpy.eye(len(squares)))


@hypothesis.settings(max_examples=15)
@hypothesis.given(cases())
def test_norms_and_inner_products(case: Case) -> None:
    u, v = case.rng(7).standard_normal((2, case.program.tangent_layout.size))
    for metric in (mn.Natural(), mn.Backpropagated(), mn.QuasiDiagonal(mn.Backpropagated()), mn.Euclidean()):
        tensor = case.program.metric(metric, case.theta, case.inputs)
        dense = tensor.as_matrix()
        size = numpy.sqrt((u @ dense @ u) * (v @ dense @ v))
        assert abs(tensor.inner(u, v) - u @ dense @ v) <= EXACT * size, metric
        assert abs(tensor.norm2(u) - u @ dense @ u) <= EXACT * (u @ dense @ u), metric


@pytest.mark.slow
@hypothesis.settings(max_examples=400)
@hypothesis.given(cases())
def test_all_metrics_on_many_networks(case: Case) -> None:
    natural, outer, back = expected.natural(case), expected.outer_product(case), expected.backpropagated(case)
    assert tensor_deviation(matrix(case, mn.Natural()), natural) < EXACT
    assert tensor_deviation(matrix(case, mn.UnitwiseNatural()), expected.unitwise(case, natural)) < EXACT
    assert tensor_deviation(matrix(case, mn.OuterProduct()), outer) < EXACT
    assert tensor_deviation(matrix(case, mn.Backpropagated()), back) < EXACT
    for metric, dense in ((mn.Natural(), natural), (mn.OuterProduct(), outer), (mn.Backpropagated(), back)):
        quasi = expected.quasi_diagonal(case, dense)
        tolerance = EXACT * expected.conditioning(case, dense)
        assert tensor_deviation(matrix(case, mn.QuasiDiagonal(metric)), quasi) < tolerance, metric
