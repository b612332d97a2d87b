"""An interpretation's score, metric and sampler belong to its loss."""

from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.errors import DeclarationError
from manifoldnet.geometry.manifold import Manifold

STEP = 1e-5
SLOPE = 1e-5
SAMPLES, DRAWS = 6, 4000
# A mean over draws may be so many of its standard errors off.
ERRORS = 6.0


def check_interpretation(
    interpretation: Interpretation, manifolds: Sequence[Manifold], targets: NDArray | None = None, seed: int = 0
) -> None:
    """Raise AssertionError unless an interpretation of output units on these manifolds agrees with itself.

    Against central differences: the score is the derivative of the loss in outputs and output parameters, and Omega pulled
    back by domega is what the factor squares to, with the modulus on its diagonal. Omega is positive. For distributions, on
    drawn targets: the mean score vanishes and the mean of its squares is Omega (the Fisher metric), to six
    standard errors. `targets` (samples, ...) are needed where none can be drawn.
    """
    interpretation.check(manifolds)
    rng = numpy.random.default_rng(seed)
    count = SAMPLES if targets is None else len(targets)
    z = numpy.concatenate([m.sample(rng, count).reshape(count, -1) for m in manifolds], axis=1)
    checker = _Checker(interpretation, z)
    checker.check_metric()
    drawn = _drawn(interpretation, z, rng)
    if drawn is None and targets is None:
        raise AssertionError(f"{interpretation}: no targets can be drawn from omega, give targets=...")
    checker.check_score(numpy.asarray(drawn[0] if targets is None and drawn is not None else targets))
    if drawn is not None:
        checker.check_sampler(drawn)


def _drawn(interpretation: Interpretation, z: NDArray, rng: numpy.random.Generator) -> NDArray | None:
    """Targets (draws, samples, ...); None where omega is no distribution."""
    try:
        return numpy.asarray(interpretation.sample(rng, z, interpretation.initial(z.shape[1]), "value", DRAWS))
    except DeclarationError:
        return None


class _Checker:
    """Everything as a function of outputs and output parameters together, (samples, n + p)."""

    def __init__(self, interpretation: Interpretation, z: NDArray) -> None:
        self._read, self._n = interpretation, z.shape[1]
        vartheta = interpretation.initial(self._n)
        self._joint = numpy.concatenate([z, numpy.broadcast_to(vartheta, (len(z), len(vartheta)))], axis=1)

    def _parts(self, joint: NDArray, sample: int) -> tuple[NDArray, NDArray]:
        return joint[sample : sample + 1, : self._n], joint[sample, self._n :]

    def _point(self, joint: NDArray) -> NDArray:
        """omega, flattened, sample by sample."""
        parts = [self._read.point(*self._parts(joint, i), "value") for i in range(len(joint))]
        return numpy.concatenate([numpy.asarray(part).reshape(1, -1) for part in parts])

    def _loss(self, joint: NDArray, targets: NDArray) -> NDArray:
        parts = [self._read.loss(*self._parts(joint, i), targets[i : i + 1], "value") for i in range(len(joint))]
        return numpy.concatenate(parts)

    def _score(self, targets: NDArray) -> NDArray:
        z, vartheta = self._joint[:, : self._n], self._joint[0, self._n :]
        score = self._read.score(z, vartheta, targets, "value")
        return score.outputs if score.parameters is None else numpy.concatenate([score.outputs, score.parameters], 1)

    def _pulled_back(self) -> NDArray:
        """The metric on (outputs, output parameters) as the factor gives it, (samples, n + p, n + p)."""
        z, vartheta = self._joint[:, : self._n], self._joint[0, self._n :]
        factor = self._read.factor(z, vartheta, "value")
        rows = factor.outputs
        if factor.parameters is not None:
            rows = numpy.concatenate([rows, factor.parameters], axis=2)
        return numpy.einsum("rsi,rsj->sij", rows, rows)

    def check_score(self, targets: NDArray) -> None:
        columns = []
        for direction in numpy.eye(self._joint.shape[1]) * STEP:
            ahead, behind = self._loss(self._joint + direction, targets), self._loss(self._joint - direction, targets)
            columns.append((ahead - behind) / (2.0 * STEP))
        _close(
            self._score(targets), numpy.stack(columns, axis=1), f"{self._read}: score against differences of the loss"
        )

    def check_metric(self) -> None:
        manifold = self._read.output_manifold(self._n)
        point = self._point(self._joint).reshape(len(self._joint), *manifold.shape)
        if not manifold.contains(point).all():
            raise AssertionError(f"{self._read}: omega leads off its manifold: {manifold.explain(point)}")
        omega = self._read.output_metric(point)
        if not (numpy.linalg.eigvalsh(omega) >= -1e-12 * numpy.abs(omega).max()).all():
            raise AssertionError(f"{self._read}: Omega is not positive semi-definite at {point[0].tolist()}")
        columns = [
            (self._point(self._joint + direction) - self._point(self._joint - direction)) / (2.0 * STEP)
            for direction in numpy.eye(self._joint.shape[1]) * STEP
        ]
        moved = manifold.coframe(point) @ numpy.stack(columns, axis=2)
        found = self._pulled_back()
        _close(found, moved.swapaxes(1, 2) @ omega @ moved, f"{self._read}: factor against Omega pulled back")
        modulus = self._read.modulus(self._joint[:, : self._n], self._joint[0, self._n :], "value")
        diagonal = numpy.diagonal(found, axis1=1, axis2=2)[:, : self._n]
        _close(modulus, diagonal, f"{self._read}: modulus against the diagonal of the metric")

    def check_sampler(self, drawn: NDArray) -> None:
        scores = numpy.stack([self._score(targets) for targets in drawn])
        squares = numpy.einsum("dsi,dsj->dsij", scores, scores)
        self._near(scores, numpy.zeros(scores.shape[1:]), "mean score of drawn targets, against 0")
        self._near(squares, self._pulled_back(), "mean square of scores of drawn targets, against Omega")

    def _near(self, values: NDArray, expected: NDArray, what: str) -> None:
        error = values.std(axis=0) / numpy.sqrt(len(values)) + 1e-9 * (1.0 + numpy.abs(expected))
        off = numpy.abs(values.mean(axis=0) - expected) / error
        if not off.max(initial=0.0) <= ERRORS:
            raise AssertionError(
                f"{self._read}: {what} is {off.max():.1f} standard errors off, at most {ERRORS} expected"
            )


def _close(found: NDArray, expected: NDArray, what: str) -> None:
    gap = numpy.abs(found - expected).max(initial=0.0) / (1.0 + numpy.abs(expected).max(initial=0.0))
    if not gap <= SLOPE:
        raise AssertionError(f"{what} deviates by {gap:.1e}, at most {SLOPE:.0e} expected")
