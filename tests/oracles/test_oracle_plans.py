"""The plans that a person may ask for, and those that only large networks get, give the same numbers on random networks."""

import hypothesis
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler import tiles
from manifoldnet.compiler.affine import AffineStage
from manifoldnet.errors import CompilationError, SingularMetricError
from manifoldnet.metrics import full
from tests.oracles.compare import EXACT, unit_deviation
from tests.oracles.networks import Case, cases
from tests.oracles.test_oracle_lowering import check_agreement


def sharing(program: mn.Program) -> list[str]:
    """Layers whose units read the same scalars, which can be solved by their samples."""
    stages = [s for s in program.lowered.stages if isinstance(s, AffineStage) and s.shares_reads]
    return [slot.layer for stage in stages for slot in stage.slots]


@hypothesis.settings(max_examples=15)
@hypothesis.given(cases())
def test_every_plan(case: Case) -> None:
    layers = sharing(case.program)
    hypothesis.assume(layers)
    net = case.recipe.declare()
    dual, dense, gathered = (
        mn.compile(net, plans=dict.fromkeys(layers, plan)) for plan in ("dual", "dense", "gathered")
    )
    check_agreement(case, dual, dense, EXACT)
    check_agreement(case, gathered, dense, EXACT)
    slope = dense.differential(case.theta, case.inputs, case.targets)
    one, other, third = (
        program.metric(mn.Backpropagated(), case.theta, case.inputs).solve(slope, mn.Tikhonov(1e-2))
        for program in (dual, dense, gathered)
    )
    assert unit_deviation(case, one, other) < 1e-8
    assert unit_deviation(case, third, other) < 1e-8


@hypothesis.settings(max_examples=15)
@hypothesis.given(cases())
def test_links_alone_and_layers(case: Case) -> None:
    """Weight matrices as sparse ones, and wide factors layer by layer, as large networks get them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "_LARGE", 0)
        patch.setattr(tiles, "_SPARSE", 1)
        patch.setattr(tiles, "_GATHERED", 8)
        patch.setattr(full, "ROWS", 0)
        check_agreement(case, mn.compile(case.recipe.declare()), case.program, EXACT)


def test_plans_are_checked() -> None:
    net = mn.Network("plans")
    x = net.input("x", size=3)
    h = net.layer("h", size=4, map=mn.Affine(mn.tanh), parents=[x], wiring=mn.fan_in(2, replace=False))
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=2, map=mn.Affine(), parents=[h])])
    with pytest.raises(CompilationError, match="only affine layers whose units all read the same"):
        mn.compile(net, plans={"h": "dual"})
    with pytest.raises(
        CompilationError, match="this layer's stage is affine .tanh., gathered.* which can be auto or gathered"
    ):
        mn.compile(net, plans={"h": "dense"})
    for wrong in ({"z": "dual"}, {"y": "primal"}):
        with pytest.raises(CompilationError, match="expected a layer that is computed, of x, h, y, and one of"):
            mn.compile(net, plans=wrong)
    program = mn.compile(net, plans={"y": "dual"})
    inputs = numpy.random.default_rng(0).standard_normal((20, 3))
    tensor = program.metric(mn.Backpropagated(), program.initialize(numpy.random.default_rng(0)), inputs)
    assert "as asked" in program.lowered.contractions[-1].describe(program.lowered.stages, 20)
    assert type(tensor.blocks[-1]).__name__ == "SharedReads"


def test_samples_enough_for_no_damping() -> None:
    """A layer that is kept by more samples than parameters has inverses: they are those of its blocks."""
    net = mn.Network("enough")
    x = net.input("x", size=3)
    h = net.layer("h", size=4, map=mn.Affine(mn.tanh), parents=[x])
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=3, map=mn.Affine(), parents=[h])])
    dual, dense = (mn.compile(net, plans={"h": plan, "y": plan}) for plan in ("dual", "dense"))
    theta, inputs = dual.initialize(numpy.random.default_rng(0)), numpy.random.default_rng(1).standard_normal((9, 3))
    slope = numpy.random.default_rng(2).standard_normal(dual.tangent_layout.size)
    for damping in (None, mn.Floor(0.1)):
        found, expected = (p.metric(mn.UnitwiseNatural(), theta, inputs).solve(slope, damping) for p in (dual, dense))
        assert numpy.abs(found - expected).max() < 1e-8 * numpy.abs(expected).max()
    with pytest.raises(SingularMetricError, match="unit h\\[0\\]: singular, of rank at most 3 of 4"):
        dual.metric(mn.UnitwiseNatural(), theta, inputs[:3]).solve(slope)
