"""What the metrics of a case must be, from the reference: averages over samples, taken one at a time."""

from collections.abc import Iterator, Sequence

import numpy
import scipy.linalg
from numpy.typing import NDArray

from tests.oracles import spaces
from tests.oracles.networks import Case
from tests.oracles.reference import Unit


def natural(case: Case) -> NDArray:
    return numpy.mean([sample.natural() for sample in case.references], axis=0)


def outer_product(case: Case) -> NDArray:
    return outer_products(gradients(case))


def gradients(case: Case) -> NDArray:
    """dl/dtheta of each sample, (samples, tangents)."""
    return numpy.array([sample.gradient(case.target(s)) for s, sample in enumerate(case.references)])


def outer_products(rows: NDArray) -> NDArray:
    """The average of the outer products of rows (n, tangents)."""
    return rows.T @ rows / len(rows)


def backpropagated(case: Case) -> NDArray:
    """Equation 58, and for output parameters the blocks of the natural metric."""
    full = natural(case)
    found = numpy.zeros_like(full)
    for owner, place in case.reference.places.items():
        block = _backpropagated_block(case, owner) if isinstance(owner, tuple) else full[place.tangent, place.tangent]
        found[place.tangent, place.tangent] = block
    return found


def _backpropagated_block(case: Case, unit: Unit) -> NDArray:
    blocks = []
    for sample in case.references:
        rate = sample.own_rate(unit)
        blocks.append(rate.T @ sample.backpropagated_moduli[unit] @ rate)
    return numpy.mean(blocks, axis=0)


def unitwise(case: Case, matrix: NDArray) -> NDArray:
    """The diagonal blocks of the units and of the interpretations, zero elsewhere."""
    found = numpy.zeros_like(matrix)
    for place in case.reference.places.values():
        found[place.tangent, place.tangent] = matrix[place.tangent, place.tangent]
    return found


def quasi_diagonal(case: Case, matrix: NDArray) -> NDArray:
    """Definition 23 for the affine units, in affine coordinates, pulled back to their charts; else full blocks."""
    found = unitwise(case, matrix)
    for unit, place, frame, block in _affine_blocks(case, matrix):
        q, widths = parent_widths(case, unit)
        found[place, place] = frame.T @ reduced(block, q, widths) @ frame
    return found


def _affine_blocks(case: Case, matrix: NDArray) -> Iterator[tuple[Unit, slice, NDArray, NDArray]]:
    """For each affine unit its place, the frame of its chart and its block in affine coordinates."""
    for owner, place in case.reference.places.items():
        if isinstance(owner, tuple) and case.recipe.layer(owner[0]).is_affine:
            frame = affine_frame(case, owner)
            back = numpy.linalg.inv(frame)
            yield owner, place.tangent, frame, back.T @ matrix[place.tangent, place.tangent] @ back


def conditioning(case: Case, matrix: NDArray) -> float:
    """By how much A_00^+ of units of several dimensions amplifies rounding: 1 for scalar units.

    A_00 has either full rank or a kernel of rounding; in between (infinity) no digits of A~ are certain.
    """
    worst = 1.0
    for unit, _, _, block in _affine_blocks(case, matrix):
        q, _ = parent_widths(case, unit)
        values = numpy.linalg.eigvalsh(block[:q, :q])
        relative = values[values > 1e-14 * values[-1]] / (values[-1] or 1.0)
        if len(relative):
            worst = max(worst, 1.0 / relative[0] if relative[0] > 1e-9 else numpy.inf)
    return worst


def affine_frame(case: Case, unit: Unit) -> NDArray:
    """d (bias and weights)/d stored numbers, which the chart of the unit's parameters gives."""
    layer, place = case.recipe.layer(unit[0]), case.reference.places[unit]
    stored = case.theta.flat[place.stored]
    moves = numpy.eye(len(stored))
    return spaces.derivative(lambda u: case.reference.affine_parameters(layer, u), stored[None], moves).T


def parent_widths(case: Case, unit: Unit) -> tuple[int, list[int]]:
    """q, and for each parent the number of weights q e."""
    q = case.recipe.layer(unit[0]).manifold.dim
    read = [k for edge in case.reference.wires[unit] for k in edge]
    return q, [q * spaces.hull_dim(case.recipe.layer(k[0]).manifold) for k in read]


def reduced(block: NDArray, q: int, widths: Sequence[int]) -> NDArray:
    """A~ of definition 23, in blocks: A_00, A_0i and A_ii are kept, the others become A_i0 A_00^+ A_0i'."""
    bias = numpy.linalg.pinv(block[:q, :q], rcond=1e-11, hermitian=True)
    found = block[:, :q] @ bias @ block[:q, :]
    kept = scipy.linalg.block_diag(numpy.ones((q, q)), *(numpy.ones((k, k)) for k in widths)) > 0.0
    kept[:q], kept[:, :q] = True, True
    return numpy.where(kept, block, found)
