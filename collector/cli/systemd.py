"""What systemd hands over, and what it is told: listening sockets, readiness, and that the event loop still turns.

The protocols are those of sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3): three variables, file descriptors from 3
on, and datagrams of a few words. Where the variables are not set, nothing here does anything.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress

from collector.wire.errors import InvalidOption

FIRST_DESCRIPTOR = 3
US = 1_000_000  # microseconds in a second


def inherited(environ: MutableMapping[str, str]) -> dict[str, list[socket.socket]]:
    """The listening sockets that were handed over, by the ``FileDescriptorName=`` of their unit.

    Connections wait in them while no service runs. They are taken once: the variables go, and no child gets the sockets.

    Raises:
        InvalidOption: one of them is no TCP socket, or does not listen.
    """
    pid, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}  # they are for somebody else
    named = names.split(":") if names else []
    given: dict[str, list[socket.socket]] = {}
    for place in range(int(count)):
        name = named[place] if place < len(named) else "unknown"
        given.setdefault(name, []).append(_listener(FIRST_DESCRIPTOR + place, name))
    return given


def _listener(descriptor: int, name: str) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        listener = socket.socket(fileno=descriptor)
        listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise InvalidOption(f"The inherited socket {name!r} cannot be used: {error.strerror}") from error
    if listener.family not in (socket.AF_INET, socket.AF_INET6) or not listening:
        raise InvalidOption(f"The inherited socket {name!r} is no TCP socket that listens")
    return listener


@asynccontextmanager
async def supervised(environ: Mapping[str, str]) -> AsyncIterator[None]:
    """Say that the service is ready, again and again that it lives if that is watched, and at the end that it stops."""
    _tell(environ, "READY=1")
    beat = asyncio.create_task(_beat(environ))
    try:
        yield
    finally:
        beat.cancel()
        _tell(environ, "STOPPING=1")


async def _beat(environ: Mapping[str, str]) -> None:
    """Twice in each span after which systemd would end a service that is silent."""
    span = environ.get("WATCHDOG_USEC", "")
    if not span.isdecimal() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while True:
        _tell(environ, "WATCHDOG=1")
        await asyncio.sleep(int(span) / US / 2)


def _tell(environ: Mapping[str, str], word: str) -> None:
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
        told.setblocking(False)  # a supervisor that does not read must not stop the service
        told.sendto(word.encode(), "\0" + address[1:] if address.startswith("@") else address)
