"""How to train: on all data with an adaptive rate, on minibatches within a trust radius, or sample by sample."""

from collections.abc import Callable
from typing import final

import attrs

from manifoldnet.linalg.damping import Damping

Rate = float | Callable[[int], float]


def _positive(instance: object, attribute: attrs.Attribute, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{attribute.name}= must be positive, received {value!r}")


def _fraction(instance: object, attribute: attrs.Attribute, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise ValueError(f"{attribute.name}= lies between 0 and 1, received {value!r}")


def _whole(instance: object, attribute: attrs.Attribute, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{attribute.name}= is a whole number of at least 1, received {value!r}")


@final
@attrs.frozen(kw_only=True)
class FullBatch:
    """The paper's descent (section 4), with an adaptive rate.

    The rate grows by `growth` after an improvement; a step that makes the loss worse is cancelled, and
    the rate cut by `cut`. Cancelled steps count as steps. `patience` stops after so many validations
    without a better validation loss, and keeps the best parameters.
    """

    steps: int = attrs.field(default=1000, validator=_whole)
    rate: float = attrs.field(default=0.01, validator=_positive)
    growth: float = attrs.field(default=1.1, validator=_positive)
    cut: float = attrs.field(default=0.5, validator=_positive)
    damping: Damping | None = None
    patience: int | None = None


@final
@attrs.frozen(kw_only=True)
class Minibatches:
    """Steps on random batches, with the metric averaged over recent ones and the step's length bounded.

    The direction is that of the gradient in A <- (1 - renewal) A + renewal A(batch). Metrics on all parameters at once
    are averaged where they are kept as matrices, the natural one of batches with at least as many rows as parameters, the
    outer-product and Monte Carlo ones of up to 2,896 parameters; kept as rows they are the batch's own. How far to go along it is
    judged on the batch in the natural metric, whose length of a direction takes one pass forward: `rate` is
    the fraction taken of the best step of the quadratic model L - t dL(w) + t^2 |w|^2 / 2, and the step's
    natural length is at most `radius` (a trust radius, about sqrt(2 KL) in nats). Both are chart-independent.
    They fall as 1/(1 + step/decay), so that a longer run wanders no farther once outputs saturate;
    `decay=None` keeps them. With `momentum` a step is the combination of that direction and the step taken last for
    which the quadratic model is least: conjugate gradients, where the loss is quadratic. The metric is evaluated every
    `refresh` steps, the gradient at every one. `patience` stops after so many validations without a better validation
    loss, and keeps the best parameters.
    """

    batch: int = attrs.field(default=64, validator=_whole)
    steps: int = attrs.field(default=1000, validator=_whole)
    rate: Rate = 0.5
    radius: float = attrs.field(default=0.3, validator=_positive)
    decay: float | None = 300.0
    renewal: float = attrs.field(default=0.02, validator=_positive)
    refresh: int = attrs.field(default=1, validator=_whole)
    momentum: bool = False
    damping: Damping | None = None
    patience: int | None = None
    validate_every: int = attrs.field(default=25, validator=_whole)

    def fall(self, step: int) -> float:
        """What is left of rate and radius at a step, counted from 1."""
        return fallen(step, self.decay)


@final
@attrs.frozen(kw_only=True)
class Online:
    """One sample a step, with a metric that forgets: A <- (1 - gamma) A + gamma A(x_t) (section 1.3, eqs. 36-38).

    A(0) is the average over the first `n_init` samples. Full blocks keep their inverses by Sherman and Morrison's formula
    (Woodbury's, for units of several dimensions), recomputed every `refresh` steps, when what the damping adds is
    measured anew too, or sooner where a residual says so; quasi-diagonal metrics keep A_00, A_0i and A_ii alone.
    `gamma` should be much smaller than 1/n_k with n_k the largest number of parameters of a unit, and `n_init` somewhat
    larger than n_k: None chooses a tenth of 1/n_k, and one and a half times n_k, for quasi-diagonal metrics too. The step
    is `rate` times A^{-1} dl, at most `radius` long in the natural metric of its sample; both fall as
    1/(1 + step/decay). The history has the average loss of every `record_every` steps.
    """

    steps: int = attrs.field(default=20_000, validator=_whole)
    n_init: int | None = attrs.field(default=None, validator=attrs.validators.optional(_whole))
    gamma: float | None = attrs.field(default=None, validator=attrs.validators.optional(_fraction))
    rate: Rate = 0.01
    radius: float = attrs.field(default=0.3, validator=_positive)
    decay: float | None = 10_000.0
    refresh: int | None = attrs.field(default=None, validator=attrs.validators.optional(_whole))
    damping: Damping | None = None
    patience: int | None = None
    validate_every: int = attrs.field(default=1000, validator=_whole)
    record_every: int = attrs.field(default=100, validator=_whole)

    def fall(self, step: int) -> float:
        """What is left of rate and radius at a step, counted from 1."""
        return fallen(step, self.decay)

    def rate_at(self, step: int) -> float:
        """The rate of a step, counted from 1."""
        return self.rate(step) if callable(self.rate) else self.rate * self.fall(step)


def fallen(step: int, decay: float | None) -> float:
    """1/(1 + (step - 1)/decay).

    >>> fallen(1, 300.0), fallen(301, 300.0), fallen(301, None)
    (1.0, 0.5, 1.0)
    """
    return 1.0 if decay is None else 1.0 / (1.0 + (step - 1) / decay)
