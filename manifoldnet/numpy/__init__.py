"""Differentiable NumPy for maps, charts and densities: `from manifoldnet import numpy as np`.

An explicit list of functions, each tested against finite differences. They follow the type of their
arguments: NumPy arrays and autograd's traced arrays are computed with autograd, arrays of another library
(JAX) by that library. A name that is not listed raises `UnknownFunctionError`.

>>> from manifoldnet import numpy as np
>>> np.softplus(np.array([0.0, 1000.0])).round(3).tolist()
[0.693, 1000.0]
"""

import difflib
from typing import Any

from numpy import bool_, e, euler_gamma, float64, inf, int64, nan, newaxis, pi

from manifoldnet.errors import UnknownFunctionError
from manifoldnet.numpy import (
    assembly,
    construction,
    elementwise,
    linalg,
    products,
    reductions,
    shapes,
    special,
)

# Exactly what each of these modules lists in its __all__, and nothing else.
from manifoldnet.numpy.assembly import *  # noqa: F403
from manifoldnet.numpy.construction import *  # noqa: F403
from manifoldnet.numpy.elementwise import *  # noqa: F403
from manifoldnet.numpy.products import *  # noqa: F403
from manifoldnet.numpy.reductions import *  # noqa: F403
from manifoldnet.numpy.shapes import *  # noqa: F403
from manifoldnet.numpy.special import *  # noqa: F403

__all__ = [
    "bool_",
    "e",
    "euler_gamma",
    "float64",
    "inf",
    "int64",
    "linalg",
    "nan",
    "newaxis",
    "pi",
    "special",
]
__all__ += assembly.__all__
__all__ += construction.__all__
__all__ += elementwise.__all__
__all__ += products.__all__
__all__ += reductions.__all__
__all__ += shapes.__all__
__all__ += special.__all__


def __getattr__(name: str) -> Any:
    near = difflib.get_close_matches(name, __all__)
    raise UnknownFunctionError(
        f"manifoldnet.numpy does not list {name!r}"
        + (f"; near it are {', '.join(near)}" if near else "")
        + ". Only functions whose derivatives are tested are listed (see manifoldnet.numpy.__all__): "
        "compose it from those."
    )
