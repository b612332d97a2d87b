"""How programs on the JAX backend behave in the hands of a caller."""

import doctest
import importlib
import pkgutil
import sys

import numpy
import pytest

import manifoldnet as mn
from manifoldnet import numpy as np
from manifoldnet.compiler.compile import compile
from manifoldnet.errors import CompilationError, MissingExtraError, NumericalError
from tests.house import tree
from tests.house.pages import run_page
from tests.jax.kinds import curved, data, sparse

jax = pytest.importorskip("jax", reason="needs the extra `jax`")
jitted = importlib.import_module("manifoldnet.compiler.backends.jax.jitted")
pytestmark = [pytest.mark.jax, pytest.mark.timeout(300)]


def test_64_bits_whatever_the_process_has_set() -> None:
    assert not jax.config.jax_enable_x64
    program = mn.compile(sparse(), backend="jax")
    x, _ = data("sparse")
    theta = program.initialize(numpy.random.default_rng(0))
    found = program.metric(mn.Backpropagated(), theta, x)
    assert type(found.blocks[0]) is numpy.ndarray and found.blocks[0].dtype == numpy.float64
    assert type(program.output(theta, x)) is numpy.ndarray
    assert not jax.config.jax_enable_x64
    assert jax.numpy.sin(1.0).dtype == numpy.float32


def test_jax_arrays_are_taken_and_traced_ones_refused() -> None:
    program = mn.compile(sparse(), backend="jax")
    x, y = data("sparse")
    theta = program.initialize(numpy.random.default_rng(0))
    with jax.enable_x64(True):
        expected = program.loss(theta, x, y)
        assert program.loss(jax.numpy.asarray(theta.flat), jax.numpy.asarray(x), y) == expected
        with pytest.raises(CompilationError, match="inside jax.jit, grad or vmap"):
            jax.jit(lambda t: program.loss(t, x, y))(jax.numpy.asarray(theta.flat))
        with pytest.raises(CompilationError, match="inside jax.jit, grad or vmap"):
            jax.grad(lambda scale: program.loss(theta, scale * x, y))(1.0)


def ragged(seed: int) -> mn.Network:
    net = mn.Network("ragged", seed=seed)
    x = net.input("x", size=60)
    h = net.layer("h", size=6, map=mn.Affine(mn.tanh), parents=[x], wiring=mn.fan_out(2, replace=True))
    net.interpret(mn.SquareLoss(), parents=[net.layer("y", size=2, map=mn.Affine(), parents=[h])])
    return net


def test_another_seed_compiles_nothing() -> None:
    """Wiring is traced, and short rows are padded: other links, and other numbers of them, share the code."""
    x = numpy.random.default_rng(0).standard_normal((7, 60))
    programs = [mn.compile(ragged(seed), backend="jax") for seed in range(8)]
    assert len({program.layout.size for program in programs}) > 3
    structures = {program.engine.network.structure for program in programs}
    assert len(structures) <= 3
    before = jitted.averages.jitted._cache_size()
    for program in programs:
        theta = program.initialize(numpy.random.default_rng(0))
        program.metric(mn.QuasiDiagonal(mn.Backpropagated()), theta, x)
    assert jitted.averages.jitted._cache_size() - before == len(structures)


def test_affine_charts_are_traced() -> None:
    scales = [
        mn.compile(sparse().with_charts({"h": mn.Chart.affine("a", mn.Interval(0, 1), scale)}), backend="jax")
        for scale in (2.0, 3.0)
    ]
    assert scales[0].engine.network.structure == scales[1].engine.network.structure


def test_a_unit_that_leaves_its_manifold_is_named() -> None:
    net = mn.Network("leaving")
    x = net.input("x", size=1)
    outward = mn.Map(lambda a: 0.5 + 0.1 * a[..., 0, :], activity=mn.Interval(0, 1))
    net.interpret(mn.Bernoulli(), parents=[net.layer("t", size=1, map=outward, parents=[x])])
    for backend in ("autograd", "jax"):
        program = mn.compile(net, backend=backend)
        with pytest.raises(NumericalError, match=r"unit t\[0\] leaves Interval\(.*\) on sample 1"):
            program.loss(numpy.zeros(0), [[0.0], [9.0]], [[0.0], [1.0]])


def test_saturated_outputs_are_named_as_by_the_reference() -> None:
    net = mn.Network("saturated")
    x = net.input("x", size=1)
    squash = mn.Map(lambda a: np.expit(a[..., 0, :]), activity=mn.Interval(0, 1))
    net.interpret(mn.Bernoulli(), parents=[net.layer("t", size=1, map=squash, parents=[x])])
    program = mn.compile(net, backend="jax")
    with pytest.raises(NumericalError, match="saturated on sample 1"):
        program.loss(numpy.zeros(0), [[0.0], [300.0]], [[0.0], [1.0]])


def test_steps_on_curved_parameters() -> None:
    reference, program = mn.compile(curved()), mn.compile(curved(), backend="jax")
    theta = reference.initialize(numpy.random.default_rng(0))
    move = numpy.random.default_rng(1).standard_normal(program.tangent_layout.size)
    assert numpy.array_equal(program.step(theta, move).flat, reference.step(theta, move).flat)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("manifoldnet.compiler.backends.jax")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(MissingExtraError, match=r"jax is not installed: pip install 'manifoldnet\[jax\]'"):
        compile(sparse(), backend="jax")


def test_examples() -> None:
    package = importlib.import_module("manifoldnet.compiler.backends.jax")
    modules = [
        importlib.import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)
    ]
    tried = [doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE) for module in modules]
    assert sum(found.attempted for found in tried) > 0
    assert not any(found.failed for found in tried)


def test_the_page_of_the_documentation() -> None:
    """Its examples are marked `py`, so that they are left out where JAX is not installed."""
    page = tree.ROOT / "docs" / "jax.md"
    run_page(page.read_text(encoding="utf-8").replace("```py\n", "```python\n"), str(page))
