"""The secrets of a first start: kept in a file before they are committed, or shown on the terminal once."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from collector.persist.meta import FirstSecrets
from collector.wire.errors import InvalidOption

SECRETS_FILE = "first-start-secrets.json"


def keep(directory: Path, first: FirstSecrets) -> None:
    """Write the secrets to a file in ``directory`` that only we can read, on disk when this returns.

    It is called before they are committed. Should the commit then fail, the file stays: the answer of a commit may be lost
    on its way, and the next first start puts its own in its place.

    Raises:
        InvalidOption: the file cannot be written; nothing is left of it.
    """
    path = directory / SECRETS_FILE
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A new file of mode 0600 under a name nobody knows, moved in place. Writing to a file that was there would keep its
        # mode and its readers, and would follow a link.
        descriptor, name = tempfile.mkstemp(prefix=f".{SECRETS_FILE}.", dir=directory)
        try:
            _write(descriptor, first)
            os.replace(name, path)  # noqa: PTH105  (Path.replace says no more)
        except OSError:
            with suppress(OSError):
                os.unlink(name)  # noqa: PTH108
            raise
        _sync(directory)
    except OSError as error:
        raise InvalidOption(f"COLLECTOR_DATA_DIR: cannot write {path}: {error.strerror}") from error


def shown(first: FirstSecrets) -> str:
    """The lines for a terminal."""
    return "\n".join(
        [
            "Made by this first start, and not shown again:",
            "",
            f"  Admin token   {first.token or 'from COLLECTOR_ADMIN_TOKEN_FILE'}",
            f"  Browser key   {first.browser_key}",
            f"  Feed key      {first.feed_key}",
            "",
        ]
    )


def _write(descriptor: int, first: FirstSecrets) -> None:
    token = {"admin_token": first.token} if first.token else {}
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({**token, "browser_key": first.browser_key, "feed_key": first.feed_key}, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())  # what is committed next survives a power cut, and so must this


def _sync(directory: Path) -> None:
    """Have the new name itself on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
