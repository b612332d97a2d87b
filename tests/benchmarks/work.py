"""The networks and data of the benchmarks, with what the hand-written programs need of them."""

from typing import NamedTuple

import numpy
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet.compiler.run import Run

EPS, RATE = 1e-4, 0.01


class Work(NamedTuple):
    """A network, and a batch."""

    net: mn.Network
    inputs: NDArray
    targets: NDArray
    theta: NDArray

    def run(self, program: mn.Program) -> Run:
        """The library's evaluation on data that are checked once, as in training."""
        points, targets = program.prepare(self.inputs, self.targets)
        return Run(program, program.parameters(self.theta), points, targets, None)


def sparse(samples: int = 16) -> Work:
    """W1: the paper's auto-encoder, 100-30-10-30-100, five links a unit, sixteen strings (section 4)."""
    net = mn.Network("autoencoder", seed=0)
    x = net.input("x", size=100, manifold=mn.Interval(0, 1))
    h1 = net.layer("h1", size=30, map=mn.Affine(mn.logistic), parents=[x], wiring=mn.fan_out(5))
    h2 = net.layer("h2", size=10, map=mn.Affine(mn.logistic), parents=[h1], wiring=mn.fan_out(5))
    h3 = net.layer("h3", size=30, map=mn.Affine(mn.logistic), parents=[h2], wiring=mn.fan_in(5))
    y = net.layer("y", size=100, map=mn.Affine(mn.logistic), parents=[h3], wiring=mn.fan_in(5))
    net.interpret(mn.Bernoulli(), parents=[y])
    strings = numpy.random.default_rng(1).integers(0, 2, size=(samples, 100)).astype(float)
    return Work(net, strings, strings, initial(net))


def dense(sizes: tuple[int, ...] = (784, 128, 64, 10), samples: int = 256) -> Work:
    """W2 (and W3, with other sizes): a dense tanh net with softmax outputs."""
    net = mn.Network("dense", seed=0)
    layer = net.input("x", size=sizes[0])
    for number, size in enumerate(sizes[1:-1], start=1):
        layer = net.layer(f"h{number}", size=size, map=mn.Affine(mn.tanh), parents=[layer])
    y = net.layer("y", size=sizes[-1], map=mn.Affine(mn.identity), parents=[layer])
    net.interpret(mn.Softmax(), parents=[y])
    rng = numpy.random.default_rng(2)
    inputs = rng.standard_normal((samples, sizes[0]))
    return Work(net, inputs, rng.integers(0, sizes[-1], size=samples), initial(net))


def small_dense(samples: int = 500) -> Work:
    """W3: 20-20-10, of which the whole Fisher matrix is formed."""
    return dense((20, 20, 10), samples)


def initial(net: mn.Network) -> NDArray:
    return mn.compile(net).initialize(numpy.random.default_rng(0)).flat


def masks(net: mn.Network) -> list[NDArray]:
    """Who reads whom, (parent units, units) for each layer of a chain."""
    layers = [layer for layer in net.validated().layers if not layer.is_input]
    found = []
    for layer in layers:
        (edge,) = layer.edges
        mask = numpy.zeros((net.validated().layer(edge.parent).size, layer.size), dtype=bool)
        mask[list(edge.units)] = edge.mask.T
        found.append(mask)
    return found
