"""Steps that build on the last one: conjugate gradients, brute-force models, and no charts."""

from pathlib import Path

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.declare.rewritings import in_sigmoid_form, in_tanh_form
from manifoldnet.errors import DataError, DeclarationError
from manifoldnet.learning.defaults import default_damping
from manifoldnet.learning.descending import descended, taken_step
from manifoldnet.learning.keeping.checkpoint import load_checkpoint, save_checkpoint
from manifoldnet.learning.minibatches import Average, average_arrays, average_from
from manifoldnet.learning.momentum import towards
from manifoldnet.learning.past import Past, past_from
from manifoldnet.learning.train import train
from tests.learning.following import followed
from tests.learning.nets import NETWORKS, dataset

WHOLE = {"decay": None, "renewal": 1.0, "momentum": True}


def sparse(seed: int = 0) -> tuple[mn.Network, mn.Dataset]:
    net = mn.Network("sparse", seed=seed)
    x = net.input("x", 12, mn.Interval(0, 1))
    h = net.layer("h", size=6, map=mn.Affine(mn.logistic), parents=[x], wiring=mn.fan_out(3))
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=12, map=mn.Affine(mn.logistic), parents=[h])])
    strings = numpy.random.default_rng([seed, 1]).integers(0, 2, size=(9, 12)).astype(float)
    return net, mn.Dataset(strings, strings)


def test_on_a_quadratic_loss_it_is_the_method_of_conjugate_gradients() -> None:
    rng = numpy.random.default_rng(0)
    inputs, targets = rng.standard_normal((40, 6)) * numpy.geomspace(1, 10, 6), rng.standard_normal(40)
    net = mn.Network("line")
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[net.input("x", size=6)])])
    program = mn.compile(net)
    # what the loss is about is known in closed form
    design = numpy.column_stack([numpy.ones(40), inputs])
    best, *_ = numpy.linalg.lstsq(design, targets, rcond=None)
    # seven parameters: no method that looks at one direction at a time is there in seven steps
    for momentum, at_most in ((True, 1e-8), (False, numpy.inf)):
        schedule = mn.Minibatches(
            batch=40, steps=7, rate=1.0, radius=1e9, damping=None, **{**WHOLE, "momentum": momentum}
        )
        rng = numpy.random.default_rng(1)
        found = train(
            program, program.initialize(rng), mn.Dataset(inputs, targets), mn.Euclidean(), schedule, rng
        ).theta
        apart = numpy.abs(found.flat - best).max()
        assert apart < at_most
        assert momentum or apart > 1e-3


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_the_model_is_least_where_the_step_goes(network: str) -> None:
    program, data = mn.compile(NETWORKS[network](seed=1)), dataset(network)
    rng = numpy.random.default_rng(2)
    run = Run(program, program.initialize(rng), *program.prepare(data.inputs, data.targets), rng)
    slope, direction = run.differential().flat, rng.standard_normal(program.tangent_layout.size)
    last = rng.standard_normal(direction.size)
    found = towards(run, slope, direction, last)
    natural = run.metric(mn.Natural()).as_matrix()

    def model(a: float, b: float) -> float:
        step = -a * direction - b * last
        return float(slope @ step + step @ natural @ step / 2.0)

    parts, *_ = numpy.linalg.lstsq(numpy.column_stack([direction, last]), found.direction, rcond=None)
    least = model(*parts)
    for a, b in rng.standard_normal((20, 2)):
        assert model(parts[0] + 1e-3 * a, parts[1] + 1e-3 * b) >= least - 1e-14 * abs(least)
    assert numpy.isclose(found.squared, found.direction @ natural @ found.direction, rtol=1e-9)
    assert numpy.isclose(found.slope, slope @ found.direction, rtol=1e-9)


def test_a_last_step_along_the_same_line_or_one_that_moves_nothing_is_left_out() -> None:
    net, data = sparse()
    program = mn.compile(net)
    rng = numpy.random.default_rng(0)
    run = Run(program, program.initialize(rng), *program.prepare(data.inputs, data.targets), rng)
    slope = run.differential().flat
    direction = slope.copy()
    alone = towards(run, slope, direction, None)
    for last in (-3.0 * direction, numpy.zeros_like(direction)):
        found = towards(run, slope, direction, last)
        assert found.direction is direction
        assert numpy.isclose(found.slope, alone.slope)
        assert numpy.isclose(found.squared, alone.squared)


@pytest.mark.parametrize(
    "metric", [mn.Natural(), mn.UnitwiseNatural(), mn.Backpropagated(), mn.QuasiDiagonal(mn.Backpropagated())]
)
def test_steps_do_not_depend_on_charts(metric: MetricRule) -> None:
    net, data = sparse()
    losses, last_steps = [], []
    for form in (in_sigmoid_form, in_tanh_form):
        program = mn.compile(form(net))
        rng = numpy.random.default_rng(0)
        theta = program.initialize(rng)
        schedule = mn.Minibatches(batch=9, steps=12, rate=0.9, damping=default_damping(metric), **WHOLE)
        trainer = mn.trainer_for(program, data, metric, schedule)
        end, records = followed(trainer, trainer.start(theta, rng))
        losses.append([record.loss for record in records])
        last_steps.append(numpy.abs(end.estimate.past.last).max())
    assert numpy.allclose(losses[0], losses[1], rtol=1e-8, atol=0.0)
    # the coordinates of the step differ: only what it does is the same
    assert not numpy.isclose(*last_steps, rtol=1e-3)


