"""One ``serve`` at a time on one data directory: its SQLite file has one writer, which knows what it has stored."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.wire.errors import Conflict, InvalidOption

LOCK_FILE = "serve.lock"
PID_LONGEST = 20  # digits


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold the lock of ``directory``; the operating system takes it back when the process ends, however it ends.

    The file stays when it is let go: whoever removed it could take it away from the next one that holds it. Commands beside
    the service do not ask for it.

    Raises:
        Conflict: another process holds it; the message names it.
        InvalidOption: the directory cannot hold a lock.
    """
    path = directory / LOCK_FILE
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise InvalidOption(f"COLLECTOR_DATA_DIR: cannot write {path}: {error.strerror}") from error
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(descriptor, PID_LONGEST, 0).decode("ascii", "replace").strip()
        other = f"process {pid}" if pid.isdigit() else "another process"
        raise Conflict(f"{path.parent} is served by {other} already: one SQLite file has one service.") from error
    except OSError as error:
        raise InvalidOption(f"COLLECTOR_DATA_DIR: cannot lock {path}: {error.strerror}") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
