"""Numbers of 32 bits, by choice: what agrees with 64, to how many digits, and what is said of it."""

import importlib
import warnings
from pathlib import Path

import attrs
import numpy
import pytest

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.errors import CompilationError, ConditioningWarning
from manifoldnet.learning.compiled import CompiledTrainer, damping_recipe
from manifoldnet.learning.compiled_minibatches import CompiledMinibatchTrainer
from manifoldnet.learning.compiled_online import CompiledOnlineTrainer
from manifoldnet.learning.keeping.checkpoint import load_checkpoint, save_checkpoint
from manifoldnet.learning.train import Schedule, trainer_for
from manifoldnet.learning.trainer import Trainer
from tests.learning.following import followed
from tests.learning.nets import NETWORKS, dataset

jax = pytest.importorskip("jax", reason="needs the extra `jax`")
bits = importlib.import_module("manifoldnet.compiler.backends.jax.precision")
systems = importlib.import_module("manifoldnet.compiler.backends.jax.systems")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]


def turned(theta: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray:
    angle = np.sum(theta * x[..., 0], axis=-1)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def circle(seed: int = 0) -> mn.Network:
    """Curved activities, parameters in a plane."""
    net = mn.Network("circle", seed=seed)
    x = net.input("x", size=3)
    units = mn.Map(turned, parameters=mn.Real(3), activity=mn.Sphere(1))
    h = net.layer("h", size=3, map=units, parents=[x])
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=3, map=mn.Affine(), parents=[h])])
    return net


KINDS = {"ragged": NETWORKS["ragged"], "several": NETWORKS["several"], "circle": circle}


def compiled(network: str, precision: str) -> mn.Program:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConditioningWarning)
        return mn.compile(KINDS[network](seed=1), backend="jax", precision=precision)  # type: ignore[arg-type]


def close(received: numpy.ndarray, expected: numpy.ndarray, tolerance: float = 1e-5) -> None:
    scale = numpy.abs(expected).max()
    assert 0.0 < numpy.abs(received - expected).max() / scale < tolerance


def test_it_is_a_choice_and_warned_about() -> None:
    net = NETWORKS["ragged"](seed=1)
    with pytest.warns(ConditioningWarning, match="a solution loses as many as the condition number"):
        mn.compile(net, backend="jax", precision="float32")
    with pytest.raises(CompilationError, match="'float32' on the backend 'jax'; received 'float32' on 'autograd'"):
        mn.compile(net, precision="float32")
    with pytest.raises(CompilationError, match="received 'float16' on 'jax'"):
        mn.compile(net, backend="jax", precision="float16")  # type: ignore[arg-type]
    assert not jax.config.jax_enable_x64


def test_parameters_on_curved_manifolds_are_refused() -> None:
    with pytest.raises(
        CompilationError, match=r"the parameters of layer 'h' are points of Sphere\(n=2\), which numbers"
    ):
        mn.compile(NETWORKS["curved"](seed=1), backend="jax", precision="float32")


@pytest.mark.parametrize("network", sorted(KINDS))
def test_evaluations_have_seven_digits_and_come_in_64_bits(network: str) -> None:
    data, rule = dataset("ragged" if network == "circle" else network), mn.Backpropagated()
    found = {}
    for precision in ("float32", "float64"):
        program = compiled(network, precision)
        theta = program.initialize(numpy.random.default_rng(0))
        run = program.at(theta, data.inputs, data.targets)
        tangent = numpy.random.default_rng(1).standard_normal(run.size)
        found[precision] = {
            "losses": run.losses,
            "differential": run.differential().flat,
            "metric": run.metric(rule).as_matrix(),
            "lengths": run.natural_products([tangent, tangent[::-1].copy()]),
        }
    for name, expected in found["float64"].items():
        assert found["float32"][name].dtype == numpy.float64
        close(found["float32"][name], expected)


SCHEDULES: dict[str, tuple[Schedule, type[Trainer]]] = {
    "full batch": (mn.FullBatch(steps=30, rate=0.1), CompiledTrainer),
    "minibatches": (mn.Minibatches(steps=30, batch=20, validate_every=7), CompiledMinibatchTrainer),
    "online": (mn.Online(steps=60, record_every=7, validate_every=15, refresh=10), CompiledOnlineTrainer),
}


