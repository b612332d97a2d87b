"""Changes of charts, and the same situation on both sides of one."""

from functools import cached_property
from typing import final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.transport import transport
from manifoldnet.declare.network import Network
from manifoldnet.laws.situation import Situation


@final
@attrs.frozen(eq=False)
class Change:
    """A network in other charts; `bends` where parameters get a chart that is not affine."""

    name: str
    other: Network
    bends: bool = False


@final
@attrs.frozen(eq=False, slots=False)
class Pair:
    """A situation, and the same in other charts."""

    before: Situation
    change: Change

    @cached_property
    def after(self) -> Situation:
        return self.before.redeclared(self.change.other, self.carried(self.before.theta))

    def carried(self, theta: Parameters | NDArray) -> Parameters:
        """The coordinates of parameters after the change."""
        moved = transport(self.before.program.parameters(theta), self.before.net, self.change.other)
        assert isinstance(moved, Parameters)
        return moved

    def tangent(self, flat: NDArray, at: Parameters | None = None) -> NDArray:
        """A flat tangent at `at` (here, if not given) after the change."""
        at = self.before.theta if at is None else at
        vector = self.before.program.tangent(flat)
        return transport(vector, self.before.net, self.change.other, at=at).flat

    @cached_property
    def _spread(self) -> tuple[NDArray, NDArray, NDArray]:
        size = self.before.program.tangent_layout.size
        drawn = self.before.rng(1).uniform(0.5, 1.5, (2, size))
        return drawn, self.tangent(drawn[0]), self.tangent(drawn[1])

    @cached_property
    def is_orthogonal(self) -> bool:
        """Whether the coordinates of tangents keep their Euclidean lengths, so that plain backpropagation sees nothing."""
        drawn, first, _ = self._spread
        return bool(numpy.isclose(first @ first, drawn[0] @ drawn[0], rtol=1e-6))

    @cached_property
    def is_diagonal(self) -> bool:
        """Whether each coordinate of tangents is only scaled, so that diagonal metrics see nothing."""
        drawn, first, second = self._spread
        return first.shape == drawn[0].shape and numpy.allclose(first / drawn[0], second / drawn[1], rtol=1e-6)

    def covector(self, flat: NDArray) -> NDArray:
        """A flat covector here after the change."""
        from_here = self.before.here.differential()
        vector = attrs.evolve(from_here, flat=flat)
        return transport(vector, self.before.net, self.change.other, at=self.before.theta).flat

    def moved(self, before: NDArray, after: NDArray) -> float:
        """How far outputs after the change differ from those before, over how far they have moved from here."""
        start = self.before.outputs()
        distance = float(numpy.abs(before - start).max())
        return float(numpy.abs(after - before).max()) / distance if distance else numpy.nan
