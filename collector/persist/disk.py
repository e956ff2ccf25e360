"""How much room the file system of the data directory has: what SQLite, backups and a restart need."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import Gauge

_OF = "the file system that COLLECTOR_DATA_DIR is on, measured every 10 seconds. 0 where there is no such directory."
FREE = Gauge("collector_data_filesystem_free_bytes", f"What the service may still fill of {_OF}")
SIZE = Gauge("collector_data_filesystem_size_bytes", f"The size of {_OF}")


def measure(directory: Path) -> None:
    """Take the measure of the file system that ``directory`` is on; one that is not there leaves both at 0.

    It asks the system, which a network file system may keep waiting: not on the event loop.
    """
    try:
        found = os.statvfs(directory)
    except FileNotFoundError:  # on PostgreSQL nothing needs it
        FREE.set(0)
        SIZE.set(0)
        return
    FREE.set(found.f_bavail * found.f_frsize)
    SIZE.set(found.f_blocks * found.f_frsize)
