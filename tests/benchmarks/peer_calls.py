"""The same work by PyTorch and by libraries for it, each as a call that gives what the library gives.

Matrices and vectors come in PyTorch's order: for each layer its weights, then its biases.
"""

from collections.abc import Callable

import backpack
import numpy
import torch
from backpack.extensions import SqrtGGNExact
from curvlinops import GGNLinearOperator
from nngeometry.metrics import FIM
from nngeometry.object.pspace import PMatDense, PMatQuasiDiag
from numpy.typing import NDArray
from torch.func import functional_call, jacrev, vmap
from torch.utils.data import DataLoader, TensorDataset

import manifoldnet as mn
from tests.benchmarks.work import Work

Call = Callable[[], NDArray]

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def model_of(work: Work) -> torch.nn.Sequential:
    """The same network with the same parameters."""
    parts: list[torch.nn.Module] = []
    for place in mn.compile(work.net).layout:
        table = torch.tensor(work.theta[place.offset : place.stop].reshape(place.units, -1))
        linear = torch.nn.Linear(table.shape[1] - 1, len(table))
        linear.bias.data, linear.weight.data = table[:, 0].clone(), table[:, 1:].clone()
        parts += [linear, torch.nn.Tanh()]
    return torch.nn.Sequential(*parts[:-1])


def order_of(work: Work) -> NDArray[numpy.int_]:
    """Where PyTorch's parameters stand in the flat vector."""
    found = []
    for place in mn.compile(work.net).layout:
        table = numpy.arange(place.offset, place.stop).reshape(place.units, -1)
        found += [table[:, 1:].reshape(-1), table[:, 0]]
    return numpy.concatenate(found)


def torch_gradient(work: Work) -> Call:
    model, x, y = model_of(work), torch.tensor(work.inputs), torch.tensor(work.targets)

    def call() -> NDArray:
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        return torch.cat([p.grad.reshape(-1) for p in model.parameters()]).numpy()

    return call


def func_fisher(work: Work) -> Call:
    model, x = model_of(work), torch.tensor(work.inputs)
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    jacobian = vmap(jacrev(lambda p, one: functional_call(model, p, (one,))), in_dims=(None, 0))

    def call() -> NDArray:
        rows = torch.cat([part.flatten(2) for part in jacobian(parameters, x).values()], dim=2)
        p = torch.softmax(model(x).detach(), dim=1)
        centred = rows - (p[:, :, None] * rows).sum(dim=1, keepdim=True)
        weighted = (centred * p.sqrt()[:, :, None]).flatten(0, 1) / len(x) ** 0.5
        return (weighted.T @ weighted).numpy()

    return call


def backpack_fisher(work: Work) -> Call:
    model, x, y = model_of(work), torch.tensor(work.inputs), torch.tensor(work.targets)
    model, loss = backpack.extend(model), backpack.extend(torch.nn.CrossEntropyLoss())

    def call() -> NDArray:
        model.zero_grad()
        with backpack.backpack(SqrtGGNExact()):
            loss(model(x), y).backward()
        rows = torch.cat([p.sqrt_ggn_exact.flatten(2) for p in model.parameters()], dim=2).flatten(0, 1)
        return (rows.T @ rows).numpy()

    return call


def _loader(work: Work) -> DataLoader:
    data = TensorDataset(torch.tensor(work.inputs), torch.tensor(work.targets))
    return DataLoader(data, batch_size=len(work.inputs))


def nngeometry_fisher(work: Work) -> Call:
    model, loader = model_of(work), _loader(work)
    return lambda: FIM(model, loader, PMatDense).to_torch().detach().numpy()


def nngeometry_quasi_diagonal(work: Work) -> Call:
    """The diagonal alone is compared; the rest of the entries is computed too."""
    model, loader = model_of(work), _loader(work)
    return lambda: FIM(model, loader, PMatQuasiDiag).get_diag().detach().numpy()


def curvlinops_fisher(work: Work) -> Call:
    model, x, y = model_of(work), torch.tensor(work.inputs), torch.tensor(work.targets)
    parameters, loss = list(model.parameters()), torch.nn.CrossEntropyLoss()

    def call() -> NDArray:
        operator = GGNLinearOperator(model, loss, parameters, [(x, y)], check_deterministic=False)
        found = operator @ torch.eye(operator.shape[1])
        return found.detach().numpy()

    return call
