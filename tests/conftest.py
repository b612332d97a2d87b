"""Settings of all tests: how hypothesis draws, and how many threads linear algebra may take."""

import sys
from collections.abc import Iterator

import hypothesis
import numpy  # noqa: F401  (its linear algebra has to be loaded before threads can be limited)
import pytest
import scipy.linalg  # noqa: F401  (likewise: SciPy brings a copy of its own)
import threadpoolctl

from tests.backends import CHOSEN

# A deadline measures the machine, not the program. Draws repeat from run to run, so that a failure
# is the change's own; `pytest --hypothesis-profile=explore` looks further, with new draws each time.
hypothesis.settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "explore",
    hypothesis.settings.get_profile("repeatable"),
    derandomize=False,
    max_examples=1000,
)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/oracles tests/laws --backend jax` puts another backend to the same tests."""
    parser.addoption("--backend", default="autograd", help="the backend that oracles and laws are put to")


def pytest_configure(config: pytest.Config) -> None:
    """Tests run in parallel processes: one thread each is faster, and sums come out the same everywhere."""
    threadpoolctl.threadpool_limits(limits=1)
    CHOSEN["backend"] = config.getoption("--backend")


@pytest.fixture(autouse=True)
def compiled_functions_go(request: pytest.FixtureRequest) -> Iterator[None]:
    """A process that keeps thousands of compiled functions runs out of memory maps and dies."""
    yield
    compiles = request.config.getoption("--backend") == "jax" or request.node.get_closest_marker("jax")
    # a test that was skipped, because the extra is not installed, has imported nothing
    if compiles and "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
