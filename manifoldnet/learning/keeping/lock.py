"""One process at a time: a lock that the system takes back however its holder ends."""

import importlib
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self, final

from manifoldnet.errors import RunError

# each system has its own module for this
_LOCKING = importlib.import_module("msvcrt" if os.name == "nt" else "fcntl")


@final
class Lock:
    """Holds a file for this process while a `with` block runs; RunError, with who holds it, if another one does."""

    def __init__(self, path: Path) -> None:
        self._path, self._handle = path, -1

    def __enter__(self) -> Self:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _take(handle)
        except OSError as error:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise RunError(f"{self._path.parent} is in use by {holder}: let it finish, or end it first") from error
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # the file stays: another process may hold it open already, waiting for none
        os.ftruncate(self._handle, 0)
        os.close(self._handle)


def _take(handle: int) -> None:
    if os.name == "nt":
        _LOCKING.locking(handle, _LOCKING.LK_NBLCK, 1)
    else:
        _LOCKING.flock(handle, _LOCKING.LOCK_EX | _LOCKING.LOCK_NB)
