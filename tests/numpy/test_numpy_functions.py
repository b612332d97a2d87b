"""Every listed function against NumPy and SciPy, its derivative against central differences, twice over."""

from typing import Any

import numpy
import pytest

import manifoldnet.numpy as listed
from manifoldnet.numpy.derivatives import make_vjp
from tests.numpy.cases import CONSTRUCTION, ELEMENTWISE, PRODUCTS, REDUCTIONS, SHAPES, Case
from tests.numpy.cases_special import LINEAR_ALGEBRA, SPECIAL

CASES = [*ELEMENTWISE, *REDUCTIONS, *SHAPES, *CONSTRUCTION, *PRODUCTS, *LINEAR_ALGEBRA, *SPECIAL]
STEP = 1e-6


def _is_real(value: Any) -> bool:
    return numpy.asarray(value).dtype == numpy.float64


def _central_differences(case: Case, covector: numpy.ndarray, argument: int) -> numpy.ndarray:
    """The gradient of <covector, oracle> with respect to one argument."""
    result = numpy.empty(case.arrays[argument].shape)
    for index in numpy.ndindex(result.shape):
        ends = []
        for sign in (1.0, -1.0):
            arrays = [x.copy() for x in case.arrays]
            arrays[argument][index] += sign * STEP
            ends.append(numpy.sum(covector * case.oracle(*arrays)))
        result[index] = (ends[0] - ends[1]) / (2.0 * STEP)
    return result


def _check_value(value: Any, case: Case) -> numpy.ndarray:
    expected = numpy.asarray(case.oracle(*case.arrays))
    value = numpy.asarray(value)
    assert value.shape == expected.shape
    assert value.dtype.kind == expected.dtype.kind
    numpy.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)
    return expected


def _check_derivative(gradient: Any, case: Case, covector: numpy.ndarray, argument: int) -> None:
    expected = _central_differences(case, covector, argument)
    assert numpy.shape(gradient) == expected.shape
    numpy.testing.assert_allclose(gradient, expected, rtol=3e-7, atol=3e-8)


def _covector(shape: tuple[int, ...]) -> numpy.ndarray:
    return numpy.random.default_rng(5).uniform(0.5, 1.5, shape)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_autograd(case: Case) -> None:
    expected = _check_value(case.function(listed, *case.arrays), case)
    if not _is_real(expected):
        return
    covector = _covector(expected.shape)
    for argument in range(len(case.arrays)):
        before, after = case.arrays[:argument], case.arrays[argument + 1 :]
        pull_back, value = make_vjp(
            lambda x, b=before, a=after: case.function(listed, *b, x, *a), case.arrays[argument]
        )
        _check_value(value, case)
        _check_derivative(pull_back(covector), case, covector, argument)


@pytest.mark.jax
@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_jax(case: Case) -> None:
    jax = pytest.importorskip("jax", reason="the extra `jax` is not installed")
    with jax.enable_x64(True):
        arrays = [jax.numpy.asarray(x) for x in case.arrays]
        if not _is_real(case.oracle(*case.arrays)):
            _check_value(case.function(listed, *arrays), case)
            return
        value, pull_back = jax.vjp(lambda *xs: case.function(listed, *xs), *arrays)
        assert isinstance(value, jax.Array)
        expected = _check_value(value, case)
        covector = _covector(expected.shape)
        for argument, gradient in enumerate(pull_back(jax.numpy.asarray(covector))):
            _check_derivative(gradient, case, covector, argument)


class _Recorder:
    """Stands for a module and notes which of its names are asked for."""

    def __init__(self, module: Any, seen: set[str]) -> None:
        self._module, self._seen = module, seen

    def __getattr__(self, name: str) -> Any:
        self._seen.add(name)
        value = getattr(self._module, name)
        return _Recorder(value, self._seen) if name in ("linalg", "special") else value


def test_every_listed_name_has_a_case() -> None:
    seen: set[str] = set()
    for case in CASES:
        case.function(_Recorder(listed, seen), *case.arrays)
    names = {*listed.__all__, *listed.linalg.__all__, *listed.special.__all__}
    assert names - seen == set()


def test_lists_name_what_exists() -> None:
    for module in (listed, listed.linalg, listed.special):
        assert len(set(module.__all__)) == len(module.__all__)
        for name in module.__all__:
            assert hasattr(module, name)
