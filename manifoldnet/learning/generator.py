"""Random generators as plain values, so that a state of training holds all that its next step depends on."""

from collections.abc import Mapping
from typing import Any, final

import numpy

from manifoldnet.errors import DataError

# The bit generators of NumPy, by name: a state may ask for no other class.
KINDS = {
    kind.__name__: kind
    for kind in (
        numpy.random.PCG64,
        numpy.random.PCG64DXSM,
        numpy.random.MT19937,
        numpy.random.Philox,
        numpy.random.SFC64,
    )
}

Snapshot = Mapping[str, Any]


def snapshot(rng: numpy.random.Generator) -> Snapshot:
    """Where a generator stands, as JSON can hold it; raises TypeError for bit generators that are not NumPy's.

    >>> rng = numpy.random.default_rng(0)
    >>> kept = snapshot(rng)
    >>> rng.random() == restored(kept).random()
    True
    """
    state = rng.bit_generator.state
    if state["bit_generator"] not in KINDS:
        raise TypeError(f"rng= takes a generator of NumPy's ({', '.join(KINDS)}), received {state['bit_generator']}")
    return _plain(state)


def restored(kept: Snapshot) -> numpy.random.Generator:
    """A generator that stands where `snapshot` was taken; raises DataError for anything else."""
    try:
        bits = KINDS[kept["bit_generator"]](0)
        bits.state = _arrays(kept)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"this is not the state of a random generator: {type(error).__name__}: {error}") from error
    return numpy.random.Generator(bits)


def rewind(rng: numpy.random.Generator, kept: Snapshot) -> None:
    """Put a generator of the same kind where `snapshot` was taken."""
    rng.bit_generator.state = _arrays(kept)


@final
class Standing:
    """A generator kept beside the snapshot of where it stands, for those who hand on snapshots and draw but now and then."""

    def __init__(self) -> None:
        self._rng: numpy.random.Generator | None = None
        self._kept: Snapshot | None = None

    def restored(self, kept: Snapshot) -> numpy.random.Generator:
        """A generator that stands where the snapshot was taken, to be told of again once it has been drawn from."""
        rng = self._rng if self._rng is not None and kept is self._kept else restored(kept)
        self._rng, self._kept = None, kept
        return rng

    def told(self, rng: numpy.random.Generator) -> Snapshot:
        """The snapshot of where it stands now: the same object if nothing was drawn."""
        found = snapshot(rng)
        self._rng, self._kept = rng, self._kept if found == self._kept else found
        assert self._kept is not None
        return self._kept


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, numpy.ndarray | numpy.generic) else value


def _arrays(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _arrays(item) for key, item in value.items()}
    return numpy.array(value, dtype=numpy.uint64) if isinstance(value, list) else value
