"""Feed-forward `torch.nn.Sequential` modules as networks with their weights, and back; needs the extra `torch`."""

from collections.abc import Callable, Iterator
from typing import Any, final

import attrs
import numpy
import torch
from numpy.typing import NDArray

from manifoldnet import numpy as np
from manifoldnet.compiler.affine_coordinates import AffineCoordinates, Reference
from manifoldnet.compiler.compile import compile
from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.lowering import lower
from manifoldnet.declare.handles import Handle
from manifoldnet.declare.interpretations.bernoulli import Bernoulli
from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.declare.interpretations.softmax import Softmax
from manifoldnet.declare.interpretations.square_loss import SquareLoss
from manifoldnet.declare.layer import Declaration, Layer
from manifoldnet.declare.links import NAMED_LINKS, Link
from manifoldnet.declare.maps import Affine
from manifoldnet.declare.network import Network
from manifoldnet.errors import DeclarationError
from manifoldnet.geometry.manifold import Manifold

LINKS: dict[type, str] = {
    torch.nn.Sigmoid: "logistic",
    torch.nn.Tanh: "tanh",
    torch.nn.Identity: "identity",
    torch.nn.ReLU: "relu",
}
MODULES: dict[str, Callable[[], torch.nn.Module]] = {
    "logistic": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "relu": torch.nn.ReLU,
    # beyond this the module is the identity, which softplus is there to the last bit
    "softplus": lambda: torch.nn.Softplus(threshold=40.0),
}
KNOWN = "Linear, Sigmoid, Tanh, ReLU, Softplus, Identity, and Softmax(dim=1) at the end"


@final
@attrs.frozen(eq=False)
class Imported:
    """A network with the weights that a module has."""

    network: Network
    theta: Parameters


def from_sequential(
    module: torch.nn.Sequential,
    name: str = "sequential",
    manifold: Manifold | None = None,
    interpretation: Interpretation | None = None,
) -> Imported:
    """The network that a Sequential of Linear modules and links is, with its weights, in float64.

    `manifold` is that of an input unit, by default Real(1). `interpretation` says what the outputs mean, by default
    `mn.Softmax()` after a Softmax, `mn.Bernoulli()` after a Sigmoid, else `mn.SquareLoss()`; outputs then agree
    with the module's own. Layers are "x", "h1", "h2", ..., "y". A Linear without bias gets the bias zero, which training
    may change. Sequentials inside are opened. Raises DeclarationError that names each module for which there is no link.

    >>> module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    >>> found = from_sequential(module)
    >>> [(layer.name, layer.size) for layer in found.network.snapshot().layers]
    [('x', 3), ('h1', 4), ('y', 1)]
    """
    modules = list(_opened(module, ""))
    reads_classes = bool(modules) and isinstance(modules[-1][1], torch.nn.Softmax)
    pairs = _pairs(modules[:-1] if reads_classes else modules)
    net, links = Network(name), [link for _, link in pairs]
    handle = net.input("x", size=pairs[0][0].in_features, manifold=manifold)
    for number, (linear, link) in enumerate(pairs, start=1):
        handle = _layer(net, "y" if number == len(pairs) else f"h{number}", linear, link, handle)
    meaning = Softmax() if reads_classes else Bernoulli() if links[-1].name == "logistic" else SquareLoss()
    net.interpret(meaning if interpretation is None else interpretation, parents=[handle])
    return Imported(net, _weights(net, [linear for linear, _ in pairs]))


def to_sequential(net: Network, theta: Parameters | NDArray) -> torch.nn.Sequential:
    """The Sequential that computes what a chain of affine layers does, in float64; sparse wirings become zeros.

    The module gives what the interpretation reads through it: probabilities after `mn.Softmax()`, activities otherwise.
    Parameters may be in any charts. Raises DeclarationError, naming the layer, for networks that are no chain of
    one-dimensional affine units with links of torch.
    """
    declaration = net.validated()
    layers = _chain(declaration)
    lowered, modules = lower(declaration), []
    stored = compile(net).parameters(theta)
    for layer in layers:
        reference = AffineCoordinates(layer, lowered.spaces).to_reference(stored[layer.name])
        modules += [_linear(declaration, layer, reference), *_link_modules(layer)]
    if isinstance(declaration.outputs[0].interpretation, Softmax):
        modules.append(torch.nn.Softmax(dim=1))
    return torch.nn.Sequential(*modules)


def _opened(module: torch.nn.Module, place: str) -> Iterator[tuple[str, torch.nn.Module]]:
    """Modules one after another, those inside Sequentials too, with where they stand."""
    if not isinstance(module, torch.nn.Sequential):
        yield place, module
        return
    for name, child in module.named_children():
        yield from _opened(child, f"{place}.{name}" if place else name)


def _pairs(modules: list[tuple[str, torch.nn.Module]]) -> list[tuple[torch.nn.Linear, Link]]:
    """Every Linear with the link after it."""
    unknown = [f"{place}: {module!r}" for place, module in modules if not _is_known(module)]
    if unknown:
        raise DeclarationError(
            f"there is no layer or link for {'; '.join(unknown)}. What can be read is {KNOWN}; a map of your own is "
            "declared by mn.Map(function, ...)"
        )
    found: list[tuple[torch.nn.Linear, Link]] = []
    for place, module in modules:
        if isinstance(module, torch.nn.Linear):
            found.append((module, NAMED_LINKS["identity"]))
        elif not found:
            raise DeclarationError(f"module {place}, {module!r}, comes before the first Linear: put it into encode=")
        else:
            linear, before = found[-1]
            if before.name != "identity" and not isinstance(module, torch.nn.Identity):
                raise DeclarationError(f"module {place}, {module!r}, follows another link: a layer has one link")
            found[-1] = (linear, before if isinstance(module, torch.nn.Identity) else _link(module))
    if not found:
        raise DeclarationError(f"the Sequential has no Linear module; what can be read is {KNOWN}")
    return found


