"""A modulus of one's own, which no compiled backend knows."""

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler.recipes import ModulusRecipe, required
from manifoldnet.errors import CompilationError
from manifoldnet.metrics.unitwise import ModulusRule, PropagatedModulus
from manifoldnet.metrics.unitwise_rules import UnitwiseRule


@attrs.frozen
class Own(ModulusRule):
    needs_targets = False
    needs_rng = False

    def moduli(self, trace, targets, streams):
        return PropagatedModulus().moduli(trace, targets, streams)

    def rows(self, program):
        return 1


@attrs.frozen
class OwnMetric(UnitwiseRule):
    name = "own"
    modulus = Own()


def net() -> mn.Network:
    net = mn.Network("small", seed=0)
    h = net.layer("h", size=2, map=mn.Affine(mn.tanh), parents=[net.input("x", size=3)])
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=1, map=mn.Affine(mn.logistic), parents=[h])])
    return net


INPUTS = numpy.random.default_rng(1).standard_normal((12, 3))


@pytest.mark.parametrize("reduced", [lambda rule: rule, mn.QuasiDiagonal, mn.Diagonal])
def test_without_a_recipe_it_is_computed(reduced) -> None:
    program = mn.compile(net())
    theta = program.initialize(numpy.random.default_rng(0))
    assert reduced(OwnMetric()).recipe is None
    own, known = (program.metric(reduced(rule), theta, INPUTS) for rule in (OwnMetric(), mn.Backpropagated()))
    slope = program.differential(theta, INPUTS, INPUTS[:, :1] > 0)
    assert numpy.array_equal(own.solve(slope).flat, known.solve(slope).flat)


def test_what_compiled_backends_say() -> None:
    assert required(ModulusRecipe(None), "the modulus Known") == ModulusRecipe(None)
    with pytest.raises(CompilationError, match='the modulus Own has no recipe.*backend="autograd"'):
        required(Own().recipe, "the modulus Own")


@pytest.mark.jax
@pytest.mark.timeout(120)
@pytest.mark.parametrize("reduced", [lambda rule: rule, mn.QuasiDiagonal, mn.Diagonal])
def test_jax_refuses_it(reduced) -> None:
    pytest.importorskip("jax", reason="needs the extra `jax`")
    program = mn.compile(net(), backend="jax")
    theta = program.initialize(numpy.random.default_rng(0))
    with pytest.raises(CompilationError, match="the modulus Own has no recipe"):
        program.metric(reduced(OwnMetric()), theta, INPUTS)
