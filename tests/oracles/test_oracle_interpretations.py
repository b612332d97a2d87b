"""Every interpretation against its own density: scores, metrics, samplers, on every scale that it reads."""

from typing import Any

import numpy
import pytest
import scipy.stats
from numpy.typing import NDArray

from tests.oracles.compare import EXACT, tensor_deviation, vector_deviation
from tests.oracles.outputs import MEANINGS
from tests.oracles.spaces import STEP

SAMPLES = 4
# what the numbers z stand for on each scale, as the values that densities are written in
SCALES = {
    "value": lambda z: z,
    "log-odds": lambda z: 1.0 / (1.0 + numpy.exp(-z)),
    "log": lambda z: numpy.exp(z),
}
ROWS = [
    (name, scale, n)
    for name, meaning in MEANINGS.items()
    for scale in meaning.declare().scales
    for n in ((2, 4) if name == "heteroscedastic" else (2, 3))
]
DRAWABLE = [row for row in ROWS if MEANINGS[row[0]].outcomes is not None]


def setting(name: str, n: int) -> tuple[Any, NDArray, NDArray, NDArray]:
    """The interpretation, z (samples, n), vartheta (p,) and targets."""
    rng = numpy.random.default_rng([n, *name.encode()])
    z = rng.standard_normal((SAMPLES, n))
    vartheta = 0.4 * rng.standard_normal(MEANINGS[name].parameters(n)) + 0.3
    targets = numpy.array([MEANINGS[name].target(rng, n) for _ in range(SAMPLES)])
    return MEANINGS[name].declare(), z, vartheta, targets


def turned(z: NDArray, vartheta: NDArray) -> tuple[NDArray, NDArray]:
    """z and vartheta of one sample moved along each of their entries, (n + p, ...)."""
    joint = numpy.concatenate([z, vartheta]) + 1j * STEP * numpy.eye(len(z) + len(vartheta))
    return joint[:, : len(z)], joint[:, len(z) :]


@pytest.mark.parametrize(("name", "scale", "n"), ROWS)
def test_losses_points_and_scores(name: str, scale: str, n: int) -> None:
    interpretation, z, vartheta, targets = setting(name, n)
    meaning, values = MEANINGS[name], SCALES[scale]
    losses = interpretation.loss(z, vartheta, targets, scale)
    assert vector_deviation(losses, meaning.loss(values(z), vartheta, targets)) < EXACT
    points = interpretation.point(z, vartheta, scale)
    varthetas = numpy.broadcast_to(vartheta, (SAMPLES, len(vartheta)))
    assert vector_deviation(points, meaning.point(values(z), varthetas)) < EXACT
    score = interpretation.score(z, vartheta, targets, scale)
    parameters = numpy.zeros((SAMPLES, 0)) if score.parameters is None else score.parameters
    found = numpy.concatenate([score.outputs, parameters], axis=1)
    for s in range(SAMPLES):
        moved, learned = turned(z[s], vartheta)
        slopes = numpy.imag(meaning.loss(values(moved), learned, targets[s])) / STEP
        assert vector_deviation(found[s], slopes) < EXACT


@pytest.mark.parametrize(("name", "scale", "n"), ROWS)
def test_metric_is_the_expectation_of_squared_scores(name: str, scale: str, n: int) -> None:
    interpretation, z, vartheta, _ = setting(name, n)
    factor = interpretation.factor(z, vartheta, scale)
    assert len(factor.outputs) <= interpretation.rank(n)
    rows = (
        factor.outputs if factor.parameters is None else numpy.concatenate([factor.outputs, factor.parameters], axis=2)
    )
    modulus = interpretation.modulus(z, vartheta, scale)
    rng = numpy.random.default_rng(5)
    moved, own = rng.normal(size=z.shape), rng.normal(size=vartheta.shape)
    lengths = (factor.push(moved, own) ** 2).sum(axis=0)
    for s in range(SAMPLES):
        metric = fisher(name, scale, z[s], vartheta)
        direction = numpy.concatenate([moved[s], own])[: len(metric)]
        assert vector_deviation(lengths[s : s + 1], numpy.array([direction @ metric @ direction])) < EXACT
        assert tensor_deviation(rows[:, s].T @ rows[:, s], metric) < EXACT
        assert vector_deviation(modulus[s], numpy.diagonal(metric)[:n]) < EXACT


