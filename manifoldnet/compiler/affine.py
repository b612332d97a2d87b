"""The affine stage: phi(bias + weights . readings)."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.affine_linearisation import AffineLinearisation
from manifoldnet.compiler.columns import ColumnSource, ParentBlocks
from manifoldnet.compiler.products import times, times_large
from manifoldnet.compiler.rates import IDENTITY, Rate, rate_of_matrix
from manifoldnet.compiler.spaces import ActivitySpace
from manifoldnet.compiler.stage import Points, Reading, Slot, Stage
from manifoldnet.declare.interpretations.interpretation import Scale
from manifoldnet.declare.links import Link, keeps_to
from manifoldnet.linalg.units import Units

# Weights, from so many on, come first in products with what units read.
_LARGE = 2**16


@final
@attrs.frozen(eq=False, slots=False)
class AffineStage(Stage):
    """Affine units that share a link, a manifold and charts.

    `dense` says that all units read the same columns in the same order.
    """

    slots: tuple[Slot, ...]
    stored: Units
    group: Units
    link: Link
    space: ActivitySpace
    sources: tuple[ColumnSource, ...]
    blocks: tuple[ParentBlocks, ...]
    preactivation_scale: NDArray
    preactivation_shift: NDArray
    dense: bool

    @cached_property
    def inner_dim(self) -> int:  # type: ignore[override]
        return self.space.dim

    @cached_property
    def parent_layers(self) -> tuple[str, ...]:
        return tuple(parent.layer for parent in self.sources)

    @cached_property
    def columns(self) -> int:
        return self.sources[-1].stop

    @cached_property
    def is_scalar(self) -> bool:
        """Whether pre-activations and what is read all have one dimension (q = e = 1)."""
        return self.inner_dim == 1 and len(self.blocks) == 1 and self.blocks[0].columns.shape[2] == 1

    @cached_property
    def has_scalar_rate(self) -> bool:
        """Whether d outer/d inner is one number a unit."""
        return self.is_scalar and self.space.dim == 1 and (self.space.is_trivial or self.space.reads_chart)

    @cached_property
    def rate_is_slope(self) -> bool:
        """Whether d outer/d inner is the derivative of the link: neither has a chart."""
        return self.space.is_trivial and self.preactivation_rate is None

    @property
    def shares_reads(self) -> bool:
        """Whether all units read the same scalars in the same order."""
        return self.is_scalar and self.dense

    @cached_property
    def is_plain_reader(self) -> bool:
        """Whether all it reads is one whole layer of scalars in its own coordinates."""
        (source, *others) = self.sources
        return not others and source.is_whole and source.is_scalar

    @cached_property
    def reads_as_it_is(self) -> bool:
        """Whether all it reads are the numbers that one whole layer's points are."""
        return self.is_plain_reader and self.sources[0].is_as_it_is

    @cached_property
    def order(self) -> NDArray[numpy.int_] | None:
        """For dense scalar stages the columns in the order of the weights; None if that is their own order."""
        order = self.blocks[0].columns[0, :, 0]
        return None if numpy.array_equal(order, numpy.arange(self.columns)) else order

    @cached_property
    def run(self) -> slice | None:
        """Where the parameters stand in the flat vector if they are the weight matrix as it is, unit after unit."""
        start = self.stored.start
        if start is None or not self.shares_reads or self.order is not None:
            return None
        return slice(start, start + self.stored.index.size)

    def linearise(
        self, theta: NDArray, points: Points, weights: tuple[Any, NDArray] | None = None
    ) -> AffineLinearisation:
        """`weights` are the matrix (columns, units * q) and the biases, where they have been gathered already."""
        layer = self._layer_as_it_is
        design = self._design(points) if layer is None else points[layer][..., 0]
        matrix, bias = self.weights(theta) if weights is None else weights
        values = self.preactivations(design, matrix, bias).reshape(self._inner_shape)
        if not self._plain_preactivation:
            values = self._preactivation(values)
        return AffineLinearisation(self, points, design, matrix, values)

    def preactivations(self, design: NDArray, matrix: Any, bias: NDArray) -> NDArray:
        """bias + weights . readings in their chart's coordinates, (samples, units * q)."""
        found = times_large(design, matrix) if self._is_large else times(design, matrix)
        found += bias
        return found

    @cached_property
    def _is_large(self) -> bool:
        """Whether products with the weights take so long that their order matters more than a copy of them."""
        return self.run is not None and self.columns * self.units > _LARGE

    def _design(self, points: Points) -> NDArray:
        """All that its units read, (samples, columns)."""
        read = [source.reading(points) for source in self.sources]
        return read[0] if len(read) == 1 else numpy.concatenate(read, axis=1)

    @cached_property
    def _layer_as_it_is(self) -> str | None:
        """The layer whose points are all it reads, number by number; None if it reads anything else."""
        return self.sources[0].layer if self.reads_as_it_is else None

    def weights(self, theta: NDArray) -> tuple[NDArray, NDArray]:
        """The weight matrix (columns, units * q), zero where units are not linked, and the biases (units * q,)."""
        if self.run is not None:
            table = theta[self.run].reshape(self.units, -1)
            # biases are added to every sample: in order that takes half the time
            return table[:, 1:].T, table[:, 0].copy()
        padded = numpy.append(theta, 0.0)
        matrix = self.matrix([padded[positions] for positions in self.stored.parents])
        return matrix, theta[self.stored.bias].reshape(-1)

    def matrix(self, parts: Sequence[NDArray]) -> NDArray:
        """Weights (units, parents, e * q) of each block as one matrix (columns, units * q)."""
        matrix = numpy.zeros((self.columns + 1) * self.units * self.inner_dim)
        for block, part in zip(self.blocks, parts, strict=True):
            matrix[block.cells] = part
        return matrix[: self.columns * self.units * self.inner_dim].reshape(self.columns, -1)

    def _preactivation(self, coordinates: NDArray) -> NDArray:
        """The pre-activation itself, (samples, units, q), from its chart's coordinates."""
        return (coordinates - self.preactivation_shift) @ numpy.linalg.inv(self.preactivation_scale).T

    @cached_property
    def _inner_shape(self) -> tuple[int, int, int]:
        return -1, self.units, self.inner_dim

    @cached_property
    def _plain_preactivation(self) -> bool:
        identity = numpy.eye(self.inner_dim)
        return numpy.array_equal(self.preactivation_scale, identity) and not self.preactivation_shift.any()

    @cached_property
    def preactivation_rate(self) -> Rate | None:
        """d pre-activation/d its chart's coordinates, None for the identity."""
        if self._plain_preactivation:
            return None
        return rate_of_matrix(numpy.linalg.inv(self.preactivation_scale))

    @cached_property
    def log_odds_rate(self) -> Rate:
        """d log-odds/d pre-activation, for a link that has it."""
        slope = self.link.log_odds_slope
        return IDENTITY if slope == 1.0 else Rate(numpy.full((1, 1, 1), slope), True)

    @cached_property
    def fills_image(self) -> bool:
        """Whether activities live on the very manifold that the link maps onto."""
        return self.space.manifold == self.link.image(self.inner_dim)

    @cached_property
    def may_leave(self) -> bool:  # type: ignore[override]
        return not keeps_to(self.link, self.space.manifold)

    def reference(self, theta: NDArray, blocks: NDArray) -> NDArray | None:
        return None

    def exact_reading(self, preactivation: NDArray, scale: Scale) -> Reading | None:
        """Activities read on a scale from pre-activations (samples, units, q), where nothing is lost; else None."""
        link, chart = self.link, self.preactivation_rate
        if scale == "log-odds" and link.log_odds_slope is not None and self.fills_image:
            slope = link.log_odds_slope
            z, rate = preactivation if slope == 1.0 else slope * preactivation, self.log_odds_rate
        elif scale == "log" and link.stable_log is not None:
            z, rate = link.stable_log.value(preactivation), Rate(link.stable_log.derivative(preactivation), True)
        else:
            return None
        return Reading(z.reshape(len(z), -1), rate if chart is None else rate.after(chart))

    def bytes_per_sample(self) -> int:
        # what one whole layer of scalars is read from is that layer itself
        copied = 0 if self._layer_as_it_is else self.columns
        # pre-activations, activities and their derivatives
        return 8 * (copied + self.units * self.inner_dim * (2 + self.inner_dim))

    def pull_bytes_per_sample(self) -> int:
        copies = 1 if self.is_plain_reader else 2
        return 8 * (copies * self.columns + self.units * self.inner_dim)

    def block_bytes_per_sample(self) -> int:
        if self.shares_reads:
            narrow = self.units if self.fan_in < 40 else 2
            return 8 * (2 * self.units + (1 + narrow) * (1 + self.fan_in))
        return 2 * 8 * self.units * self.inner_dim**2 * (1 + self.fan_in)

    @property
    def fan_in(self) -> int:
        """How many numbers a unit reads at most."""
        return sum(block.columns.shape[1] * block.columns.shape[2] for block in self.blocks)

    def describe(self) -> str:
        plan = "dense" if self.dense else "gathered"
        return f"affine ({self.link.name}), {plan}, {self.units} units x {self.fan_in} inputs"
