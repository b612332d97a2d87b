"""The sparse 100-30-10-30-100 auto-encoder of the paper's section 4: sixteen random binary strings to reproduce.

`--set replace=false` draws five distinct links for each unit; by default links are drawn with replacement
and duplicates merged. `--set link=tanh` declares the network with tanh units on (-1, 1). `--set descent=momentum` takes
steps that build on the last one and are judged in the natural metric, in place of the paper's descent.
"""

import numpy

import manifoldnet as mn

title = "sparse auto-encoder 100-30-10-30-100"


def schedule(descent="paper", rate=1.0, radius=0.5, refresh=1, renewal=1.0):
    building_on_the_last = mn.Minibatches(
        batch=16,
        steps=2000,
        rate=rate,
        radius=radius,
        refresh=refresh,
        renewal=renewal,
        decay=None,
        momentum=True,
    )
    return {"paper": mn.FullBatch(steps=2000), "momentum": building_on_the_last}[descent]


def network(seed=0, replace=True, link="logistic"):
    net = mn.Network("autoencoder", seed=seed)
    binary = link == "logistic"
    units = mn.Affine({"logistic": mn.logistic, "tanh": mn.tanh}[link])
    x = net.input("x", 100, mn.Interval(0, 1) if binary else mn.Interval(-1, 1), encode=None if binary else signed)
    h1 = net.layer("h1", size=30, map=units, parents=[x], wiring=mn.fan_out(5, replace=replace))
    h2 = net.layer("h2", size=10, map=units, parents=[h1], wiring=mn.fan_out(5, replace=replace))
    h3 = net.layer("h3", size=30, map=units, parents=[h2], wiring=mn.fan_in(5, replace=replace))
    y = net.layer("y", size=100, map=units, parents=[h3], wiring=mn.fan_in(5, replace=replace))
    net.interpret(mn.Bernoulli(), parents=[y])
    return net


def signed(bits):
    return 2.0 * numpy.asarray(bits) - 1.0


def data(seed=0, samples=16):
    strings = numpy.random.default_rng([seed, 1]).integers(0, 2, size=(samples, 100)).astype(float)
    return mn.Dataset(strings, strings)
