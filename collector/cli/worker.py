"""``python -m collector.cli.worker``: what ``serve --workers`` starts.

It is told everything over the socket that is its stdin.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import struct
import sys

import prometheus_client
import structlog
import uvloop
from aiohttp import web

from collector.cli.command import database_words
from collector.cli.listen import BACKLOG, FAULTS_OF_CLIENTS, runner_of
from collector.cli.pauses import short_pauses
from collector.config.logs import configure_logging
from collector.crew import Listener, Orders, orders_of
from collector.http.front import install
from collector.http.passing import Passing
from collector.persist.handover import Handover
from collector.persist.link import Link
from collector.serve.gathered import counted
from collector.wire.errors import CollectorError
from collector.wire.frames import Answered, Ask, Frame, Ready, Stop
from collector.wire.messages import Unreadable
from collector.worker import CERTIFICATES, create_worker_app, doors

STDIN = 0

log = structlog.get_logger(__name__)


def main() -> int:
    """Work until the main process says to end, or has gone; 0 when everything that was accepted has its answer."""
    connected = socket.socket(fileno=STDIN)
    try:
        orders = orders_of(_first(connected))
        configure_logging(orders.settings)
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        with database_words():
            gone = uvloop.run(work(orders, connected))
    except CollectorError as error:
        print(f"collector: worker: {' '.join(f'{error.message} {error.detail}'.split())}", file=sys.stderr)
        return 2
    except EOFError:
        return 1
    return 1 if gone else 0


def _first(connected: socket.socket) -> bytes:
    (length,) = struct.unpack(">I", _exactly(connected, 4))
    return _exactly(connected, length)


def _exactly(connected: socket.socket, size: int) -> bytes:
    """The next ``size`` bytes and no more: what follows is the event loop's.

    Raises:
        EOFError: the main process has gone.
    """
    content = b""
    while len(content) < size:
        piece = connected.recv(size - len(content))
        if not piece:
            raise EOFError
        content += piece
    return content


class _Talk:
    """What the main process says, and what this one does about it."""

    def __init__(self, queue_limit: int) -> None:
        self.stop = asyncio.Event()
        self.gone = False
        self.ended = asyncio.Event()
        self.link = Link(self._take, self._end)
        self.handover = Handover(self.link.send, queue_limit=queue_limit)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Answered):
            self.handover.answered(frame)
        elif isinstance(frame, Ask):
            self.link.send(counted())
        elif isinstance(frame, Stop):
            self.stop.set()
        else:
            raise Unreadable(f"the main process does not send {type(frame).__name__}")

    def _end(self) -> None:
        self.gone = not self.stop.is_set()
        self.handover.end()
        self.stop.set()
        self.ended.set()


async def work(orders: Orders, connected: socket.socket) -> bool:
    """Take intake until told to stop; whether the main process was gone before it said so."""
    settings = orders.settings
    talk = _Talk(settings.queue_limit)
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal and systemd tell the whole group
        asyncio.get_running_loop().add_signal_handler(number, talk.stop.set)
    logging.getLogger("aiohttp.server").addFilter(FAULTS_OF_CLIENTS)
    await talk.link.over(connected)
    app = await create_worker_app(orders, talk.handover)
    passing = Passing(orders.passing)
    runner = runner_of(app, settings.shutdown_timeout.total_seconds())
    try:
        await runner.setup()
        if runner.server is None:
            raise RuntimeError("the runner has not been set up")
        application, runner.server.request_handler = runner.server.request_handler, passing
        install(runner, doors(app, application, passing))
        for listener in orders.listeners:
            await _listen(runner, app, listener, orders.sockets)
        talk.link.send(Ready())
        with short_pauses():
            await talk.stop.wait()
    finally:
        await runner.cleanup()
        await passing.close()
    if talk.gone:
        log.error("the main process has gone: this worker ends")
    talk.link.send(counted())
    talk.link.close()
    await talk.ended.wait()
    return talk.gone


async def _listen(runner: web.AppRunner, app: web.Application, listener: Listener, sockets: int) -> None:
    tls = app[CERTIFICATES].context if listener.tls else None
    for descriptor in listener.descriptors:
        await web.SockSite(runner, socket.socket(fileno=descriptor), ssl_context=tls, backlog=BACKLOG).start()
    if listener.descriptors:
        return
    for _ in range(sockets):
        site = web.TCPSite(runner, listener.host or None, listener.port, ssl_context=tls, backlog=BACKLOG, reuse_port=True)
        await site.start()


if __name__ == "__main__":
    sys.exit(main())
