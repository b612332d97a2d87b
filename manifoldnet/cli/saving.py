"""Trained parameters as a .npz archive without pickled objects."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifoldnet.cli.failures import CallError
from manifoldnet.cli.output import plain
from manifoldnet.compiler.layout import Parameters
from manifoldnet.interop.parameters import write_parameters


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
    """Write parameters with what is known of them; whole or not at all."""
    write_parameters(path, theta, plain(about))
