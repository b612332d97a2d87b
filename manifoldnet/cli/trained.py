"""Parameters that a command is given, by `--run`, or the initial ones."""

from pathlib import Path
from typing import Annotated, final

import attrs
import numpy
import typer

from manifoldnet.cli.failures import CallError
from manifoldnet.compiler.layout import Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.declare.spec import Spec
from manifoldnet.interop.parameters import read_parameters
from manifoldnet.learning.keeping.directory import RunDirectory

RunPath = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="PATH",
        help="Trained parameters: the directory of `train --run`, or .npz as `train --output` writes.",
        show_default="initial ones",
    ),
]


@final
@attrs.frozen(eq=False)
class Given:
    """Parameters, and in a few words where they come from."""

    theta: Parameters
    origin: str


def given_parameters(spec: Spec, program: Program, seed: int, run: Path | None) -> Given:
    """The parameters of a run, or those that `train` would start from; raises CallError where there is no such run."""
    if run is None:
        rng = numpy.random.default_rng(seed)
        theta = program.initialize(rng) if spec.initial is None else spec.initial(program, rng)
        return Given(program.parameters(theta), f"initial parameters, seed {seed}")
    if not run.exists():
        raise CallError(f"--run {run}: there is no such file or directory")
    if run.is_dir():
        return _kept(program, run)
    saved = read_parameters(run, program)
    steps = saved.about.get("kept_step", saved.about.get("steps"))
    return Given(saved.theta, run.name if steps is None else f"{run.name}, step {steps:,}")


def _kept(program: Program, run: Path) -> Given:
    """What a run keeps: the best parameters on held-out data where it knows them, else those of its last checkpoint."""
    found = RunDirectory.open(run).parameters()
    kind = "best" if "best" in found else "theta"
    if found[kind].size != program.layout.size:
        raise CallError(
            f"--run {run}: the run has {found[kind].size:,} parameters, the network here has {program.layout.size:,}: give "
            "the seed, settings and charts that it was trained with"
        )
    told = "the best on held-out data" if kind == "best" else "the last checkpoint"
    return Given(program.parameters(found[kind]), f"{run.name}, {told}")
