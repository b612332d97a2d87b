"""What tells one data set from another, without reading all of it."""

import hashlib
from typing import Any

import numpy

from manifoldnet.learning.dataset import parts_of
from manifoldnet.learning.stream import Data, Stream

# So many rows are looked at, at both ends and, of what is in memory, in between.
ROWS = 200


def fingerprint(data: Data) -> dict[str, Any] | None:
    """The number of samples and a digest of some rows of every array; None for a stream, which is not read twice.

    >>> import manifoldnet as mn
    >>> fingerprint(mn.Dataset([[0.0], [1.0]], [0, 1]))["samples"]
    2
    """
    if isinstance(data, Stream):
        return None
    digest = hashlib.sha256()
    for values in (data.inputs, data.targets):
        for part in parts_of(values):
            digest.update(str(numpy.shape(part) if not hasattr(part, "shape") else part.shape).encode())
            for rows in _some(data.samples, data.block is None):
                digest.update(numpy.ascontiguousarray(numpy.asarray(part[rows])).tobytes())
    return {"samples": data.samples, "sha256": digest.hexdigest()}


def _some(samples: int, in_memory: bool) -> list[slice]:
    found = [slice(0, ROWS), slice(max(0, samples - ROWS), samples)]
    return [*found, slice(0, samples, max(1, samples // ROWS))] if in_memory else found
