"""Exceptions: each is also the built-in exception that a caller would expect.

Every message says which thing is wrong, what was expected, what was received and how to mend it.

>>> issubclass(ChartError, ValueError)
True
"""


class ManifoldNetError(Exception):
    """Base of everything that this package raises on purpose."""


class DeclarationError(ManifoldNetError, ValueError):
    """A declaration (manifold, chart, map, wiring, network) does not make sense."""


class GraphError(DeclarationError):
    """The units of a network do not form the graph that was meant: cycles, unknown or unused units."""


class ChartError(DeclarationError):
    """A chart is unknown, does not fit its manifold, or cannot hold a point."""


class CompilationError(ManifoldNetError, ValueError):
    """A declared network cannot be turned into a program."""


class MapError(CompilationError):
    """A function written by the user (map, chart, density) does not behave as it must."""


class DataError(ManifoldNetError, ValueError):
    """Data do not fit the network: not finite, off the manifold, or of another kind."""


class ShapeError(ManifoldNetError, ValueError):
    """An array has another shape than its place requires."""


class MemoryLimitError(ManifoldNetError, MemoryError):
    """A computation would need more memory than it may use."""


class SingularMetricError(ManifoldNetError, ArithmeticError):
    """A metric tensor has no inverse and none was asked to be made up for it."""


class NumericalError(ManifoldNetError, ArithmeticError):
    """A computation left the finite numbers."""


class OutputError(NumericalError):
    """What an interpretation reads on one sample has no loss: of one of its numbers, or, where `number` is None, all.

    Interpretations know neither units nor chunks of samples: `of(units, first)` says the same with their names.
    """

    def __init__(self, before: str, after: str, sample: int, number: int | None = None) -> None:
        self.parts, self.sample, self.number = (before, after), sample, number
        what = "all outputs are" if number is None else f"output {number} is"
        super().__init__(f"{before}{what} {after.format(sample=sample)}")

    def of(self, units: list[str], first: int) -> NumericalError:
        """With the names of the units that the numbers belong to, and the sample counted from the first of all."""
        before, after = self.parts
        everything = f"all outputs ({units[0]} to {units[-1]}) are"
        what = everything if self.number is None else f"unit {units[self.number]} is"
        return NumericalError(f"{before}{what} {after.format(sample=self.sample + first)}")


class SpecError(ManifoldNetError, ValueError):
    """A specification file does not define what it must."""


class MissingExtraError(ManifoldNetError, ImportError):
    """An optional dependency is needed and is not installed."""


class UnknownFunctionError(ManifoldNetError, AttributeError):
    """A function that `manifoldnet.numpy` does not list was asked of it."""


class TrainingError(NumericalError):
    """Training cannot go on, however small its steps; `theta` are the last parameters at which all was finite."""

    theta: object = None


class ConditioningWarning(UserWarning):
    """Numbers of so few bits were asked for that solutions may have next to no digits."""


class WorsenedWarning(UserWarning):
    """Training ended worse than it began. `trained` is what it came to, so that nothing is lost where warnings are errors."""

    trained: object = None


class RunError(ManifoldNetError, ValueError):
    """A run directory cannot be used: damaged, in use, of another run, or its spec has changed since."""


class ArchiveError(DataError):
    """An archive of arrays is damaged, holds what it must not, or is larger than it may be."""
