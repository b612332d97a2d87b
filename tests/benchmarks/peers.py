"""The same work by PyTorch and libraries for it, where they are installed (peers.txt)."""

import importlib.metadata
import importlib.util
from collections.abc import Callable
from typing import Any

import attrs
import numpy
from numpy.typing import NDArray

import manifoldnet as mn
from tests.benchmarks.measure import interleaved
from tests.benchmarks.work import Work, dense, small_dense

PACKAGES = ("torch", "nngeometry", "backpack-for-pytorch", "curvlinops-for-pytorch")
_MODULES = ("torch", "nngeometry", "backpack", "curvlinops")


@attrs.frozen
class Peer:
    """A peer's call and the library's for the same numbers, as `same` reads the library's."""

    name: str
    library: Callable[[], Any]
    call: Callable[[], NDArray]
    same: Callable[[Any], NDArray]


def peer_times(seconds: float) -> list[dict[str, Any]]:
    """Seconds of the work of W2 and W3 by peers and by the library, their ratio, and how far the results are apart."""
    missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(f"peers need {', '.join(missing)}: pip install -r tests/benchmarks/peers.txt")
    return [_timed(peer, seconds) for peer in _peers()]


def peer_versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _timed(peer: Peer, seconds: float) -> dict[str, Any]:
    times = interleaved({"library": peer.library, "peer": peer.call}, seconds)
    one, other = peer.same(peer.library()), peer.call()
    return {
        "name": peer.name,
        "seconds": times["peer"],
        "library": times["library"],
        "ratio": times["peer"] / times["library"],
        "deviation": float(numpy.abs(one - other).max() / numpy.abs(one).max()),
    }


def _peers() -> list[Peer]:
    # not at the top: these modules are there only where peers are installed
    from tests.benchmarks import peer_calls

    wide, small = dense(), small_dense()
    here, there = wide.run(mn.compile(wide.net)), small.run(mn.compile(small.net))
    order, small_order = peer_calls.order_of(wide), peer_calls.order_of(small)

    def fisher(name: str, make: Callable[[Work], Callable[[], NDArray]]) -> Peer:
        places = numpy.ix_(small_order, small_order)
        library = lambda: attrs.evolve(there).metric(mn.Natural())  # noqa: E731
        return Peer(f"W3 Fisher matrix, {name}", library, make(small), lambda found: found.as_matrix()[places])

    return [
        Peer(
            "W2 gradient, torch",
            lambda: attrs.evolve(here).differential(),
            peer_calls.torch_gradient(wide),
            lambda found: found.flat[order],
        ),
        Peer(
            "W2 quasi-diagonal entries of the Fisher metric, nngeometry",
            lambda: attrs.evolve(here).metric(mn.QuasiDiagonal(mn.UnitwiseNatural())),
            peer_calls.nngeometry_quasi_diagonal(wide),
            lambda found: found.diagonal()[order],
        ),
        fisher("torch.func", peer_calls.func_fisher),
        fisher("nngeometry", peer_calls.nngeometry_fisher),
        fisher("backpack", peer_calls.backpack_fisher),
        fisher("curvlinops", peer_calls.curvlinops_fisher),
    ]
