"""What came of training: as plain data, and for people."""

import math
from collections.abc import Iterator
from typing import Any, final

import attrs
import numpy
from rich.table import Table

from manifoldnet.cli.job import Job
from manifoldnet.cli.output import results
from manifoldnet.cli.progress import bits
from manifoldnet.compiler.layout import Parameters
from manifoldnet.errors import NumericalError
from manifoldnet.learning.keeping.loop import Kept
from manifoldnet.learning.schedule import Minibatches, Online
from manifoldnet.learning.stream import Stream
from manifoldnet.learning.validation import Score, score
from manifoldnet.learning.worsened import Worsened

TOLD = {
    "finished": "",
    "early": ", stopped early",
    "interrupted": ", interrupted",
    "exhausted": ", until the stream ended",
}


@final
@attrs.frozen(eq=False)
class Outcome:
    """Where training has come to: the parameters that it keeps, and of which step they are."""

    theta: Parameters
    kept_step: int
    steps: int
    seconds: float
    ended: str
    last_loss: float
    worsened: Worsened | None = None

    @property
    def interrupted(self) -> bool:
        return self.ended == "interrupted"


def outcome_of(kept: Kept, last_loss: float) -> Outcome:
    """The outcome of training where it stands."""
    state = kept.state
    theta, step = state.kept(kept.trainer.validation.patience)
    return Outcome(theta, step, state.step, state.seconds, state.ended or "interrupted", last_loss, kept.worsened)


def summary(job: Job, outcome: Outcome) -> dict[str, Any]:
    """What came of it, as plain data: the loss on the whole training set, and on the held-out data.

    Of a stream, which is not read again, it is the last loss of training.
    """
    loss = outcome.last_loss if isinstance(job.data, Stream) else _loss(job, outcome.theta)
    found: dict[str, Any] = {
        "spec": str(job.call.path),
        "network": job.program.declaration.name,
        "settings": job.call.settings,
        "metric": job.metric.name,
        "damping": None if job.schedule.damping is None else job.schedule.damping.text,
        "batch": _batch(job),
        "backend": job.call.backend,
        "charts": job.call.charts,
        "seed": job.call.seed,
        "steps": outcome.steps,
        "kept_step": outcome.kept_step,
        "seconds": outcome.seconds,
        "ended": outcome.ended,
        "loss_nats": loss,
        "loss_bits": bits(loss),
        "worsened": None if outcome.worsened is None else attrs.asdict(outcome.worsened),
    }
    if job.data.validation is not None:
        scored = _scored(job, outcome.theta)
        found["validation"] = {"loss_nats": scored.loss, "loss_bits": bits(scored.loss), "accuracy": scored.accuracy}
    return found


def _batch(job: Job) -> int | str:
    if isinstance(job.schedule, Online):
        return 1
    return job.schedule.batch if isinstance(job.schedule, Minibatches) else "all"


def _loss(job: Job, theta: Parameters) -> float:
    """The average loss over all samples; NaN where there is none."""
    try:
        with numpy.errstate(over="ignore", invalid="ignore", divide="ignore"):
            parts = [(n, job.program.loss(theta, *batch)) for n, batch in _blocks(job)]
    except NumericalError:
        return math.nan
    return sum(n * loss for n, loss in parts) / sum(n for n, _ in parts)


def _blocks(job: Job) -> Iterator[tuple[int, Any]]:
    """All samples, at once where they are in memory."""
    assert not isinstance(job.data, Stream)
    size = job.data.block or job.data.samples
    for start in range(0, job.data.samples, size):
        stop = min(start + size, job.data.samples)
        yield stop - start, job.data.batch(slice(start, stop))


def _scored(job: Job, theta: Parameters) -> Score:
    assert job.data.validation is not None
    try:
        with numpy.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return score(job.program.at(theta, *job.data.validation))
    except NumericalError:
        return Score(math.nan, None)


def show(job: Job, found: dict[str, Any]) -> None:
    """The summary for people."""
    table = Table.grid(padding=(0, 2))
    table.add_row("metric", f"{found['metric']}, damping {found['damping'] or 'none'}")
    pace = 1e3 * found["seconds"] / max(1, found["steps"])
    table.add_row("steps", f"{found['steps']:,} in {found['seconds']:.1f} s ({pace:.2g} ms each){TOLD[found['ended']]}")
    if "validation" in found and job.schedule.patience is not None and found["kept_step"] < found["steps"]:
        table.add_row("kept", f"the parameters of step {found['kept_step']:,}, the best on held-out data")
    table.add_row("loss", _loss_text(found))
    if "validation" in found:
        accuracy = found["validation"]["accuracy"]
        told = "" if accuracy is None else f", accuracy {100.0 * accuracy:.1f}%"
        table.add_row("validation", f"{_loss_text(found['validation'])}{told}")
    for place, what in (("output", "written"), ("run", "run")):
        if found[place] is not None:
            table.add_row(what, found[place])
    results().print(table)


def _loss_text(found: dict[str, Any]) -> str:
    return f"{found['loss_bits']:#.4g} bits ({found['loss_nats']:#.4g} nats)"
