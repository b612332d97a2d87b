"""How far apart two results are, on the scale that the expected one sets."""

import numpy
from numpy.typing import NDArray

from tests.oracles.networks import Case

EXACT = 1e-10
DIFFERENCES = 1e-6


def tensor_deviation(found: NDArray, expected: NDArray) -> float:
    """The largest |A_ij - B_ij| / sqrt(B_ii B_jj), where entries a hundred times below the largest count as such."""
    assert found.shape == expected.shape
    scale = numpy.sqrt(numpy.abs(numpy.diagonal(expected)))
    scale = scale + 1e-2 * scale.max() + 1e-150
    return float((numpy.abs(found - expected) / scale / scale[:, None]).max())


def vector_deviation(found: NDArray, expected: NDArray) -> float:
    """The largest difference relative to the largest entry."""
    found, expected = numpy.asarray(found), numpy.asarray(expected)
    assert found.shape == expected.shape
    return float(numpy.abs(found - expected).max() / (numpy.abs(expected).max() + 1e-150))


def unit_deviation(case: Case, found: NDArray, expected: NDArray) -> float:
    """The same for covectors, unit by unit: small gradients count as much, down to a thousandth of the largest."""
    least = 1e-3 * numpy.abs(expected).max() + 1e-150
    differences = [
        numpy.abs(found[place.tangent] - expected[place.tangent]).max()
        / max(numpy.abs(expected[place.tangent]).max(), least)
        for place in case.reference.places.values()
    ]
    return float(max(differences))
