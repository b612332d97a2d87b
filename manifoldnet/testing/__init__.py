"""Assertions for tests of your own: that nothing depends on charts, and that what you wrote is what it says.

>>> import manifoldnet as mn
>>> from manifoldnet.testing import assert_invariant, check_chart
>>> net = mn.Network("pair")
>>> h = net.layer("h", size=2, map=mn.Affine(mn.tanh), parents=[net.input("x", size=3)])
>>> net.interpret(mn.Bernoulli(), parents=[net.layer("y", size=1, map=mn.Affine(mn.logistic), parents=[h])])
>>> checks = assert_invariant(net, mn.Backpropagated(), charts=["affine"])
>>> check_chart(mn.Interval(0, 1).chart("angle"), mn.Interval(0, 1))

Strategies for hypothesis (extra `testing`) are in `manifoldnet.testing.strategies`.
"""

from manifoldnet.testing.charts import check_chart
from manifoldnet.testing.interpretations import check_interpretation
from manifoldnet.testing.invariance import assert_invariant
from manifoldnet.testing.maps import check_map
from manifoldnet.testing.metrics import check_metric
from manifoldnet.testing.situations import drawn_situation

__all__ = [
    "assert_invariant",
    "check_chart",
    "check_interpretation",
    "check_map",
    "check_metric",
    "drawn_situation",
]
