"""One run of training as plain data, and what came of it."""

import json
import math
from collections.abc import Mapping
from typing import Any, Self, final

import attrs

from manifoldnet.errors import DataError
from manifoldnet.learning.worsened import SLACK

# as in the paper's section 4: the same network written in other coordinates
CHARTS = ("sigmoid", "tanh", "declared")


def _charts(instance: object, attribute: attrs.Attribute, value: str) -> None:
    if value not in CHARTS:
        raise DataError(f"charts= takes one of {', '.join(CHARTS)}; received {value!r}")


@final
@attrs.frozen(kw_only=True)
class Task:
    """A run of training: which spec, which method, in which charts, from which seed, for how long.

    `charts` is "sigmoid" (activities on intervals written as probabilities), "tanh" (on (-1, 1), eqs. 46-47) or
    "declared". `damping` is a text such as `tikhonov:1e-4`, or `none`. It ends after `steps` or `seconds`, whichever
    comes first; one of them must be given. `digest` tells one version of the spec's file from another.

    >>> Task(spec="net.py", metric="natural", charts="tanh", seed=3, steps=10).charts
    'tanh'
    """

    spec: str
    metric: str
    charts: str = attrs.field(default="declared", validator=_charts)
    damping: str = "none"
    seed: int = 0
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    steps: int | None = None
    seconds: float | None = None
    budget: str = "steps"
    backend: str = "autograd"
    digest: str = ""

    def __attrs_post_init__(self) -> None:
        if self.steps is None and self.seconds is None:
            raise DataError(f"the run of {self.metric} on {self.spec} has no end: give steps= or seconds=")

    @property
    def is_yardstick(self) -> bool:
        """Whether it measures the time that all methods are to get: steps of the paper's own descent, whatever the spec's."""
        return self.budget == "paper" and self.steps is not None

    @property
    def identity(self) -> str:
        """What makes two tasks the same, as text.

        Where the seconds were measured (budget "paper") they do not count, since they never come out twice the same.
        Nor does the folder that the spec is in: its digest does.
        """
        values = attrs.asdict(self)
        values["spec"] = self.spec.replace("\\", "/").rpartition("/")[2]
        if self.budget == "paper" and self.seconds is not None:
            values["seconds"] = "measured"
        return json.dumps(values, sort_keys=True, default=str)


@final
@attrs.frozen(kw_only=True)
class Result:
    """What came of a task: losses (bits) at some of its steps with the seconds since the start, and on all data at the
    end, and when it `began`.

    `steps`, `seconds`, `losses`, `validation` and `accuracy` are columns of equal length; None stands for numbers that
    are not finite or were not measured. `ended` says which of the two limits it met, `cancelled` how many steps made the
    loss worse; `error` says why a run failed, and is None where it did not.
    """

    task: Task
    steps: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    losses: tuple[float | None, ...] = ()
    validation: tuple[float | None, ...] = ()
    accuracy: tuple[float | None, ...] = ()
    ended: str = "steps"
    began: float | None = None
    loss: float | None = None
    cancelled: int = 0
    error: str | None = None

    @property
    def is_worse(self) -> bool:
        """Whether the loss ended above where it began, by more than rounding adds; not finite is above everything."""
        if self.began is None or self.error is not None:
            return False
        return self.loss is None or self.loss > self.began + SLACK * (1.0 + abs(self.began))

    @property
    def step_count(self) -> int:
        return self.steps[-1] if self.steps else 0

    @property
    def duration(self) -> float:
        """Seconds of training."""
        return self.seconds[-1] if self.seconds else 0.0

    def as_json(self) -> str:
        """One line of JSON.

        >>> line = Result(task=Task(spec="net.py", metric="natural", steps=1), steps=(1,), losses=(float("inf"),)).as_json()
        >>> Result.from_json(line).losses, "\\n" in line
        ((None,), False)
        """
        return json.dumps(_finite(attrs.asdict(self)), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """The result that a line holds; raises DataError for anything else."""
        try:
            values = json.loads(line)
            task = Task(**values.pop("task"))
            columns: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
            }
            return cls(task=task, **columns)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"this is no result of a comparison ({error}): {line[:60]!r}") from error


def _finite(value: Any) -> Any:
    """The value as JSON has it, None for what is not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


__all__ = ["CHARTS", "Result", "Task"]
