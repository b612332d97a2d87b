"""All laws on one network: which of them, of which metrics, under which changes of charts."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import final

import attrs
import numpy

from manifoldnet.compiler.rule import MetricRule
from manifoldnet.laws.averages import average
from manifoldnet.laws.best_fit import best_fit
from manifoldnet.laws.changes import Pair
from manifoldnet.laws.definitions import definition
from manifoldnet.laws.descent import improvement
from manifoldnet.laws.drawn import CHANGES
from manifoldnet.laws.flows import flow
from manifoldnet.laws.norms import norms
from manifoldnet.laws.orders import order_of_a_horizon, order_of_a_step
from manifoldnet.laws.output_layer import newton, output_moduli
from manifoldnet.laws.profile import profile
from manifoldnet.laws.promises import is_intrinsic, is_unitwise, sees
from manifoldnet.laws.recombination import Recombination, drawn_recombination, recombination
from manifoldnet.laws.record import Check
from manifoldnet.laws.recursion import recursion
from manifoldnet.laws.situation import Situation
from manifoldnet.laws.trajectories import trajectory
from manifoldnet.laws.variance import least_variance
from manifoldnet.laws.whole import mixed_units, mixed_whole
from manifoldnet.learning.defaults import default_damping
from manifoldnet.linalg.damping import Damping, Floor, Intrinsic, LeastNorm, Tikhonov
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct
from manifoldnet.metrics.reductions import QuasiDiagonal
from manifoldnet.metrics.unitwise_rules import Backpropagated, UnitwiseNatural, UnitwiseOuterProduct

# Names of `--charts`, beside those of CHANGES.
RECOMBINATION, MIXED = "recombination", "mixed"
CHARTS = (*CHANGES, RECOMBINATION, MIXED)
STEPS = 100
RELATIVE = Intrinsic(0.03)
# Multiplications that one evaluation of a metric on all parameters may take.
COST = 4e8

Law = Callable[[], Check]


def verify(
    situation: Situation,
    rules: Sequence[MetricRule],
    charts: Sequence[str] | None = None,
    damping: Damping | None = None,
) -> Iterator[Check]:
    """Every law on every metric, one row after another; with `charts`, only those laws that change charts, in these.

    Steps are undamped, and with each damping in turn; a row whose metric is singular is followed by one with a damping
    that keeps the promise. With a `damping` steps are damped by it alone.
    """
    bench = _Bench(situation, tuple(CHARTS if charts is None else charts), damping)
    for rule in rules:
        side = bench.for_metric(rule)
        for law in _in_charts(side, rule):
            yield law()
        if charts is None:
            for law in _in_one_chart(side, rule):
                yield law()


def damped_steps(situation: Situation, rule: MetricRule, damping: Damping) -> Iterator[Check]:
    """Steps, one and a hundred, by one damping in affine charts: what `verify` says of it there, without the norms."""
    bench = _Bench(situation, ("form", "affine", "inputs"), damping).for_metric(rule)
    for law in _steps_in_charts(bench, rule):
        yield law()


@final
@attrs.frozen(eq=False, slots=False)
class _Bench:
    """A situation with the changes of charts that are drawn for it, each once."""

    situation: Situation
    charts: tuple[str, ...]
    damping: Damping | None = None
    smaller: dict[int, "_Bench"] = attrs.field(factory=dict)

    def for_metric(self, rule: MetricRule) -> "_Bench":
        """The same on as many samples as a metric on all parameters can take."""
        if is_unitwise(rule) or not is_intrinsic(rule):
            return self
        size = self.situation.program.tangent_layout.size
        # a rule with so many rows a sample, of which there are three arrays, multiplies rows by parameters by the smaller
        rows = max(1, rule.memory(self.situation.program, 1) // (3 * 8 * size))
        affordable = max(numpy.sqrt(COST / size), COST / size**2) / rows
        samples = min(self.situation.samples, max(4, int(affordable)))
        if samples == self.situation.samples:
            return self
        if samples not in self.smaller:
            self.smaller[samples] = _Bench(self.situation.on(slice(0, samples)), self.charts, self.damping)
        return self.smaller[samples]

    @cached_property
    def pairs(self) -> dict[str, Pair | None]:
        return {name: CHANGES[name](self.situation) for name in self.charts if name in CHANGES}

    def pairs_of(self, *names: str) -> list[Pair]:
        return [pair for name in names if (pair := self.pairs.get(name)) is not None]

    @cached_property
    def recombination(self) -> Recombination | None:
        return drawn_recombination(self.situation) if RECOMBINATION in self.charts else None

    @cached_property
    def mixed(self) -> Pair | None:
        return mixed_whole(self.situation) if MIXED in self.charts else None


def _in_charts(bench: _Bench, rule: MetricRule) -> Iterator[Law]:
    controlled = not is_intrinsic(rule)
    for pair in bench.pairs_of(*CHANGES):
        if not controlled or sees(rule, pair):
            yield partial(norms, pair, rule)
    yield from _steps_in_charts(bench, rule)


def _steps_in_charts(bench: _Bench, rule: MetricRule) -> Iterator[Law]:
    controlled = not is_intrinsic(rule)
    for pair in bench.pairs_of("form", "affine", "inputs"):
        if not controlled or sees(rule, pair):
            yield from _solved(bench, rule, partial(trajectory, pair, rule, 1))
    for pair in bench.pairs_of("affine")[:1] or bench.pairs_of("form"):
        if not controlled:
            yield from _damped(bench, pair, rule)
    for pair in bench.pairs_of("parameters"):
        # drawn targets may jump on the way, so that only a single step has an order
        for law in (order_of_a_step,) if rule.needs_rng else (order_of_a_step, order_of_a_horizon, flow):
            yield from _solved(bench, rule, partial(law, pair, rule))
    if is_unitwise(rule) and (recombined := bench.recombination) is not None:
        yield from _recombined(bench, recombined, rule)
    if not is_unitwise(rule) and not controlled and (mixed := bench.mixed) is not None:
        yield lambda: mixed_units(bench.situation, mixed, rule)


def _damped(bench: _Bench, pair: Pair, rule: MetricRule) -> Iterator[Law]:
    """A hundred steps, a step with each damping that keeps the promise, and one that Tikhonov's spoils."""
    wished = bench.damping
    many = default_damping(rule) if wished is None else wished
    yield _seen_or_not(bench, lambda: trajectory(pair, rule, STEPS, many))
    if wished is not None:
        return
    for damping in dampings(rule):
        yield partial(trajectory, pair, rule, 1, damping)
    if not pair.is_orthogonal:
        yield lambda: trajectory(pair, rule, 1, spoiling(pair.before, rule))


