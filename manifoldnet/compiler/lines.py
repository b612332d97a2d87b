"""The stages of a network at one point: a linearisation each, or those of one chain together."""

import abc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, final

import attrs
from numpy.typing import NDArray

from manifoldnet.compiler.affine import AffineStage
from manifoldnet.compiler.affine_linearisation import AffineLinearisation
from manifoldnet.compiler.chains import carried_back
from manifoldnet.compiler.stage import Linearisation, Points, Reading, Stage
from manifoldnet.declare.interpretations.interpretation import Scale

# Weight matrices and biases that have been gathered for several stages at once, by stage.
Gathered = Mapping[int, tuple[Any, NDArray]]


class Lines(abc.ABC):
    """The linearisation of every stage, by its number, and what joint stages and chains ask of affine ones."""

    @abc.abstractmethod
    def designs(self, indices: Iterable[int]) -> list[NDArray]:
        """What affine stages read, (samples, columns) each."""

    @abc.abstractmethod
    def weights(self, index: int) -> Any:
        """The weight matrix of an affine stage, (columns, units), an array or a sparse one."""

    @abc.abstractmethod
    def scalar_rate(self, index: int) -> NDArray:
        """d outer/d inner of an affine stage where that is one number a unit, (samples, units)."""

    @abc.abstractmethod
    def read(self, index: int, scale: Scale) -> Reading | None:
        """The activities of a stage on a scale, with d z/d inner; None if the scale is not offered."""

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def __getitem__(self, index: int) -> Linearisation:
        """The linearisation of one stage, counted from the end if negative; IndexError if there is no such stage."""

    @final
    def __iter__(self) -> Iterator[Linearisation]:
        return map(self.__getitem__, range(len(self)))


@final
class StageLines(Lines):
    """One linearisation after the other, as they are appended."""

    def __init__(self) -> None:
        self._made: list[Linearisation] = []
        self.append = self._made.append

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, index: int) -> Linearisation:
        return self._made[index]

    def designs(self, indices: Iterable[int]) -> list[NDArray]:
        return [self._affine(index).design for index in indices]

    def weights(self, index: int) -> Any:
        return self._affine(index).weights

    def scalar_rate(self, index: int) -> NDArray:
        return self._affine(index).scalar_rate

    def read(self, index: int, scale: Scale) -> Reading | None:
        return self._made[index].read(scale, outer=False)

    def _affine(self, index: int) -> AffineLinearisation:
        line = self._made[index]
        assert isinstance(line, AffineLinearisation)
        return line


@final
@attrs.frozen(eq=False, slots=False)
class Chain:
    """All stages of a network whose units, one number each without charts, read all of the stage before.

    Evaluated together: gradients and moduli need arrays alone, and no linearisation for each stage.
    """

    stages: tuple[AffineStage, ...]

    @cached_property
    def layers(self) -> dict[str, int]:
        """The stage that computes each layer."""
        return {stage.slots[0].layer: index for index, stage in enumerate(self.stages)}

    @cached_property
    def _first(self) -> str:
        return self.stages[0].parent_layers[0]

    def at(self, theta: NDArray, points: Points, gathered: Gathered) -> "ChainLines":
        """The stages at these parameters and points of the network's input."""
        designs, matrices, preactivations, slopes = [points[self._first][..., 0]], [], [], []
        last = len(self.stages) - 1
        for index, stage in enumerate(self.stages):
            matrix, bias = gathered[index] if index in gathered else stage.weights(theta)
            preactivation = stage.preactivations(designs[index], matrix, bias)
            matrices.append(matrix)
            preactivations.append(preactivation)
            if index < last:
                value, slope = stage.link.value_and_slope(preactivation)
                designs.append(value)
                slopes.append(slope)
        return ChainLines(self, designs, matrices, preactivations, slopes)


@final
class ChainLines(Lines):
    """A chain at one point; linearisations are made when they are asked for.

    `slopes` are those of all stages but the last, None where the link does not give them with its values.
    """

    def __init__(
        self,
        chain: Chain,
        designs: list[NDArray],
        matrices: list[Any],
        preactivations: list[NDArray],
        slopes: list[NDArray | None],
    ) -> None:
        self.chain, self._designs, self._matrices = chain, designs, matrices
        self._preactivations, self._slopes = preactivations, slopes
        self._made: dict[int, AffineLinearisation] = {}

    def __len__(self) -> int:
        return len(self._designs)

    def designs(self, indices: Iterable[int]) -> list[NDArray]:
        return [self._designs[index] for index in indices]

    def weights(self, index: int) -> Any:
        return self._matrices[index]

    def scalar_rate(self, index: int) -> NDArray:
        slope = self._slopes[index]
        if slope is None:
            made, link = self._made.get(index), self.chain.stages[index].link
            slope = link.derivative_at(self._preactivations[index]) if made is None else made.scalar_rate
            self._slopes[index] = slope
        return slope

    def carried_back(self, last: NDArray, squared: bool) -> list[NDArray]:
        """What stands at every stage, (samples, units), from what stands at the last one: `chains.carried_back`."""
        rates = [self.scalar_rate(index) if slope is None else slope for index, slope in enumerate(self._slopes)]
        return carried_back(last, self._matrices[1:], rates, squared)

    def read(self, index: int, scale: Scale) -> Reading | None:
        # most readings are exact, and need no linearisation
        found = self.chain.stages[index].exact_reading(self._preactivations[index][..., None], scale)
        return self[index].read(scale, outer=False) if found is None else found

    def __getitem__(self, index: int) -> Linearisation:
        found = self._made.get(index)
        if found is None:
            number = range(len(self))[index]
            found = self._made[number] = self._made.get(number) or self._linearisation(number)
        return found

    def _linearisation(self, index: int) -> AffineLinearisation:
        stage, design = self.chain.stages[index], self._designs[index]
        known = None
        if index + 1 < len(self._designs):
            slope = self._slopes[index]
            known = self._designs[index + 1][..., None], None if slope is None else slope[..., None]
        parents = {stage.parent_layers[0]: design[..., None]}
        inner = self._preactivations[index][..., None]
        return AffineLinearisation(stage, parents, design, self._matrices[index], inner, known)


def chain_of(
    stages: Sequence[Stage], chains: Sequence[tuple[int, ...]], whole_slots: Sequence[str | None]
) -> Chain | None:
    """The chain that all stages are, a layer each, if they are one and none has a chart or may leave its manifold."""
    found = [stage for stage in stages if isinstance(stage, AffineStage)]
    if len(chains) != 1 or None in whole_slots or len(found) != len(stages):
        return None
    if not all(
        stage.is_scalar and stage.rate_is_slope and stage.reads_as_it_is and not stage.may_leave for stage in found
    ):
        return None
    return Chain(tuple(found))


__all__ = ["Chain", "ChainLines", "Lines", "StageLines", "chain_of"]
