"""The data sets that come with the package, against fixed sums and scikit-learn's copy."""

import hashlib

import numpy as np
import pytest
from sklearn import datasets

from manifoldnet.learning import data
from tests.house import tree


def digest(values: np.ndarray, dtype: str) -> str:
    """The first half of the sha256 of an array's numbers."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype=dtype).tobytes()).hexdigest()[:32]


def test_digits() -> None:
    digits = data.load_digits()
    assert digits.images.shape == (1797, 64) and digits.images.dtype == np.float64
    assert digits.labels.shape == (1797,) and digits.labels.dtype == np.int64
    assert np.array_equal(np.unique(digits.images), np.arange(17))
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digest(digits.images, "u1") == "8f26b2bd9d135c256808f68f14fdabdd"
    assert digest(digits.labels, "u1") == "8ba4f891220f5e4c9c819638d1602d74"


def test_digits_agree_with_scikit_learn() -> None:
    digits, theirs = data.load_digits(), datasets.load_digits()
    assert np.array_equal(digits.images, theirs.data)
    assert np.array_equal(digits.labels, theirs.target)


def test_auto_mpg() -> None:
    cars = data.load_auto_mpg()
    assert cars.features.shape == (392, 7) and cars.miles_per_gallon.shape == (392,)
    assert len(cars.feature_names) == len(cars.units) == 7
    assert cars.features.min(axis=0).tolist() == [3, 68, 46, 1613, 8, 70, 1]
    assert cars.features.max(axis=0).tolist() == [8, 455, 230, 5140, 24.8, 82, 3]
    assert (cars.miles_per_gallon.min(), cars.miles_per_gallon.max()) == (9, 46.6)
    assert digest(cars.features, "<f8") == "e10c8007f1792aab8431f7c7e32c4a49"
    assert digest(cars.miles_per_gallon, "<f8") == "29029ebdd56f2c5b50ab39067627dba5"


def test_auto_mpg_scatters_more_for_light_cars() -> None:
    """As its README says: which is why a learned variance has something to learn."""
    cars = data.load_auto_mpg()
    design = np.column_stack([np.ones(392), cars.features[:, :6]])
    fit, *_ = np.linalg.lstsq(design, cars.miles_per_gallon)
    error = (cars.miles_per_gallon - design @ fit)[np.argsort(cars.features[:, 3])]
    assert error[:98].std() / error[-98:].std() == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("record", [data.load_digits(), data.load_auto_mpg()], ids=["digits", "auto_mpg"])
def test_source_and_licence_are_named(record: data.Digits | data.AutoMpg) -> None:
    readme = (tree.PACKAGE / "learning" / "data" / "README.md").read_text(encoding="utf-8")
    assert record.source.rpartition(" ")[2] in readme
    assert record.licence == "CC BY 4.0" and "Creative Commons Attribution 4.0 International" in readme
    assert record.description.endswith(".")


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        data.load_digits().images[0, 0] = 1