def _recombined(bench: _Bench, pair: Recombination, rule: MetricRule) -> Iterator[Law]:
    """Undamped and floored, as promised, and with Intrinsic damping, which looks at single signals."""
    if bench.damping is not None:
        yield _seen_or_not(bench, partial(recombination, pair, rule, bench.damping))
        return
    found: list[Check] = []

    def undamped() -> Check:
        found.append(recombination(pair, rule))
        return found[0]

    yield undamped
    # where signals are dependent, dampings choose among solutions that do the same
    if is_intrinsic(rule) and not isinstance(rule, QuasiDiagonal) and found[0].outcome != "not testable":
        yield partial(recombination, pair, rule, Floor(0.1))
        yield partial(recombination, pair, rule, Intrinsic(0.3))


def dampings(rule: MetricRule) -> list[Damping]:
    """Those that keep the promise of proposition 30, whether or not the metric is singular."""
    if isinstance(rule, QuasiDiagonal):
        return [Floor(0.1) + LeastNorm(), LeastNorm()]
    return [Intrinsic(0.1), Intrinsic(0.03) + Floor(0.1), LeastNorm()] if is_unitwise(rule) else [Intrinsic(0.1)]


def spoiling(situation: Situation, rule: MetricRule) -> Tikhonov:
    """Tikhonov damping of a size that is felt: what the metric is along the differential of the loss."""
    slope = situation.differential
    felt = situation.tensor(rule).norm2(slope) / max(float(slope @ slope), 1e-300)
    # two digits, to be read in a table
    return Tikhonov(float(f"{felt:.2g}") if felt > 0.0 else 1.0)


def _solved(bench: _Bench, rule: MetricRule, law: Callable[[Damping | None], Check]) -> Iterator[Law]:
    """A law without damping; where the metric is singular, also with one that keeps the promise."""
    if bench.damping is not None:
        yield _seen_or_not(bench, partial(law, bench.damping))
        return
    found: list[Check] = []

    def undamped() -> Check:
        found.append(law(None))
        return found[0]

    yield undamped
    if found and found[0].outcome == "not testable":
        yield lambda: law(RELATIVE if is_intrinsic(rule) and not isinstance(rule, QuasiDiagonal) else LeastNorm())


def _seen_or_not(bench: _Bench, law: Law) -> Law:
    """A damping that the caller chose may spoil so little that it is not seen, which is no failure."""

    def judged() -> Check:
        found = law()
        if bench.damping is None or found.promised or not found.failed:
            return found
        return attrs.evolve(found, outcome="not testable", detail="nothing is promised, and little is seen to deviate")

    return judged


def _in_one_chart(bench: _Bench, rule: MetricRule) -> Iterator[Law]:
    situation = bench.situation
    yield lambda: average(situation, rule)
    yield from _solved(bench, rule, lambda damping: improvement(situation, rule, damping))
    if isinstance(rule, UnitwiseNatural | Backpropagated | UnitwiseOuterProduct):
        yield lambda: profile(situation, rule)
        yield lambda: best_fit(situation, rule)
    if isinstance(rule, Natural | UnitwiseNatural | OuterProduct | UnitwiseOuterProduct):
        yield lambda: definition(situation, rule)
    if isinstance(rule, OuterProduct):
        yield lambda: least_variance(situation)
    if isinstance(rule, Backpropagated):
        yield lambda: recursion(situation)
        yield lambda: output_moduli(situation)
    if isinstance(rule, UnitwiseNatural):
        yield lambda: newton(situation)


__all__ = ["CHARTS", "damped_steps", "dampings", "spoiling", "verify"]