def fisher(name: str, scale: str, z: NDArray, vartheta: NDArray) -> NDArray:
    """The metric of the output manifold pulled back to (z, vartheta) of one sample, by brute force."""
    meaning, values = MEANINGS[name], SCALES[scale]
    moved, learned = turned(z, vartheta)
    if meaning.outcomes is not None:
        weights, y = meaning.outcomes(values(z), vartheta)
        scores = numpy.imag(meaning.loss(values(moved)[:, None], learned[:, None], y)) / STEP
        return (scores * weights) @ scores.T
    slopes = numpy.imag(meaning.point(values(moved), learned)) / STEP
    return slopes @ meaning.metric(meaning.point(values(z)[None], vartheta[None])[0]) @ slopes.T


@pytest.mark.parametrize(("name", "scale", "n"), DRAWABLE)
def test_probabilities_sum_to_one(name: str, scale: str, n: int) -> None:
    """Of the oracle itself: otherwise its expectations would mean nothing."""
    _, z, vartheta, _ = setting(name, n)
    weights, _ = MEANINGS[name].outcomes(SCALES[scale](z[0]), vartheta)
    assert abs(weights.sum() - 1.0) < 1e-12


@pytest.mark.parametrize(("name", "scale", "n"), DRAWABLE)
def test_frequencies_of_drawn_targets(name: str, scale: str, n: int) -> None:
    """Chi-square on the outcomes of finite distributions, Kolmogorov-Smirnov on the margins of Gaussians."""
    interpretation, z, vartheta, _ = setting(name, n)
    draws = interpretation.sample(numpy.random.default_rng(1), z, vartheta, scale, 4000)
    assert draws.shape[:2] == (4000, SAMPLES)
    for s in range(SAMPLES):
        if name in ("square-loss", "gaussian", "gaussian-shared", "heteroscedastic"):
            means, deviations = margins(name, z[s], vartheta)
            standard = (draws[:, s] - means) / deviations
            p_values = [scipy.stats.kstest(column, "norm").pvalue for column in standard.T]
        else:
            weights, y = MEANINGS[name].outcomes(SCALES[scale](z[s]), vartheta)
            hits = draws[:, s].reshape(4000, 1, -1) == y.reshape(1, len(y), -1)
            counts = hits.all(axis=2).sum(axis=0)
            assert counts.sum() == 4000
            p_values = [scipy.stats.chisquare(counts, 4000 * weights).pvalue]
        assert min(p_values) > 1e-4, s


def margins(name: str, z: NDArray, vartheta: NDArray) -> tuple[NDArray, NDArray]:
    if name == "heteroscedastic":
        means, log_scales = numpy.split(z, 2)
        return means, numpy.exp(log_scales)
    return z, numpy.exp(vartheta) if len(vartheta) else numpy.ones(len(z))


@pytest.mark.parametrize(("name", "scale", "n"), DRAWABLE)
def test_draws_do_not_depend_on_how_a_batch_is_cut(name: str, scale: str, n: int) -> None:
    interpretation, z, vartheta, _ = setting(name, n)
    whole = interpretation.sample(numpy.random.default_rng(3), z, vartheta, scale, 5)
    rng = numpy.random.default_rng(3)
    parts = [interpretation.sample(rng, z[cut], vartheta, scale, 5) for cut in (slice(0, 1), slice(1, 4))]
    assert numpy.array_equal(whole, numpy.concatenate(parts, axis=1))
