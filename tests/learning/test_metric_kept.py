"""A metric that serves several steps: its inverse too, through files, and on batches that have fewer rows."""

from pathlib import Path

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.learning.defaults import default_damping
from manifoldnet.learning.keeping.checkpoint import load_checkpoint, save_checkpoint
from manifoldnet.learning.minibatches import Average
from manifoldnet.learning.train import trainer_for
from manifoldnet.learning.trainer import Trainer
from manifoldnet.linalg.bordered import Bordered
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.factor import Factor
from manifoldnet.metrics.names import metric_named
from tests.learning.following import followed
from tests.learning.nets import NETWORKS, dataset


def sparse(samples: int) -> tuple[mn.Program, mn.Dataset]:
    """126 parameters, and twelve rows a sample."""
    net = mn.Network("sparse", seed=3)
    h = net.layer(
        "h", size=6, map=mn.Affine(mn.tanh), parents=[net.input("x", size=12)], wiring=mn.fan_out(3, replace=False)
    )
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=12, map=mn.Affine(mn.logistic), parents=[h])])
    rng = numpy.random.default_rng(0)
    strings = rng.integers(0, 2, size=(samples, 12)).astype(float)
    return mn.compile(net), mn.Dataset(strings, strings)


def trainer(metric: str, samples: int = 32, **options: object) -> Trainer:
    program, data = sparse(samples)
    rule = metric_named(metric)
    schedule = mn.Minibatches(batch=16, steps=10, damping=default_damping(rule), **options)  # type: ignore[arg-type]
    return trainer_for(program, data, rule, schedule)


@pytest.mark.parametrize("momentum", [False, True])
@pytest.mark.parametrize("metric", ["natural", "unitwise-natural", "quasi-diagonal-natural", "diagonal-gauss-newton"])
def test_steps_between_are_those_of_the_tensor_and_go_through_files(
    metric: str, momentum: bool, tmp_path: Path
) -> None:
    own = trainer(metric, refresh=4, momentum=momentum)
    state, _ = followed(
        own, own.start(own.program.initialize(numpy.random.default_rng(1)), numpy.random.default_rng(2)), 2
    )
    average = state.estimate
    assert isinstance(average, Average) and average.inverse is not None
    slope = numpy.random.default_rng(3).standard_normal(own.program.tangent_layout.size)
    rule = metric_named(metric)
    expected = average.tensor.solve(slope, default_damping(rule))
    numpy.testing.assert_allclose(average.inverse.solve(slope), expected, rtol=1e-6, atol=1e-9 * abs(expected).max())
    save_checkpoint(tmp_path, "run", own, state, 0)
    other = trainer(metric, refresh=4, momentum=momentum)
    again = load_checkpoint(tmp_path / f"{state.step:012d}.json", "run", other).state
    assert again.estimate.inverse is None
    ends = [followed(each, begun)[0].theta.flat for each, begun in ((own, state), (other, again))]
    assert ends[0].tobytes() == ends[1].tobytes()


def test_an_inverse_serves_no_longer_than_its_tensor() -> None:
    own = trainer("natural", refresh=2)
    state = own.start(own.program.initialize(numpy.random.default_rng(1)), numpy.random.default_rng(2))
    inverses = []
    for _ in range(4):
        state, _ = own.step(state)
        inverses.append(state.estimate.inverse)
    assert inverses[0] is inverses[1] and inverses[2] is inverses[3] and inverses[1] is not inverses[2]


def test_what_dampings_measure_by_at_each_point_is_not_kept() -> None:
    """Units that are no affine ones are measured by their parameters' own metric, which is another at every step."""
    rule = mn.Natural()
    schedule = mn.Minibatches(batch=24, steps=4, refresh=3, damping=mn.Intrinsic(0.1))
    own = trainer_for(mn.compile(NETWORKS["curved"](seed=1)), dataset("curved"), rule, schedule)
    state = own.start(own.program.initialize(numpy.random.default_rng(1)), numpy.random.default_rng(2))
    state, _ = own.step(state)
    assert isinstance(state.estimate.tensor, Bordered) and state.estimate.inverse is None


def test_a_short_batch_is_averaged_with_whole_ones() -> None:
    """Of 40 samples in batches of 16 the third has 8, with 96 rows for 126 parameters."""
    own = trainer("natural", samples=40, renewal=0.5)
    state = own.start(own.program.initialize(numpy.random.default_rng(1)), numpy.random.default_rng(2))
    kinds, counts = [], []
    for _ in range(4):
        state, _ = own.step(state)
        kinds.append(type(state.estimate.tensor))
        counts.append(state.estimate.count)
    assert kinds == [Bordered, Bordered, Dense, Dense] and counts == [1, 2, 3, 4]


def test_outer_products_of_few_rows_are_remembered_as_matrices() -> None:
    """(1 - r) A_1 + r A_2 with A the mean of g g^T over samples, one by one; with renewal=1 the batch's own rows."""
    program, data = sparse(16)
    for renewal, kind in ((0.75, Dense), (1.0, Factor)):
        schedule = mn.Minibatches(batch=16, steps=3, renewal=renewal, damping=mn.Intrinsic(0.1))
        own = trainer_for(program, data, mn.OuterProduct(), schedule)
        state = own.start(program.initialize(numpy.random.default_rng(1)), numpy.random.default_rng(2))
        expected = numpy.zeros((126, 126))
        for weight in (1.0, renewal):
            each = [program.differential(state.theta, data.inputs[[i]], data.targets[[i]]).flat for i in range(16)]
            expected = (1.0 - weight) * expected + weight * numpy.mean([numpy.outer(g, g) for g in each], axis=0)
            state, _ = own.step(state)
        assert isinstance(state.estimate.tensor, kind)
        numpy.testing.assert_allclose(state.estimate.tensor.as_matrix(), expected, rtol=1e-9, atol=1e-14)


def test_drawn_metrics_of_few_rows_gain_rank_with_every_step() -> None:
    own = trainer("monte-carlo-natural", samples=16)
    state = own.start(own.program.initialize(numpy.random.default_rng(1)), numpy.random.default_rng(2))
    ranks = []
    for _ in range(3):
        state, _ = own.step(state)
        ranks.append(numpy.linalg.matrix_rank(state.estimate.tensor.as_matrix()))
    assert ranks == [16, 32, 48]
