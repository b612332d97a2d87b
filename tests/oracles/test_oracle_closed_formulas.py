"""The closed formulas of the paper's section 1, for ordinary networks, against the general ones of section 2."""

import itertools
from collections.abc import Callable

import attrs
import numpy
import pytest
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet.compiler import quantities
from tests.backends import compiled
from tests.oracles.compare import EXACT, tensor_deviation, vector_deviation

SAMPLES = 5
PHI: dict[str, Callable[[NDArray], NDArray]] = {
    "logistic": lambda y: 1.0 / (1.0 + numpy.exp(-y)),
    "tanh": numpy.tanh,
    "identity": lambda y: y,
}
# phi' from the activity
RATES: dict[str, Callable[[NDArray], NDArray]] = {
    "logistic": lambda a: a * (1.0 - a),
    "tanh": lambda a: 1.0 - a * a,
    "identity": lambda a: numpy.ones_like(a),
}
# on the activities of the outputs (samples, n): -dl/da (7) of targets y, and the metric F (117-124)
DIRECT: dict[str, Callable[[NDArray, NDArray], NDArray]] = {
    "square-loss": lambda a, y: y - a,
    "bernoulli": lambda a, y: (y - a) / (a * (1.0 - a)),
    "softmax": lambda a, y: hot(y, a) - shares(a),
    "spherical": lambda a, y: 2.0 * hot(y, a) / a - 2.0 * a / total(a**2),
}
INTERPRETATIONS = {
    "square-loss": mn.SquareLoss,
    "bernoulli": mn.Bernoulli,
    "softmax": mn.Softmax,
    "spherical": mn.Spherical,
}


def total(values: NDArray) -> NDArray:
    return values.sum(axis=-1, keepdims=True)


def hot(y: NDArray, a: NDArray) -> NDArray:
    return (y[:, None] == numpy.arange(a.shape[1])).astype(float)


def shares(a: NDArray) -> NDArray:
    return numpy.exp(a) / total(numpy.exp(a))


def fisher_modulus(meaning: str, a: NDArray, j: NDArray) -> NDArray:
    """Equations 14 to 17: outputs a (samples, n) and transfer rates j (samples, n, ...) to them."""
    a = a.reshape(*a.shape, *(1,) * (j.ndim - 2))
    if meaning == "bernoulli":
        return (j**2 / (a * (1.0 - a))).sum(axis=1)
    if meaning == "square-loss":
        return (j**2).sum(axis=1)
    if meaning == "softmax":
        s = numpy.exp(a).sum(axis=1)
        return (numpy.exp(a) * j**2).sum(axis=1) / s - (numpy.exp(a) * j).sum(axis=1) ** 2 / s**2
    s = (a**2).sum(axis=1)
    return 4.0 / s * (j**2).sum(axis=1) - 4.0 / s**2 * (a * j).sum(axis=1) ** 2


def direct_modulus(meaning: str, a: NDArray) -> NDArray:
    """Equation 27."""
    if meaning == "softmax":
        return shares(a) * (1.0 - shares(a))
    if meaning == "spherical":
        return 4.0 / total(a**2) * (1.0 - a**2 / total(a**2))
    return 1.0 / (a * (1.0 - a)) if meaning == "bernoulli" else numpy.ones_like(a)


