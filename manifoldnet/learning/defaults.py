"""What training does where nobody says: schedule, metric and damping."""

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.learning.schedule import FullBatch, Minibatches
from manifoldnet.learning.train import Schedule
from manifoldnet.linalg.damping import Damping, Floor, LeastNorm, Tikhonov
from manifoldnet.metrics.euclidean import Euclidean
from manifoldnet.metrics.reductions import QuasiDiagonal

DEFAULT_METRIC = "quasi-diagonal-backpropagated"

# A pass over so few samples costs no more than some dozen minibatches, and its rate finds itself.
FULL_BATCH_LIMIT = 1000


def default_schedule(samples: int) -> Schedule:
    """The whole data set at every step where it is small, minibatches where it is not.

    >>> default_schedule(100)
    FullBatch(steps=1000, rate=0.01, growth=1.1, cut=0.5, damping=None, patience=None)
    """
    return FullBatch() if samples <= FULL_BATCH_LIMIT else Minibatches()


def default_damping(metric: MetricRule, schedule: Schedule) -> Damping | None:
    """None for plain backpropagation, Tikhonov(1e-4) as in section 4 of the paper for metrics on a full batch.

    Averages over recent batches of a quasi-diagonal metric are floored instead, which is invariant and
    keeps saturated outputs from making steps of any length.

    >>> import manifoldnet as mn
    >>> default_damping(mn.QuasiDiagonal(mn.Natural()), mn.Minibatches()).text
    'floor:0.1+least-norm:1e-10'
    """
    if isinstance(metric, Euclidean):
        return None
    if isinstance(metric, QuasiDiagonal) and isinstance(schedule, Minibatches):
        return Floor(0.1) + LeastNorm()
    return Tikhonov(1e-4)
