"""What the theory promises of a metric, and of it damped (theory of sections 2.2-2.4, 3.2; remark 12)."""

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.laws.changes import Pair
from manifoldnet.linalg.damping import Damping, PseudoInverse, Tikhonov
from manifoldnet.metrics.adagrad import AdaGrad
from manifoldnet.metrics.euclidean import Euclidean
from manifoldnet.metrics.reductions import Diagonal, QuasiDiagonal
from manifoldnet.metrics.unitwise_rules import UnitwiseRule


def is_intrinsic(rule: MetricRule) -> bool:
    """Whether the metric claims to be the same in all charts: a rule of the user's own does, the controls do not."""
    return not isinstance(rule, Euclidean | AdaGrad | Diagonal)


def sees(rule: MetricRule, pair: Pair) -> bool:
    """Whether a metric that is not intrinsic can deviate under a change of charts.

    Diagonals of intrinsic metrics do not see a change that scales each parameter alone; nothing sees one that keeps
    all lengths.
    """
    return not pair.is_diagonal if isinstance(rule, Diagonal) else not pair.is_orthogonal


def is_unitwise(rule: MetricRule) -> bool:
    """Whether the metric has no terms between units, so that charts mixing several units are not for it."""
    return isinstance(rule, UnitwiseRule | QuasiDiagonal | Diagonal)


def keeps_affine_promise(damping: Damping | None) -> bool:
    """Whether a damping leaves an intrinsic metric invariant under affine charts."""
    return damping is None or not any(isinstance(part, Tikhonov | PseudoInverse) for part in damping.parts)
