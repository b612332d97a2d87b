"""What the benchmarks compare gives the same numbers; nothing here is timed."""

import itertools
import json
from pathlib import Path

import numpy
import pytest

from tests.benchmarks import c_steps, curves, page, picture, record
from tests.benchmarks.__main__ import deviation
from tests.benchmarks.digits import Adam, Curve, by_adam, by_metric
from tests.benchmarks.entries import GROUPS
from tests.benchmarks.hand_sparse import SparseNet
from tests.benchmarks.measure import interleaved
from tests.benchmarks.sweeps import METRICS, SWEEPS
from tests.benchmarks.work import masks, sparse

QUICK = ("sparse", "matrix")


@pytest.mark.parametrize("group", [pytest.param(g, marks=[] if g in QUICK else [pytest.mark.slow]) for g in GROUPS])
@pytest.mark.timeout(300)
def test_both_ways_give_the_same(group: str) -> None:
    """To rounding times the condition of what is solved (eps 1e-4)."""
    deviations = {entry.name: deviation(entry) for entry in GROUPS[group]()}
    assert all(value is None or value < 1e-11 for value in deviations.values()), deviations


def test_the_c_program_takes_the_steps_that_numpy_takes(tmp_path: Path) -> None:
    """A first step, which is kept; to rounding times the condition of what is solved."""
    try:
        library = c_steps.built(tmp_path)
    except c_steps.NoCompiler as problem:
        pytest.skip(str(problem))
    work, rate = sparse(), 0.01
    net, given = SparseNet(masks(work.net), 1e-4, rate), (work.theta, work.inputs, work.targets)
    steps = (
        net.gradient_step(*given),
        net.quasi_diagonal_step(*given),
        net.quasi_diagonal_step(*given, fisher=True),
        net.block_step(*given),
        net.block_step(*given, fisher=True),
    )
    program = c_steps.CSteps(library, masks(work.net), 1e-4)
    for method, expected in zip(c_steps.METHODS, steps, strict=True):
        moved, left, _ = program.descend(method, 1, work.theta, rate, work.inputs, work.targets)
        assert left == rate * 1.1
        assert abs(moved - expected).max() < 1e-11 * abs(expected - work.theta).max(), method
    assert numpy.float64(1e-308) / 4.0 > 0.0, "the program has changed how the process rounds"


def test_sweeps_name_every_metric() -> None:
    assert all(sweep.claims.keys() == METRICS.keys() for sweep in SWEEPS)


def test_a_longer_call_takes_longer() -> None:
    found = interleaved({"short": lambda: sum(range(10)), "long": lambda: sum(range(10000))}, 0.02)
    assert found["long"] > 10.0 * found["short"]


def test_runs_are_held_against_the_last_one(tmp_path: Path) -> None:
    def run(ratio: float, slope: float) -> dict:
        return {
            "circumstances": {},
            "entries": [{"name": "step", "ratio": ratio}, {"name": "alone", "ratio": None}],
            "sweeps": [{"sweep": "batch", "metric": "gradient", "slope": slope}],
        }

    path = tmp_path / "run.json"
    assert record.last(path) is None and record.regressions(run(9.0, 9.0), None) == []
    record.store(run(1.2, 1.0), path)
    before = record.last(path)
    assert json.loads(path.read_text()) == before
    assert record.regressions(run(1.3, 1.1), before) == []
    assert record.regressions(run(1.6, 1.3), before) == [
        "step: ratio 1.60, was 1.20",
        "gradient by batch: slope 1.30, was 1.00",
    ]


def test_curves_are_drawn_as_they_were_kept(tmp_path: Path) -> None:
    """Of Adam, what is first at the accuracy wanted and what has the lowest loss; medians over seeds against seconds."""
    runs = {"adam, a": (0.5, 0.99), "adam, b": (0.9, 0.9), "adam, c": (0.1, 0.97), "unitwise-natural": (0.2, 0.99)}
    path = tmp_path / "race.jsonl"
    with path.open("w") as file:
        for (name, (loss, right)), seed in itertools.product(runs.items(), range(3)):
            curve = Curve(name, seed, [1, 2], [1.0, loss + 0.1 * seed], [0.5, right], 0.25, 0.25)
            file.write(json.dumps(curve._asdict()) + "\n")
    losses, accuracies = curves.drawn([curves.kept(path)], ["race"]).axes
    assert [line.get_label() for line in losses.lines] == ["adam, a", "adam, c", "unitwise-natural"]
    numpy.testing.assert_allclose(losses.lines[2].get_xydata(), [[0.25, 1.0], [0.5, 0.3]])
    numpy.testing.assert_allclose(accuracies.lines[1].get_xydata(), [[0.25, 0.5], [0.5, 0.97]])


def test_adam_takes_its_steps() -> None:
    """The first is the rate against the sign of every entry; a slope that stays the same gives that step again."""
    adam, slope = Adam(0.1, 3), numpy.array([2.0, -0.5, 1e-3])
    for _ in range(3):
        numpy.testing.assert_allclose(adam.step(slope), [-0.1, 0.1, -0.1], rtol=1e-4)


def test_both_learn_the_digits_from_the_same_start() -> None:
    ours, theirs = by_metric(0, "quasi-diagonal-backpropagated", 50, 64), by_adam(0, 0.01, 50, 64)
    assert len(ours.losses) == len(theirs.losses) == 2
    assert min(ours.accuracies[-1], theirs.accuracies[-1]) > 0.9
    assert ours.steps == theirs.steps == [25, 50]


@pytest.mark.jax
def test_the_race_is_the_same_on_both_backends() -> None:
    """Compiled steps of both methods lead where those of the reference lead."""
    pytest.importorskip("jax")
    for race in (lambda backend: by_adam(0, 0.01, 70, 64, 35, backend), _quasi_diagonal):
        found, expected = race("jax"), race("autograd")
        numpy.testing.assert_allclose(found.losses, expected.losses, rtol=1e-8)
        assert found.accuracies == expected.accuracies and found.steps == [35, 70]


def _quasi_diagonal(backend: str) -> Curve:
    return by_metric(0, "quasi-diagonal-backpropagated", 70, 64, 35, {"momentum": True}, backend)


def test_the_page_has_the_stored_run() -> None:
    """`python -m tests.benchmarks.page` after a run was stored."""
    run, found = record.last(), page.PAGE.read_text(encoding="utf-8")
    assert run is not None
    assert page.written(found, run) == found
    assert f"| {run['entries'][0]['name']} | " in found and f"| {run['peers'][0]['name']} | " in found
    with pytest.raises(LookupError, match="no place for sweeps"):
        page.written(found.replace("<!-- run: sweeps -->", ""), run)


def test_the_picture_tells_every_slope(tmp_path: Path) -> None:
    """A quadratic growth is drawn as a slope of 2, beside the claim."""
    sizes = [8, 16, 32]
    line = {"sweep": "batch", "metric": "blocks", "sizes": sizes, "seconds": [n**2 * 1e-6 for n in sizes], "claim": 2.0}
    (axes, *_) = picture.drawn([line]).axes
    assert [part.get_text() for part in axes.get_legend().get_texts()] == ["blocks: 2.00 (claim 2)"]
    assert axes.get_xlabel() == "batch"
