"""Metric tensors: what they are made of, how they multiply, how they are solved and damped."""

from manifoldnet.linalg.blocks import Blocks
from manifoldnet.linalg.conversion import blocks_of, diagonal_of, quasi_diagonal_of
from manifoldnet.linalg.damping import (
    Damping,
    Floor,
    Intrinsic,
    LeastNorm,
    PseudoInverse,
    Tikhonov,
)
from manifoldnet.linalg.damping_text import damping_from_text
from manifoldnet.linalg.dense import Dense
from manifoldnet.linalg.diagonal import Diagonal, euclidean
from manifoldnet.linalg.entries import Entries
from manifoldnet.linalg.factor import Factor
from manifoldnet.linalg.implicit import Implicit
from manifoldnet.linalg.pull_back import pull_back
from manifoldnet.linalg.quasi_diagonal import QuasiDiagonal
from manifoldnet.linalg.tensor import MetricTensor, flat
from manifoldnet.linalg.units import Partition, Units, Whole

__all__ = [
    "Blocks",
    "Damping",
    "Dense",
    "Diagonal",
    "Entries",
    "Factor",
    "Floor",
    "Implicit",
    "Intrinsic",
    "LeastNorm",
    "MetricTensor",
    "Partition",
    "PseudoInverse",
    "QuasiDiagonal",
    "Tikhonov",
    "Units",
    "Whole",
    "blocks_of",
    "damping_from_text",
    "diagonal_of",
    "euclidean",
    "flat",
    "pull_back",
    "quasi_diagonal_of",
]
