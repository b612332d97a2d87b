"""Trained parameters as a .npz archive without pickled objects."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

from manifoldnet.cli.failures import CallError
from manifoldnet.cli.output import plain
from manifoldnet.compiler.layout import Parameters
from manifoldnet.learning.archives import write_archive
from manifoldnet.learning.files import written_whole

# no layer can have a name with a slash
METADATA = "manifoldnet/metadata"


def check_output(path: Path) -> None:
    """Raise CallError unless parameters can be written there, before they are trained."""
    if path.suffix != ".npz":
        raise CallError(f"--output {path}: parameters are written as .npz, such as {path.with_suffix('.npz')}")
    if not path.parent.is_dir():
        raise CallError(f"--output {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise CallError(f"--output {path} is a folder: give the name of a file")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise CallError(f"--output {path}: nothing can be written into {path.parent}: {error.strerror}") from error


def save_parameters(path: Path, theta: Parameters, about: Mapping[str, Any]) -> None:
    """Write one array (units, width) a layer and interpretation, by name, and `about` as JSON; whole or not at all.

    Units with fewer parameters than others are padded by zeros; `counts` in the metadata says how many each has.
    """
    counts = {place.name: list(place.counts) for place in theta.layout}
    metadata = json.dumps(plain({**about, "counts": counts}), allow_nan=False)
    arrays = {place.name: theta[place.name] for place in theta.layout}
    with written_whole(path) as temporary:
        write_archive(temporary, {**arrays, METADATA: numpy.array(metadata)})
