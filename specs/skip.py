"""Single units, skips, and an output that feeds another output: the carry and the sum bits of two binary numbers.

The two bits to add and a carry come in; `carry` is an output that `total`, the sum bit, reads too.
"""

import itertools

import numpy

import manifoldnet as mn

title = "a full adder with skips"
schedule = mn.FullBatch(steps=300, rate=0.1)


def network(seed=0):
    net = mn.Network("skip", seed=seed)
    bits = net.input("bits", size=3, manifold=mn.Interval(0, 1))
    pair = net.unit("pair", map=mn.Affine(mn.tanh), parents=[bits[:2]])
    rest = net.unit("rest", map=mn.Affine(mn.tanh), parents=[bits[1:], pair])
    carry = net.unit("carry", map=mn.Affine(mn.logistic), parents=[pair, rest, bits])
    total = net.unit("total", map=mn.Affine(mn.logistic), parents=[carry, pair, rest, bits])
    net.interpret(mn.Bernoulli(), parents=[carry, total])
    return net


def data(seed=0):
    bits = numpy.array(list(itertools.product([0.0, 1.0], repeat=3)))
    number = bits.sum(axis=1)
    return mn.Dataset(bits, numpy.stack([number >= 2, number % 2], axis=1).astype(float))
