"""Files that are either whole or not there: written beside their place and renamed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` at the end of the block unless an exception left it.

    It lies beside `path` and has the same suffix. Raises OSError where it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(Path(folder, "a.txt")) as temporary:
    ...         size = temporary.write_text("all of it")
    ...     os.listdir(folder)
    ['a.txt']
    """
    # a link stays a link: what it points to is replaced
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        yield temporary
        _reach_the_disk(temporary)
        os.replace(temporary, target)
        settle(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _reach_the_disk(path: Path) -> None:
    # a rename that survives a crash must not be of a file that does not
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def settle(folder: Path) -> None:
    """Let the names of a folder reach the disk, where the system can be asked to."""
    if os.name == "nt":
        # folders cannot be opened there, and renames are journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
