"""Small real data sets that come with the package; the README beside them tells sources and licences.

>>> digits = load_digits()
>>> digits.images.shape, digits.labels.shape
((1797, 64), (1797,))
>>> print(digits.licence)
CC BY 4.0
"""

from importlib import resources
from typing import Any, final

import attrs
import numpy as np
import numpy.typing as npt

LICENCE = "CC BY 4.0"


@final
@attrs.frozen(eq=False)
class Digits:
    """Handwritten digits: `images` (samples, 64), ink counts from 0 to 16; `labels` (samples,), 0 to 9."""

    images: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    description: str
    source: str
    licence: str


@final
@attrs.frozen(eq=False)
class AutoMpg:
    """Fuel consumption of cars: `features` (samples, 7) in `units`, and `miles_per_gallon` (samples,)."""

    features: npt.NDArray[np.float64]
    miles_per_gallon: npt.NDArray[np.float64]
    feature_names: tuple[str, ...]
    units: tuple[str, ...]
    description: str
    source: str
    licence: str


def load_digits() -> Digits:
    """Read the 1,797 handwritten digits of the test part of the UCI collection, in its order.

    The arrays are read-only; images are rows of 8x8 pixels, 0 (no ink) to 16.

    >>> digits = load_digits()
    >>> digits.labels[:5]
    array([0, 1, 2, 3, 4])
    >>> print(digits.images.min(), digits.images.max())
    0.0 16.0
    """
    images = _stored("digits.npz", "images", np.float64)
    labels = _stored("digits.npz", "labels", np.int64)
    return Digits(
        images,
        labels,
        description="Handwritten digits by 13 people, as 8x8 images of ink counts from 0 to 16.",
        source="E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, "
        "UCI Machine Learning Repository, https://doi.org/10.24432/C50P49",
        licence=LICENCE,
    )


def load_auto_mpg() -> AutoMpg:
    """Read the fuel consumption of 392 cars of the years 1970 to 1982, in the order of the collection.

    The arrays are read-only. The scatter of `miles_per_gallon` is larger for light cars than for heavy ones.

    >>> cars = load_auto_mpg()
    >>> for name, unit, value in zip(cars.feature_names, cars.units, cars.features[0]):
    ...     print(name, value, unit)
    cylinders 8.0 count
    displacement 307.0 cubic inches
    power 130.0 horsepower
    weight 3504.0 pounds
    acceleration 12.0 seconds to 60 miles per hour
    year 70.0 years since 1900
    origin 1.0 1 USA, 2 Europe, 3 Japan
    >>> print(cars.miles_per_gallon[0])
    18.0
    """
    return AutoMpg(
        _stored("auto_mpg.npz", "features", np.float64),
        _stored("auto_mpg.npz", "miles_per_gallon", np.float64),
        feature_names=("cylinders", "displacement", "power", "weight", "acceleration", "year", "origin"),
        units=(
            "count",
            "cubic inches",
            "horsepower",
            "pounds",
            "seconds to 60 miles per hour",
            "years since 1900",
            "1 USA, 2 Europe, 3 Japan",
        ),
        description="Fuel consumption of cars of the model years 1970 to 1982.",
        source="R. Quinlan (1993), Auto MPG, UCI Machine Learning Repository, https://doi.org/10.24432/C5859H",
        licence=LICENCE,
    )


def _stored(file: str, key: str, dtype: type[Any]) -> npt.NDArray[Any]:
    """One array of an archive beside this module, converted and read-only."""
    place = resources.files(__name__).joinpath(file)
    with place.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        values = archive[key].astype(dtype)
    values.setflags(write=False)
    return values
