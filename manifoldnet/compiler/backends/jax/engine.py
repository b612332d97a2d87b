"""The JAX engine: what a program asks, answered by compiled functions, in NumPy arrays."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import attrs
import jax
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.backends.jax import jitted
from manifoldnet.compiler.backends.jax.descent import Descent, descent_of
from manifoldnet.compiler.backends.jax.mesh import Devices, to_numpy
from manifoldnet.compiler.backends.jax.minibatches import MinibatchRuns, minibatch_runs
from manifoldnet.compiler.backends.jax.online import OnlineRuns, online_runs
from manifoldnet.compiler.backends.jax.precision import in_precision, widened
from manifoldnet.compiler.backends.jax.regrouping import Regrouping
from manifoldnet.compiler.backends.jax.structure import Network, columns
from manifoldnet.compiler.data import sliced
from manifoldnet.compiler.engine import ByLayer, Engine
from manifoldnet.compiler.inside import check_inside
from manifoldnet.compiler.recipes import (
    DampingRecipe,
    Kept,
    MetricRecipe,
    ModulusRecipe,
    OnlineRecipe,
    RowsRecipe,
    StepRules,
)
from manifoldnet.compiler.run import Run
from manifoldnet.errors import CompilationError
from manifoldnet.linalg.sums import summed

Points = dict[str, NDArray]


@final
@attrs.frozen(eq=False)
class JaxEngine(Engine):
    """Compiled evaluations of one network. All run in the network's own precision, whatever the process has set, and
    nothing is traced beyond a call: inside a caller's own `jax.jit` the arguments are refused."""

    network: Network
    devices: Devices | None = None

    @property
    def shares_batches(self) -> bool:
        return self.devices is not None

    def refuse_traced(self, *values: Any) -> None:
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values)):
            raise CompilationError(
                "a program was called inside jax.jit, grad or vmap: it compiles its own functions, takes NumPy or JAX "
                "arrays and gives NumPy arrays. Call it outside, or train with mn.trainer_for, whose steps are compiled"
            )

    def outputs(self, run: Run) -> ByLayer:
        parts = [self._called(run, points, jitted.outputs) for points, _ in self._chunks(run)]
        return {name: numpy.concatenate([part[name] for part in parts])[: run.samples] for name in parts[0]}

    def losses(self, run: Run) -> NDArray:
        parts = [
            self._called(run, points, jitted.losses, self._shared(targets)) for points, targets in self._chunks(run)
        ]
        return numpy.concatenate(parts)[: run.samples]

    def differential(self, run: Run) -> NDArray:
        parts = [
            self._called(run, points, jitted.differential, self._shared(targets), self._ones(points))
            for points, targets in self._chunks(run)
        ]
        return self.network.packing.flat_vector(_total(parts)) / run.samples

    def natural_products(self, run: Run, tangents: Sequence[NDArray]) -> NDArray:
        by_unit = tuple(self.network.packing.vectors(tangent) for tangent in tangents)
        parts = [
            self._called(run, points, jitted.natural_products, by_unit, self._ones(points))
            for points, _ in self._chunks(run)
        ]
        return numpy.sum(parts, axis=0) / run.samples

    def averages(self, run: Run, recipe: ModulusRecipe, kept: Kept) -> tuple[list[Any], list[NDArray]]:
        rows = 1 if recipe.rows is None else self._count(run, recipe.rows)
        total, weights = list[Any](), list[NDArray]()
        for points, targets in self._chunks(run, rows, _block_bytes(run)):
            drawn, regrouping = self._made_of(run, points, recipe.rows, targets), self._regrouping(run, points, kept)
            static = (recipe, kept, regrouping.unformed)
            parts, own = self._called(run, points, jitted.averages, drawn, self._ones(points), static=static)
            total = summed(total, regrouping.averages(parts))
            weights = summed(weights, [regrouping.share * weight for weight in own])
        return total, weights

    def floor(self, run: Run, weights: Sequence[NDArray], kept: Kept) -> list[Any]:
        total = list[Any]()
        for points, _ in self._chunks(run, 1, _block_bytes(run)):
            regrouping = self._regrouping(run, points, kept)
            static, ones = (kept, regrouping.unformed), self._ones(points)
            parts = self._called(run, points, jitted.floor, tuple(weights), ones, static=static)
            total = summed(total, regrouping.averages(parts))
        return total

    def _regrouping(self, run: Run, points: Mapping[str, NDArray], kept: Kept) -> Regrouping:
        samples = len(next(iter(points.values())))
        return Regrouping(run.program.lowered, self.network.packing, kept, samples, 1.0 / run.samples)

    def rows(self, run: Run, recipe: RowsRecipe) -> NDArray:
        parts = []
        count = self._count(run, recipe)
        for points, targets in self._chunks(run, count, 8 * count * run.size):
            made_of, samples = self._made_of(run, points, recipe, targets), len(next(iter(points.values())))
            found = self._called(run, points, jitted.rows, made_of, static=(recipe,))
            flat = self.network.packing.flat_vector([part[:, :samples] for part in found])
            parts.append(flat.reshape(-1, run.size))
        return numpy.concatenate(parts)

    def gram(self, run: Run, recipe: RowsRecipe) -> NDArray:
        total: Any = None
        count = self._count(run, recipe)
        places = columns(self.network.packing.tangents, self.network.packing.size)
        for points, targets in self._chunks(run, count, 8 * count * run.size):
            drawn = self._made_of(run, points, recipe, targets)
            total = _plus(
                total, self._called(run, points, jitted.gram, drawn, places, self._ones(points), static=(recipe,))
            )
        return numpy.array(total)

    def activities(self, run: Run) -> ByLayer:
        found = self._called(run, run.points, jitted.activities)
        return {name: points[: run.samples] for name, points in found.items()}

    def outer_covectors(self, run: Run, seeds: Mapping[str, NDArray]) -> ByLayer:
        found = self._called(run, run.points, jitted.outer_covectors, self._shared(seeds, axis=1))
        return {name: values[:, : run.samples] for name, values in found.items()}

    def outer_moduli(self, run: Run) -> ByLayer:
        found = self._called(run, run.points, jitted.outer_moduli)
        return {name: values[: run.samples] for name, values in found.items()}

    def seeds(self, run: Run, recipe: RowsRecipe) -> Mapping[str, NDArray]:
        made_of = self._made_of(run, run.points, recipe, run.targets or {})
        found = self._called(run, run.points, jitted.seeds, made_of, static=(recipe,))
        return {name: rows[:, : run.samples] for name, rows in found.items()}

    def descent(
        self,
        recipe: MetricRecipe | None,
        damping: DampingRecipe,
        growth: float,
        cut: float,
        length: int,
        points: Mapping[str, NDArray],
        targets: Mapping[str, NDArray],
    ) -> Descent | str:
        return descent_of(self.network, recipe, damping, growth, cut, length, dict(points), dict(targets), self.devices)

    def online(
        self, recipe: OnlineRecipe, index: tuple[NDArray, ...], length: int, numbers: Mapping[str, float]
    ) -> OnlineRuns | str:
        if self.devices is not None:
            return "one sample at a time cannot be cut over devices"
        return online_runs(self.network, recipe, index, length, dict(numbers))

    def minibatches(
        self, recipe: MetricRecipe | None, damping: DampingRecipe, rules: StepRules, momentum: bool, length: int
    ) -> MinibatchRuns | str:
        if self.devices is not None:
            return "batches that are cut over devices are averaged by NumPy"
        return minibatch_runs(self.network, recipe, damping, rules, momentum, length)

    def _called(
        self, run: Run, points: Mapping[str, NDArray], function: Callable, *arguments: Any, static: tuple = ()
    ) -> Any:
        """A compiled function's result in NumPy arrays, after a look at whether units left their manifolds."""
        theta = self.network.packing.parameters(run.theta.flat)
        with in_precision(self.network.precision):
            found, escaped = function(
                self.network.structure, *static, self.network.arrays, theta, self._shared(points), *arguments
            )
            found, escaped = jax.tree.map(to_numpy, (found, escaped))
        stages = [stage for stage in run.program.lowered.stages if stage.may_leave]
        for stage, values in zip(stages, escaped, strict=True):
            check_inside(stage, values, run.program.lowered)
        if not all(numpy.isfinite(leaf).all() for leaf in jax.tree.leaves(found)):
            _explain(run, points)
        return jax.tree.map(widened, found)

    def _shared(self, arrays: Mapping[str, NDArray], axis: int = 0) -> dict[str, Any]:
        """The arrays, cut along their samples where several devices share a batch."""
        if self.devices is None:
            return dict(arrays)
        return {name: self.devices.shared(values, axis) for name, values in arrays.items()}

    def _ones(self, points: Mapping[str, NDArray]) -> Any:
        """The weight of each sample."""
        samples = len(next(iter(points.values())))
        if self.devices is None:
            return numpy.ones(samples)
        return self.devices.weights(samples)

    def _chunks(self, run: Run, rows: int = 1, extra_bytes: int = 0) -> Iterator[tuple[Points, dict[str, NDArray]]]:
        size = run.program.chunk_size(rows, extra_bytes)
        for part in sliced(run.samples, size):
            points = {name: values[part] for name, values in run.points.items()}
            yield points, {name: values[part] for name, values in (run.targets or {}).items()}

    def _count(self, run: Run, recipe: RowsRecipe) -> int:
        if recipe.source != "fisher":
            return max(1, recipe.draws)
        counts = run.program.output_counts()
        return sum(o.interpretation.rank(counts[o.name]) for o in run.program.declaration.outputs)

    def _made_of(
        self, run: Run, points: Mapping[str, NDArray], recipe: RowsRecipe | None, targets: dict[str, NDArray]
    ) -> dict[str, Any]:
        """The targets that rows are made of, where they are needed."""
        found = self._drawn(run, points, recipe, targets)
        return self._shared(found, axis=1 if recipe is not None and recipe.source == "drawn" else 0)

    def _drawn(
        self, run: Run, points: Mapping[str, NDArray], recipe: RowsRecipe | None, targets: dict[str, NDArray]
    ) -> dict[str, NDArray]:
        """The targets that rows are made of: the true ones, or drawn by NumPy, as the reference draws them."""
        if recipe is None or recipe.source == "fisher":
            return {}
        if recipe.source == "targets":
            return targets
        z = self._called(run, points, jitted.numbers)
        theta = self.network.packing.parameters(run.theta.flat)
        with in_precision(self.network.precision):
            scales = jitted.scales(self.network.structure, self.network.arrays, theta, dict(points))
        found = {}
        for output in run.program.declaration.outputs:
            vartheta = numpy.zeros(0)
            if output.name in run.program.layout:
                place = run.program.layout[output.name]
                vartheta = run.theta.flat[place.offset : place.stop]
            draw, numbers = output.interpretation.sample, z[output.name][: len(next(iter(points.values())))]
            found[output.name] = draw(run.streams[output.name], numbers, vartheta, scales[output.name], recipe.draws)
        return found


def _explain(run: Run, points: Mapping[str, NDArray]) -> None:
    """Where something is not finite, ask the reference, which says what and where it is; what it allows is allowed."""
    reference = attrs.evolve(run.program, engine=None)
    trace = reference.trace(run.theta, points)
    for name, reading in trace.readings.items():
        reading.factor()
        if run.targets is not None and len(run.targets[name]) == len(reading.z):
            reading.score(run.targets[name])
            reading.loss(run.targets[name])


def _block_bytes(run: Run) -> int:
    return run.program.lowered.block_bytes_per_sample


def _plus(total: Any, part: Any) -> Any:
    return part if total is None else jax.tree.map(numpy.add, total, part)


def _total(parts: Sequence[Any]) -> Any:
    total = None
    for part in parts:
        total = _plus(total, part)
    return total


__all__ = ["JaxEngine"]
