"""What a worker is told when it is started, by the process that starts it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

from collector.config.settings import Settings
from collector.normalize.noise import Rule

SOCKET = "workers.sock"
LONGEST_PATH = 100  # bytes: sun_path has 108 on Linux and 104 elsewhere


@dataclass(frozen=True)
class Listener:
    """Where to listen: on an address with SO_REUSEPORT, or on sockets that systemd handed over, by their descriptors.

    The system gives each listening socket of an address as many connections. With more sockets than the main process, which
    also stores, a worker gets more.
    """

    tls: bool
    host: str
    port: int
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Orders:
    """Everything that a worker needs to answer as the main process does."""

    settings: Settings
    deployment: str
    rules: tuple[Rule, ...]  # noise rules in effect
    listeners: tuple[Listener, ...]
    sockets: int  # that a worker opens on each address
    passing: Path  # the Unix socket for everything that the worker does not answer itself

    def to_bytes(self) -> bytes:
        """For the other process, which is of the same program."""
        return pickle.dumps(self)


def orders_of(content: bytes) -> Orders:
    """The orders that :meth:`Orders.to_bytes` made. They come over a socket that nobody else holds."""
    found = pickle.loads(content)  # noqa: S301 — from the process that started this one
    if not isinstance(found, Orders):
        raise TypeError("no orders")
    return found
