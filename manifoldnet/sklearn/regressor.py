"""A regressor that scikit-learn can use."""

from typing import Any, Self

import numpy
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data

from manifoldnet.declare.interpretations.gaussian import Gaussian, HeteroscedasticGaussian
from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.declare.interpretations.square_loss import SquareLoss
from manifoldnet.errors import DeclarationError
from manifoldnet.sklearn.estimator import ManifoldNetEstimator, standard


class ManifoldNetRegressor(RegressorMixin, ManifoldNetEstimator):
    """A network that gives one or more numbers, trained by steps of an intrinsic metric.

    Parameters are those of `ManifoldNetClassifier`, with these differences: `interpretation` is `mn.SquareLoss()` where
    it is None, or `mn.Gaussian()`, which learns the variance too, or `mn.HeteroscedasticGaussian()`, which learns one for
    every sample; `standardize` shifts and scales the columns of y as well. y may have several columns.

    >>> import numpy
    >>> X = numpy.linspace(-2.0, 2.0, 40)[:, None]
    >>> model = ManifoldNetRegressor(hidden=8, steps=300, random_state=0).fit(X, X[:, 0] ** 2)
    >>> bool(model.score(X, X[:, 0] ** 2) > 0.999)
    True
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new network; raises ValueError for anything that is no data."""
        X, targets = self._checked(X, y, reset=True)
        self._begin_columns(X, targets)
        return self._fit_steps(X, self._standardised(targets), None)

    def partial_fit(self, X: Any, y: Any) -> Self:
        """One online step on each of more samples (`mn.Online`).

        The first call settles means and deviations of all columns, and the metric begins as the average over its
        samples, which should be more than a unit has parameters.
        """
        first = not hasattr(self, "theta_")
        X, targets = self._checked(X, y, reset=first)
        if first:
            self._begin_columns(X, targets)
        if targets.shape[1] != len(self._target_centre):
            raise ValueError(f"y has {targets.shape[1]} columns, expected {len(self._target_centre)} as before")
        return self._pass_once(X, self._standardised(targets))

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Means, (samples,) or (samples, columns) as y was; with `return_std` standard deviations beside them.

        Raises DeclarationError where the network has no standard deviations.
        """
        found, columns = self._output(X), len(self._target_centre)
        means = self._shaped(found[:, :columns] * self._target_spread + self._target_centre)
        if not return_std:
            return means
        interpretation, _ = self._only_output()
        if not isinstance(interpretation, Gaussian | HeteroscedasticGaussian):
            raise DeclarationError(
                f"{type(interpretation).__name__} gives no standard deviations: take interpretation=mn.Gaussian()"
            )
        return means, self._shaped(found[:, columns:] * self._target_spread)

    def _default_interpretation(self) -> Interpretation:
        return SquareLoss()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[NDArray, NDArray]:
        X, y = validate_data(self, X, y, reset=reset, dtype=numpy.float64, multi_output=True, y_numeric=True)
        if reset:
            self._is_flat = y.ndim == 1
        return X, numpy.asarray(y, dtype=numpy.float64).reshape(len(y), -1)

    def _begin_columns(self, X: NDArray, targets: NDArray) -> None:
        columns = targets.shape[1]
        self._target_centre, self._target_spread = numpy.zeros(columns), numpy.ones(columns)
        if self.network is None and self.standardize:
            self._target_centre, self._target_spread = standard(targets)
        twice = 2 if isinstance(self.interpretation, HeteroscedasticGaussian) else 1
        self._begin(X, twice * columns)
        self._only_output()

    def _standardised(self, targets: NDArray) -> NDArray:
        return (targets - self._target_centre) / self._target_spread

    def _shaped(self, values: NDArray) -> NDArray:
        return values[:, 0] if self._is_flat else values
