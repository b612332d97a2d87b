"""The numbers that the paper reports (Y. Ollivier, arXiv:1303.0818, section 4, tables 1 and 2), cited as data."""

from collections.abc import Mapping
from typing import Final

from manifoldnet.declare.network import Network

# Table 1: steps that take about as long as 10,000 of backpropagation, least and most.
STEPS: Final[Mapping[str, tuple[int, int]]] = {
    "euclidean": (10_000, 10_000),
    "diagonal-gauss-newton": (7_700, 7_800),
    "adagrad": (8_000, 8_100),
    "unitwise-natural": (2_100, 2_300),
    "quasi-diagonal-natural": (2_800, 3_100),
    "backpropagated": (4_200, 4_300),
    "quasi-diagonal-backpropagated": (7_400, 7_500),
    "unitwise-monte-carlo-natural": (2_800, 2_900),
    "quasi-diagonal-monte-carlo-natural": (3_900, 4_000),
    "unitwise-outer-product": (4_000, 4_100),
    "natural": (9, 10),
}

# Table 2: the loss in bits after those steps, mean and standard deviation over 20 runs, by charts.
BITS: Final[Mapping[tuple[str, str], tuple[float, float]]] = {
    ("euclidean", "sigmoid"): (35.9, 2.1),
    ("euclidean", "tanh"): (24.7, 2.2),
    ("diagonal-gauss-newton", "sigmoid"): (11.6, 2.5),
    ("diagonal-gauss-newton", "tanh"): (3.5, 2.0),
    ("adagrad", "sigmoid"): (51.1, 3.3),
    ("adagrad", "tanh"): (25.3, 2.0),
    ("unitwise-natural", "sigmoid"): (0.9, 1.0),
    ("unitwise-natural", "tanh"): (1.4, 1.8),
    ("quasi-diagonal-natural", "sigmoid"): (3.5, 1.2),
    ("quasi-diagonal-natural", "tanh"): (3.4, 1.6),
    ("backpropagated", "sigmoid"): (0.8, 0.8),
    ("backpropagated", "tanh"): (0.3, 0.5),
    ("quasi-diagonal-backpropagated", "sigmoid"): (1.9, 1.2),
    ("quasi-diagonal-backpropagated", "tanh"): (1.5, 1.3),
    ("unitwise-monte-carlo-natural", "sigmoid"): (12.9, 1.5),
    ("unitwise-monte-carlo-natural", "tanh"): (14.1, 2.2),
    ("quasi-diagonal-monte-carlo-natural", "sigmoid"): (7.9, 2.3),
    ("quasi-diagonal-monte-carlo-natural", "tanh"): (10.1, 2.5),
    ("unitwise-outer-product", "sigmoid"): (24.7, 2.5),
    ("unitwise-outer-product", "tanh"): (28.5, 3.4),
}

# The methods of table 2, in its order.
METHODS: Final[tuple[str, ...]] = tuple(name for name in STEPS if (name, "tanh") in BITS)

# The time of so many steps of backpropagation is what each method got.
BACKPROPAGATIONS: Final = 10_000

# What the paper adds to every metric but the identity (remark 12).
DAMPING: Final = "tikhonov:0.0001"

# The network that the tables are about.
SIZES: Final = (100, 30, 10, 30, 100)


def typical_steps(metric: str) -> int:
    """The middle of table 1's range; KeyError for a metric that the table does not have.

    >>> typical_steps("backpropagated"), typical_steps("natural")
    (4250, 10)
    """
    least, most = STEPS[metric]
    return (least + most + 1) // 2


def is_papers(net: Network) -> bool:
    """Whether a network is the auto-encoder of section 4, by its name and its layers' sizes."""
    layers = net.snapshot().layers
    return net.name == "autoencoder" and tuple(layer.size for layer in layers) == SIZES
