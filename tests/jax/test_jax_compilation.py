"""Options that shorten compilation: known to the XLA at hand, and done without where they are not."""

import importlib

import pytest

jax = pytest.importorskip("jax")
compilation = importlib.import_module("manifoldnet.compiler.backends.jax.compilation")

pytestmark = pytest.mark.jax


def test_this_xla_knows_the_options() -> None:
    assert compilation.known() == compilation.OPTIONS


def test_an_option_that_xla_does_not_know_is_told_and_left_out() -> None:
    with pytest.warns(UserWarning, match="compilation takes longer.*xla_of_another_year"):
        assert compilation.known((("xla_of_another_year", True),)) == {}


def test_a_value_that_xla_does_not_take_is_an_error() -> None:
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_backend_optimization_level"):
        compilation.known((("xla_backend_optimization_level", "much"),))


def test_compiled_functions_have_them() -> None:
    twice = compilation.compiled(0)(lambda count, values: count * values)
    assert twice(2, 1.5) == 3.0 and twice(3, 1.5) == 4.5
    assert twice.jitted._cache_size() == 2
