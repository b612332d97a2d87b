"""Online training against the plainest form of it: matrices averaged sample by sample, and solved anew at every step."""

from collections.abc import Callable

import attrs
import numpy
import pytest
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet.declare.rewritings import in_tanh_form, reparametrised
from manifoldnet.errors import DataError, DeclarationError, SingularMetricError
from manifoldnet.learning.defaults import default_damping
from manifoldnet.learning.pace import pace_of
from manifoldnet.learning.train import train
from manifoldnet.linalg.damping import Damping
from manifoldnet.metrics.contributions import unit_contribution, whole_contribution
from manifoldnet.metrics.names import METRICS, metric_named
from manifoldnet.metrics.unitwise_rules import UnitwiseRule
from tests.learning.nets import NETWORKS, dataset

# Some of these pieces of training go too fast on purpose, and are told so: their oracles say where they must arrive.
pytestmark = pytest.mark.filterwarnings("ignore::manifoldnet.errors.WorsenedWarning")

UNITWISE = ["backpropagated", "unitwise-natural", "unitwise-outer-product"]
WHOLE = ["natural", "outer-product"]
DIRECT = ["quasi-diagonal-natural", "quasi-diagonal-outer-product", "diagonal-gauss-newton", "euclidean", "adagrad"]


def trained(
    program: mn.Program, theta: mn.Parameters, data: mn.Dataset, rule: str, schedule: mn.Online
) -> mn.Parameters:
    return train(program, theta, data, metric_named(rule), schedule, numpy.random.default_rng(5)).theta


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("metric", [*UNITWISE, *WHOLE])
def test_a_sample_adds_what_its_metric_is(metric: str, network: str) -> None:
    program, data, rule = mn.compile(NETWORKS[network]()), dataset(network), metric_named(metric)
    theta = program.initialize(numpy.random.default_rng(0))
    run = program.at(theta, *data.batch(slice(3, 4)))
    expected = run.metric(rule).as_matrix()
    if isinstance(rule, UnitwiseRule):
        found = numpy.zeros((run.size + 1, run.size + 1))
        for group, part in zip(program.partition.groups, unit_contribution(rule.modulus, run).rows, strict=True):
            found[group.index[:, :, None], group.index[:, None, :]] = part @ part.swapaxes(1, 2)
        found = found[:-1, :-1]
    else:
        (rows,) = whole_contribution(rule, run).rows
        found = rows[0] @ rows[0].T
    numpy.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)


def plainly(
    program: mn.Program, theta: mn.Parameters, data: mn.Dataset, rule: str, schedule: mn.Online, damping: Damping | None
) -> NDArray:
    """Section 1.3 as it is written: a matrix, averaged and solved anew for every sample."""
    metric, rng = metric_named(rule), numpy.random.default_rng(5)
    gamma, n_init = schedule.gamma, schedule.n_init
    assert gamma is not None and n_init is not None
    order = rng.permutation(data.samples)
    tensor = program.at(theta, *data.batch(order[:n_init])).metric(metric)
    average = tensor.dense() if hasattr(tensor, "dense") else tensor
    for step in range(schedule.steps):
        row = order[n_init + step : n_init + step + 1]
        here = program.at(theta, *data.batch(row))
        one = here.metric(metric)
        average = average.average(one.dense() if hasattr(one, "dense") else one, gamma)
        direction = average.solve(here.differential(), damping)
        foretold = float(here.differential().flat @ direction)
        length = numpy.sqrt(max(here.natural_norm2(direction), foretold))
        theta = program.step(
            theta, -min(schedule.rate_at(step + 1), schedule.radius * schedule.fall(step + 1) / length) * direction
        )
    return theta.flat


@pytest.mark.parametrize("network", ["ragged", "several"])
@pytest.mark.parametrize("metric", [*UNITWISE[:2], "natural", *DIRECT])
def test_the_trajectory_is_that_of_the_formulas(metric: str, network: str) -> None:
    """Without damping where matrices have inverses; with Tikhonov's where they have none, computed anew at every step."""
    program, data = mn.compile(NETWORKS[network]()), dataset(network, samples=150)
    theta = program.initialize(numpy.random.default_rng(0))
    schedule = mn.Online(steps=50, gamma=0.01, n_init=60, rate=0.05, radius=0.05)
    damping: Damping | None = None
    if metric == "natural":
        # dense softmax layers have no natural inverse; so little damping does not show at the refresh of every step
        schedule, damping = attrs.evolve(schedule, refresh=1, damping=mn.Tikhonov(0.01)), mn.Tikhonov(0.01)
    found = trained(program, theta, data, metric, schedule).flat
    expected = plainly(program, theta, data, metric, schedule, damping)
    assert numpy.abs(found - theta.flat).max() > 1e-2
    numpy.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("metric", ["backpropagated", "quasi-diagonal-backpropagated"])
