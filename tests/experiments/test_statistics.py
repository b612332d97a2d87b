"""Means, spreads, curves and the numbers cited from the paper."""

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.declare.spec import load_spec
from manifoldnet.experiments import paper
from manifoldnet.experiments.plan import dampings
from manifoldnet.experiments.statistics import grouped
from manifoldnet.experiments.task import CHARTS, Result, Task
from manifoldnet.metrics.names import METRICS
from tests.cli.command import SPECS


def result(seed: int, loss: float | None, metric: str = "natural", **values: object) -> Result:
    task = Task(spec="a.py", metric=metric, steps=2, seed=seed)
    return Result(task=task, **{"steps": (1, 3), "seconds": (0.5, 1.5), "losses": (5.0, loss), "loss": loss, **values})


def test_groups() -> None:
    found = grouped([result(0, 1.0), result(0, 7.0, "adagrad"), result(1, 4.0), result(2, None, error="it failed")])
    natural, adagrad = found
    assert (natural.metric, natural.loss.mean, len(natural.failures)) == ("natural", 2.5, 1)
    assert natural.loss.deviation == pytest.approx(3.0 / numpy.sqrt(2.0))
    assert (adagrad.metric, adagrad.loss.mean, adagrad.loss.deviation) == ("adagrad", 7.0, None)
    assert grouped([result(0, 1.0), result(1, None)])[0].loss.mean is None


def test_curves_meet_and_end_where_the_first_run_does() -> None:
    runs = [result(0, 1.0), result(1, 3.0, steps=(1, 5), seconds=(0.5, 2.5))]
    grid, losses = grouped(runs)[0].curves("steps", points=3)
    assert grid.tolist() == [1.0, 2.0, 3.0]
    assert losses.tolist() == [[5.0, 3.0, 1.0], [5.0, 4.5, 4.0]]
    assert grouped(runs)[0].curves("seconds", points=2)[0].tolist() == [0.5, 1.5]


def test_validation_accuracy_is_the_last_that_was_measured() -> None:
    runs = [result(0, 1.0, accuracy=(0.5, None)), result(1, 1.0, accuracy=(0.1, 0.7))]
    accuracy = grouped(runs)[0].accuracy
    assert accuracy is not None and accuracy.mean == pytest.approx(0.6)
    assert grouped([result(0, 1.0, accuracy=(None, None))])[0].accuracy is None


def test_the_papers_tables() -> None:
    """Both tables name metrics that there are; table 2 has ten methods in two charts, table 1 the natural one too."""
    assert set(paper.STEPS) <= set(METRICS) and len(paper.METHODS) == 10
    assert set(paper.BITS) == {(metric, charts) for metric in paper.METHODS for charts in CHARTS[:2]}
    assert set(paper.STEPS) - set(paper.METHODS) == {"natural"}
    assert paper.is_papers(load_spec(SPECS / "autoencoder.py").network(0))
    assert not paper.is_papers(load_spec(SPECS / "ones_and_zeros.py").network(0))


def test_dampings() -> None:
    schedule = mn.FullBatch()
    names = ["backpropagated", "adagrad", "euclidean"]
    assert set(dampings(names, "paper", schedule).values()) == {mn.Tikhonov(1e-4).text, "none"}
    assert dampings(names, None, schedule)["backpropagated"] == "intrinsic:0.03+floor:0.03"
    assert dampings(names, None, mn.FullBatch(damping=mn.Floor(0.5)))["adagrad"] == "floor:0.5"
    assert dampings(names, "none", schedule) == dict.fromkeys(names, "none")
