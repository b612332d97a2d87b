"""Options that commands have in common, and what they say of a call."""

import warnings
from pathlib import Path
from typing import Annotated, Any, final

import attrs
import typer

from manifoldnet.cli.failures import CallError
from manifoldnet.cli.output import remarks
from manifoldnet.cli.settings import parsed_settings
from manifoldnet.compiler.compile import BACKENDS, COARSE, compile
from manifoldnet.compiler.engine import Precision
from manifoldnet.compiler.program import Program
from manifoldnet.declare.spec import Spec, load_spec
from manifoldnet.errors import ConditioningWarning
from manifoldnet.experiments.run import in_charts
from manifoldnet.experiments.task import CHARTS

SpecPath = Annotated[
    Path,
    typer.Argument(metavar="SPEC", help="Python file with network() and data(). Loading it runs it."),
]
TrainedSpec = Annotated[
    Path | None,
    typer.Argument(
        metavar="SPEC", help="Python file with network() and data(). Loading it runs it.", show_default=False
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An argument of the spec's functions; may be repeated."),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of wiring, data, initial parameters and batches.", min=0)]
Backend = Annotated[
    str, typer.Option(metavar="NAME", help="What differentiates the maps: autograd, jax, or jax:float32 (32 bits).")
]
Charts = Annotated[
    str, typer.Option("--charts", metavar="NAME", help="sigmoid or tanh: units on intervals in that form; or declared.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object; all else goes to stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@final
@attrs.frozen
class Call:
    """What every command is told: the spec, its settings, a seed, a backend, and in which charts."""

    path: Path
    settings: dict[str, Any]
    seed: int
    backend: str
    charts: str = "declared"

    @classmethod
    def parse(cls, path: Path, words: list[str] | None, seed: int, backend: str, charts: str = "declared") -> "Call":
        """A call of the command line; raises CallError for unknown backends or charts, or settings not KEY=VALUE."""
        if charts not in CHARTS:
            raise CallError(f"--charts: no charts are named {charts!r}: there are {', '.join(CHARTS)}")
        if backend not in BACKENDS:
            raise CallError(f"--backend: no backend is named {backend!r}: there is {', '.join(BACKENDS)}")
        return cls(path, parsed_settings(words or ()), seed, backend, charts)

    def load(self) -> Spec:
        """The spec, which is run."""
        return load_spec(self.path, self.settings)

    def compile(self, spec: Spec) -> Program:
        """The spec's network, compiled; with a remark where numbers have 32 bits."""
        with warnings.catch_warnings():
            if self.precision == "float32":
                warnings.simplefilter("ignore", ConditioningWarning)
                remarks().print(f"32 bits: {COARSE}", soft_wrap=True)
            return compile(in_charts(spec.network(self.seed), self.charts), backend=self.backend)

    @property
    def precision(self) -> Precision:
        """What numbers the backend computes with."""
        return BACKENDS[self.backend][1]
