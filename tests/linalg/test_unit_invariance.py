"""Solutions of one affine unit under other affine charts of its parents and of its pre-activation.

Blocks are formed anew from the re-charted activities, never by transforming a matrix.
"""

from dataclasses import dataclass

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifoldnet.linalg import (
    Blocks,
    Dense,
    Factor,
    Floor,
    Intrinsic,
    LeastNorm,
    Partition,
    PseudoInverse,
    Tikhonov,
    Units,
    quasi_diagonal_of,
)

seeds = st.integers(0, 10**6)


@dataclass
class Unit:
    """Samples of what a unit reads (samples, e) parent by parent, moduli (samples, q, q), and b (samples, q)."""

    parents: list
    moduli: numpy.ndarray
    pulled: numpy.ndarray

    def jacobian(self):
        """d pre-activation/d parameters, (samples, q, p): bias first, (e, q) within each parent."""
        samples, q = self.pulled.shape
        ones = numpy.ones((samples, 1))
        return numpy.concatenate(
            [numpy.einsum("na,bc->nbac", read, numpy.eye(q)).reshape(samples, q, -1) for read in [ones, *self.parents]],
            axis=2,
        )

    def block(self):
        jacobian = self.jacobian()
        return numpy.einsum("nbp,nbc,ncr->pr", jacobian, self.moduli, jacobian) / len(jacobian)

    def floor(self):
        jacobian = self.jacobian()
        return numpy.einsum("nbp,bc,ncr->pr", jacobian, self.moduli.mean(axis=0), jacobian) / len(jacobian)

    def rows(self):
        roots = numpy.linalg.cholesky(self.moduli).swapaxes(1, 2)
        return numpy.concatenate(list(roots @ self.jacobian())) / numpy.sqrt(len(self.pulled))

    def covector(self):
        return numpy.einsum("nbp,nb->p", self.jacobian(), self.pulled) / len(self.pulled)

    def partition(self):
        """Parents of one width together, in the order in which widths first occur."""
        q, start, by_width = self.pulled.shape[1], self.pulled.shape[1], {}
        for read in self.parents:
            k = q * read.shape[1]
            by_width.setdefault(k, []).append(numpy.arange(start, start + k))
            start += k
        return Partition(start, [Units([numpy.arange(q)], [numpy.array([rows]) for rows in by_width.values()])])

    def tensor(self, kind):
        partition = self.partition()
        order = partition.groups[0].index[0]
        here = numpy.ix_(order, order)
        floor = Blocks(partition, [self.floor()[here][None]])
        if kind == "dense":
            return Dense(self.block(), partition=partition, floor=floor)
        if kind == "factor":
            return Factor(self.rows(), partition=partition, floor=floor)
        blocks = Blocks(partition, [self.block()[here][None]], floor=floor)
        return blocks if kind == "blocks" else quasi_diagonal_of(blocks, partition)

    def effect(self, step):
        """By how much a step moves the pre-activation of each sample, (samples, q)."""
        return self.jacobian() @ step


@dataclass
class Charts:
    """Affine charts: a' = scale a + shift for each parent, y' = scale y + shift for the pre-activation."""

    scales: list
    shifts: list
    outer: numpy.ndarray

    def of(self, unit):
        inverse = numpy.linalg.inv(self.outer)
        return Unit(
            [a @ s.T + t for a, s, t in zip(unit.parents, self.scales, self.shifts, strict=True)],
            inverse.T @ unit.moduli @ inverse,
            unit.pulled @ inverse,
        )

    def step(self, step, unit):
        """The same tangent in the other charts: y' = outer (w_0 + sum W_i a_i), a_i = scale^{-1} (a'_i - shift)."""
        q, start, moved = self.outer.shape[0], self.outer.shape[0], []
        bias = self.outer @ step[:q]
        for read, s, t in zip(unit.parents, self.scales, self.shifts, strict=True):
            e = read.shape[1]
            weights = self.outer @ step[start : start + q * e].reshape(e, q).T @ numpy.linalg.inv(s)
            bias = bias - weights @ t
            moved.append(weights.T.reshape(-1))
            start += q * e
        return numpy.concatenate([bias, *moved])


