"""W1 by hand: one step of a sparse net of logistic layers with Bernoulli outputs, all layers at once where that pays."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy
import scipy.linalg
from numpy.typing import NDArray


class Group(NamedTuple):
    """Units of about the same fan-in: what each reads (units, 1 + fan-in), where its parameters stand, whose it is."""

    reads: NDArray[numpy.int_]
    places: NDArray[numpy.int_]
    columns: NDArray[numpy.int_]
    missing: NDArray[numpy.bool_]


class SparseNet:
    """Masks (inputs, units) of consecutive layers; the flat parameters are bias, weights, unit after unit."""

    def __init__(self, masks: Sequence[NDArray[numpy.bool_]], eps: float, rate: float) -> None:
        self.eps, self.rate = eps, rate
        self.shapes = [mask.shape for mask in masks]
        self.starts = numpy.cumsum([0] + [n * m for n, m in self.shapes])
        self.unit_starts = numpy.cumsum([0] + [m for _, m in self.shapes])
        self.read_starts = numpy.cumsum([0] + [n for n, _ in self.shapes])
        cells, owners, position, bias, weights, reads = [], [], 0, [], [], []
        for layer, mask in enumerate(masks):
            for unit in range(mask.shape[1]):
                linked = numpy.flatnonzero(mask[:, unit])
                bias.append(position)
                weights.append(position + 1 + numpy.arange(len(linked)))
                cells.append(self.starts[layer] + linked * mask.shape[1] + unit)
                owners.append(numpy.full(len(linked), self.unit_starts[layer] + unit))
                reads.append(self.read_starts[layer] + linked)
                position += 1 + len(linked)
        self.bias, self.size = numpy.array(bias), position
        self.weights, self.cells, self.owners = (numpy.concatenate(part) for part in (weights, cells, owners))
        self.first = numpy.concatenate([[0], numpy.cumsum([len(part) for part in reads])[:-1]])
        self.sources = numpy.concatenate(reads)
        self.groups = self._groups(reads, weights)
        self.dense = numpy.zeros(self.starts[-1])
        self.flats = [numpy.empty(self.starts[-1]) for _ in range(3)]

    def _groups(self, reads: list[NDArray], weights: list[NDArray]) -> list[Group]:
        """Two of them: units of small and of large fan-in."""
        counts = numpy.array([len(part) for part in reads])
        found = []
        for chosen in (counts <= 8, counts > 8):
            units = numpy.flatnonzero(chosen)
            width = 1 + counts[units].max()
            group = Group(
                numpy.full((len(units), width), self.read_starts[-1] + 1),
                numpy.full((len(units), width), self.size),
                units,
                numpy.ones((len(units), width), dtype=bool),
            )
            group.reads[:, 0] = self.read_starts[-1]
            group.places[:, 0] = self.bias[units]
            for row, unit in enumerate(units):
                group.reads[row, 1 : 1 + counts[unit]] = reads[unit]
                group.places[row, 1 : 1 + counts[unit]] = weights[unit]
                group.missing[row, : 1 + counts[unit]] = False
            found.append(group)
        return found

    def _views(self, flat: NDArray) -> list[NDArray]:
        return [flat[a:b].reshape(s) for a, b, s in zip(self.starts[:-1], self.starts[1:], self.shapes, strict=True)]

    def forward(self, theta: NDArray, inputs: NDArray) -> None:
        self.dense[self.cells] = theta[self.weights]
        self.matrices = self._views(self.dense)
        biases = theta[self.bias]
        self.read = [inputs]
        for layer, matrix in enumerate(self.matrices):
            y = self.read[-1] @ matrix
            y += biases[self.unit_starts[layer] : self.unit_starts[layer + 1]]
            numpy.negative(y, out=y)
            numpy.exp(y, out=y)
            y += 1.0
            self.read.append(numpy.reciprocal(y, out=y))
        self.slopes = [a * (1.0 - a) for a in self.read[1:]]

    def covectors(self, targets: NDArray) -> NDArray:
        """dl/dy of every unit, (samples, all units)."""
        found = [self.read[-1] - targets]
        for matrix, slope in zip(self.matrices[:0:-1], self.slopes[-2::-1], strict=True):
            found.append((found[-1] @ matrix.T) * slope)
        return found[::-1]

    def gradient(self, theta: NDArray, inputs: NDArray, targets: NDArray) -> NDArray:
        self.forward(theta, inputs)
        covectors = self.covectors(targets)
        gradient = numpy.empty(self.size)
        gradient[self.bias] = numpy.concatenate(covectors, axis=1).sum(axis=0)
        gradient[self.weights] = self._products(0, self.read[:-1], covectors)
        gradient /= len(inputs)
        return gradient

    def _products(self, number: int, left: list[NDArray], right: list[NDArray]) -> NDArray:
        """sum_x left_i right_k for every link, layer by layer into one buffer."""
        for view, a, b in zip(self._views(self.flats[number]), left, right, strict=True):
            numpy.matmul(a.T, b, out=view)
        return self.flats[number][self.cells]

    def backpropagated(self) -> list[NDArray]:
        """r^2 m of every unit."""
        found = [self.slopes[-1]]
        for matrix, slope in zip(self.matrices[:0:-1], self.slopes[-2::-1], strict=True):
            found.append((found[-1] @ (matrix * matrix).T) * (slope * slope))
        return found[::-1]

    def fisher(self) -> list[NDArray]:
        """r^2 Phi of every unit: rows for each output, contracted at once."""
        last, slope = self.matrices[-1], self.slopes[-2]
        found = [self.slopes[-1], (self.slopes[-1] @ (last * last).T) * (slope * slope)]
        rows = last * numpy.sqrt(self.slopes[-1])[:, None, :]
        rows *= slope[:, :, None]
        for matrix, slope in zip(self.matrices[-2:0:-1], self.slopes[-3::-1], strict=True):
            rows = matrix @ rows
            found.append(numpy.einsum("sko,sko->sk", rows, rows) * (slope * slope))
            rows *= slope[:, :, None]
        return found[::-1]

    def gradient_step(self, theta: NDArray, inputs: NDArray, targets: NDArray) -> NDArray:
        return theta - self.rate * self.gradient(theta, inputs, targets)

    def quasi_diagonal_step(self, theta: NDArray, inputs: NDArray, targets: NDArray, fisher: bool = False) -> NDArray:
        """Eqs. 89 and 90 on edge lists, with eps added to A_00 and A_ii."""
        gradient = self.gradient(theta, inputs, targets)
        moduli = self.fisher() if fisher else self.backpropagated()
        samples = len(inputs)
        bias = numpy.concatenate(moduli, axis=1).sum(axis=0) / samples + self.eps
        cross = self._products(1, self.read[:-1], moduli) / samples
        own = self._products(2, [a * a for a in self.read[:-1]], moduli) / samples + self.eps
        means = cross / bias[self.owners]
        level = gradient[self.bias]
        step = numpy.empty(self.size)
        weights = (gradient[self.weights] - level[self.owners] * means) / (own - cross * means)
        step[self.weights] = weights
        step[self.bias] = level / bias - numpy.add.reduceat(means * weights, self.first)
        return theta - self.rate * step

    def block_step(self, theta: NDArray, inputs: NDArray, targets: NDArray, fisher: bool = False) -> NDArray:
        """Padded gather, batched matmul and solve, in two groups by fan-in."""
        gradient = numpy.append(self.gradient(theta, inputs, targets), 0.0)
        moduli = numpy.concatenate(self.fisher() if fisher else self.backpropagated(), axis=1).T / len(inputs)
        constants = [numpy.ones((len(inputs), 1)), numpy.zeros((len(inputs), 1))]
        reads = numpy.concatenate([*self.read[:-1], *constants], axis=1).T.copy()
        step = numpy.empty(self.size + 1)
        for group in self.groups:
            gathered = reads[group.reads]
            blocks = (gathered * moduli[group.columns, None]) @ gathered.swapaxes(1, 2)
            places = numpy.arange(blocks.shape[1])
            blocks[:, places, places] += self.eps
            step[group.places] = numpy.linalg.solve(blocks, gradient[group.places][..., None])[..., 0]
        return theta - self.rate * step[:-1]

    def natural_step(self, theta: NDArray, inputs: NDArray, targets: NDArray) -> NDArray:
        """The Fisher matrix of all parameters from its rows, one for each sample and output, and its Cholesky factor."""
        gradient = self.gradient(theta, inputs, targets)
        # (samples, units, outputs) of each layer, outputs first
        found = [numpy.eye(len(self.slopes[-1][0])) * numpy.sqrt(self.slopes[-1])[:, None, :]]
        for matrix, slope in zip(self.matrices[:0:-1], self.slopes[-2::-1], strict=True):
            found.append((matrix @ found[-1]) * slope[:, :, None])
        covectors = numpy.concatenate(found[::-1], axis=1)
        rows = numpy.empty((len(inputs), self.size, covectors.shape[2]))
        rows[:, self.bias] = covectors
        rows[:, self.weights] = (
            covectors[:, self.owners] * numpy.concatenate(self.read[:-1], axis=1)[:, self.sources, None]
        )
        flat = rows.transpose(0, 2, 1).reshape(-1, self.size)
        matrix = flat.T @ flat
        matrix /= len(inputs)
        matrix.reshape(-1)[:: self.size + 1] += self.eps
        return theta - self.rate * scipy.linalg.cho_solve(scipy.linalg.cho_factor(matrix), gradient)
