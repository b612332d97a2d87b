"""The same seed gives the same run, to the bit: on one thread or many, in this process or a pool."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy
import threadpoolctl

import manifoldnet as mn
from manifoldnet.learning.train import train


def wide() -> mn.Network:
    """Layers so wide that products of matrices are shared out over threads."""
    net = mn.Network("wide", seed=0)
    h = net.layer("h", size=150, map=mn.Affine(mn.tanh), parents=[net.input("x", size=200)])
    net.interpret(mn.Softmax(), parents=[net.layer("y", size=10, map=mn.Affine(), parents=[h])])
    return net


def end_of_training(offered: int, threads: int = 1) -> bytes:
    """The parameters that training ends with on a machine that offers so many threads."""
    with threadpoolctl.threadpool_limits(limits=offered):
        program, rng = mn.compile(wide()), numpy.random.default_rng(0)
        data = mn.Dataset(rng.standard_normal((1000, 200)), rng.integers(0, 10, 1000))
        schedule = mn.Minibatches(steps=4, batch=500, damping=mn.Floor(0.1) + mn.LeastNorm())
        theta, metric = program.initialize(rng), mn.QuasiDiagonal(mn.MonteCarloNatural(samples=2))
        return train(program, theta, data, metric, schedule, rng, threads=threads).theta.flat.tobytes()


def test_the_same_seed_gives_the_same_run_on_any_threads_and_in_any_process() -> None:
    alone = end_of_training(1)
    assert end_of_training(4) == alone
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert set(pool.map(end_of_training, [1, 2])) == {alone}


def test_more_threads_differ_in_no_more_than_the_last_digits() -> None:
    alone, shared = (numpy.frombuffer(end_of_training(4, threads)) for threads in (1, 3))
    numpy.testing.assert_allclose(shared, alone, rtol=1e-9, atol=1e-12)
