"""Runs of training on minibatches by either backend, and when two are the same."""

from typing import Any

import numpy

import manifoldnet as mn
from manifoldnet.learning.compiled_minibatches import CompiledMinibatchTrainer
from manifoldnet.learning.history import Record
from manifoldnet.learning.state import State
from manifoldnet.learning.train import trainer_for
from manifoldnet.learning.trainer import Trainer
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.metrics.names import metric_named
from tests.learning.nets import NETWORKS, dataset

# Whole batches in momentum multiply what rounding has left by up to two a step, so two dozen are compared.
STEPS, EXACT = 24, 1e-9
QUASI = "quasi-diagonal-backpropagated"
FLOORED = "floor:0.1+least-norm"


def trainers(network: str, metric: str, damping: str, backend: str = "jax", **changes: Any) -> Trainer:
    schedule = mn.Minibatches(**{"batch": 20, "steps": STEPS, "damping": damping_from_text(damping), **changes})
    program = mn.compile(NETWORKS[network](), backend=backend)
    return trainer_for(program, dataset(network), metric_named(metric), schedule)


def begun(trainer: Trainer) -> State:
    theta = trainer.program.initialize(numpy.random.default_rng(0))
    return trainer.start(theta, numpy.random.default_rng(2))


def ran(trainer: Trainer, state: State | None = None) -> tuple[list[State], list[Record]]:
    steps = list(trainer.steps_from(begun(trainer) if state is None else state))
    return [state for state, _ in steps], [record for _, record in steps if record is not None]


def close(found: Any, expected: Any) -> bool:
    size = numpy.abs(expected).max(initial=0.0)
    return bool(numpy.allclose(found, expected, rtol=EXACT, atol=EXACT * size))


def by_reference(trainer: Trainer) -> list[int]:
    """The steps that a compiled trainer leaves to the reference, as they come."""
    found: list[int] = []
    assert isinstance(trainer, CompiledMinibatchTrainer)
    own = trainer._by_reference

    def told(state: State, *rest: Any) -> Any:
        found.append(state.step + 1)
        return own(state, *rest)

    trainer._by_reference = told  # type: ignore[method-assign]
    return found
