"""What is timed: pairs of the library's way and a hand-written one for the same result."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy
from numpy.typing import NDArray

import manifoldnet as mn
from manifoldnet.compiler.rule import MetricRule
from manifoldnet.compiler.run import Run
from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.shared_reads import SharedReads
from manifoldnet.linalg.tensor import Damping
from manifoldnet.linalg.units import Partition
from tests.benchmarks.hand_dense import DenseNet
from tests.benchmarks.hand_sparse import SparseNet
from tests.benchmarks.work import EPS, RATE, Work, dense, masks, small_dense, sparse

Call = Callable[[], Any]


@attrs.frozen
class Entry:
    """One line of the table: both calls give the same numbers, as `same` reads them.

    `by_hand` is None where the library is timed alone, or against other ways of the library.
    """

    name: str
    library: Call
    by_hand: Call | None
    same: Callable[[Any], NDArray] = numpy.asarray
    limit: float = 1.5


def step(work: Work, program: mn.Program, rule: MetricRule | None, damping: Damping | None = None) -> Call:
    """One whole step: forward pass, differential, metric, solution, new parameters. Data are checked beforehand."""
    data, theta = program.prepare(work.inputs, work.targets), program.parameters(work.theta)
    used = damping or mn.Tikhonov(EPS)

    def call() -> NDArray:
        here = Run(program, theta, *data, None)
        slope = here.differential()
        direction = slope.flat if rule is None else here.metric(rule).solve(slope, used)
        return program.step(here.theta, -RATE * direction).flat

    return call


def sparse_entries() -> list[Entry]:
    """W1: whole steps."""
    work = sparse()
    program, net = mn.compile(work.net), SparseNet(masks(work.net), EPS, RATE)
    given = (work.theta, work.inputs, work.targets)
    fisher, modulus = mn.UnitwiseNatural(), mn.Backpropagated()
    return [
        Entry("W1 gradient", step(work, program, None), lambda: net.gradient_step(*given)),
        Entry(
            "W1 quasi-diagonal backpropagated",
            step(work, program, mn.QuasiDiagonal(modulus)),
            lambda: net.quasi_diagonal_step(*given),
        ),
        Entry(
            "W1 quasi-diagonal Fisher",
            step(work, program, mn.QuasiDiagonal(fisher)),
            lambda: net.quasi_diagonal_step(*given, fisher=True),
        ),
        Entry("W1 backpropagated blocks", step(work, program, modulus), lambda: net.block_step(*given)),
        Entry("W1 Fisher blocks", step(work, program, fisher), lambda: net.block_step(*given, fisher=True)),
    ]


def general_entries() -> list[Entry]:
    """W1 by automatic differentiation, against the affine plan."""
    work = sparse()
    affine, general = mn.compile(work.net), mn.compile(work.net, lowering="general")
    rules = {"gradient": None, "quasi-diagonal": mn.QuasiDiagonal(mn.Backpropagated()), "blocks": mn.Backpropagated()}
    return [
        Entry(f"W1 general {name}", step(work, general, rule), step(work, affine, rule), limit=8.0)
        for name, rule in rules.items()
    ]


def dense_entries() -> list[Entry]:
    """W2: the gradient, and what stands for the metric."""
    work = dense()
    program, net = mn.compile(work.net), DenseNet((784, 128, 64, 10), EPS)
    formed = mn.compile(work.net, plans=dict.fromkeys(("h1", "h2", "y"), "dense"))
    given = (work.theta, work.inputs, work.targets)
    here, there = work.run(program), work.run(formed)
    modulus = mn.Backpropagated()
    return [
        Entry(
            "W2 gradient",
            lambda: attrs.evolve(here).differential().flat,
            lambda: net.gradient(*given),
        ),
        Entry(
            "W2 quasi-diagonal entries",
            lambda: attrs.evolve(here).metric(mn.QuasiDiagonal(modulus)),
            lambda: net.quasi_diagonal_entries(*given[:2]),
            _entries,
        ),
        Entry(
            "W2 quasi-diagonal step",
            lambda: _solution(attrs.evolve(here), mn.QuasiDiagonal(modulus)),
            lambda: net.quasi_diagonal_step(*given),
        ),
        Entry(
            "W2 all blocks formed",
            _forming(there, modulus, formed.partition),
            lambda: net.packed_blocks(*given[:2]),
            _triangles,
        ),
        Entry(
            "W2 blocks and solution", lambda: _solution(attrs.evolve(there), modulus), lambda: net.primal_step(*given)
        ),
        Entry("W2 dual step", lambda: _solution(attrs.evolve(here), modulus), lambda: net.dual_step(*given)),
    ]


def matrix_entries() -> list[Entry]:
    """W3: the whole Fisher matrix."""
    work = small_dense()
    program, net = mn.compile(work.net), DenseNet((20, 20, 10), EPS)
    here = work.run(program)
    return [
        Entry(
            "W3 Fisher matrix",
            lambda: attrs.evolve(here).metric(mn.Natural()),
            lambda: net.fisher(work.theta, work.inputs),
            lambda found: found if isinstance(found, numpy.ndarray) else found.as_matrix(),
        )
    ]


def natural_entries() -> list[Entry]:
    """The exact natural step of W1's network, 1,470 parameters and 1,600 rows, and of W2's, 109,386 and 2,560."""
    work, sparse_work = dense(), sparse()
    sparse_net = SparseNet(masks(sparse_work.net), EPS, RATE)
    bordered, given = mn.compile(sparse_work.net), (sparse_work.theta, sparse_work.inputs, sparse_work.targets)
    program, net = mn.compile(work.net), DenseNet((784, 128, 64, 10), EPS)
    here = work.run(program)
    return [
        Entry("W1 natural step", step(sparse_work, bordered, mn.Natural()), lambda: sparse_net.natural_step(*given)),
        Entry("W1 natural step, Intrinsic", step(sparse_work, bordered, mn.Natural(), mn.Intrinsic(1e-2)), None),
        Entry(
            "natural step, Tikhonov",
            lambda: _solution(attrs.evolve(here), mn.Natural()),
            lambda: net.natural_step(work.theta, work.inputs, work.targets),
        ),
        Entry(
            "natural step, Intrinsic",
            lambda: _solution(attrs.evolve(here), mn.Natural(), mn.Intrinsic(1e-2)),
            None,
        ),
    ]


def _solution(here: Any, rule: MetricRule, damping: Damping | None = None) -> NDArray:
    return here.metric(rule).solve(here.differential(), damping or mn.Tikhonov(EPS))


def _forming(here: Run, rule: MetricRule, partition: Partition) -> Call:
    """All blocks, in memory that is kept from call to call: first use of so much costs more than the arithmetic."""
    kept = [numpy.empty((group.units, group.width, group.width)) for group in partition.groups]

    def call() -> list[NDArray]:
        tensor = attrs.evolve(here).metric(rule)
        assert isinstance(tensor, Blocks)
        return [
            part.formed_in(out) if isinstance(part, SharedReads) else part
            for part, out in zip(tensor.blocks, kept, strict=True)
        ]

    return call


def _entries(found: Any) -> NDArray:
    """A_00, A_0i and A_ii, layer by layer."""
    if isinstance(found, list):
        return numpy.concatenate([part.reshape(-1) for layer in found for part in layer])
    layers = [(layer.bias, *layer.cross, *layer.own) for layer in found.entries]
    return numpy.concatenate([part.reshape(-1) for layer in layers for part in layer])


def _triangles(found: Any) -> NDArray:
    """Some rows of the upper triangles of all blocks."""
    if isinstance(found[0], list):
        return numpy.concatenate([rows[i].reshape(-1) for rows in found for i in range(0, len(rows), 13)])
    parts = [part[:, i, i:].reshape(-1) for part in found for i in range(0, part.shape[1], 13)]
    return numpy.concatenate(parts)


GROUPS: dict[str, Callable[[], list[Entry]]] = {
    "sparse": sparse_entries,
    "general": general_entries,
    "dense": dense_entries,
    "matrix": matrix_entries,
    "natural": natural_entries,
}
