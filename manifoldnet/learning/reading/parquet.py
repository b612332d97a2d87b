"""Parquet files as data, where the extra `parquet` is installed."""

from pathlib import Path
from typing import Any

from manifoldnet.extras import extra_module
from manifoldnet.learning.dataset import Dataset
from manifoldnet.learning.reading.table import Names, dataset_of


def read_parquet(path: str | Path, targets: Names, inputs: Names | None = None, validation: Any = None) -> Dataset:
    """Columns of a Parquet file as a data set, read by row groups as training needs them; missing numbers are NaN.

    Inputs are all columns that are no targets, unless they are named. Raises MissingExtraError without the extra
    `parquet`, DataError for what is no Parquet file or holds no numbers.
    """
    module = extra_module("manifoldnet.learning.reading.parquet_file", "parquet")
    return dataset_of(module.ParquetTable(Path(path)), inputs, targets, validation)
