"""Arrays of .npz archives as data: those that are not compressed are read in place."""

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy
from numpy.typing import NDArray

from manifoldnet.errors import ArchiveError, DataError
from manifoldnet.learning.archives import LIMIT, read_archive, read_header
from manifoldnet.learning.dataset import Dataset

LOCAL_HEADER = 30


def read_npz(
    path: str | Path,
    inputs: str | Mapping[str, str] = "inputs",
    targets: str | Mapping[str, str] = "targets",
    validation: Any = None,
    limit: int = LIMIT,
) -> Dataset:
    """Arrays of an archive as a data set: by their names in it, or mappings from names of the network to those.

    What `numpy.savez` writes is mapped into memory and read as training needs it; what `numpy.savez_compressed` writes
    is read whole, if it takes at most `limit` bytes. No objects are loaded. Raises ArchiveError for other files.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     numpy.savez(Path(folder, "line.npz"), inputs=[[0.0], [1.0]], targets=[1.0, 3.0])
    ...     read_npz(Path(folder, "line.npz")).samples
    2
    """
    place = Path(path)
    return Dataset(_named(place, inputs, limit), _named(place, targets, limit), validation)


def _named(path: Path, names: str | Mapping[str, str], limit: int) -> Any:
    if isinstance(names, Mapping):
        return {key: archive_array(path, name, limit) for key, name in names.items()}
    return archive_array(path, names, limit)


def archive_array(path: Path, name: str, limit: int = LIMIT) -> NDArray:
    """One array of an archive, in place where it is not compressed; raises ArchiveError, or DataError for no rows."""
    found = _mapped(path, name)
    values = read_archive(path, limit, [name])[name] if found is None else found
    if values.ndim == 0:
        raise DataError(f"{path}: {name!r} is a single number, expected rows")
    return values


def _mapped(path: Path, name: str) -> NDArray | None:
    """The array mapped from the file, None if it is compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if name not in members:
                raise ArchiveError(f"{path} holds no array {name!r}: it holds {', '.join(members) or 'none'}")
            info = members[name]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        if isinstance(error, ArchiveError) or (isinstance(error, OSError) and error.filename is not None):
            raise
        raise ArchiveError(f"{path} is no archive of arrays: {error}") from error
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1:
        return None
    with path.open("rb") as stream:
        begin, shape, fortran, dtype = _located(path, name, stream, info.header_offset)
        offset = stream.tell()
    size = int(numpy.prod(shape, dtype=object)) * dtype.itemsize
    if offset - begin + size != info.file_size or offset + size > path.stat().st_size:
        raise ArchiveError(f"{path} is damaged: {name!r} promises {size} bytes and holds others")
    if size == 0:
        return numpy.empty(shape, dtype)
    return numpy.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def _located(path: Path, name: str, stream: IO[bytes], start: int) -> tuple[int, tuple[int, ...], bool, numpy.dtype]:
    """Where an array begins in an archive, and what it is; leaves the stream at its numbers."""
    if not 0 <= start < path.stat().st_size:
        raise ArchiveError(f"{path} is damaged: {name!r} does not lie where its list says")
    stream.seek(start)
    header = stream.read(LOCAL_HEADER)
    if len(header) != LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise ArchiveError(f"{path} is damaged: {name!r} does not lie where its list says")
    begin = start + LOCAL_HEADER + sum(struct.unpack("<HH", header[26:30]))
    stream.seek(begin)
    return begin, *read_header(stream, f"{path}: {name!r}")