def test_a_floor_is_made_of_averages(metric: str) -> None:
    """One sample's own floor would be the sample's metric, and damp nothing: here weights and readings vary apart."""
    program, data = mn.compile(NETWORKS["ragged"]()), dataset("ragged", samples=150)
    theta = program.initialize(numpy.random.default_rng(0))
    metric_, rng = metric_named(metric), numpy.random.default_rng(5)
    schedule = mn.Online(steps=1, gamma=0.01, n_init=100, rate=0.05, radius=1e9, damping=mn.Floor(0.5), refresh=1)
    found = trained(program, theta, data, metric, schedule).flat
    order = rng.permutation(data.samples)
    first, one = (program.at(theta, *data.batch(order[rows])) for rows in (slice(0, 100), slice(100, 101)))
    floored = first.metric(metric_)
    average = attrs.evolve(floored, floor=None).average(one.metric(metric_).without_floor(), 0.01)
    # 99 parts of the first floor, and one of the new reading, weighed by the average weight
    weighed = attrs.evolve(average, floor=floored.floor)
    direction = weighed.solve(one.differential(), mn.Floor(0.5))
    expected = theta.flat - 0.05 * direction
    assert numpy.abs(found - expected).max() < 0.05 * numpy.abs(expected - theta.flat).max()
    undamped = theta.flat - 0.05 * average.solve(one.differential())
    assert numpy.abs(found - undamped).max() > 0.1 * numpy.abs(expected - theta.flat).max()


INTRINSIC = sorted(set(METRICS) - {"euclidean", "adagrad", "diagonal-gauss-newton"})


def moved_apart(form: Callable[[mn.Network], mn.Network], rule: str, damping: Damping | None) -> float:
    """How far the outputs of two forms of one network are apart after training online, relative to how far they moved."""
    net = sigmoid()
    other = form(net)
    programs = mn.compile(net), mn.compile(other)
    rng = numpy.random.default_rng(1)
    inputs = rng.uniform(0.1, 0.9, (200, 4))
    data = mn.Dataset(inputs, (inputs[:, 0] + inputs[:, 1] > 1.0).astype(float)[:, None])
    start = programs[0].initialize(rng)
    begun = start, mn.transport(start, net, other)
    schedule = mn.Online(steps=150, rate=0.02, radius=0.05, damping=damping)
    ends = [trained(p, theta, data, rule, schedule) for p, theta in zip(programs, begun, strict=True)]
    outputs = [p.output(theta, inputs) for p, theta in zip(programs, ends, strict=True)]
    moved = numpy.abs(outputs[0] - programs[0].output(start, inputs)).max()
    assert moved > 1e-2
    return float(numpy.abs(outputs[0] - outputs[1]).max() / moved)


def sigmoid() -> mn.Network:
    net = mn.Network("sigmoid", seed=2)
    x = net.input("x", size=4, manifold=mn.Interval(0, 1))
    h = net.layer("h", size=5, map=mn.Affine(mn.logistic), parents=[x], wiring=mn.fan_in(3))
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=1, map=mn.Affine(mn.logistic), parents=[h, x])])
    return net


def affinely(net: mn.Network) -> mn.Network:
    return reparametrised(net, {"x": (-0.5, 0.3, 1.0), "h": (3.0, 0.7, 0.4), "y": (2.0, -1.0, 5.0)})


@pytest.mark.parametrize("form", [in_tanh_form, affinely])
@pytest.mark.parametrize("metric", INTRINSIC)
def test_online_training_does_not_depend_on_charts(metric: str, form: Callable[[mn.Network], mn.Network]) -> None:
    """Proposition 30 along the online trajectory, with the default dampings, common random draws for Monte Carlo."""
    damping = default_damping(metric_named(metric))
    assert moved_apart(form, metric, damping) < 1e-6


@pytest.mark.parametrize(
    ("metric", "damping"),
    [("euclidean", None), ("diagonal-gauss-newton", mn.Tikhonov(1e-4)), ("backpropagated", mn.Tikhonov(0.1))],
)
def test_what_is_not_intrinsic_is_seen_to_depend_on_charts(metric: str, damping: Damping | None) -> None:
    assert moved_apart(in_tanh_form, metric, damping) > 1e-2


