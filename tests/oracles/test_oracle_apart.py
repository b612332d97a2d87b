"""Which output units stand apart, and that the natural metric is then the same: Jacobians by finite differences."""

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.linalg.bordered import Bordered
from tests.linalg.drawing import close

SAMPLES = 30


def hidden(net: mn.Network):  # type: ignore[no-untyped-def]
    return net.layer("h", size=3, map=mn.Affine(mn.tanh), parents=[net.input("x", size=4)], wiring=mn.fan_in(2))


def bernoulli(net: mn.Network) -> None:
    net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=5, map=mn.Affine(mn.logistic), parents=[hidden(net)])])


def square(net: mn.Network) -> None:
    """Wired like the layer before it, so that units of both stand in one group."""
    h = hidden(net)
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=4, map=mn.Affine(), parents=[h], wiring=mn.fan_in(2))])


def several(net: mn.Network) -> None:
    """The rows of an interpretation that is not diagonal come first."""
    h = hidden(net)
    net.interpret(mn.Softmax(), parents=[net.layer("c", size=3, map=mn.Affine(), parents=[h])], name="class")
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=4, map=mn.Affine(), parents=[h])], name="value")
    net.interpret(mn.Bernoulli(), parents=[net.layer("b", size=2, map=mn.Affine(mn.logistic), parents=[h])], name="bit")


def read(net: mn.Network) -> None:
    """A layer that is interpreted, and read too: its units are coupled through the rows of their readers."""
    h = hidden(net)
    a = net.layer("a", size=3, map=mn.Affine(), parents=[h])
    net.interpret(mn.SquareLoss(), parents=[a], name="first")
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=4, map=mn.Affine(), parents=[a])], name="second")


def twice(net: mn.Network) -> None:
    """Interpreted twice, each unit has two rows."""
    y = net.layer("y", size=4, map=mn.Affine(), parents=[hidden(net)])
    net.interpret(mn.SquareLoss(), parents=[y], name="first")
    net.interpret(mn.SquareLoss(), parents=[y], name="second")


def parts(net: mn.Network) -> None:
    """One interpretation of two layers, in another order and in pieces."""
    h = hidden(net)
    first, second = (net.layer(name, size=size, map=mn.Affine(), parents=[h]) for name, size in (("a", 2), ("b", 3)))
    net.interpret(mn.SquareLoss(), parents=[second[1:], first, second[:1]], name="out")


def softmax(net: mn.Network) -> None:
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=4, map=mn.Affine(), parents=[hidden(net)])])


def alone(net: mn.Network) -> None:
    """No unit but those apart: there is no border."""
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=4, map=mn.Affine(), parents=[net.input("x", size=4)])])


CASES = {bernoulli: 5, square: 4, several: 6, read: 4, twice: 0, parts: 5, softmax: 0, alone: 0}


@pytest.mark.parametrize("lowering", ["auto", "general"])
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_units_apart(make, lowering: str) -> None:  # type: ignore[no-untyped-def]
    net = mn.Network(make.__name__, seed=1)
    make(net)
    program = mn.compile(net, lowering=lowering)  # type: ignore[arg-type]
    rng = numpy.random.default_rng(2)
    theta, x = program.initialize(rng), rng.standard_normal((SAMPLES, 4))
    border = program.border
    assert (0 if border is None else sum(len(units) for units in border.apart)) == CASES[make]
    tensor = program.metric(mn.Natural(), theta, x)
    assert isinstance(tensor, Bordered) == (CASES[make] > 0)
    close(tensor.as_matrix(), natural_by_differences(program, theta.flat, x), 1e-6)


def test_a_network_that_computes_nothing_has_no_border() -> None:
    """Its interpretation reads an input, and has the only parameter."""
    net = mn.Network("read", seed=1)
    net.interpret(mn.Gaussian(), parents=[net.input("x", size=2)])
    assert mn.compile(net).border is None


def natural_by_differences(program: mn.Program, theta: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray:
    """E_x sum over interpretations of J^T Omega J, with J by central differences of omega itself."""
    step, total = 1e-5, numpy.zeros((len(theta), len(theta)))

    def outputs(at: numpy.ndarray) -> dict[str, numpy.ndarray]:
        found = program.output(at, x)
        return found if isinstance(found, dict) else {"out": found}

    ahead, behind = ([outputs(theta + sign * step * e) for e in numpy.eye(len(theta))] for sign in (1.0, -1.0))
    for name, omega in outputs(theta).items():
        jacobian = numpy.stack([(a[name] - b[name]) / (2 * step) for a, b in zip(ahead, behind, strict=True)], axis=-1)
        meaning = next(
            o.interpretation for o in program.declaration.outputs if len(outputs(theta)) == 1 or o.name == name
        )
        weights = fisher(meaning, omega)
        total += numpy.einsum("snp,sn,snq->pq", jacobian, weights, jacobian)
    return total / len(x)


def fisher(meaning: object, omega: numpy.ndarray) -> numpy.ndarray:
    """The diagonal metric on omega, (samples, n), of probabilities, odds and Gaussians of variance 1."""
    if isinstance(meaning, mn.Bernoulli):
        return 1.0 / (omega * (1.0 - omega))
    return 1.0 / omega if isinstance(meaning, mn.Softmax) else numpy.ones(omega.shape)
