"""A classifier that scikit-learn can use."""

from typing import Any, Self

import numpy
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import column_or_1d, validate_data

from manifoldnet.declare.interpretations.bernoulli import Bernoulli
from manifoldnet.declare.interpretations.interpretation import Interpretation
from manifoldnet.declare.interpretations.softmax import Softmax
from manifoldnet.errors import DeclarationError
from manifoldnet.geometry.simplex import Simplex
from manifoldnet.sklearn.estimator import ManifoldNetEstimator


class ManifoldNetClassifier(ClassifierMixin, ManifoldNetEstimator):
    """A network that gives probabilities of classes, trained by steps of an intrinsic metric.

    Parameters
    ----------
    hidden : sizes of the hidden layers; link : their link, a name such as "tanh" or one of your own.
    interpretation : `mn.Softmax()` where it is None, or `mn.Spherical()`.
    network : any declared `mn.Network` instead, whose only interpretation reads classes (softmax, spherical) or, for two
        classes, one Bernoulli unit. Columns of X go to its input layers in order, as they are.
    metric : a name of the command line, "unitwise-natural" for example, or a rule such as `mn.Natural()`.
    damping : "default" (the one that fits the metric), a text such as "tikhonov:1e-4", an object, or None.
    batch : samples a step, or "all"; None takes 64, and all of them for metrics on all parameters at once.
    steps, rate : of `mn.Minibatches` or, for all samples, `mn.FullBatch`. None leaves the rate of the schedule, and takes
        300 steps, or 10 passes over the samples where that is more.
    early_stopping : hold out `validation_fraction` of the samples, stop after `patience` validations without a
        better loss, and keep the best parameters.
    standardize : shift and scale every column to mean 0 and deviation 1 before it enters a network that is made from
        `hidden`: initial weights are drawn for such signals.
    random_state : an integer, a numpy RandomState or None, as everywhere in scikit-learn.

    Attributes
    ----------
    classes_, n_features_in_, n_iter_ : as everywhere in scikit-learn, n_iter_ being the steps taken.
    network_, program_, theta_, history_ : the declared and the compiled network, its parameters, and the last training.

    >>> import numpy
    >>> X = numpy.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> model = ManifoldNetClassifier(hidden=4, steps=100, random_state=0).fit(X, ["no", "yes", "yes", "no"])
    >>> model.predict(X).tolist()
    ['no', 'yes', 'yes', 'no']
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new network; raises ValueError for fewer than two classes or anything that is no data."""
        X, y = self._checked(X, y, reset=True)
        self.classes_ = unique_labels(y)
        self._begin_classes(X)
        indices = numpy.searchsorted(self.classes_, y)
        return self._fit_steps(X, self._targets(indices), indices)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """One online step on each of more samples (`mn.Online`); the first call has to be given all classes.

        The metric begins as the average over the samples of the first call, which should be more than a unit has
        parameters; it forgets them as others come.
        """
        first = not hasattr(self, "theta_")
        X, y = self._checked(X, y, reset=first)
        if first:
            if classes is None:
                raise ValueError("the first call of partial_fit takes all classes= that there will be")
            self.classes_ = unique_labels(classes)
            self._begin_classes(X)
        elif classes is not None and not numpy.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(f"classes={classes!r} are not those of the first call: {self.classes_.tolist()}")
        unknown = numpy.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(f"y has classes {unknown.tolist()} that are not among {self.classes_.tolist()}")
        return self._pass_once(X, self._targets(numpy.searchsorted(self.classes_, y)))

    def predict_proba(self, X: Any) -> NDArray:
        """The probability of every class, (samples, classes), in the order of `classes_`."""
        found = self._output(X)
        return numpy.concatenate([1.0 - found, found], axis=1) if self._is_bernoulli() else found

    def predict_log_proba(self, X: Any) -> NDArray:
        """Their logarithms, -inf where a probability underflows."""
        with numpy.errstate(divide="ignore"):
            return numpy.log(self.predict_proba(X))

    def predict(self, X: Any) -> NDArray:
        """The most likely class of each sample."""
        likely = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likely]

    def _default_interpretation(self) -> Interpretation:
        return Softmax()

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[NDArray, NDArray]:
        X, y = validate_data(self, X, y, reset=reset, dtype=numpy.float64)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        return X, y

    def _begin_classes(self, X: NDArray) -> None:
        count = len(self.classes_)
        if count < 2:
            raise ValueError(f"a classifier tells two classes or more apart, y has one class: {self.classes_[0]}")
        self._begin(X, count)
        interpretation, numbers = self._only_output()
        if self._is_bernoulli():
            if (numbers, count) != (1, 2):
                raise DeclarationError(
                    f"a Bernoulli output of {numbers} units does not tell {count} classes apart: it takes one unit and two "
                    "classes; use mn.Softmax()"
                )
        elif interpretation.output_manifold(numbers) != Simplex(count):
            raise DeclarationError(
                f"{type(interpretation).__name__} on {numbers} numbers gives points of {interpretation.output_manifold(numbers)}"
                f", expected probabilities of {count} classes: declare mn.Softmax() on {count} units"
            )

    def _is_bernoulli(self) -> bool:
        return isinstance(self.program_.declaration.outputs[0].interpretation, Bernoulli)

    def _targets(self, indices: NDArray) -> NDArray:
        return indices[:, None].astype(float) if self._is_bernoulli() else indices