def test_a_pace_that_cannot_work_is_refused_with_the_papers_advice() -> None:
    program = mn.compile(NETWORKS["ragged"]())
    with pytest.raises(
        DeclarationError, match=r"layer 'y', which has 8 parameters.*much smaller than 1/8.*such as 0.013"
    ):
        pace_of(mn.Online(gamma=0.2), program, mn.Backpropagated())
    with pytest.raises(DeclarationError, match=r"n_init=5\) is too few.*8 parameters.*larger than 8, such as 12"):
        pace_of(mn.Online(n_init=5), program, mn.Backpropagated())
    with pytest.raises(DeclarationError, match=r"all parameters together, which has 36 parameters"):
        pace_of(mn.Online(gamma=0.05), program, mn.Natural())
    assert pace_of(mn.Online(gamma=0.2, n_init=5), program, mn.QuasiDiagonal(mn.Backpropagated())).n_init == 5
    fitting = pace_of(mn.Online(), program, mn.UnitwiseNatural())
    assert (fitting.gamma, fitting.n_init) == (0.1 / 8, 20)
    for bad in ({"gamma": 1.0}, {"gamma": 0.0}, {"n_init": 0}, {"steps": 0}, {"radius": -1.0}):
        with pytest.raises(ValueError, match="="):
            mn.Online(**bad)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("unitwise-natural", (0.1 / 41, 62)),
        ("quasi-diagonal-backpropagated", (0.1 / 41, 62)),
        ("diagonal-gauss-newton", (0.1 / 41, 62)),
        ("natural", (0.1 / (41 * 5 + 6 * 3), 112)),  # one sample informs three directions
        ("euclidean", (0.1, 20)),
    ],
)
def test_the_pace_goes_by_all_parameters_of_a_unit(metric: str, expected: tuple[float, int]) -> None:
    """Also where a bias and one weight are inverted at a time: they are averages too."""
    net = mn.Network("wide")
    h = net.layer("h", size=5, map=mn.Affine(mn.tanh), parents=[net.input("x", size=40)])
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=3, map=mn.Affine(), parents=[h])])
    pace = pace_of(mn.Online(), mn.compile(net), metric_named(metric))
    assert (pace.gamma, pace.n_init) == expected


def test_a_singular_beginning_is_told_by_unit() -> None:
    """Constant inputs, and no damping."""
    program = mn.compile(NETWORKS["ragged"]())
    data = mn.Dataset(numpy.ones((50, 3)), numpy.arange(50) % 3)
    with pytest.raises(SingularMetricError, match=r"the backpropagated metric, unit h\[0\]"):
        train(
            program, program.initialize(numpy.random.default_rng(0)), data, mn.Backpropagated(), mn.Online(steps=5),
            numpy.random.default_rng(0),
        )  # fmt: skip


def test_a_stream_too_short_to_begin_is_told() -> None:
    program, data = mn.compile(NETWORKS["ragged"]()), dataset("ragged")
    stream = mn.Stream(iter([(data.inputs[:7], data.targets[:7])]))
    with pytest.raises(DataError, match="the stream holds 7 samples.*n_init=20"):
        train(
            program, program.initialize(numpy.random.default_rng(0)), stream, mn.Backpropagated(), mn.Online(steps=5),
            numpy.random.default_rng(0),
        )  # fmt: skip


def test_directions_never_seen_do_not_blow_up() -> None:
    """A parent that never varies after the beginning fades from the average as 0.99^t: damping is measured anew."""
    program = mn.compile(NETWORKS["ragged"]())
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal((4000, 3))
    x[60:, 1] = 0.25
    targets = numpy.digitize(x[:, 0], [-0.5, 0.5])
    stream = mn.Stream(lambda: iter([(x, targets)]))
    schedule = mn.Online(steps=3900, gamma=0.01, n_init=60, radius=0.1, damping=mn.Intrinsic(0.03))
    trained_ = train(program, program.initialize(rng), stream, mn.Backpropagated(), schedule, rng)
    assert numpy.isfinite(trained_.theta.flat).all() and numpy.abs(trained_.theta.flat).max() < 50.0
    assert trained_.history.last.loss < 0.5
    assert all(record.accepted for record in trained_.history.records)


def test_a_learner_is_the_trainer_without_its_data() -> None:
    program, data = mn.compile(NETWORKS["ragged"]()), dataset("ragged", samples=160)
    theta = program.initialize(numpy.random.default_rng(1))
    for schedule, metric in (
        (mn.Online(steps=100, n_init=40, damping=mn.Intrinsic(0.03)), mn.Backpropagated()),
        (mn.Minibatches(steps=9, batch=16, damping=mn.Intrinsic(0.03)), mn.Backpropagated()),
    ):
        stream = mn.Stream(lambda: ((data.inputs[i : i + 16], data.targets[i : i + 16]) for i in range(0, 144, 16)))
        expected = train(program, theta, stream, metric, schedule, numpy.random.default_rng(0)).theta
        learner = mn.Learner(program, metric, schedule, theta=theta)
        for inputs, targets in stream.epoch():
            learner.step(inputs, targets)
        # the trainer stops after its steps, the learner at the end of what it was shown
        if isinstance(schedule, mn.Online):
            assert learner.state.step == 144 - 40
            learner = mn.Learner(program, metric, schedule, theta=theta)
            learner.step(data.inputs[:140], data.targets[:140])
        numpy.testing.assert_array_equal(learner.theta.flat, expected.flat)
    with pytest.raises(TypeError, match="mn.Minibatches"):
        mn.Learner(program, mn.Natural(), mn.FullBatch())  # type: ignore[arg-type]
