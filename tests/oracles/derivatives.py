"""Losses, gradients and metrics of the reference, from the definitions: expectations over all outcomes, one sample
and one unit at a time."""

from functools import cached_property

import attrs
import numpy
from numpy.typing import NDArray

from tests.oracles import spaces
from tests.oracles.recipe import OutputOf
from tests.oracles.reference import Activities, Reference, Unit
from tests.oracles.spaces import STEP, derivative

Inputs = dict[str, NDArray]
Targets = dict[str, NDArray]


@attrs.frozen(eq=False, slots=False)
class Sample:
    """The reference at parameters `theta` (count,) on one sample: input points by layer, (units, *shape)."""

    reference: Reference
    theta: NDArray
    inputs: Inputs

    @cached_property
    def activities(self) -> Activities:
        """(1, *shape) for each unit."""
        return self._run(self.theta[None])

    @cached_property
    def _turned(self) -> tuple[NDArray, Activities]:
        """The network at theta + i h v for every tangent v at once."""
        moved = self.theta + 1j * STEP * self.reference.directions(self.theta)
        return moved, self._run(moved)

    def _run(self, theta: NDArray, held: Activities | None = None) -> Activities:
        inputs = {name: numpy.broadcast_to(x, (len(theta), *x.shape)) for name, x in self.inputs.items()}
        found = self.reference.activities(theta, inputs, held or {})
        return {unit: numpy.broadcast_to(a, (len(theta), *a.shape[1:])) for unit, a in found.items()}

    def loss(self, targets: Targets) -> float:
        return sum(
            float(self._losses(o, self.theta[None], self.activities, targets[o.name][None])[0, 0]) for o in self.outputs
        )

    def gradient(self, targets: Targets) -> NDArray:
        """dl/dtheta along each tangent, (tangents,)."""
        return sum((self._scores(o, targets[o.name][None])[:, 0] for o in self.outputs), numpy.zeros(1))

    @property
    def outputs(self) -> tuple[OutputOf, ...]:
        return self.reference.recipe.outputs

    def point(self, output: OutputOf) -> NDArray:
        z, v = self._read(output)
        return self.reference.meaning(output).point(z[None], v[None])[0]

    def _losses(self, output: OutputOf, theta: NDArray, activities: Activities, y: NDArray) -> NDArray:
        """(b, outcomes) losses of all the outcomes y."""
        z = self.reference.numbers(output, activities)[:, None]
        v = self.reference.vartheta(output, theta)[:, None]
        return self.reference.meaning(output).loss(z, v, y)

    def _scores(self, output: OutputOf, y: NDArray) -> NDArray:
        """dl(y)/dtheta, (tangents, outcomes)."""
        return numpy.imag(self._losses(output, *self._turned, y)) / STEP

    def _read(self, output: OutputOf) -> tuple[NDArray, NDArray]:
        z = self.reference.numbers(output, self.activities)[0]
        return z, self.reference.vartheta(output, self.theta[None])[0]

    def moved(self, *units: Unit) -> Activities:
        """All activities while one unit after another moves along its basis: whatever that causes downstream."""
        runs = []
        for unit in units:
            a = self.activities[unit]
            held = {unit: a + 1j * STEP * self.bases[unit].T.reshape(-1, *a.shape[1:])}
            runs.append(self._run(numpy.broadcast_to(self.theta, (self.dim(unit), len(self.theta))), held))
        return {unit: numpy.concatenate([run[unit] for run in runs]) for unit in runs[0]}

    def effects(self, targets: Targets, unit: Unit) -> NDArray:
        """dl/da_k, whatever a change of the unit's activity causes downstream, (dim,) in its basis."""
        activities = self.moved(unit)
        theta = numpy.broadcast_to(self.theta, (self.dim(unit), len(self.theta)))
        losses = sum(self._losses(o, theta, activities, targets[o.name][None])[:, 0] for o in self.outputs)
        return numpy.imag(losses) / STEP

    def fisher_modulus(self, *units: Unit) -> NDArray:
        """Phi of the joint activities of units, with the pairs Phi_kk' off its diagonal blocks, in their bases."""
        activities = self.moved(*units)
        return sum((self._pulled_back(o, self.theta[None], activities) for o in self.outputs), numpy.zeros(1))

    # ---------------------------------------------------------------- metrics of one sample

    def natural(self) -> NDArray:
        """E_y of the outer product of scores (proposition 27), or (domega)^T Omega domega; summed over outputs."""
        return sum((self._pulled_back(output, *self._turned) for output in self.outputs), numpy.zeros(1))

    def _pulled_back(self, output: OutputOf, theta: NDArray, activities: Activities) -> NDArray:
        """The metric of one interpretation on whatever (theta, activities) were turned by i h, (b, b)."""
        meaning = self.reference.meaning(output)
        z, v = self._read(output)
        if meaning.outcomes is not None:
            weights, y = meaning.outcomes(z, v)
            scores = numpy.imag(self._losses(output, theta, activities, y)) / STEP
            return (scores * weights) @ scores.T
        moved = meaning.point(self.reference.numbers(output, activities), self.reference.vartheta(output, theta))
        slopes = numpy.imag(moved) / STEP
        assert meaning.metric is not None
        return slopes @ meaning.metric(meaning.point(z[None], v[None])[0]) @ slopes.T

    @cached_property
    def bases(self) -> dict[Unit, NDArray]:
        """A basis (size, dim) of the tangent space at each unit's activity."""
        manifold = self.reference._manifold
        return {unit: spaces.tangents(manifold(unit), a[0]) for unit, a in self.activities.items()}

    def direct(self, unit: Unit) -> NDArray:
        """The squared length of the change of omega when only this unit's activity moves (eq. 56), in its basis."""
        directions = self.bases[unit].T.reshape(-1, *self.activities[unit].shape[1:])
        alone = {k: numpy.broadcast_to(a, (len(directions), *a.shape[1:])) for k, a in self.activities.items()}
        alone[unit] = self.activities[unit] + 1j * STEP * directions
        return sum((self._pulled_back(o, self.theta[None], alone) for o in self.outputs), numpy.zeros(1))

    def dim(self, unit: Unit) -> int:
        return self.bases[unit].shape[1]

    @cached_property
    def backpropagated_moduli(self) -> dict[Unit, NDArray]:
        """m_k by the recursion (56)-(57): a perturbation of a unit has the squared length of what it causes
        directly, plus those of the perturbations that it causes in the units that read it, one by one."""
        found: dict[Unit, NDArray] = {}
        for unit in reversed(list(self.activities)):
            total = self.direct(unit)
            for child in found:
                caused = self.rate(child, unit)
                if caused is not None:
                    total = total + caused.T @ found[child] @ caused
            found[unit] = total
        return found

    def rate(self, child: Unit, unit: Unit) -> NDArray | None:
        """da_j/da_k in the bases of both, (dim j, dim k); None if j does not read k."""
        if unit not in [k for edge in self.reference.wires[child] for k in edge]:
            return None
        shape = self.activities[unit].shape[1:]
        directions = self.bases[unit].T.reshape(-1, *shape)

        def moved(a: NDArray) -> NDArray:
            points = {**self.activities, unit: a}
            return self._value(child, self.theta[None], points)

        return self._in_basis(child, derivative(moved, self.activities[unit], directions))

    def own_rate(self, unit: Unit) -> NDArray:
        """da_k/dtheta_k, (dim, tangents of the unit)."""
        place = self.reference.places[unit]
        directions = self.reference.directions(self.theta)[place.tangent]
        slopes = derivative(lambda t: self._value(unit, t, self.activities), self.theta[None], directions)
        return self._in_basis(unit, slopes)

    def _value(self, unit: Unit, theta: NDArray, points: Activities) -> NDArray:
        place = self.reference.places.get(unit)
        batch = max([len(theta)] + [len(points[k]) for edge in self.reference.wires[unit] for k in edge])
        theta = numpy.broadcast_to(theta, (batch, theta.shape[1]))
        parents = [
            [numpy.broadcast_to(points[k], (batch, *points[k].shape[1:])) for k in edge]
            for edge in self.reference.wires[unit]
        ]
        return self.reference.value(unit, theta[:, place.stored] if place else theta[:, :0], parents)

    def _in_basis(self, unit: Unit, slopes: NDArray) -> NDArray:
        return numpy.linalg.pinv(self.bases[unit]) @ slopes.reshape(len(slopes), -1).T