@attrs.frozen(eq=False, slots=False)
class Ordinary:
    """Three inputs, a hidden layer of four, one of three that skips to the inputs, and outputs that read both.

    Units stand in one list, and w[i, k] is the weight from unit i to unit k, zero where they are not linked.
    """

    meaning: str
    link: str
    output: str

    def declare(self) -> mn.Network:
        net = mn.Network("ordinary", seed=3)
        x = net.input("x", size=3)
        g = net.layer("g", size=4, map=mn.Affine(self.link), parents=[x])
        h = net.layer("h", size=3, map=mn.Affine(self.link), parents=[g, (x, mn.fan_in(2))])
        o = net.layer("o", size=3, map=mn.Affine(self.output), parents=[h, g[1:]])
        net.interpret(INTERPRETATIONS[self.meaning](), parents=[o])
        return net

    layers = (("x", 3), ("g", 4), ("h", 3), ("o", 3))

    def units(self, name: str) -> slice:
        sizes = dict(self.layers)
        start = sum(sizes[n] for n, _ in itertools.takewhile(lambda layer: layer[0] != name, self.layers))
        return slice(start, start + sizes[name])

    def matrices(self, net: mn.Network, program: mn.Program, theta: mn.Parameters) -> tuple[NDArray, NDArray, NDArray]:
        """Biases w_0 (units,), weights w (units, units), and for each weight its place in theta.flat, else -1."""
        names = [(name, u) for name, size in self.layers for u in range(size)]
        w0, w = numpy.zeros(len(names)), numpy.zeros((len(names), len(names)))
        places = numpy.full(w.shape, -1)
        position = 0
        for k, unit in enumerate(names):
            if unit[0] == "x":
                continue
            w0[k], position = theta.flat[position], position + 1
            edges = sorted(net.unit_graph.in_edges(unit, data="position"), key=lambda e: (e[2], names.index(e[0])))
            for parent, _, _ in edges:
                i = names.index(parent)
                w[i, k], places[i, k], position = theta.flat[position], position, position + 1
        assert position == program.layout.size
        return w0, w, places


ROWS = [
    Ordinary(meaning, link, output)
    for link in ("logistic", "tanh")
    for meaning, output in (
        ("square-loss", "identity"),
        ("square-loss", "tanh"),
        ("bernoulli", "logistic"),
        ("softmax", "identity"),
        ("softmax", "tanh"),
        ("spherical", "logistic"),
        ("spherical", "identity"),
    )
]


@pytest.mark.parametrize("ordinary", ROWS, ids=lambda row: f"{row.meaning}-{row.link}-{row.output}")
def test_section_one(ordinary: Ordinary) -> None:
    """b (4-7), J (13), Phi (14-17), m (26-27), G (8) and the metrics (18), (28) of every unit."""
    rng, net = numpy.random.default_rng(1), ordinary.declare()
    program = compiled(net)
    theta, x = program.initialize(rng), rng.standard_normal((SAMPLES, 3))
    theta = theta.replace(theta.flat + 0.3 * rng.standard_normal(theta.flat.size))
    targets = {
        "bernoulli": lambda: rng.integers(0, 2, (SAMPLES, 3)).astype(float),
        "square-loss": lambda: rng.standard_normal((SAMPLES, 3)),
    }.get(ordinary.meaning, lambda: rng.integers(0, 3, SAMPLES))()
    w0, w, places = ordinary.matrices(net, program, theta)
    a, r = forward(ordinary, w0, w, x)
    outputs = ordinary.units("o")
    direct = numpy.zeros_like(a)
    direct[:, outputs] = DIRECT[ordinary.meaning](a[:, outputs], targets)
    b = backward(direct, r, w)
    identity = numpy.zeros((SAMPLES, 3, a.shape[1]))
    identity[:, :, outputs] = numpy.eye(3)
    j = backward(identity, r[:, None], w)
    m = numpy.zeros_like(a)
    m[:, outputs] = direct_modulus(ordinary.meaning, a[:, outputs])
    m = backward(m, r**2, w**2)
    phi = fisher_modulus(ordinary.meaning, a[:, outputs], j)

    run = program.at(theta, x, targets)
    for name in ("g", "h", "o"):
        units = ordinary.units(name)
        assert vector_deviation(quantities.backpropagated_values(run)[name][..., 0], b[:, units]) < EXACT
        assert vector_deviation(quantities.fisher_moduli(run)[name][..., 0, 0], phi[:, units]) < EXACT
        assert vector_deviation(quantities.backpropagated_moduli(run)[name][..., 0, 0], m[:, units]) < EXACT
    check_metrics(program, run, (a, r, b, phi, m), places)


def forward(ordinary: Ordinary, w0: NDArray, w: NDArray, x: NDArray) -> tuple[NDArray, NDArray]:
    """a_k = phi(w_0k + sum_i w_ik a_i) and r_k = phi'(y_k) (6), unit by unit, (samples, units)."""
    a, r = numpy.zeros((len(x), len(w0))), numpy.zeros((len(x), len(w0)))
    a[:, :3] = x
    for name, size in ordinary.layers[1:]:
        link = ordinary.output if name == "o" else ordinary.link
        first = ordinary.units(name).start
        for k in range(first, first + size):
            a[:, k] = PHI[link](w0[k] + a @ w[:, k])
            r[:, k] = RATES[link](a[:, k])
    return a, r


