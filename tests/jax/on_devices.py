"""Run as a program: what several devices find, beside what one device does, as JSON.

`python on_devices.py PROCESS PROCESSES PORT`; with more than one process they meet on loopback.
"""

import json
import sys

import jax
import numpy

import manifoldnet as mn
from manifoldnet.learning.train import train
from tests.jax.kinds import KINDS, data

# no number of devices used here divides it
SAMPLES = 13
METRICS = (mn.Backpropagated(), mn.QuasiDiagonal(mn.Natural()), mn.UnitwiseOuterProduct(), mn.Natural())


def gap(found: object, expected: object) -> float:
    found, expected = numpy.asarray(found), numpy.asarray(expected)
    assert found.shape == expected.shape
    return float(numpy.abs(found - expected).max() / (1.0 + numpy.abs(expected).max()))


def gaps(name: str) -> dict[str, float]:
    """How far the devices together are from NumPy on one, in what a step is made of and in steps."""
    net = KINDS[name]()
    x, y = data(name, SAMPLES)
    one, many = mn.compile(net), mn.compile(net, backend="jax", devices="all")
    theta = one.initialize(numpy.random.default_rng(0))
    found = {
        "losses": gap(many.losses(theta, x, y), one.losses(theta, x, y)),
        "differential": gap(many.differential(theta, x, y).flat, one.differential(theta, x, y).flat),
    }
    for metric in METRICS:
        found[metric.name] = gap(
            many.metric(metric, theta, x, y).as_matrix(), one.metric(metric, theta, x, y).as_matrix()
        )
    for metric in METRICS[:2]:
        schedule = mn.FullBatch(steps=2, rate=0.1, damping=mn.Tikhonov(0.1))
        ends = [train(p, theta, mn.Dataset(x, y), metric, schedule, numpy.random.default_rng(0)) for p in (many, one)]
        found[f"steps of {metric.name}"] = gap(ends[0].theta.flat, ends[1].theta.flat)
    # minibatches of 5: 5, 5 and an uneven 3
    schedule = mn.Minibatches(steps=3, batch=5, damping=mn.Tikhonov(0.1))
    ends = [train(p, theta, mn.Dataset(x, y), METRICS[0], schedule, numpy.random.default_rng(0)) for p in (many, one)]
    found["minibatches"] = gap(ends[0].theta.flat, ends[1].theta.flat)
    return found


def main() -> None:
    process, processes, port = map(int, sys.argv[1:4])
    if processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=processes, process_id=process)
    found = {name: gaps(name) for name in sys.argv[4:]}
    print(json.dumps({"devices": jax.device_count(), "gaps": found}))


if __name__ == "__main__":
    main()
