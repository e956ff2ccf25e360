"""The main process and its workers: they are started, kept, asked what they counted, and ended."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from aiohttp import web
from prometheus_client import Counter, Gauge

from collector.config.settings import Settings
from collector.crew import LONGEST_PATH, SOCKET, Listener, Orders
from collector.http.appkeys import DEPLOYMENT, IDENTITIES, NOISE, SINK
from collector.persist.link import Link
from collector.persist.reception import Reception
from collector.serve.exporter import GATHERED
from collector.serve.gathered import Key, Sums
from collector.wire.errors import InvalidOption
from collector.wire.frames import Answered, Ask, Brought, Counted, Frame, Ready, Stop, framed
from collector.wire.messages import Unreadable

COMMAND = (sys.executable, "-m", "collector.cli.worker")
START_WITHIN_S = 30.0
ANSWER_WITHIN_S = 1.0  # that a scrape waits for a worker
ASK_EVERY_S = 5.0  # what is lost of a worker's counts when it is killed, at the most
PAUSE_FIRST_S, PAUSE_LAST_S = 1.0, 30.0  # before one is started again; twice as long each time it did not last
LASTED_S = 60.0
# That a worker opens on each address to the one of the main process: the system gives each as many connections. To take a
# report in costs about twice what it costs to store one that a worker brought, so of two processes the main one is to get a
# quarter of them, and of more next to none. The sum is in docs/decisions/0024.
SOCKETS = 3
DRAIN_GRACE_S = 5.0  # beyond COLLECTOR_SHUTDOWN_TIMEOUT

RUNNING = Gauge("collector_workers", "Workers that listen beside the main process.")
STARTS = Counter("collector_worker_starts", "Workers started, those after the first in the place of one that ended.")

log = structlog.get_logger(__name__)


class _Worker:
    """One that runs."""

    def __init__(self, number: int, sums: Sums, reception: Reception) -> None:
        self.ready = asyncio.Event()
        self._number = number
        self._sums = sums
        self._reception = reception
        self._said = asyncio.Event()
        self._gone = asyncio.Event()
        self.link = Link(self._take, self._gone.set)

    async def tell(self) -> None:
        """Have it say what it has counted, as far as it answers in time."""
        self._said.clear()
        self.link.send(Ask())
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._said.wait()

    async def gone(self) -> None:
        """Return when the last of what it sent has been read."""
        await self._gone.wait()
        self._said.set()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Brought):
            self._reception.take(frame, self._answer)
        elif isinstance(frame, Counted):
            self._sums.keep(self._number, frame)
            self._said.set()
        elif isinstance(frame, Ready):
            self.ready.set()
        else:
            raise Unreadable(f"a worker does not send {type(frame).__name__}")

    def _answer(self, answer: Answered) -> None:
        self.link.send(answer)


class Workers:
    """All workers of a main process.

    Args:
        app: of the service.
        settings: of the service, for as many workers as they say, less the main process.
    """

    def __init__(self, app: web.Application, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._sums = Sums()
        self._running: dict[int, _Worker] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.socket = socket_path(settings)
        RUNNING.set_function(lambda: sum(each.ready.is_set() for each in self._running.values()))

    async def sums(self) -> dict[str, dict[Key, float]]:
        """What all workers have counted, those that have ended among them."""
        await asyncio.gather(*(worker.tell() for worker in self._running.values() if worker.ready.is_set()))
        return self._sums.of_all()

    @asynccontextmanager
    async def running(self, listeners: Sequence[Listener]) -> AsyncIterator[None]:
        """Workers that listen where the main process does. They have drained when this is left."""
        app = self._app
        orders = Orders(self._settings, app[DEPLOYMENT], app[NOISE].rules, tuple(listeners), SOCKETS, self.socket)
        first = [asyncio.Event() for _ in range(1, self._settings.workers)]
        self._tasks = [asyncio.create_task(self._keep(number, orders, event)) for number, event in enumerate(first, 1)]
        asking = asyncio.create_task(self._ask())
        try:
            with suppress(TimeoutError):  # then intake goes on without it, and it is tried again
                async with asyncio.timeout(START_WITHIN_S):
                    await asyncio.gather(*(event.wait() for event in first))
            yield
        finally:
            asking.cancel()
            await self._stop()

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            await self.sums()

    async def _keep(self, number: int, orders: Orders, first: asyncio.Event) -> None:
        """Run the worker of that number, again and again."""
        loop, pause = asyncio.get_running_loop(), PAUSE_FIRST_S
        while not self._stopping:
            began = loop.time()
            try:
                code: int | str = await self._run(number, orders, first)
            except OSError as error:  # it cannot be started now
                code = str(error)
            if self._stopping:
                return
            if loop.time() - began > LASTED_S:
                pause = PAUSE_FIRST_S
            log.error("a worker has ended and is started again", worker=number, code=code, pause=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_LAST_S)

    async def _run(self, number: int, orders: Orders, first: asyncio.Event) -> int:
        """One worker from its start to its end; its exit code."""
        worker = _Worker(number, self._sums, Reception(self._app[SINK], self._app[IDENTITIES].applied))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            await worker.link.over(ours)
            descriptors = [each for listener in orders.listeners for each in listener.descriptors]
            process = await asyncio.create_subprocess_exec(*COMMAND, stdin=theirs.fileno(), pass_fds=descriptors)
        worker.link.write(framed(orders.to_bytes()))
        STARTS.inc()
        self._running[number] = worker
        try:
            await _ready_or_ended(worker, process)
            first.set()
            code = await process.wait()
            await worker.gone()
            return code
        finally:
            self._running.pop(number, None)
            self._sums.end(number)
            if process.returncode is None:
                process.kill()
            worker.link.cut()

    async def _stop(self) -> None:
        """Let them drain; those that do not end in time are killed."""
        self._stopping = True
        for worker in self._running.values():
            worker.link.send(Stop())
        pausing = [task for number, task in enumerate(self._tasks, 1) if number not in self._running]
        for task in pausing:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._settings.shutdown_timeout.total_seconds() + DRAIN_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def _ready_or_ended(worker: _Worker, process: Process) -> None:
    waits = [asyncio.create_task(worker.ready.wait()), asyncio.create_task(process.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()


WORKERS: web.AppKey[Workers] = web.AppKey("workers", Workers)


def prepare(app: web.Application, settings: Settings) -> None:
    """Put the workers into ``app``, if there are to be any.

    Raises:
        InvalidOption: the data directory has too long a path for their socket.
    """
    app[GATHERED] = None
    if settings.workers > 1:
        app[WORKERS] = made = Workers(app, settings)
        app[GATHERED] = made.sums


def socket_path(settings: Settings) -> Path:
    """The Unix socket over which workers pass requests on."""
    path = settings.data_dir / SOCKET
    if len(str(path).encode()) > LONGEST_PATH:
        raise InvalidOption(
            f"COLLECTOR_WORKERS: the path {path} is too long for a Unix socket",
            f"Expected at most {LONGEST_PATH} bytes: choose a COLLECTOR_DATA_DIR nearer to the root",
        )
    return path