def _is_known(module: torch.nn.Module) -> bool:
    return type(module) in LINKS or type(module) in (torch.nn.Linear, torch.nn.Softplus)


def _link(module: torch.nn.Module) -> Link:
    if isinstance(module, torch.nn.Softplus):
        return _softplus(float(module.beta), float(module.threshold))
    return NAMED_LINKS[LINKS[type(module)]]


def _softplus(beta: float, threshold: float) -> Link:
    """Torch's softplus, log(1 + e^(beta y))/beta, which is y itself from `threshold` on."""
    if beta == 1.0 and threshold >= 40.0:
        return NAMED_LINKS["softplus"]

    def torch_softplus(y: NDArray) -> NDArray:
        return np.where(beta * y > threshold, y, np.softplus(beta * y) / beta)

    return Link(f"softplus(beta={beta:g}, threshold={threshold:g})", torch_softplus)


def _layer(net: Network, name: str, linear: torch.nn.Linear, link: Link, parent: Handle) -> Handle:
    if linear.in_features != len(parent):
        raise DeclarationError(f"{linear!r} follows a layer of {len(parent)} units: the Sequential does not fit itself")
    return net.layer(name, size=linear.out_features, map=Affine(link), parents=[parent])


def _weights(net: Network, linears: list[torch.nn.Linear]) -> Parameters:
    program, layers = compile(net), [layer for layer in net.snapshot().layers if not layer.is_input]
    flat = numpy.zeros(program.layout.size)
    for layer, linear in zip(layers, linears, strict=True):
        weights = _array(linear.weight)
        bias = numpy.zeros(layer.size) if linear.bias is None else _array(linear.bias)
        reference = Reference(bias[:, None], (weights.reshape(-1, 1, 1),))
        place = program.layout[layer.name]
        stored = AffineCoordinates(layer, program.lowered.spaces).from_reference(reference)
        flat[place.offset : place.stop] = stored[place.mask]
    return Parameters(flat, layout=program.layout)


def _array(tensor: torch.Tensor) -> NDArray:
    return tensor.detach().to(device="cpu", dtype=torch.float64).numpy()


def _chain(declaration: Declaration) -> list[Layer]:
    """The layers between the input and the interpretation, checked."""
    inputs = [layer.name for layer in declaration.layers if layer.is_input]
    layers = [layer for layer in declaration.layers if not layer.is_input]
    if len(inputs) != 1 or len(declaration.outputs) != 1:
        raise DeclarationError(
            f"a Sequential has one input and one output, network {declaration.name!r} has {len(inputs)} input layers and "
            f"{len(declaration.outputs)} interpretations"
        )
    for before, layer in zip(inputs + [layer.name for layer in layers], layers, strict=False):
        _check_link(layer)
        if {edge.parent for edge in layer.edges} != {before} or declaration.layer(before).manifold.hull_dim != 1:
            read = ", ".join(dict.fromkeys(edge.parent for edge in layer.edges))
            raise DeclarationError(
                f"layer {layer.name!r} reads {read}: in a Sequential it reads the layer before it, {before!r}, alone, and "
                "units have one dimension"
            )
    sources = declaration.outputs[0].sources
    last = layers[-1]
    if [(source.layer, source.units) for source in sources] != [(last.name, tuple(range(last.size)))]:
        raise DeclarationError(
            f"the interpretation reads other units than all of the last layer, {last.name!r}, in order"
        )
    return layers


def _check_link(layer: Layer) -> None:
    name = layer.map.link.name if isinstance(layer.map, Affine) else None
    if name is None or layer.manifold.dim != 1 or not _link_is_known(name):
        shown = "no map" if layer.map is None else layer.map.name
        raise DeclarationError(
            f"layer {layer.name!r} ({shown}, on {layer.manifold}) has no module in torch: there are affine one-dimensional "
            f"units with the links identity, {', '.join(MODULES)}"
        )


def _link_is_known(name: str) -> bool:
    return name in ("identity", *MODULES) or name.startswith("softplus(beta=")


def _link_modules(layer: Layer) -> list[torch.nn.Module]:
    assert isinstance(layer.map, Affine)
    name = layer.map.link.name
    if name.startswith("softplus("):
        beta, threshold = (float(part.partition("=")[2]) for part in name[len("softplus(") : -1].split(", "))
        return [torch.nn.Softplus(beta, threshold)]
    return [] if name == "identity" else [MODULES[name]()]


def _linear(declaration: Declaration, layer: Layer, reference: Reference) -> torch.nn.Linear:
    parents = declaration.layer(layer.edges[0].parent).size
    weights = numpy.zeros((layer.size, parents))
    for edge, part in zip(layer.edges, reference.weights, strict=True):
        units, places = numpy.nonzero(edge.mask)
        # a unit that is read by two edges has two weights, which add
        numpy.add.at(weights, (units, numpy.asarray(edge.units)[places]), part[:, 0, 0])
    linear: Any = torch.nn.Linear(parents, layer.size, dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weights))
        linear.bias.copy_(torch.from_numpy(numpy.array(reference.bias[:, 0])))
    return linear
