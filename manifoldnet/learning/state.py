"""Where training stands: all that its next step depends on, as a frozen value."""

from typing import Any, final

import attrs

from manifoldnet.compiler.layout import Parameters
from manifoldnet.learning.generator import Snapshot


@final
@attrs.frozen
class Position:
    """How far the data have been read: the epoch, batches taken of it, and the generator that its order is drawn by."""

    epoch: int = 0
    batch: int = 0
    order: Snapshot | None = None


@final
@attrs.frozen(eq=False)
class Best:
    """The best validation loss (nats), the parameters that had it, and how many validations since were worse."""

    loss: float = float("inf")
    theta: Parameters | None = None
    step: int = 0
    worse: int = 0


@final
@attrs.frozen(eq=False)
class State:
    """One moment of training. The same state, trainer and data give the same next state, to the bit.

    `theta` is where the next step starts, `trusted` the last parameters that everything was finite at. `rate` is the
    learning rate, or what cuts have left of the schedule's (a factor). `estimate` is the metric averaged so far, in the
    trainer's own form. `cuts` counts steps cancelled because something was not finite since the rate was last whole.
    `began` is the loss (nats) before the first step on samples that are looked at again in the end; None where none are.
    `ended` says why training is over: "finished", "early" (no better validation) or "exhausted" (no data are left).
    """

    step: int
    theta: Parameters
    trusted: Parameters
    rate: float
    rng: Snapshot
    position: Position = Position()
    estimate: Any = None
    best: Best = Best()
    cuts: int = 0
    seconds: float = 0.0
    ended: str | None = None
    pending: tuple[float, int] = (0.0, 0)
    began: float | None = None

    def moved(self, theta: Parameters, rate: float, rng: Snapshot, seconds: float) -> "State":
        """After a step at which everything was finite, which took `seconds` and left the generator at `rng`."""
        # written out: a compiled step takes as long as looking for the fields by name
        return State(
            self.step + 1, theta, theta, rate, rng, self.position, self.estimate, self.best,
            seconds=self.seconds + seconds, ended=self.ended, pending=self.pending, began=self.began,
        )  # fmt: skip

    def kept(self, patience: int | None) -> tuple[Parameters, int]:
        """The parameters that training returns if it ends here, and their step: the best where it may stop early."""
        if patience is None or self.best.theta is None:
            return self.theta, self.step
        return self.best.theta, self.best.step
