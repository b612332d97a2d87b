"""Networks of manifolds as scikit-learn estimators; needs the extra `sklearn`."""

from manifoldnet.sklearn.classifier import ManifoldNetClassifier
from manifoldnet.sklearn.regressor import ManifoldNetRegressor

__all__ = ["ManifoldNetClassifier", "ManifoldNetRegressor"]
