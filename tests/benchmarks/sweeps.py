"""How costs grow: the time of parts of a step as n, d, n_out or the batch grow, with slopes fitted on log-log scales.

The paper's claims (per sample): backpropagation and quasi-diagonal backpropagated O(nd), backpropagated blocks O(n d^2),
quasi-diagonal natural O(n d n_out). A slope below the claim is overhead that does not grow; one above it would be a fault.
"""

from collections.abc import Callable, Sequence

import attrs
import numpy

import manifoldnet as mn
from manifoldnet.compiler.rule import MetricRule
from tests.benchmarks.measure import interleaved
from tests.benchmarks.work import Work, initial

METRICS: dict[str, MetricRule | None] = {
    "gradient": None,
    "quasi-diagonal backpropagated": mn.QuasiDiagonal(mn.Backpropagated()),
    "backpropagated blocks": mn.Backpropagated(),
    "quasi-diagonal natural": mn.QuasiDiagonal(mn.UnitwiseNatural()),
}


@attrs.frozen
class Sweep:
    """One size grows; `claims` are the exponents of the paper's orders, by metric."""

    name: str
    sizes: Sequence[int]
    make: Callable[[int], Work]
    claims: dict[str, float]


def two_layers(units: int, links: int, outputs: int, samples: int, spread: bool = False) -> Work:
    """`units` tanh units of `links` random links to as many inputs, all read by each of `outputs` linear units.

    With `spread`, each is read by two of the outputs only, so that more of them have no more links.
    """
    net = mn.Network("sweep", seed=0)
    x = net.input("x", size=units)
    h = net.layer("h", size=units, map=mn.Affine(mn.tanh), parents=[x], wiring=mn.fan_in(links, replace=False))
    wiring = mn.fan_out(2, replace=False) if spread else mn.dense
    y = net.layer("y", size=outputs, map=mn.Affine(mn.identity), parents=[h], wiring=wiring)
    net.interpret(mn.SquareLoss(), parents=[y])
    rng = numpy.random.default_rng(3)
    return Work(net, rng.standard_normal((samples, units)), rng.standard_normal((samples, outputs)), initial(net))


LINEAR = dict.fromkeys(METRICS, 1.0)
SWEEPS = (
    Sweep("units n", (512, 1024, 2048, 4096), lambda n: two_layers(n, 8, 16, 64), LINEAR),
    Sweep(
        "links d",
        (16, 32, 64, 128),
        lambda d: two_layers(512, d, 4, 64),
        {**LINEAR, "backpropagated blocks": 2.0},
    ),
    Sweep(
        "outputs n_out",
        (16, 32, 64, 128),
        lambda n: two_layers(512, 8, n, 64, spread=True),
        {**dict.fromkeys(METRICS, 0.0), "quasi-diagonal natural": 1.0},
    ),
    Sweep("batch", (64, 256, 1024, 4096), lambda n: two_layers(128, 8, 16, n), LINEAR),
)


def swept(sweep: Sweep, seconds: float) -> list[dict]:
    """Times and the fitted slope of each metric."""
    times: dict[str, list[float]] = {name: [] for name in METRICS}
    for size in sweep.sizes:
        work = sweep.make(size)
        program = mn.compile(work.net)
        found = interleaved({name: _call(work, program, rule) for name, rule in METRICS.items()}, seconds)
        for name, value in found.items():
            times[name].append(value)
    return [
        {
            "sweep": sweep.name,
            "metric": name,
            "sizes": list(sweep.sizes),
            "seconds": values,
            "slope": float(numpy.polyfit(numpy.log(sweep.sizes), numpy.log(values), 1)[0]),
            "claim": sweep.claims[name],
        }
        for name, values in times.items()
    ]


def _call(work: Work, program: mn.Program, rule: MetricRule | None) -> Callable[[], object]:
    here = work.run(program)
    if rule is None:
        return lambda: attrs.evolve(here).differential()
    return lambda: attrs.evolve(here).metric(rule)
