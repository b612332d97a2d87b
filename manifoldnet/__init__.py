"""manifoldnet: networks of manifolds, declared, with every intrinsic metric derived from their Jacobians."""

from manifoldnet.compiler.compile import compile
from manifoldnet.compiler.layout import Covector, Parameters, Tangent
from manifoldnet.compiler.program import Program
from manifoldnet.compiler.transport import transport
from manifoldnet.declare.apart import units_apart
from manifoldnet.declare.interpretations.bernoulli import Bernoulli
from manifoldnet.declare.interpretations.density import Density
from manifoldnet.declare.interpretations.gaussian import Gaussian, HeteroscedasticGaussian
from manifoldnet.declare.interpretations.output_map import OutputMap
from manifoldnet.declare.interpretations.softmax import Softmax
from manifoldnet.declare.interpretations.spherical import Spherical
from manifoldnet.declare.interpretations.square_loss import SquareLoss
from manifoldnet.declare.links import Link, identity, logistic, relu, scaled_tanh, softplus, tanh
from manifoldnet.declare.maps import Affine, Map
from manifoldnet.declare.network import Network
from manifoldnet.declare.recombining import recombined
from manifoldnet.declare.rewritings import in_sigmoid_form, in_tanh_form, inverted, reparametrised, scaled
from manifoldnet.declare.wiring import dense, fan_in, fan_out
from manifoldnet.errors import ManifoldNetError
from manifoldnet.geometry.chart import Chart
from manifoldnet.geometry.interval import Interval
from manifoldnet.geometry.mixing import mixing_chart
from manifoldnet.geometry.positive import Positive
from manifoldnet.geometry.product import Product
from manifoldnet.geometry.real import Real
from manifoldnet.geometry.simplex import Simplex
from manifoldnet.geometry.spd import SPD
from manifoldnet.geometry.sphere import Sphere
from manifoldnet.laws.one_unit import one_unit, units_mixed
from manifoldnet.learning.bad_rows import without_bad_rows
from manifoldnet.learning.data import load_auto_mpg, load_digits
from manifoldnet.learning.dataset import Dataset, split
from manifoldnet.learning.history import History
from manifoldnet.learning.learner import Learner
from manifoldnet.learning.reading.csv_file import read_csv
from manifoldnet.learning.reading.npz_file import read_npz
from manifoldnet.learning.reading.parquet import read_parquet
from manifoldnet.learning.schedule import FullBatch, Minibatches, Online
from manifoldnet.learning.stream import Stream
from manifoldnet.learning.train import trainer_for
from manifoldnet.linalg.damping import Floor, Intrinsic, LeastNorm, PseudoInverse, Tikhonov
from manifoldnet.metrics.adagrad import AdaGrad
from manifoldnet.metrics.euclidean import Euclidean
from manifoldnet.metrics.monte_carlo import MonteCarloNatural
from manifoldnet.metrics.natural import Natural
from manifoldnet.metrics.outer_product import OuterProduct
from manifoldnet.metrics.reductions import Diagonal, QuasiDiagonal
from manifoldnet.metrics.unitwise_rules import (
    Backpropagated,
    UnitwiseMonteCarloNatural,
    UnitwiseNatural,
    UnitwiseOuterProduct,
)
from manifoldnet.views import notebook as _notebook  # noqa: F401  (things show themselves once it is there)

__version__ = "0.1.0"

__all__ = [
    "SPD",
    "AdaGrad",
    "Affine",
    "Backpropagated",
    "Bernoulli",
    "Chart",
    "Covector",
    "Dataset",
    "Density",
    "Diagonal",
    "Euclidean",
    "Floor",
    "FullBatch",
    "Gaussian",
    "HeteroscedasticGaussian",
    "History",
    "Interval",
    "Intrinsic",
    "Learner",
    "LeastNorm",
    "Link",
    "ManifoldNetError",
    "Map",
    "Minibatches",
    "MonteCarloNatural",
    "Natural",
    "Network",
    "Online",
    "OuterProduct",
    "OutputMap",
    "Parameters",
    "Positive",
    "Product",
    "Program",
    "PseudoInverse",
    "QuasiDiagonal",
    "Real",
    "Simplex",
    "Softmax",
    "Sphere",
    "Spherical",
    "SquareLoss",
    "Stream",
    "Tangent",
    "Tikhonov",
    "UnitwiseMonteCarloNatural",
    "UnitwiseNatural",
    "UnitwiseOuterProduct",
    "compile",
    "dense",
    "fan_in",
    "fan_out",
    "identity",
    "in_sigmoid_form",
    "in_tanh_form",
    "inverted",
    "load_auto_mpg",
    "load_digits",
    "logistic",
    "mixing_chart",
    "one_unit",
    "read_csv",
    "read_npz",
    "read_parquet",
    "recombined",
    "relu",
    "reparametrised",
    "scaled",
    "scaled_tanh",
    "softplus",
    "split",
    "tanh",
    "trainer_for",
    "transport",
    "units_apart",
    "units_mixed",
    "without_bad_rows",
]
