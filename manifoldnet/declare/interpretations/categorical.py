"""What the interpretations with finitely many classes share."""

import numpy
from numpy.typing import NDArray

from manifoldnet import numpy as np


def one_hot(classes: NDArray, count: int) -> NDArray:
    """(samples, count) with a 1 at each sample's class."""
    return (classes[:, None] == numpy.arange(count)).astype(float)


def draw_classes(rng: numpy.random.Generator, probabilities: NDArray, draws: int) -> NDArray:
    """Class indices (draws, samples) from probabilities (samples, classes), by inversion."""
    uniform = rng.random((len(probabilities), draws))
    cumulative = np.cumsum(probabilities, axis=1)
    # rounding may leave the last cumulative sum just below 1: scale the draws to it
    return (uniform[:, :, None] * cumulative[:, None, -1:] >= cumulative[:, None]).sum(axis=2).T
