"""Batches over several devices: which axis of which array is cut, and how results come back. All else is JAX's."""

from typing import Any, final

import attrs
import jax
import numpy
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from manifoldnet.compiler.backends.jax.precision import in_precision, widened
from manifoldnet.compiler.engine import Precision

Array = Any

# The one axis of the mesh: samples are cut along it, and units while they are solved.
AXIS = "devices"


@final
@attrs.frozen
class Devices:
    """The devices that share each batch; every process of several hosts gives the same whole batch and gets whole results."""

    mesh: Mesh
    precision: Precision = "float64"

    @property
    def count(self) -> int:
        return int(self.mesh.size)

    def filled(self, values: NDArray, axis: int = 0) -> NDArray:
        """As many samples as the devices can share equally: the first one is repeated, to be weighed with 0."""
        missing = -values.shape[axis] % self.count
        if not missing:
            return values
        first = numpy.take(values, [0] * missing, axis=axis)
        return numpy.concatenate([values, first], axis=axis)

    def placed(self, values: NDArray, axis: int = 0) -> Array:
        """An array cut along its axis of samples, one part on each device."""
        sharding = NamedSharding(self.mesh, PartitionSpec(*(None,) * axis, AXIS))
        with in_precision(self.precision):
            return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])

    def shared(self, values: NDArray, axis: int = 0) -> Array:
        """Filled, and placed."""
        return self.placed(self.filled(numpy.asarray(values), axis), axis)

    def weights(self, samples: int) -> Array:
        """One for each sample, zero for those that fill."""
        return self.placed(numpy.append(numpy.ones(samples), numpy.zeros(-samples % self.count)))


def held(arrays: Any, precision: Precision) -> Any:
    """A tree of arrays on the one device that is used, once: what stays in NumPy is brought there by every call."""
    with in_precision(precision):
        return jax.tree.map(jax.numpy.asarray, arrays)


def all_devices(precision: Precision) -> Devices:
    """All devices of all processes, in one row."""
    return Devices(Mesh(numpy.array(jax.devices()), (AXIS,)), precision)


def to_numpy(value: Array) -> NDArray:
    """A result as a whole NumPy array, in every process."""
    if isinstance(value, jax.Array) and not (value.is_fully_addressable or value.is_fully_replicated):
        return numpy.asarray(multihost_utils.process_allgather(value, tiled=True))
    return numpy.asarray(value)


def results(tree: Any) -> Any:
    """A tree of results as NumPy arrays of 64 bits."""
    return jax.tree.map(lambda part: widened(to_numpy(part)), tree)


def by_units(mesh: Mesh | None, function: Any, *arrays: Array) -> Any:
    """A function of arrays (units, ...), each device taking a part of the units; results are arrays (units, ...)."""
    units = len(arrays[0])
    if mesh is None or units < mesh.size:
        return function(*arrays)
    filled = [_with_more(array, -units % mesh.size) for array in arrays]
    spec = PartitionSpec(AXIS)
    cut = jax.shard_map(function, mesh=mesh, in_specs=(spec,) * len(filled), out_specs=spec)
    return jax.tree.map(lambda part: part[:units], cut(*filled))


def _with_more(array: Array, missing: int) -> Array:
    """With so many copies of the first unit at the end."""
    if not missing:
        return array
    return jax.numpy.concatenate([array, jax.numpy.repeat(array[:1], missing, axis=0)])


__all__ = ["AXIS", "Devices", "all_devices", "by_units", "held", "results", "to_numpy"]
