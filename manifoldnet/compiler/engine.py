"""The seam between programs and backends that compile whole evaluations."""

import abc
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from manifoldnet.compiler.recipes import (
    DampingRecipe,
    Kept,
    MetricRecipe,
    ModulusRecipe,
    OnlineRecipe,
    RowsRecipe,
    StepRules,
)

if TYPE_CHECKING:
    from manifoldnet.compiler.run import Run

ByLayer = dict[str, NDArray]
# What numbers a backend computes with.
Precision = Literal["float64", "float32"]


class Engine(abc.ABC):
    """What a backend answers about a run in place of the reference's stages: NumPy arrays in, NumPy arrays out."""

    @property
    @abc.abstractmethod
    def shares_batches(self) -> bool:
        """Whether every batch is cut over several devices."""

    @abc.abstractmethod
    def refuse_traced(self, *values: Any) -> None:
        """Raise CompilationError for values that a caller's own transformation is tracing."""

    @abc.abstractmethod
    def outputs(self, run: "Run") -> ByLayer:
        """omega on all samples, by interpretation."""

    @abc.abstractmethod
    def losses(self, run: "Run") -> NDArray:
        """The loss of each sample in nats, (samples,), summed over interpretations."""

    @abc.abstractmethod
    def differential(self, run: "Run") -> NDArray:
        """dL/dtheta of the average loss, (size,)."""

    @abc.abstractmethod
    def natural_products(self, run: "Run", tangents: Sequence[NDArray]) -> NDArray:
        """The inner products of k flat tangents in the natural metric (eq. 64), (k, k)."""

    @abc.abstractmethod
    def averages(self, run: "Run", recipe: ModulusRecipe, kept: Kept) -> tuple[list[Any], list[NDArray]]:
        """Averages over samples of what is kept of each group's blocks, and of the moduli of each stage with parameters.

        Groups stand in the order of the partition.
        """

    @abc.abstractmethod
    def floor(self, run: "Run", weights: Sequence[NDArray], kept: Kept) -> list[Any]:
        """E[c] E[a~ a~^T] of each stage with parameters, zero for those that are not affine."""

    @abc.abstractmethod
    def rows(self, run: "Run", recipe: RowsRecipe) -> NDArray:
        """The rows over all parameters, (rows x samples, size)."""

    @abc.abstractmethod
    def gram(self, run: "Run", recipe: RowsRecipe) -> NDArray:
        """The sum over samples of the rows' outer products, (size, size)."""

    @abc.abstractmethod
    def activities(self, run: "Run") -> ByLayer:
        """The activity of every unit, (samples, units, size), by layer."""

    @abc.abstractmethod
    def outer_covectors(self, run: "Run", seeds: Mapping[str, NDArray]) -> ByLayer:
        """Covectors on output numbers (k, samples, n) pulled back to every layer, (k, samples, units, dim)."""

    @abc.abstractmethod
    def outer_moduli(self, run: "Run") -> ByLayer:
        """The backpropagated modulus of every unit, (samples, units, dim, dim), by layer."""

    @abc.abstractmethod
    def seeds(self, run: "Run", recipe: RowsRecipe) -> Mapping[str, NDArray]:
        """The covectors on output numbers that a recipe starts from, (k, samples, n), by interpretation."""

    @abc.abstractmethod
    def descent(
        self,
        recipe: MetricRecipe | None,
        damping: DampingRecipe,
        growth: float,
        cut: float,
        length: int,
        points: Mapping[str, NDArray],
        targets: Mapping[str, NDArray],
    ) -> Any:
        """Full-batch steps with an adaptive rate, compiled in runs of `length`; or, as text, why they cannot be."""

    @abc.abstractmethod
    def online(
        self, recipe: OnlineRecipe, index: tuple[NDArray, ...], length: int, numbers: Mapping[str, float]
    ) -> Any:
        """Online steps, compiled in runs of `length` samples; or, as text, why they cannot be.

        `index` has the positions of each group of units, (U, p); `numbers` are `gamma`, `slack`, `least_fall`
        and `most_fall`.
        """

    @abc.abstractmethod
    def minibatches(
        self, recipe: MetricRecipe | None, damping: DampingRecipe, rules: StepRules, momentum: bool, length: int
    ) -> Any:
        """Steps on batches with an averaged metric, compiled in runs of `length`; or, as text, why they cannot be."""
