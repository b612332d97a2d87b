"""Metrics are averages over samples, never sums."""

import numpy

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.laws.record import Check, Statement
from manifoldnet.laws.situation import Situation

TOLERANCE = 1e-10


def average(situation: Situation, rule: MetricRule) -> Check:
    """The metric of a data set is that of the same data taken twice: damping would mean something else otherwise.

    Not testable for Monte Carlo metrics, whose targets are drawn for each sample.
    """
    statement = Statement("average over samples", rule.name)
    if rule.needs_rng:
        return statement.untestable("the targets of two equal samples are drawn separately", TOLERANCE)
    rows = numpy.tile(numpy.arange(situation.samples), 2)
    once, twice = situation.tensor(rule), situation.on(rows).tensor(rule)
    tangent = situation.rng(8).standard_normal(once.size)
    expected, found = once.norm2(tangent), twice.norm2(tangent)
    return statement.measured(abs(found - expected) / max(expected, found, 1e-300), TOLERANCE)
