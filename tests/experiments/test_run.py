"""One task: it is what `manifoldnet train` does, in the charts asked for, and ends where it should."""

import math
from pathlib import Path

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet.declare.spec import load_spec
from manifoldnet.errors import DataError, SpecError
from manifoldnet.experiments.run import run_task
from manifoldnet.experiments.task import Result, Task
from tests.cli.command import SPECS, run_json
from tests.experiments.specs import STRINGS, write_strings


def task(path: Path, **changes: object) -> Task:
    values = {"spec": str(path), "metric": "euclidean", "steps": 12, **changes}
    return Task(**values)  # type: ignore[arg-type]


def test_a_run_is_that_of_train(tmp_path: Path) -> None:
    path = write_strings(tmp_path)
    words = ("--metric", "backpropagated", "--damping", "tikhonov:1e-3", "--seed", 4, "--steps", 15)
    trained = run_json("train", path, *words)
    found = run_task(task(path, metric="backpropagated", damping="tikhonov:1e-3", seed=4, steps=15))
    assert found.error is None and found.step_count == trained["steps"] == 15 and found.ended == "steps"
    assert found.loss == pytest.approx(trained["loss_bits"], rel=1e-6)


CHOICE = STRINGS.replace(
    "schedule = mn.FullBatch(steps=12)",
    """
def schedule(descent="paper"):
    trusted = mn.Minibatches(batch=3, steps=12, momentum=True, decay=None, renewal=1.0)
    return {"paper": mn.FullBatch(steps=12), "momentum": trusted}[descent]
""",
)


def test_a_schedule_may_be_chosen_by_settings(tmp_path: Path) -> None:
    path = write_strings(tmp_path, CHOICE)
    wanted = {"metric": "backpropagated", "damping": "intrinsic:0.1", "steps": 12}
    usual, chosen = task(path, **wanted), task(path, **wanted, settings={"descent": "momentum"})
    (tmp_path / "fixed").mkdir()
    fixed = write_strings(tmp_path / "fixed")
    assert run_task(usual).loss == run_task(task(fixed, **wanted)).loss
    assert run_task(chosen).loss < 0.5 * run_task(usual).loss
    with pytest.raises(SpecError, match=r"strings.py:\d+: schedule\(\) failed with KeyError: 'other'"):
        _ = load_spec(path, {"descent": "other"}).schedule
    with pytest.raises(SpecError, match="its functions take descent, hidden"):
        load_spec(path, {"colour": 1})


def test_the_paper_s_budget_is_timed_by_the_paper_s_descent(tmp_path: Path) -> None:
    """Whatever the spec's own schedule is: those are the steps that the paper's table counts."""
    path = write_strings(tmp_path, CHOICE)
    yardstick = task(path, budget="paper", settings={"descent": "momentum"})
    assert yardstick.is_yardstick
    assert run_task(yardstick).loss == run_task(task(path)).loss
    assert not task(path, budget="paper", steps=None, seconds=1.0).is_yardstick


