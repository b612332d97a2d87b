"""Parameters as .npz archives without pickled objects: one array a layer, by name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import attrs
import numpy
from numpy.typing import NDArray

from manifoldnet.compiler.layout import Layout, Parameters
from manifoldnet.compiler.program import Program
from manifoldnet.errors import DataError
from manifoldnet.learning.archives import read_archive, write_archive
from manifoldnet.learning.files import written_whole

# no layer can have a name with a slash
METADATA = "manifoldnet/metadata"
# What a file may hold beside the numbers of a network, in bytes.
LIMIT = 64 * 2**20


@final
@attrs.frozen(eq=False)
class Saved:
    """Parameters of a file, and what the file says about them."""

    theta: Parameters
    about: Mapping[str, Any]


def write_parameters(path: str | Path, theta: Parameters, about: Mapping[str, Any] | None = None) -> Path:
    """Write one array (units, width) a layer and interpretation, by name, and `about` as JSON; whole or not at all.

    Units with fewer parameters than others are padded by zeros; `counts` in the metadata says how many each has.
    `numpy.load(path)["h1"]` reads the layer "h1".
    """
    counts = {place.name: list(place.counts) for place in theta.layout}
    metadata = json.dumps({**(about or {}), "counts": counts}, allow_nan=False)
    arrays = {place.name: theta[place.name] for place in theta.layout}
    with written_whole(path) as temporary:
        write_archive(temporary, {**arrays, METADATA: numpy.array(metadata)})
    return Path(path)


def read_parameters(path: str | Path, program: Program) -> Saved:
    """The parameters of a file, once they are seen to fit a program; nothing in the file is run.

    An archive of arrays by layer that something else wrote will do too. Raises DataError that says which layer does
    not fit, or that the file is no such archive.

    >>> import tempfile
    >>> import manifoldnet as mn
    >>> net = mn.Network("small")
    >>> net.interpret(mn.SquareLoss(), parents=[net.layer("y", 1, mn.Affine(), [net.input("x", size=2)])])
    >>> program = mn.compile(net)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_parameters(Path(folder, "y.npz"), program.parameters([1.0, 2.0, 3.0]))
    ...     read_parameters(path, program).theta.flat.tolist()
    [1.0, 2.0, 3.0]
    """
    arrays, layout = read_archive(Path(path), limit=LIMIT + 100 * program.layout.size), program.layout
    about = _about(path, arrays.pop(METADATA, None))
    _check_names(path, arrays, layout)
    flat = numpy.zeros(layout.size)
    for place in layout:
        values = arrays[place.name]
        if values.shape != place.mask.shape or values.dtype.kind not in "fiu":
            raise DataError(
                f"{path}: {place.name!r} holds {values.dtype} of shape {values.shape}, expected numbers of shape "
                f"{place.mask.shape}: the parameters are of another network, or it was declared with other settings"
            )
        if not numpy.isfinite(values[place.mask]).all():
            raise DataError(f"{path}: {place.name!r} holds numbers that are not finite")
        flat[place.offset : place.stop] = values[place.mask]
    _check_counts(path, layout, about.get("counts"))
    return Saved(program.parameters(flat), about)


def _check_names(path: str | Path, arrays: Mapping[str, NDArray], layout: Layout) -> None:
    wanted = {place.name for place in layout}
    if set(arrays) != set(wanted):
        raise DataError(
            f"{path} holds the parameters of {', '.join(arrays) or 'nothing'}; expected those of "
            f"{', '.join(place.name for place in layout)}"
        )


def _check_counts(path: str | Path, layout: Layout, counts: Any) -> None:
    """Units padded to the same width may still differ."""
    different = [p.name for p in layout if isinstance(counts, dict) and counts.get(p.name) != list(p.counts)]
    if different:
        raise DataError(
            f"{path}: the units of {different[0]!r} have other numbers of parameters than here: their wiring differs. "
            "Declare the network with the seed and settings that it was trained with"
        )


def _about(path: str | Path, text: NDArray | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: what it says about itself is not JSON: {error}") from error
    return found if isinstance(found, dict) else {}