def test_it_needs_fewer_steps() -> None:
    net, data = sparse()
    program, ends = mn.compile(net), []
    for momentum in (False, True):
        schedule = mn.Minibatches(
            batch=9, steps=60, rate=0.9, damping=mn.Floor(0.1) + mn.LeastNorm(), **{**WHOLE, "momentum": momentum}
        )
        rng = numpy.random.default_rng(0)
        theta = train(program, program.initialize(rng), data, mn.QuasiDiagonal(mn.Backpropagated()), schedule, rng)
        ends.append(program.loss(theta.theta, data.inputs, data.targets))
    assert ends[1] < 0.5 * ends[0]


def test_a_run_is_resumed_to_the_bit(tmp_path: Path) -> None:
    net, data = sparse()
    program, metric = mn.compile(net), mn.QuasiDiagonal(mn.UnitwiseNatural())
    schedule = mn.Minibatches(batch=4, steps=14, momentum=True, damping=default_damping(metric))
    rng = numpy.random.default_rng(0)
    trainer = mn.trainer_for(program, data, metric, schedule)
    state = trainer.start(program.initialize(rng), rng)
    whole, _ = followed(trainer, state)
    for _ in range(6):
        state, _ = trainer.step(state)
    save_checkpoint(tmp_path, "run", trainer, state, 0)
    again = mn.trainer_for(program, data, metric, schedule)
    state = load_checkpoint(tmp_path / f"{state.step:012d}.json", "run", again).state
    end, _ = followed(again, state)
    assert numpy.array_equal(end.theta.flat, whole.theta.flat)
    assert numpy.array_equal(end.estimate.past.last, whole.estimate.past.last)


def test_a_cancelled_step_is_not_built_on() -> None:
    net, data = sparse()
    program, metric = mn.compile(net), mn.Backpropagated()
    schedule = mn.Minibatches(batch=9, momentum=True, damping=mn.Intrinsic(0.1))
    rng = numpy.random.default_rng(0)
    trainer = mn.trainer_for(program, data, metric, schedule)
    state, _ = trainer.step(trainer.start(program.initialize(rng), rng))
    broken = attrs.evolve(state.estimate, past=Past(numpy.full_like(state.estimate.past.last, numpy.nan)))
    state, record = trainer.step(attrs.evolve(state, estimate=broken))
    assert not record.accepted
    assert state.estimate.past.last is None
    state, record = trainer.step(state)
    assert record.accepted


def test_a_last_step_of_another_network_is_refused() -> None:
    net, data = sparse()
    program, metric = mn.compile(net), mn.Backpropagated()
    tensor = program.metric(metric, program.initialize(numpy.random.default_rng(0)), data.inputs)
    arrays = average_arrays(Average(tensor.without_floor(), 3, Past(numpy.zeros(5))))
    with pytest.raises(DataError, match=r"the last step has shape \(5,\)"):
        average_from(arrays, program, metric)


def test_curved_parameters_are_refused_by_name() -> None:
    program, data = mn.compile(NETWORKS["curved"]()), dataset("curved")
    schedule = mn.Minibatches(momentum=True)
    with pytest.raises(DeclarationError, match=r"the parameters of 'h' are points of curved manifolds"):
        mn.trainer_for(program, data, mn.Natural(), schedule)
    with pytest.raises(DeclarationError, match="momentum=False"):
        mn.Learner(program, mn.Natural(), schedule)


def test_a_unit_that_saturates_does_not_hold_the_others_up() -> None:
    """Its own step, next to weightless in the metric, is without bounds: it takes a part of it, and the others all of theirs."""
    net, data = sparse()
    program = mn.compile(net)
    theta = program.initialize(numpy.random.default_rng(0))
    own = program.partition.groups[0].index[0]
    own = own[own < theta.flat.size]
    saturated = theta.flat.copy()
    saturated[own[0]] = 30.0
    run = program.at(program.parameters(saturated), data.inputs, data.targets)
    slope = run.differential().flat
    direction = run.metric(mn.Backpropagated()).solve(slope, mn.Tikhonov(1e-3))
    direction[own] = 1e25 * slope[own]
    schedule = mn.Minibatches(decay=None, momentum=True)
    stuck = descended(run, slope, direction, towards(run, slope, direction, None).rate(0.5, 0.3))
    taken = taken_step(run, slope, direction, Past(), 1.0, schedule, 1)
    fall = [run.loss - attrs.evolve(run, theta=found.theta).loss for found in (stuck, taken.reached)]
    assert fall[1] > 1e-3 and fall[0] < 1e-6 * fall[1]
    assert taken.past.shares is not None and taken.past.last is not None
    others = numpy.setdiff1d(numpy.arange(slope.size), own)
    assert (taken.past.shares[others] == 1.0).all() and (taken.past.shares[own] < 1e-6).all()
    assert numpy.allclose(past_from(taken.past.arrays(), slope.size).shares, taken.past.shares)
    grown = taken.past
    for _ in range(2000):
        grown = grown.grown(1.1)
    assert grown.shares is None