def test_the_tanh_form_descends_as_eqs_46_and_47_say(tmp_path: Path) -> None:
    """One step of plain backpropagation on tanh weights, written back by hand as sigmoid weights."""
    path = write_strings(tmp_path, STRINGS.replace("steps=12)", "steps=12, rate=0.25)"))
    spec = load_spec(path)
    program = mn.compile(spec.network(0))
    theta, data = program.initialize(numpy.random.default_rng(0)), spec.data(0)
    moved = theta.flat.copy()
    slope, at = program.differential(theta, data.inputs, data.targets).flat, 0
    for units, parents in ((3, 4), (4, 3)):
        for _ in range(units):
            bias, weights = slope[at], slope[at + 1 : at + 1 + parents]
            # sigmoid from tanh: w = 4 w', w_0 = 2 w'_0 - 2 sum w'; so dL/dw' and dL/dw'_0 by the chain rule
            tanh_bias, tanh_weights = 2.0 * bias, 4.0 * weights - 2.0 * bias
            moved[at] -= 0.25 * (2.0 * tanh_bias - 2.0 * tanh_weights.sum())
            moved[at + 1 : at + 1 + parents] -= 0.25 * 4.0 * tanh_weights
            at += 1 + parents
    expected = program.loss(program.parameters(moved), data.inputs, data.targets) / math.log(2)
    assert run_task(task(path, charts="tanh", steps=1)).loss == pytest.approx(expected, rel=1e-6)
    assert run_task(task(path, charts="sigmoid", steps=1)).loss != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("metric", "damping", "bits", "inverted_bits"),
    [
        ("euclidean", "none", 1.9252, 5.9335),
        ("quasi-diagonal-backpropagated", "least-norm", 14.6226642557, 14.6226642557),
        ("quasi-diagonal-backpropagated", "intrinsic:0.03", 15.1051, 15.1051),
    ],
)
def test_figure_1(metric: str, damping: str, bits: float, inverted_bits: float) -> None:
    """100 steps from zero weights, 38 ones of 50: backpropagation prefers ones, invariant metrics do not care."""
    asked = task(SPECS / "ones_and_zeros.py", metric=metric, damping=damping, charts="sigmoid", steps=100)
    plain, inverted = (run_task(attrs.evolve(asked, settings={"inverted": turned})).loss for turned in (False, True))
    assert (plain, inverted) == pytest.approx((bits, inverted_bits), rel=2e-5)
    if metric != "euclidean":
        tanh = run_task(attrs.evolve(asked, charts="tanh")).loss
        assert (plain, tanh) == pytest.approx((inverted, inverted), rel=1e-10)


def test_a_run_ends_when_its_seconds_are_over(tmp_path: Path) -> None:
    found = run_task(task(write_strings(tmp_path), steps=None, seconds=0.2))
    assert found.ended == "seconds" and found.error is None
    assert found.seconds[-1] >= 0.2 > found.seconds[-2]


def test_what_is_recorded(tmp_path: Path) -> None:
    """Every early step, a hundred and some of many, always the last; losses of a full batch never rise."""
    path = write_strings(tmp_path)
    few, many = run_task(task(path, steps=15)), run_task(task(path, steps=2000))
    assert few.steps == tuple(range(1, 16)) and few.losses[-1] == pytest.approx(few.loss, rel=1e-6)
    assert many.steps[-1] == 2000 and 100 <= len(many.steps) <= 250
    assert list(many.losses) == sorted(many.losses, reverse=True)
    assert many.cancelled == 0
    hasty = run_task(task(write_strings(tmp_path, STRINGS.replace("steps=12)", "steps=12, rate=1e4)")), steps=20))
    kept = len(set(hasty.losses)) - 1
    assert hasty.cancelled >= 5 and kept <= 20 - hasty.cancelled


def test_a_failure_is_told(tmp_path: Path) -> None:
    found = run_task(task(write_strings(tmp_path), settings={"colour": 1}))
    assert found.loss is None and "SpecError" in str(found.error) and "'colour'" in str(found.error)


def test_results_survive_json(tmp_path: Path) -> None:
    found = run_task(task(write_strings(tmp_path), steps=3, charts="tanh", settings={"hidden": 2}))
    assert Result.from_json(found.as_json()) == found


def test_tasks_are_checked_and_told_apart() -> None:
    with pytest.raises(DataError, match="has no end"):
        Task(spec="a.py", metric="natural")
    with pytest.raises(DataError, match="one of sigmoid, tanh, declared"):
        Task(spec="a.py", metric="natural", steps=1, charts="log")
    first = Task(spec="a.py", metric="natural", seconds=1.0)
    changes = [{"metric": "adagrad"}, {"seed": 1}, {"seconds": 2.0}, {"damping": "floor:1"}, {"charts": "tanh"}]
    changes += [{"settings": {"a": 1}}, {"digest": "0"}, {"budget": "paper"}, {"steps": 3}]
    others = [Task(**{"spec": "a.py", "metric": "natural", "seconds": 1.0, **change}) for change in changes]
    assert len({first.identity, *(other.identity for other in others)}) == 1 + len(changes)
    measured = attrs.evolve(first, budget="paper")
    assert attrs.evolve(measured, spec="b/a.py", seconds=2.0).identity == measured.identity
