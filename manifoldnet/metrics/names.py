"""Metrics by the names of the command line."""

from collections.abc import Callable

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.metrics.adagrad import AdaGrad
from manifoldnet.metrics.euclidean import Euclidean
from manifoldnet.metrics.monte_carlo import MonteCarloNatural
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct
from manifoldnet.metrics.reductions import Diagonal, QuasiDiagonal
from manifoldnet.metrics.unitwise_rules import (
    Backpropagated,
    UnitwiseMonteCarloNatural,
    UnitwiseNatural,
    UnitwiseOuterProduct,
)

METRICS: dict[str, Callable[[], MetricRule]] = {
    "natural": Natural,
    "unitwise-natural": UnitwiseNatural,
    "backpropagated": Backpropagated,
    "outer-product": OuterProduct,
    "unitwise-outer-product": UnitwiseOuterProduct,
    "monte-carlo-natural": MonteCarloNatural,
    "unitwise-monte-carlo-natural": UnitwiseMonteCarloNatural,
    "quasi-diagonal-natural": lambda: QuasiDiagonal(UnitwiseNatural()),
    "quasi-diagonal-backpropagated": lambda: QuasiDiagonal(Backpropagated()),
    "quasi-diagonal-outer-product": lambda: QuasiDiagonal(UnitwiseOuterProduct()),
    "quasi-diagonal-monte-carlo-natural": lambda: QuasiDiagonal(UnitwiseMonteCarloNatural()),
    "diagonal-gauss-newton": lambda: Diagonal(Backpropagated()),
    "euclidean": Euclidean,
    "adagrad": AdaGrad,
}


def metric_named(name: str) -> MetricRule:
    """The metric of a name; raises ValueError that lists the names.

    >>> metric_named("backpropagated")
    Backpropagated()
    """
    if name not in METRICS:
        raise ValueError(f"no metric is named {name!r}: the names are {', '.join(METRICS)}")
    return METRICS[name]()
