"""W1's steps by the small C program on edge lists, compiled when it is asked for."""

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from ctypes import POINTER, c_double, c_int
from functools import cached_property
from pathlib import Path

import attrs
import numpy
from numpy.typing import NDArray

SOURCE = Path(__file__).parent / "edge_lists.c"
# the sizes that the program's arrays have
SAMPLES, UNITS, WIDEST = 16, 1024, 128
METHODS = ("gradient", "quasi-backpropagated", "quasi-fisher", "blocks-backpropagated", "blocks-fisher")


class NoCompiler(RuntimeError):
    """There is no C compiler to build the program with."""


class _Net(ctypes.Structure):
    _fields_ = (
        [(name, c_int) for name in ("units", "inputs", "outputs", "parameters")]
        + [(name, POINTER(c_int)) for name in ("first", "parents", "place")]
        + [("eps", c_double)]
    )


def built(folder: Path) -> ctypes.CDLL:
    """The program, compiled into a folder by `cc` for this processor.

    Raises:
        NoCompiler: nothing named `cc` or `gcc` can be run.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("the C program on edge lists needs a C compiler (cc or gcc), and none was found")
    compiled, library = folder / "edge_lists.o", folder / "edge_lists.so"
    # vectors of exponentials need -ffast-math, which a linker that hears of it would have the whole process round by:
    # numbers below 2e-308 would be zero everywhere
    fast = ["-O2", "-ftree-vectorize", "-ffast-math", "-march=native", "-fPIC"]
    for command in (
        [compiler, *fast, "-c", SOURCE, "-o", compiled],
        [compiler, "-shared", compiled, "-o", library, "-lm"],
    ):
        subprocess.run(command, check=True, timeout=120)
    found = ctypes.CDLL(str(library))
    found.descend.restype = c_double
    return found


@attrs.frozen(eq=False, slots=False)
class CSteps:
    """The steps of one network of consecutive sparse layers: masks (parents, units) of each; bias and weights unit by unit."""

    library: ctypes.CDLL
    masks: Sequence[NDArray[numpy.bool_]]
    eps: float

    def descend(
        self, method: str, steps: int, theta: NDArray, rate: float, inputs: NDArray, targets: NDArray
    ) -> tuple[NDArray, float, float]:
        """Parameters, rate and loss after some steps.

        Raises:
            ValueError: the batch is not of `SAMPLES` samples, or the network is too large for the program.
            MemoryError: the program had no memory.
        """
        if len(inputs) != SAMPLES:
            raise ValueError(f"the C program takes {SAMPLES} samples, not {len(inputs)}")
        moved, at = numpy.array(theta, dtype=float), c_double(rate)
        loss = self.library.descend(
            ctypes.byref(self._net), METHODS.index(method), steps, _doubles(moved), ctypes.byref(at),
            _doubles(numpy.ascontiguousarray(inputs.T)), _doubles(numpy.ascontiguousarray(targets.T)),
        )  # fmt: skip
        if loss < 0.0:
            raise MemoryError("the C program had no memory")
        return moved, at.value, loss

    @cached_property
    def _net(self) -> _Net:
        units, widest = len(self.masks[0]) + sum(m.shape[1] for m in self.masks), max(len(m) for m in self.masks)
        if units > UNITS or widest >= WIDEST:
            raise ValueError(
                f"the C program takes {UNITS} units that read {WIDEST - 1} others, not {units} and {widest}"
            )
        inputs, before = len(self.masks[0]), 0
        parents: list[NDArray] = [numpy.empty(0, dtype=int)] * inputs
        for mask in self.masks:
            parents += [before + numpy.flatnonzero(column) for column in mask.T]
            before += len(mask)
        first = numpy.concatenate([[0], numpy.cumsum([len(part) for part in parents])])
        owned = numpy.arange(len(parents)) - inputs
        place = numpy.where(owned >= 0, first[:-1] + owned, 0)
        arrays = [
            numpy.ascontiguousarray(part, dtype=numpy.int32) for part in (first, numpy.concatenate(parents), place)
        ]
        parameters = len(parents) - inputs + int(first[-1])
        net = _Net(len(parents), inputs, self.masks[-1].shape[1], parameters, *map(_integers, arrays), self.eps)
        net.kept = arrays  # what the pointers point to
        return net


def _doubles(array: NDArray) -> object:
    return array.ctypes.data_as(POINTER(c_double))


def _integers(array: NDArray) -> object:
    return array.ctypes.data_as(POINTER(c_int))