def draw_unit(seed, q, widths, samples=60):
    """Parents of which each component has variance one: what rounding does to others is not the solver's."""
    rng = numpy.random.default_rng(seed)
    roots = rng.normal(size=(samples, q, q))
    moduli = roots @ roots.swapaxes(1, 2) + 0.3 * numpy.eye(q)
    parents = [standardised(rng.normal(size=(samples, e))) @ near_identity(rng, e) for e in widths]
    return Unit([a + rng.normal(size=a.shape[1]) for a in parents], moduli, rng.normal(size=(samples, q)))


def standardised(values):
    centred = values - values.mean(axis=0)
    return centred / numpy.sqrt((centred**2).mean(axis=0))


def draw_charts(seed, q, widths):
    rng = numpy.random.default_rng(seed)
    return Charts([near_identity(rng, e) for e in widths], [rng.normal(size=e) for e in widths], near_identity(rng, q))


def near_identity(rng, n):
    """A matrix of GL(n) that is not too badly conditioned: rotations around scales from 1/3 to 3."""
    left, right = (numpy.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    return left @ numpy.diag(3.0 ** rng.uniform(-1, 1, size=n)) @ right


shapes = st.tuples(st.integers(1, 2), st.lists(st.integers(1, 3), min_size=1, max_size=4))
scalars = st.tuples(st.just(1), st.lists(st.just(1), min_size=2, max_size=5))


def deviation(kind, damping, unit, charts):
    """Relative distance of the step in other charts from the same step, moved there."""
    other = charts.of(unit)
    moved = charts.step(unit.tensor(kind).solve(unit.covector(), damping), unit)
    solved = other.tensor(kind).solve(other.covector(), damping)
    return numpy.abs(solved - moved).max() / numpy.abs(moved).max()


@pytest.mark.parametrize("kind", ["blocks", "dense", "factor", "quasi-diagonal"])
@pytest.mark.parametrize(
    "damping", [None, Intrinsic(0.03), Floor(0.1), LeastNorm(), Floor(0.1) + Intrinsic(0.1)], ids=str
)
@settings(max_examples=15)
@given(shape=shapes | scalars, seed=seeds)
def test_steps_do_not_depend_on_affine_charts(kind, damping, shape, seed):
    unit, charts = draw_unit(seed, *shape), draw_charts(seed + 1, *shape)
    assert deviation(kind, damping, unit, charts) < 1e-10


@pytest.mark.parametrize("kind", ["blocks", "dense", "factor", "quasi-diagonal"])
@pytest.mark.parametrize("damping", [Tikhonov(0.03), Floor(0.1) + Tikhonov(0.03)], ids=str)
def test_tikhonov_is_seen_to_depend_on_charts(kind, damping):
    deviations = []
    for seed in range(5):
        shape = (2, [1, 2, 3])
        deviations.append(deviation(kind, damping, draw_unit(seed, *shape), draw_charts(seed + 1, *shape)))
    assert min(deviations) > 1e-3


@pytest.mark.parametrize("kind", ["blocks", "dense", "factor"])
@settings(max_examples=15)
@given(seed=seeds, samples=st.integers(3, 6))
def test_steps_of_singular_blocks_do_not_depend_on_affine_charts(kind, seed, samples):
    shape = (1, [1] * 7)
    unit, charts = draw_unit(seed, *shape, samples=samples), draw_charts(seed + 1, *shape)
    assert deviation(kind, Intrinsic(0.03), unit, charts) < 1e-10
    assert deviation(kind, LeastNorm(1e-8), unit, charts) < 1e-9


def test_moore_penrose_is_seen_to_depend_on_charts_for_singular_blocks():
    shape = (1, [1] * 7)
    for seed in range(5):
        unit, charts = draw_unit(seed, *shape, samples=5), draw_charts(seed + 1, *shape)
        assert deviation("blocks", PseudoInverse(), unit, charts) > 1e-3


@pytest.mark.parametrize("kind", ["blocks", "quasi-diagonal"])
@pytest.mark.parametrize("damping", [Intrinsic(0.03), LeastNorm()], ids=str)
def test_constant_parents_do_not_spoil_invariance(kind, damping):
    for seed in range(5):
        unit = draw_unit(seed, 1, [1, 1, 1])
        unit.parents[1][:] = 0.7
        charts = draw_charts(seed + 1, 1, [1, 1, 1])
        assert deviation(kind, damping, unit, charts) < 1e-10


def test_a_parent_with_a_constant_part_is_handled_alike_in_all_charts_if_the_floor_is_known():
    for seed in range(5):
        unit = draw_unit(seed, 1, [3, 2])
        unit.moduli[30:] = 1e-16
        unit.parents[0][:30, 1] = unit.parents[0][:30, 0]
        charts = draw_charts(seed + 1, 1, [3, 2])
        assert deviation("blocks", LeastNorm(), unit, charts) < 1e-6
        other = charts.of(unit)
        here, there = (u.effect(u.tensor("quasi-diagonal").solve(u.covector(), LeastNorm())) for u in (unit, other))
        assert numpy.abs(there[:30] - here[:30] @ charts.outer.T).max() < 1e-6 * numpy.abs(here[:30]).max()


def mixed(unit, recombination):
    """The unit reading one parent of all dimensions, before and after mixing them."""
    together = numpy.concatenate(unit.parents, axis=1)
    one = [[column[:, None] for column in (values.T)] for values in (together, together @ recombination.T)]
    return [Unit(parents, unit.moduli, unit.pulled) for parents in one]


def test_floor_is_invariant_under_recombination_and_the_others_are_seen_not_to_be():
    for seed in range(5):
        rng = numpy.random.default_rng(seed)
        first, second = mixed(draw_unit(seed, 1, [1] * 4), near_identity(rng, 4))
        effects = {}
        for kind, damping in (
            ("blocks", Floor(0.1)),
            ("blocks", None),
            ("blocks", Intrinsic(0.1)),
            ("blocks", Tikhonov(0.1)),
            ("quasi-diagonal", Floor(0.1)),
            ("quasi-diagonal", None),
        ):
            a, b = (u.effect(u.tensor(kind).solve(u.covector(), damping)) for u in (first, second))
            effects[kind, str(damping)] = numpy.abs(a - b).max() / numpy.abs(a).max()
        assert effects.pop(("blocks", "floor:0.1")) < 1e-10
        assert effects.pop(("blocks", "None")) < 1e-10
        assert min(effects.values()) > 1e-3, effects


def test_intrinsic_damping_is_ridge_regression_on_standardised_parents():
    unit = draw_unit(0, 1, [1] * 4)
    c, g = unit.moduli[:, 0, 0], unit.pulled[:, 0]
    read = numpy.concatenate(unit.parents, axis=1)
    mean = c @ read / c.sum()
    deviation = numpy.sqrt(c @ (read - mean) ** 2 / c.sum())
    standard = (read - mean) / deviation
    eps, level = 0.05, c.mean()
    gram = standard.T @ (c[:, None] * standard) / len(c) / level
    target = standard.T @ g / len(c) / level
    weights = numpy.linalg.solve(gram + eps * numpy.eye(4), target) / deviation
    # The bias: the average of the whole step is damped like the rest.
    bias = g.mean() / level / (1.0 + eps) - mean @ weights
    solved = unit.tensor("blocks").solve(unit.covector(), Intrinsic(eps))
    assert numpy.allclose(solved, [bias, *weights], rtol=1e-12, atol=1e-12)
