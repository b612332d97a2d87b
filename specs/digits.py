"""Handwritten digits: a dense classifier of 8x8 images, softmax or spherical (`--set output=spherical`)."""

import manifoldnet as mn

title = "handwritten digits, 64-64-10"
schedule = mn.Minibatches(batch=64, steps=1000, patience=40)


def network(seed=0, hidden=64, output="softmax"):
    net = mn.Network("digits", seed=seed)
    image = net.input("image", size=64, manifold=mn.Interval(0, 1), encode=lambda ink: ink / 16)
    h = net.layer("h", size=hidden, map=mn.Affine(mn.tanh), parents=[image])
    digit = net.layer("digit", size=10, map=mn.Affine(mn.identity), parents=[h])
    net.interpret({"softmax": mn.Softmax(), "spherical": mn.Spherical()}[output], parents=[digit])
    return net


def data(seed=0, held_out=0.2):
    digits = mn.load_digits()
    return mn.split(digits.images, digits.labels, held_out=held_out, seed=seed)
