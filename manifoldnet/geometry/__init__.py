"""Manifolds, on which activities and parameters live, and charts, which give their points coordinates."""

from manifoldnet.geometry.chart import Chart, product_chart
from manifoldnet.geometry.interval import Interval
from manifoldnet.geometry.manifold import Manifold
from manifoldnet.geometry.positive import Positive
from manifoldnet.geometry.product import Product
from manifoldnet.geometry.real import Real
from manifoldnet.geometry.simplex import Simplex
from manifoldnet.geometry.spd import SPD
from manifoldnet.geometry.sphere import Sphere

__all__ = [
    "SPD",
    "Chart",
    "Interval",
    "Manifold",
    "Positive",
    "Product",
    "Real",
    "Simplex",
    "Sphere",
    "product_chart",
]
