"""W2, W3 and the natural step by hand: a dense tanh net with softmax outputs, in plain NumPy."""

import itertools
from collections.abc import Sequence

import numpy
import scipy.linalg
from numpy.typing import NDArray


class DenseNet:
    """Layers of `sizes`; the flat parameters are bias, weights, unit after unit."""

    def __init__(self, sizes: Sequence[int], eps: float) -> None:
        self.sizes, self.eps = list(sizes), eps
        self.shapes = [(units, 1 + inputs) for inputs, units in itertools.pairwise(sizes)]
        self.starts = numpy.cumsum([0] + [units * width for units, width in self.shapes])
        self.size = int(self.starts[-1])

    def tables(self, flat: NDArray) -> list[NDArray]:
        """(units, 1 + inputs) of each layer, as views."""
        return [flat[a:b].reshape(s) for a, b, s in zip(self.starts[:-1], self.starts[1:], self.shapes, strict=True)]

    def forward(self, theta: NDArray, inputs: NDArray) -> None:
        self.weights, self.read, self.slopes = self.tables(theta), [inputs], []
        for number, table in enumerate(self.weights):
            y = self.read[-1] @ table[:, 1:].T
            y += table[:, 0]
            if number < len(self.weights) - 1:
                numpy.tanh(y, out=y)
                self.slopes.append(1.0 - y * y)
            self.read.append(y)
        logits = self.read[-1] - self.read[-1].max(axis=1, keepdims=True)
        numpy.exp(logits, out=logits)
        self.p = logits / logits.sum(axis=1, keepdims=True)

    def gradient(self, theta: NDArray, inputs: NDArray, targets: NDArray) -> NDArray:
        self.forward(theta, inputs)
        covectors = self.p / len(inputs)
        covectors[numpy.arange(len(inputs)), targets] -= 1.0 / len(inputs)
        gradient = numpy.empty(self.size)
        tables = self.tables(gradient)
        for layer in reversed(range(len(tables))):
            covectors.sum(axis=0, out=tables[layer][:, 0])
            numpy.matmul(covectors.T, self.read[layer], out=tables[layer][:, 1:])
            if layer:
                covectors = covectors @ self.weights[layer][:, 1:]
                covectors *= self.slopes[layer - 1]
        return gradient

    def moduli(self) -> list[NDArray]:
        """r^2 m over the number of samples, of the backpropagated metric."""
        found = [self.p * (1.0 - self.p) / len(self.p)]
        for layer in range(len(self.weights) - 1, 0, -1):
            squares = self.weights[layer][:, 1:] ** 2
            found.append((found[-1] @ squares) * self.slopes[layer - 1] ** 2)
        return found[::-1]

    def quasi_diagonal_entries(self, theta: NDArray, inputs: NDArray) -> list[tuple[NDArray, NDArray, NDArray]]:
        """A_00, A_0i and A_ii: two products a layer."""
        self.forward(theta, inputs)
        found = []
        for read, modulus in zip(self.read, self.moduli(), strict=False):
            found.append((modulus.sum(axis=0), modulus.T @ read, modulus.T @ (read * read)))
        return found

    def quasi_diagonal_step(self, theta: NDArray, inputs: NDArray, targets: NDArray) -> NDArray:
        gradient = self.gradient(theta, inputs, targets)
        step = numpy.empty(self.size)
        for g, w, read, modulus in zip(
            self.tables(gradient), self.tables(step), self.read, self.moduli(), strict=False
        ):
            bias = modulus.sum(axis=0) + self.eps
            cross, own = modulus.T @ read, modulus.T @ (read * read)
            means = cross / bias[:, None]
            own += self.eps
            own -= cross * means
            w[:, 1:] = (g[:, 1:] - g[:, :1] * means) / own
            w[:, 0] = g[:, 0] / bias - numpy.einsum("ui,ui->u", means, w[:, 1:])
        return step

    def packed_blocks(self, theta: NDArray, inputs: NDArray) -> list[list[NDArray]]:
        """The upper triangles of all blocks, row by row: `blocks[layer][i]` is (units, width - i)."""
        self.forward(theta, inputs)
        found = []
        for read, modulus in zip(self.read, self.moduli(), strict=False):
            reads = numpy.concatenate([numpy.ones((len(read), 1)), read], axis=1)
            weights = modulus.T.copy()
            found.append([weights @ (reads[:, i : i + 1] * reads[:, i:]) for i in range(reads.shape[1])])
        return found

    def dual_step(self, theta: NDArray, inputs: NDArray, targets: NDArray) -> NDArray:
        """(A_k + eps)^{-1} of the gradient: by a Gram matrix of the samples where these are fewer, else by blocks."""
        gradient = self.gradient(theta, inputs, targets)
        step = numpy.empty(self.size)
        for g, w, read, modulus in zip(
            self.tables(gradient), self.tables(step), self.read, self.moduli(), strict=False
        ):
            reads = numpy.concatenate([numpy.ones((len(read), 1)), read], axis=1)
            if len(reads) < reads.shape[1]:
                self._dual(g, w, reads, modulus)
            else:
                self._primal(g, w, reads, modulus)
        return step

    def primal_step(self, theta: NDArray, inputs: NDArray, targets: NDArray) -> NDArray:
        """The same, by the blocks of every layer."""
        gradient = self.gradient(theta, inputs, targets)
        step = numpy.empty(self.size)
        for g, w, read, modulus in zip(
            self.tables(gradient), self.tables(step), self.read, self.moduli(), strict=False
        ):
            self._primal(g, w, numpy.concatenate([numpy.ones((len(read), 1)), read], axis=1), modulus)
        return step

    def _dual(self, gradient: NDArray, step: NDArray, reads: NDArray, modulus: NDArray) -> None:
        gram, roots = reads @ reads.T, numpy.sqrt(modulus.T)
        images = (gradient @ reads.T) * roots
        for unit, root in enumerate(roots):
            inner = gram * root
            inner *= root[:, None]
            inner.reshape(-1)[:: len(inner) + 1] += self.eps
            images[unit] = scipy.linalg.lapack.dposv(inner.T, images[unit], lower=1, overwrite_a=1)[1]
        step[:] = (gradient - (images * roots) @ reads) / self.eps

    def _primal(self, gradient: NDArray, step: NDArray, reads: NDArray, modulus: NDArray) -> None:
        for unit, roots in enumerate(numpy.sqrt(modulus.T)):
            rows = reads * roots[:, None]
            # of an array and its own transpose, half of the operations
            block = rows.T @ rows
            block.reshape(-1)[:: len(block) + 1] += self.eps
            step[unit] = scipy.linalg.lapack.dposv(block.T, gradient[unit], lower=1, overwrite_a=1)[1]

    def rows(self) -> list[NDArray]:
        """Omega^(1/2) domega/dy over the root of the number of samples, (samples, outputs, units) for each layer."""
        outputs = numpy.eye(self.p.shape[1]) - self.p[:, None, :]
        found = [numpy.sqrt(self.p / len(self.p))[:, :, None] * outputs]
        for layer in range(len(self.weights) - 1, 0, -1):
            found.append((found[-1] @ self.weights[layer][:, 1:]) * self.slopes[layer - 1][:, None])
        return found[::-1]

    def fisher(self, theta: NDArray, inputs: NDArray) -> NDArray:
        """The whole Fisher matrix from pair moduli Phi_kk' and products of readings, symmetric halves once."""
        self.forward(theta, inputs)
        rows = self.rows()
        reads = [numpy.concatenate([numpy.ones((len(read), 1)), read], axis=1) for read in self.read[:-1]]
        matrix = numpy.empty((self.size, self.size))
        for i, (units, width) in enumerate(self.shapes):
            for j, (others, other_width) in enumerate(self.shapes[: i + 1]):
                pairs = rows[i].swapaxes(1, 2) @ rows[j]
                products = (reads[i][:, :, None] * reads[j][:, None, :]).reshape(len(reads[i]), -1)
                here, there = slice(*self.starts[i : i + 2]), slice(*self.starts[j : j + 2])
                if i != j:
                    found = (pairs.reshape(len(pairs), -1).T @ products).reshape(units, others, width, other_width)
                    matrix[here, there] = found.transpose(0, 2, 1, 3).reshape(units * width, -1)
                    matrix[there, here] = matrix[here, there].T
                    continue
                first, second = numpy.triu_indices(units)
                found = (pairs[:, first, second].T @ products).reshape(-1, width, width)
                own = numpy.empty((units, width, units, width))
                own[first, :, second] = own[second, :, first] = found
                matrix[here, here] = own.reshape(units * width, -1)
        return matrix

    def natural_step(self, theta: NDArray, inputs: NDArray, targets: NDArray) -> NDArray:
        """(F + eps)^{-1} of the gradient in the dual: U U^T is a sum over layers of products of Gram matrices."""
        gradient = self.gradient(theta, inputs, targets)
        rows, total = [part.swapaxes(0, 1) for part in self.rows()], None
        for part, read in zip(rows, self.read, strict=False):
            flat = part.reshape(-1, part.shape[2])
            gram = flat @ flat.T
            by_row = gram.reshape(*part.shape[:2], *part.shape[:2])
            by_row *= (1.0 + read @ read.T)[None, :, None, :]
            total = gram if total is None else numpy.add(total, gram, out=total)
        assert total is not None
        total.reshape(-1)[:: len(total) + 1] += self.eps
        image = numpy.zeros(rows[0].shape[:2])
        for part, read, g in zip(rows, self.read, self.tables(gradient), strict=False):
            image += numpy.einsum("ksu,su->ks", part, read @ g[:, 1:].T + g[:, 0])
        inner = scipy.linalg.lapack.dposv(total.T, image.reshape(-1), lower=1, overwrite_a=1)[1].reshape(image.shape)
        step = numpy.empty(self.size)
        for part, read, w in zip(rows, self.read, self.tables(step), strict=False):
            back = numpy.einsum("ksu,ks->su", part, inner)
            w[:, 0], w[:, 1:] = back.sum(axis=0), back.T @ read
        return (gradient - step) / self.eps
