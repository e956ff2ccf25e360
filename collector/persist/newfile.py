"""A new file that is whole, on disk and its owner's alone before it gets its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from collector.wire.errors import Conflict, InvalidInput


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Give an empty file of mode 0600 beside ``target`` to write; at the end it is renamed to ``target``, after a failure gone.

    Raises:
        Conflict: ``target`` is there already.
        InvalidInput: it cannot be written.
    """
    if target.exists() or target.is_symlink():
        raise Conflict(f"{target} is there already: nothing is replaced.")
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield part
        sync(part)
        part.rename(target)
        sync(target.parent)
    except OSError as error:
        raise InvalidInput(f"{target}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the file, or the names in the directory, at ``path`` on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
