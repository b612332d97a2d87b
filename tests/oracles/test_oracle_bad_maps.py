"""Functions of the user's that fail the probe are refused when the network is compiled, with their file and line."""

import itertools
from collections.abc import Callable

import autograd.extend
import numpy
import pytest

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.errors import MapError
from manifoldnet.geometry.manifold import Manifold

COUNTER = itertools.count()


def compiled(
    function: Callable, activity: Manifold | None = None, parameters: Manifold | None = None, size: int = 3
) -> mn.Program:
    """A network of one layer "t" with that map on inputs of two dimensions."""
    net = mn.Network("probed")
    x = net.input("x", size=size, manifold=mn.Real(2))
    map = mn.Map(function, parameters=parameters, activity=activity or mn.Real(2))
    net.interpret(mn.SquareLoss(), parents=[net.layer("t", size=2, map=map, parents=[x])])
    return mn.compile(net)


def too_long(x):
    return np.concatenate([np.sum(x, axis=-2)] * 2, axis=-1)


def lost_axis(x):
    return np.sum(x, axis=-1)


def single_precision(x):
    return np.sum(x, axis=-2).astype(numpy.float32)


def integers(x):
    return np.sum(1 * (x > 0.0), axis=-2)


def normalised_over_everything(x):
    return np.sum(x, axis=-2) / np.sum(x**2)


def averaged_over_samples(x):
    return np.sum(x, axis=-2) - np.mean(np.sum(x, axis=-2), axis=0)


def impure(x):
    return np.sum(x, axis=-2) + float(next(COUNTER))


def half_raw(x):
    # raw NumPy on a traced array: where() builds an array without derivatives
    return 0.5 * np.sum(x, axis=-2) + 0.5 * frozen(np.sum(x, axis=-2))


def frozen(x):
    """What raw NumPy does when it drops the tape: the value without its derivative."""
    value = getattr(x, "_value", x)
    return numpy.where(value > 0.0, value, 0.5 * value)


@autograd.extend.primitive
def doubled(x):
    return 2.0 * x


autograd.extend.defvjp(doubled, lambda value, x: lambda g: 3.0 * g)


def wrong_jacobian(x):
    return doubled(np.sum(x, axis=-2))


def broken(x):
    return x @ numpy.ones((7, 2))


def unlisted(x):
    return np.convolve(x, x)


def leaving(x):
    return np.sum(x, axis=-2)


@pytest.mark.parametrize(
    ("function", "activity", "message"),
    [
        (too_long, mn.Real(2), r"must return points of Real\(n=2\) of shape .* = \(4, 3, 2\), received \(4, 3, 4\)"),
        (lost_axis, mn.Real(2), r"received \(4, 3, 3\): keep the leading axes"),
        (single_precision, mn.Real(2), "must return float64, received float32"),
        (integers, mn.Real(2), "must return float64, received int64"),
        (normalised_over_everything, mn.Real(2), r"mixes samples or units: .* A reduction such as np.sum needs axis=-1"),
        (averaged_over_samples, mn.Real(2), "mixes samples or units"),
        (half_raw, mn.Real(2), "has a derivative along its parent that disagrees with finite differences"),
        (wrong_jacobian, mn.Real(2), "has a derivative along its parent that disagrees with finite differences: .* against"),
        (broken, mn.Real(2), r"failed on points of shapes \(4, 3, 3, 2\): ValueError"),
        (unlisted, mn.Real(2), "manifoldnet.numpy does not list 'convolve'"),
        (leaving, mn.Positive(2), r"leaves Positive\(n=2\): a point of Positive\(n=2\) has positive entries"),
        (leaving, mn.Sphere(1), r"leaves Sphere\(n=1\): a point of Sphere\(n=1\) has the length 1"),
    ],
)  # fmt: skip
def test_a_map_that_fails_the_probe(function: Callable, activity: Manifold, message: str) -> None:
    line = function.__code__.co_firstlineno
    place = rf"layer 't': map {function.__name__} \(.*test_oracle_bad_maps.py:{line}\)"
    with pytest.raises(MapError, match=f"{place}.*{message}"):
        compiled(function, activity)


def test_an_impure_map() -> None:
    """Alone and among others it differs too, so that either check may catch it."""
    with pytest.raises(MapError, match="map impure .*(gave two results for the same arguments|mixes samples or units)"):
        compiled(impure)


def test_a_map_that_changes_only_between_equal_calls() -> None:
    """A call with the very same arguments answers differently; nothing else would notice."""
    seen = []

    def fickle(x):
        seen.append(x.shape)
        return np.sum(x, axis=-2) + float(seen.count((4, 3, 3, 2)) == 2)

    with pytest.raises(MapError, match="gave two results for the same arguments: a map must be a pure function"):
        compiled(fickle)


def test_an_axisless_sum_that_keeps_the_shape() -> None:
    """On one parent of one dimension np.sum without axis has a right shape only by broadcasting."""

    def axisless(theta, x):
        return theta * np.sum(x)

    with pytest.raises(MapError, match="mixes samples or units"):
        compiled(axisless, mn.Real(1), mn.Real(1), size=1)


def test_a_wrong_derivative_along_the_parameter() -> None:
    def careless(theta, x):
        return np.sum(x, axis=-2) * frozen(theta)

    with pytest.raises(MapError, match="has a derivative along its parameter that disagrees"):
        compiled(careless, mn.Real(2), mn.Real(2))


def test_a_kink_right_at_the_points_is_not_needed() -> None:
    """A map with a kink elsewhere is accepted: |x| is smooth where it is probed."""
    assert compiled(lambda x: np.abs(np.sum(x, axis=-2))).layout.size == 0


def test_initial_parameters_off_their_manifold() -> None:
    def function(theta, x):
        return np.sum(x, axis=-2) * theta[..., :2]

    net = mn.Network("start")
    x = net.input("x", size=3, manifold=mn.Real(2))
    map = mn.Map(
        function, parameters=mn.Sphere(2), activity=mn.Real(2), initial=lambda rng, units: numpy.ones((units, 3))
    )
    net.interpret(mn.SquareLoss(), parents=[net.layer("t", size=2, map=map, parents=[x])])
    with pytest.raises(MapError, match=r"layer 't': .*initial\(rng, 2\) must draw points of Sphere\(n=2\) of shape"):
        mn.compile(net)
