"""Figure 1 of the paper: fifty units learn to reproduce one string of bits, x or (`--set inverted=true`) 1 - x.

All weights start at zero and the rate is 0.01 for 100 steps. Plain backpropagation learns ones faster than zeros;
the invariant metrics do not care.
"""

import numpy

import manifoldnet as mn

title = "ones and zeros, 50-50"
schedule = mn.FullBatch(steps=100, rate=0.01, growth=1.0, cut=1.0)


def network(seed=0, size=50):
    net = mn.Network("ones and zeros", seed=seed)
    x = net.input("x", size=size, manifold=mn.Interval(0, 1))
    y = net.layer("y", size=size, map=mn.Affine(mn.logistic), parents=[x])
    net.interpret(mn.Bernoulli(), parents=[y])
    return net


def initial(program, rng):
    """All weights and biases zero, as in the figure."""
    return program.parameters(numpy.zeros(program.layout.size))


def data(seed=0, size=50, ones=38, inverted=False):
    bits = numpy.random.default_rng([seed, 1]).permutation(numpy.arange(size) < ones).astype(float)
    bits = 1.0 - bits if inverted else bits
    return mn.Dataset(bits[None], bits[None])
