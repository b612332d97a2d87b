"""What training does where nobody says: schedule, metric and damping."""

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.learning.schedule import FullBatch, Minibatches
from manifoldnet.learning.train import Schedule
from manifoldnet.linalg.damping import Damping, Floor, Intrinsic, LeastNorm, Tikhonov
from manifoldnet.metrics.adagrad import AdaGrad
from manifoldnet.metrics.euclidean import Euclidean
from manifoldnet.metrics.reductions import Diagonal, QuasiDiagonal
from manifoldnet.metrics.unitwise_rules import UnitwiseRule

DEFAULT_METRIC = "quasi-diagonal-backpropagated"

# A pass over so few samples costs no more than some dozen minibatches, and its rate finds itself.
FULL_BATCH_LIMIT = 1000


def default_schedule(samples: int) -> Schedule:
    """The whole data set at every step where it is small, minibatches where it is not.

    >>> default_schedule(100)
    FullBatch(steps=1000, rate=0.01, growth=1.1, cut=0.5, damping=None, patience=None)
    """
    return FullBatch() if samples <= FULL_BATCH_LIMIT else Minibatches()


def default_damping(metric: MetricRule) -> Damping | None:
    """A damping that keeps the metric's invariance under affine charts, where it has some.

    Blocks of units get Intrinsic(0.03) + Floor(0.03): the floor bounds steps of parents that are all but constant on
    the samples that count, where rounding would grow (docs/experiments.md tells what was measured). Metrics on all
    parameters at once get Intrinsic(0.03). Quasi-diagonal ones are floored, with parents that never vary left alone.
    Diagonal metrics have no invariance to keep and get Tikhonov(1e-4), as all metrics did in the paper's section 4;
    plain backpropagation gets none.

    >>> import manifoldnet as mn
    >>> default_damping(mn.QuasiDiagonal(mn.Natural())).text
    'floor:0.1+least-norm:1e-10'
    >>> default_damping(mn.Backpropagated()).text
    'intrinsic:0.03+floor:0.03'
    """
    if isinstance(metric, Euclidean):
        return None
    if isinstance(metric, Diagonal | AdaGrad):
        return Tikhonov(1e-4)
    if isinstance(metric, QuasiDiagonal):
        return Floor(0.1) + LeastNorm()
    return Intrinsic(0.03) + Floor(0.03) if isinstance(metric, UnitwiseRule) else Intrinsic(0.03)
