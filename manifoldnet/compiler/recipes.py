"""What metrics are made of, as plain data: backends that compile whole evaluations read these, not the rules' code."""

from typing import Literal, TypeVar, final

import attrs

from manifoldnet.errors import CompilationError

Plain = TypeVar("Plain")

# What is averaged of each unit's block: all of it, what the quasi-diagonal reduction keeps, or its diagonal.
Kept = Literal["block", "quasi", "diagonal"]


@final
@attrs.frozen
class RowsRecipe:
    """Covectors whose squares sum to a metric: Omega^(1/2) domega ("fisher"), dl on the true targets ("targets"), or
    dl on `draws` targets drawn from omega ("drawn")."""

    source: Literal["fisher", "targets", "drawn"]
    draws: int = 0


@final
@attrs.frozen
class ModulusRecipe:
    """How a unit's activity is measured: by rows squared after they are pulled back, or, where there are none, by the
    backpropagated modulus, whose contributions are squared before they are added."""

    rows: RowsRecipe | None


@final
@attrs.frozen
class MetricRecipe:
    """A metric made of one part a unit: "identity", a "diagonal" or its "root", quasi-diagonal entries, or blocks."""

    structure: Literal["identity", "diagonal", "root", "quasi", "block"]
    modulus: ModulusRecipe | None = None

    @classmethod
    def of(
        cls, structure: Literal["diagonal", "quasi", "block"], modulus: ModulusRecipe | None
    ) -> "MetricRecipe | None":
        """The recipe of a metric made of moduli; None where these have none."""
        return None if modulus is None else cls(structure, modulus)

    @property
    def needs_rng(self) -> bool:
        """Whether targets are drawn at every evaluation."""
        return self.modulus is not None and self.modulus.rows is not None and self.modulus.rows.source == "drawn"


@final
@attrs.frozen
class DampingRecipe:
    """A damping as numbers: what is added (Tikhonov's, and Floor's in units of the floor), and the rule of the solution
    (see `manifoldnet.linalg.inverse.Rule`)."""

    absolute: float
    floor: float
    relative: float
    cut: str
    rcond: float
    drops: bool
    tolerance: float


@final
@attrs.frozen
class OnlineRecipe:
    """A metric that is averaged sample by sample: unit by unit by `modulus`, or over all parameters by `rows`.

    Where it `is_reduced` its quasi-diagonal entries are kept, and solved with `damping`; else inverses of blocks are, which
    have their damping in them.
    """

    modulus: ModulusRecipe | None
    rows: RowsRecipe | None
    is_reduced: bool
    damping: DampingRecipe


@final
@attrs.frozen
class StepRules:
    """How steps on batches are judged, as numbers: see `manifoldnet.learning.descending` and `.momentum`."""

    halvings: tuple[int, ...]
    least_fall: float
    most_fall: float
    slack: float
    standstill: float
    parallel: float
    growth: float


def required(recipe: Plain | None, what: str) -> Plain:
    """The recipe; raises CompilationError where a rule of `what`'s kind has none, so that a compiled backend cannot follow."""
    if recipe is None:
        raise CompilationError(
            f"{what} has no recipe, and a compiled backend cannot run its Python code: expected a rule that is made of "
            'those of manifoldnet.metrics; compile the network with backend="autograd", which computes every rule'
        )
    return recipe
