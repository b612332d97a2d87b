"""A small spec for comparisons."""

from pathlib import Path

# Two layers of logistic units that reproduce three strings: a step takes less than a millisecond.
STRINGS = """
import numpy
import manifoldnet as mn

title = "strings"
schedule = mn.FullBatch(steps=12)

def network(seed=0, hidden=3):
    net = mn.Network("strings", seed=seed)
    x = net.input("x", size=4, manifold=mn.Interval(0, 1))
    h = net.layer("h", size=hidden, map=mn.Affine(mn.logistic), parents=[x])
    y = net.layer("y", size=4, map=mn.Affine(mn.logistic), parents=[h])
    net.interpret(mn.Bernoulli(), parents=[y])
    return net

def data(seed=0):
    strings = numpy.random.default_rng([seed, 7]).integers(0, 2, size=(3, 4)).astype(float)
    return mn.Dataset(strings, strings)
"""


def write_strings(folder: Path, text: str = STRINGS) -> Path:
    path = folder / "strings.py"
    path.write_text(text, encoding="utf-8")
    return path
