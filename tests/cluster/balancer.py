"""What stands before several collectors: connections in turn to those that listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.postgres import free_port

PIECE = 65_536


class Backend(NamedTuple):
    """Where a collector listens."""

    host: str
    port: int


class Balancer:
    """Hands each connection to the next backend that takes it; what is broken off there is broken off here."""

    def __init__(self, urls: Sequence[str]) -> None:
        parts = [urlsplit(url) for url in urls]
        self._backends = [Backend(part.hostname or "", part.port or 0) for part in parts]
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        behind = await self._connected()
        if behind is None:
            writer.close()
            return
        with suppress(asyncio.CancelledError):  # the balancer closes
            await asyncio.gather(_passed(reader, behind[1]), _passed(behind[0], writer), return_exceptions=True)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self._backends:
            self._next += 1
            with suppress(OSError):
                return await asyncio.open_connection(*self._backends[self._next % len(self._backends)])
        return None

    async def close(self) -> None:
        """Break off what is open."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def balancing(urls: Sequence[str]) -> AsyncIterator[str]:
    """The URL of a balancer before the collectors at ``urls``."""
    balancer, port = Balancer(urls), free_port()
    server = await asyncio.start_server(balancer, "127.0.0.1", port)
    async with server:
        yield f"http://127.0.0.1:{port}"
        server.close()
        await balancer.close()
