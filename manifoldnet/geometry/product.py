"""Products of manifolds."""

import functools
import itertools
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import final

import attrs
import numpy

from manifoldnet import numpy as np
from manifoldnet.errors import DeclarationError
from manifoldnet.geometry.arrays import block_diagonal, leading_axes
from manifoldnet.geometry.chart import Chart, product_chart
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.numpy.dispatch import Array


@final
@attrs.frozen(init=False, repr=False)
class Product(Manifold):
    """Points of several manifolds, one after another and flattened: (..., size). Products inside are opened.

    Charts: "identity" where every factor has one, and each combination of the factors' charts, named
    "log|identity". Raises `DeclarationError` for anything but one or more manifolds.

    >>> from manifoldnet.geometry import Real, Sphere
    >>> both = Product(Real(1), Sphere(2))
    >>> both.shape, both.dim, both.default_chart
    ((4,), 3, None)
    """

    factors: tuple[Manifold, ...]

    def __init__(self, *factors: Manifold) -> None:
        wrong = [factor for factor in factors if not isinstance(factor, Manifold)]
        if wrong or not factors:
            raise DeclarationError(
                f"Product received {wrong or 'nothing'}; expected one or more manifolds, e.g. "
                "Product(Real(2), Sphere(2))"
            )
        opened = (factor.factors if isinstance(factor, Product) else (factor,) for factor in factors)
        self.__attrs_init__(tuple(itertools.chain(*opened)))

    def __repr__(self) -> str:
        return f"Product({', '.join(map(repr, self.factors))})"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one point: (size,)."""
        return (sum(factor.size for factor in self.factors),)

    @property
    def dim(self) -> int:
        """The sum of the factors' dimensions."""
        return sum(factor.dim for factor in self.factors)

    @property
    def requirement(self) -> str:
        """What a point must satisfy."""
        return "; then ".join(f"{math.prod(f.shape)} of {f}: {f.requirement}" for f in self.factors)

    def parts(self, point: Array) -> list[Array]:
        """The factors' points, (..., *factor.shape) each."""
        cuts = numpy.cumsum([factor.size for factor in self.factors])[:-1]
        pieces = np.split(point, cuts, axis=-1)
        return [np.reshape(p, (*np.shape(p)[:-1], *f.shape)) for p, f in zip(pieces, self.factors, strict=True)]

    def join(self, parts: Sequence[Array]) -> Array:
        """The point (..., size) of these points of the factors."""
        flat = [
            np.reshape(p, (*leading_axes(p, len(f.shape)), f.size)) for p, f in zip(parts, self.factors, strict=True)
        ]
        return np.concatenate(flat, -1)

    def _tangents(self, tangent: Array) -> list[Array]:
        return np.split(tangent, numpy.cumsum([factor.dim for factor in self.factors])[:-1], axis=-1)

    def _holds(self, point: Array) -> Array:
        inside = [f.contains(p) for f, p in zip(self.factors, self.parts(point), strict=True)]
        return functools.reduce(operator.and_, inside)

    @functools.cached_property
    def atlas(self) -> Mapping[str, Chart]:
        """The named charts: each is made when first asked for."""
        return _ProductAtlas(self)

    @property
    def default_chart(self) -> str | None:
        """The factors' default charts; None if one of them has none."""
        return None if any(factor.default_chart is None for factor in self.factors) else "identity"

    @property
    def hull_dim(self) -> int:
        """The sum of the factors' hull dimensions."""
        return sum(factor.hull_dim for factor in self.factors)

    @property
    def is_whole_hull(self) -> bool:
        """Whether it is so for every factor."""
        return all(factor.is_whole_hull for factor in self.factors)

    def hull(self, point: Array) -> Array:
        """The factors' affine coordinates, one after another."""
        return np.concatenate([f.hull(p) for f, p in zip(self.factors, self.parts(point), strict=True)], -1)

    def from_hull(self, hull: Array) -> Array:
        """The points with these affine coordinates."""
        pieces = np.split(hull, numpy.cumsum([factor.hull_dim for factor in self.factors])[:-1], axis=-1)
        return self.join([f.from_hull(p) for f, p in zip(self.factors, pieces, strict=True)])

    @property
    def frame_is_identity(self) -> bool:
        """Whether it is so for every factor."""
        return all(factor.frame_is_identity for factor in self.factors)

    def frame(self, point: Array) -> Array:
        """The factors' frames, block by block."""
        return block_diagonal([f.frame(p) for f, p in zip(self.factors, self.parts(point), strict=True)])

    def coframe(self, point: Array) -> Array:
        """The factors' coframes, block by block."""
        return block_diagonal([f.coframe(p) for f, p in zip(self.factors, self.parts(point), strict=True)])

    def retract(self, point: Array, tangent: Array) -> Array:
        """The factors' retractions."""
        steps = zip(self.factors, self.parts(point), self._tangents(tangent), strict=True)
        return self.join([f.retract(p, v) for f, p, v in steps])

    def tangent_to(self, point: Array, other: Array) -> Array:
        """The factors' inverse retractions."""
        pairs = zip(self.factors, self.parts(point), self.parts(other), strict=True)
        return np.concatenate([f.tangent_to(p, q) for f, p, q in pairs], -1)

    def riemannian(self, point: Array) -> Array | None:
        """The factors' metrics, block by block; None if one of them declares none."""
        blocks = [f.riemannian(p) for f, p in zip(self.factors, self.parts(point), strict=True)]
        return None if any(b is None for b in blocks) else block_diagonal(blocks)

    def sample(self, rng: numpy.random.Generator, count: int) -> Array:
        """Random points of each factor, (count, size)."""
        return self.join([factor.sample(rng, count) for factor in self.factors])

    @property
    def centre(self) -> float:
        """Zero."""
        return 0.0

    @property
    def scale(self) -> float:
        """One."""
        return 1.0


@final
class _ProductAtlas(Mapping[str, Chart]):
    """The combinations of the factors' charts, made on demand because there are so many of them."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._made: dict[str, Chart] = {}

    def _combination(self, name: str) -> tuple[str, ...]:
        defaults = tuple(factor.default_chart for factor in self._product.factors)
        names = defaults if name == "identity" else tuple(name.split("|"))
        known = len(names) == len(defaults) and all(
            n in f.atlas for n, f in zip(names, self._product.factors, strict=True)
        )
        if not known or (names == defaults and name != "identity"):
            raise KeyError(name)
        return names  # type: ignore[return-value]

    def __getitem__(self, name: str) -> Chart:
        names = self._combination(name)
        if name not in self._made:
            charts = [f.chart(n) for f, n in zip(self._product.factors, names, strict=True)]
            self._made[name] = product_chart(name, self._product, charts)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        defaults = tuple(factor.default_chart for factor in self._product.factors)
        for names in itertools.product(*(factor.atlas for factor in self._product.factors)):
            yield "identity" if names == defaults else "|".join(names)

    def __len__(self) -> int:
        return math.prod(len(factor.atlas) for factor in self._product.factors)