def trainer_of(network: str, schedule: str, precision: str) -> Trainer:
    how, kind = SCHEDULES[schedule]
    data = dataset("ragged" if network == "circle" else network)
    found = trainer_for(
        compiled(network, precision), data, mn.Backpropagated(), attrs.evolve(how, damping=mn.Tikhonov(0.1))
    )
    assert isinstance(found, kind)
    return found


def begun(trainer: Trainer):  # type: ignore[no-untyped-def]
    return trainer.start(trainer.program.initialize(numpy.random.default_rng(1)), numpy.random.default_rng(2))


@pytest.mark.parametrize("network", sorted(KINDS))
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_compiled_training_goes_the_same_way(schedule: str, network: str) -> None:
    """Well damped, thirty steps part by a thousandth at most; both end lower than they began."""
    ends = {}
    for precision in ("float32", "float64"):
        trainer = trainer_of(network, schedule, precision)
        state, records = followed(trainer, begun(trainer))
        assert not [record.trouble for record in records if record.trouble]
        ends[precision] = state.theta.flat
        losses = [record.loss for record in records]
        assert numpy.mean(losses[-3:]) < losses[0]
    close(ends["float32"], ends["float64"], 1e-3)


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_a_run_through_files_is_the_same_to_the_bit(schedule: str, tmp_path: Path) -> None:
    first, other = (trainer_of("ragged", schedule, "float32") for _ in range(2))
    whole, _ = followed(first, begun(first))
    state, _ = followed(first, begun(first), 13)
    save_checkpoint(tmp_path, "run", first, state, 0)
    again = load_checkpoint(tmp_path / f"{state.step:012d}.json", "run", other).state
    end, _ = followed(other, again)
    assert end.theta.flat.tobytes() == whole.theta.flat.tobytes()


@pytest.mark.parametrize(("variance", "kept"), [(1e-3, (True, True)), (1e-5, (True, False)), (1e-13, (False, False))])
def test_what_counts_as_constant_depends_on_the_bits(variance: float, kept: tuple[bool, bool]) -> None:
    """A parent of weighted mean 1 and so small a variance: its entries are 1 and 1 + variance."""
    damping = damping_recipe(None)
    for precision, wanted in zip(("float64", "float32"), kept, strict=True):
        with bits.in_precision(precision):
            one = jax.numpy.ones((1, 1))
            entries = one[0], one, one + variance
            standard = systems.Standard(entries, jax.numpy.ones((1, 2)), damping, None)
            assert bool(standard.kept[0, 0]) is wanted


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_units_that_saturate(dtype: str) -> None:
    """Where the exponential of the pre-activation is no number any more in so few bits."""
    z = numpy.array([[-1000.0, -100.0, -89.0, -1.0, 0.0, 1.0, 89.0, 100.0, 1000.0]])
    with jax.enable_x64(True):
        traced = jax.numpy.asarray(z, dtype=dtype)
        for targets in (numpy.zeros_like(z), numpy.ones_like(z), numpy.full_like(z, 0.25)):
            read = targets.astype(dtype)
            loss = jax.jit(lambda y, t: mn.Bernoulli().loss(y, numpy.zeros(0), t, "log-odds"))(traced, read)
            found = mn.Bernoulli().score(traced, numpy.zeros(0), read, "log-odds")
            expected = mn.Bernoulli().score(z, numpy.zeros(0), targets, "log-odds")
            numpy.testing.assert_allclose(found.outputs, expected.outputs, rtol=1e-6, atol=1e-36)
            numpy.testing.assert_allclose(found.modulus(), expected.modulus(), rtol=1e-5, atol=1e-36)
            numpy.testing.assert_allclose(loss, mn.Bernoulli().loss(z, numpy.zeros(0), targets, "log-odds"), rtol=1e-6)
        for found, expected in zip(mn.logistic.value_and_slope(traced), mn.logistic.value_and_slope(z), strict=True):
            numpy.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-36)