def backward(direct: NDArray, r: NDArray, w: NDArray) -> NDArray:
    """v_k = direct_k + sum_{j: k->j} w_kj r_j v_j, from the last unit to the first: (4), (13) and (26) alike."""
    v = direct.copy()
    for k in reversed(range(w.shape[0])):
        v[..., k] = direct[..., k] + (w[k] * r * v).sum(axis=-1)
    return v


def check_metrics(program: mn.Program, run: object, values: tuple[NDArray, ...], places: NDArray) -> None:
    """G_ik = E a_i r_k b_k (8), and the blocks E a_i a_j r_k^2 Phi_k (18), with m_k (28) and with b_k^2 (63)."""
    a, r, b, phi, m = values
    gradient = numpy.zeros(program.layout.size)
    size = program.layout.size
    blocks = {
        "natural": numpy.zeros((size, size)),
        "back": numpy.zeros((size, size)),
        "outer": numpy.zeros((size, size)),
    }
    for k in range(3, a.shape[1]):
        parents = numpy.flatnonzero(places[:, k] >= 0)
        read = numpy.concatenate([numpy.ones((len(a), 1)), a[:, parents]], axis=1)
        index = numpy.concatenate([[places[parents, k].min() - 1], places[parents, k]])
        gradient[index] = (read * (r * b)[:, k : k + 1]).mean(axis=0)
        for name, modulus in (("natural", phi), ("back", m), ("outer", b**2)):
            weights = (r**2 * modulus)[:, k]
            blocks[name][numpy.ix_(index, index)] = (read.T * weights) @ read / len(a)
    assert vector_deviation(run.differential().flat, -gradient) < EXACT
    for name, rule in (
        ("natural", mn.UnitwiseNatural()), ("back", mn.Backpropagated()), ("outer", mn.UnitwiseOuterProduct()),
    ):  # fmt: skip
        assert tensor_deviation(run.metric(rule).as_matrix(), blocks[name]) < EXACT, name


# -------------------------------------------------------------------- remark 11


@pytest.mark.parametrize("meaning", INTERPRETATIONS)
def test_metrics_agree_on_the_output_layer(meaning: str) -> None:
    """Remark 11: Phi = m on outputs that feed no output; one layer below only where F_out is diagonal."""
    output = {"bernoulli": "logistic", "square-loss": "tanh"}.get(meaning, "identity")
    natural, back = unitwise_metrics(Ordinary(meaning, "tanh", output).declare())
    last = slice(-21, None)
    assert tensor_deviation(back[last, last], natural[last, last]) < EXACT
    below = slice(-21 - 21, -21)
    deviation = tensor_deviation(back[below, below], natural[below, below])
    assert deviation < EXACT if meaning in ("bernoulli", "square-loss") else deviation > 1e-3


def test_metrics_disagree_where_an_output_feeds_another() -> None:
    """The control: m adds the squares of the two ways, Phi squares their sum; so remark 11 needs its condition."""
    net = mn.Network("fed")
    y = net.layer("y", size=2, map=mn.Affine(), parents=[net.input("x", size=3)])
    z = net.layer("z", size=1, map=mn.Affine(), parents=[y])
    net.interpret(mn.Softmax(), parents=[y, z])
    natural, back = unitwise_metrics(net)
    assert tensor_deviation(back[:8, :8], natural[:8, :8]) > 1e-3
    assert tensor_deviation(back[8:, 8:], natural[8:, 8:]) < EXACT


def unitwise_metrics(net: mn.Network) -> tuple[NDArray, NDArray]:
    program, rng = compiled(net), numpy.random.default_rng(4)
    theta, x = program.initialize(rng), rng.standard_normal((8, 3))
    natural, back = (program.metric(rule, theta, x).as_matrix() for rule in (mn.UnitwiseNatural(), mn.Backpropagated()))
    return natural, back
