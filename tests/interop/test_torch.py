"""Sequentials as networks and back, against what torch itself computes."""

import doctest

import numpy
import pytest

import manifoldnet as mn
from manifoldnet.errors import DeclarationError

torch = pytest.importorskip("torch", reason="needs the extra `torch`", exc_type=ImportError)
if torch is not None:
    from manifoldnet.interop import torch as ours
    from manifoldnet.interop.torch import from_sequential, to_sequential

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120)]
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def samples(features: int, spread: float = 3.0) -> numpy.ndarray:
    return spread * numpy.random.default_rng(0).standard_normal((50, features))


def said(module: "torch.nn.Module", values: numpy.ndarray) -> numpy.ndarray:
    with torch.no_grad():
        return module.double()(torch.from_numpy(values)).numpy()


def deep(*links: "torch.nn.Module") -> "torch.nn.Sequential":
    torch.manual_seed(0)
    parts = [torch.nn.Sequential(torch.nn.Linear(6, 6, bias=k % 2 == 0), link) for k, link in enumerate(links)]
    return torch.nn.Sequential(*parts, torch.nn.Linear(6, 3))


def everything() -> "torch.nn.Sequential":
    nn = torch.nn
    return deep(
        nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Identity(), nn.Softplus(), nn.Softplus(2.0, 5.0), nn.Softplus(1, 50)
    )


def test_outputs_agree_and_so_do_those_of_the_way_back() -> None:
    module, values = everything(), samples(6)
    found = from_sequential(module)
    program = mn.compile(found.network)
    assert numpy.allclose(program.output(found.theta, values), said(module, values), **CLOSE)
    back = to_sequential(found.network, found.theta)
    assert numpy.allclose(said(back, values), said(module, values), **CLOSE)
    for before, after in zip(module.double().modules(), module.modules(), strict=True):
        assert type(before) is type(after)
    again = from_sequential(back)
    assert numpy.array_equal(again.theta.flat, found.theta.flat)


def test_float32_weights_are_taken_exactly() -> None:
    module = deep(torch.nn.Tanh())
    found = from_sequential(module)
    weights = found.theta["h1"]
    assert numpy.array_equal(weights[:, 1:], module[0][0].weight.detach().numpy().astype(float))


def test_softplus_far_beyond_its_threshold() -> None:
    """Torch's softplus is the identity from 20 on, 2e-9 away from what it would be."""
    module = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Softplus())
    with torch.no_grad():
        module[0].weight.fill_(1.0)
        module[0].bias.fill_(0.0)
    values = numpy.array([[-750.0], [-3.0], [19.99], [20.01], [35.0], [800.0]])
    found = from_sequential(module)
    assert numpy.allclose(mn.compile(found.network).output(found.theta, values), said(module, values), **CLOSE)


@pytest.mark.parametrize(
    ("last", "kind"), [("Softmax", mn.Softmax), ("Sigmoid", mn.Bernoulli), ("Tanh", mn.SquareLoss)]
)
def test_the_last_module_says_what_the_outputs_mean(last: str, kind: type) -> None:
    module = torch.nn.Sequential(
        torch.nn.Linear(6, 4),
        torch.nn.Tanh(),
        torch.nn.Linear(4, 3),
        getattr(torch.nn, last)(*[1] * (last == "Softmax")),
    )
    found, values = from_sequential(module), samples(6)
    assert isinstance(found.network.snapshot().outputs[0].interpretation, kind)
    assert numpy.allclose(mn.compile(found.network).output(found.theta, values), said(module, values), **CLOSE)
    assert numpy.allclose(said(to_sequential(found.network, found.theta), values), said(module, values), **CLOSE)


