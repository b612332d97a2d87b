"""The same work by PyTorch, where it is installed (peers.txt)."""

import importlib.util
from collections.abc import Callable
from typing import Any

import attrs

import manifoldnet as mn
from tests.benchmarks.measure import interleaved
from tests.benchmarks.work import Work, dense, small_dense


def peer_times(seconds: float) -> list[dict[str, Any]]:
    """Seconds of the gradient of W2 by PyTorch, and of the Fisher matrix of W3 by torch.func."""
    if importlib.util.find_spec("torch") is None:
        raise SystemExit("peers need PyTorch: pip install -r tests/benchmarks/peers.txt")
    found = []
    for name, library, peer in _pairs():
        times = interleaved({"library": library, "peer": peer}, seconds)
        found.append({"name": name, "seconds": times["peer"], "library": times["library"]})
    return found


def _pairs() -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    wide, small = dense(), small_dense()
    here, there = wide.run(mn.compile(wide.net)), small.run(mn.compile(small.net))
    return [
        ("torch, W2 gradient", lambda: attrs.evolve(here).differential(), _torch_gradient(wide)),
        ("torch.func, W3 Fisher matrix", lambda: attrs.evolve(there).metric(mn.Natural()), _torch_fisher(small)),
    ]


def _model(work: Work) -> Any:
    """The same network with the same parameters."""
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    program = mn.compile(work.net)
    parts: list[Any] = []
    for place in program.layout:
        table = torch.tensor(work.theta[place.offset : place.stop].reshape(place.units, -1))
        linear = torch.nn.Linear(table.shape[1] - 1, len(table))
        linear.bias.data, linear.weight.data = table[:, 0].clone(), table[:, 1:].clone()
        parts += [linear, torch.nn.Tanh()]
    return torch.nn.Sequential(*parts[:-1])


def _torch_gradient(work: Work) -> Callable[[], object]:
    import torch

    model, x, y = _model(work), torch.tensor(work.inputs), torch.tensor(work.targets)

    def call() -> object:
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        return model[0].weight.grad

    return call


def _torch_fisher(work: Work) -> Callable[[], object]:
    import torch
    from torch.func import functional_call, jacrev, vmap

    model, x = _model(work), torch.tensor(work.inputs)
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    jacobian = vmap(jacrev(lambda p, one: functional_call(model, p, (one,))), in_dims=(None, 0))

    def call() -> object:
        rows = torch.cat([part.flatten(2) for part in jacobian(parameters, x).values()], dim=2)
        p = torch.softmax(model(x).detach(), dim=1)
        centred = rows - (p[:, :, None] * rows).sum(dim=1, keepdim=True)
        weighted = (centred * p.sqrt()[:, :, None]).flatten(0, 1) / len(x) ** 0.5
        return weighted.T @ weighted

    return call
