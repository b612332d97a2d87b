"""Archives of named arrays (.npz): written without pickles, read without trusting what they say of themselves."""

import io
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy
from numpy.typing import NDArray

from manifoldnet.errors import ArchiveError

# What a reader takes at most where it is not told how much to expect.
LIMIT = 4 * 2**30
HEADER_LIMIT = 10_000
KINDS = "biufcUS"


def write_archive(path: Path, arrays: Mapping[str, NDArray], compress: bool = True) -> None:
    """Write named arrays as `numpy.load` reads them; unlike `numpy.savez` any name will do."""
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, values in arrays.items():
            buffer = io.BytesIO()
            numpy.lib.format.write_array(buffer, numpy.asarray(values), allow_pickle=False)
            archive.writestr(f"{name}.npy", buffer.getvalue())


def read_archive(path: Path, limit: int = LIMIT, names: list[str] | None = None) -> dict[str, NDArray]:
    """The arrays of an archive by name, all of them or those asked for; nothing in it can run.

    Sizes are added up before anything is allocated. Raises ArchiveError for what is no archive, is damaged, holds
    objects, or would take more than `limit` bytes; OSError where the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            missing = [name for name in names or [] if name not in members]
            if missing:
                raise ArchiveError(f"{path} holds no array {missing[0]!r}: it holds {', '.join(members) or 'none'}")
            wanted = list(members) if names is None else names
            _check_sizes(path, [members[name] for name in wanted], limit)
            return {name: _member(path, archive, members[name]) for name in wanted}
    except ArchiveError:
        raise
    except OSError as error:
        # places in the file that are not there; what the file itself refuses names it
        if error.filename is not None:
            raise
        raise ArchiveError(f"{path} is no whole archive of arrays: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise ArchiveError(f"{path} is no whole archive of arrays: {error}") from error
    except (ValueError, TypeError, SyntaxError, OverflowError, struct.error) as error:
        raise ArchiveError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def _check_sizes(path: Path, members: list[zipfile.ZipInfo], limit: int) -> None:
    total = sum(info.file_size for info in members)
    if total > limit:
        raise ArchiveError(
            f"{path} would take {total / 2**20:,.1f} MiB of memory; at most {limit / 2**20:,.1f} MiB are expected"
        )
    for info in members:
        if info.flag_bits & 0x1:
            raise ArchiveError(f"{path}: {info.filename!r} is encrypted")


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray:
    with archive.open(info) as stream:
        shape, fortran, dtype = read_header(stream, f"{path}: {info.filename!r}")
        size = math.prod(shape) * dtype.itemsize
        if size > info.file_size:
            raise ArchiveError(f"{path}: {info.filename!r} promises {size} bytes and holds {info.file_size}")
        # one byte more, so that whoever wrote a wrong size is found out
        content = stream.read(size + 1)
    if len(content) != size:
        raise ArchiveError(f"{path}: {info.filename!r} holds {len(content)} bytes or more, expected {size}")
    values = numpy.frombuffer(bytearray(content), dtype=dtype)
    return values.reshape(shape, order="F" if fortran else "C")


def read_header(stream: IO[bytes], place: str) -> tuple[tuple[int, ...], bool, numpy.dtype]:
    """Shape, order and kind of an array in NumPy's format; raises ArchiveError for kinds that are no plain numbers."""
    readers = {
        (1, 0): numpy.lib.format.read_array_header_1_0,
        (2, 0): numpy.lib.format.read_array_header_2_0,
    }
    try:
        with warnings.catch_warnings():
            # headers as Python 2 wrote them are no plain ones
            warnings.simplefilter("error")
            version = numpy.lib.format.read_magic(stream)
            if version not in readers:
                raise ArchiveError(f"{place} is written in version {version} of NumPy's format, expected 1.0 or 2.0")
            shape, fortran, dtype = readers[version](stream, max_header_size=HEADER_LIMIT)
    except ArchiveError:
        raise
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError, Warning) as error:
        raise ArchiveError(f"{place} is no array: {error}") from error
    if dtype.kind not in KINDS or dtype.hasobject or dtype.itemsize == 0:
        raise ArchiveError(f"{place} holds {dtype}, expected plain numbers or text")
    if any(n < 0 for n in shape):
        raise ArchiveError(f"{place} has the shape {shape}")
    return shape, fortran, dtype