def test_gradients_agree() -> None:
    module, values = deep(torch.nn.Tanh(), torch.nn.Softplus()).double(), samples(6)
    labels = numpy.arange(50) % 3
    found = from_sequential(module, interpretation=mn.Softmax())
    differential = mn.compile(found.network).differential(found.theta, values, labels)
    loss = torch.nn.functional.cross_entropy(module(torch.from_numpy(values)), torch.from_numpy(labels))
    loss.backward()
    for name, linear in (("h1", module[0][0]), ("h2", module[1][0]), ("y", module[2])):
        assert numpy.allclose(differential[name][:, 1:], linear.weight.grad.numpy(), **CLOSE)
    assert numpy.allclose(differential["y"][:, 0], module[2].bias.grad.numpy(), **CLOSE)


def test_networks_in_any_charts_and_sparse_ones() -> None:
    net = mn.Network("sparse", seed=1)
    x = net.input("x", size=5, manifold=mn.Interval(0, 1))
    h = net.layer("h", size=7, map=mn.Affine(mn.logistic), parents=[x[[3, 1, 0]], x[[4, 2]]], wiring=mn.fan_in(1))
    y = net.layer("y", size=2, map=mn.Affine(), parents=[h])
    net.interpret(mn.Softmax(), parents=[y])
    tanh_form = net.with_charts({"x": "signed", "h": "signed", "h/pre-activation": "doubled", "h/parameters": "cubic"})
    program = mn.compile(tanh_form)
    theta = program.initialize(numpy.random.default_rng(0))
    values = numpy.random.default_rng(1).random((20, 5))
    module = to_sequential(tanh_form, theta)
    assert numpy.allclose(said(module, values), program.output(theta, values), **CLOSE)
    assert (module[0].weight == 0).any()


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (lambda nn: [nn.Linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3)], r"1: Dropout\(.*; 2: BatchNorm1d\(3"),
        (lambda nn: [nn.Linear(3, 3), nn.Sequential(nn.GELU())], r"1\.0: GELU"),
        (lambda nn: [nn.Softmax(1), nn.Linear(3, 3)], r"0: Softmax\(dim=1\)"),
        (lambda nn: [nn.Tanh(), nn.Linear(3, 3)], "comes before the first Linear"),
        (lambda nn: [nn.Linear(3, 3), nn.Tanh(), nn.Sigmoid()], "follows another link"),
        (lambda nn: [nn.Linear(3, 4), nn.Linear(3, 3)], "does not fit itself"),
        (lambda nn: [], "has no Linear module"),
    ],
)
def test_modules_without_a_counterpart_are_named(modules: object, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        from_sequential(torch.nn.Sequential(*modules(torch.nn)))  # type: ignore[operator]


def skip() -> mn.Network:
    net = mn.Network("skip")
    x = net.input("x", size=2)
    h = net.layer("h", size=2, map=mn.Affine(mn.tanh), parents=[x])
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=1, map=mn.Affine(), parents=[h, x])])
    return net


def scaled() -> mn.Network:
    net = mn.Network("scaled")
    h = net.layer("h", size=2, map=mn.Affine(mn.scaled_tanh), parents=[net.input("x", size=2)])
    net.interpret(mn.SquareLoss(), parents=[h])
    return net


def turned() -> mn.Network:
    net = mn.Network("turned")
    y = net.layer("y", size=2, map=mn.Affine(), parents=[net.input("x", size=2)])
    net.interpret(mn.SquareLoss(), parents=[y[[1, 0]]])
    return net


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (skip, "layer 'y' reads h, x: in a Sequential it reads the layer before it, 'h', alone"),
        (scaled, "layer 'h' \\(affine, scaled_tanh, on .*has no module in torch"),
        (turned, "reads other units than all of the last layer, 'y', in order"),
    ],
)
def test_networks_that_are_no_sequential_are_refused(net: object, message: str) -> None:
    declared = net()  # type: ignore[operator]
    with pytest.raises(DeclarationError, match=message):
        to_sequential(declared, numpy.zeros(mn.compile(declared).layout.size))


def test_examples_run() -> None:
    assert doctest.testmod(ours) == (0, 3)
