"""The listeners: HTTP, HTTPS and Prometheus, opened only once the service is built, closed before it ends."""

from __future__ import annotations

import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import NamedTuple

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from collector.app import create_metrics_app, doors
from collector.config.settings import Settings
from collector.config.values import HostPort
from collector.crew import Listener
from collector.entrance import VERSION
from collector.http.connection import Runner
from collector.http.front import install
from collector.http.passing import believing
from collector.jobs import CANARY, CERTIFICATES
from collector.wire.errors import InvalidOption
from collector.workers import WORKERS, Workers

KEEPALIVE_S = 75  # longer than what proxies keep their connections for, so that it is they who close them
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 — of what listens everywhere, what can be opened
BACKLOG = 1024  # connections that wait to be accepted
LISTENERS = ("http", "https", "prometheus")
METRICS_SHUTDOWN_S = 1.0  # a scrape is lost without harm, and what browsers sent is still to be drained


class _FaultsOfClients(logging.Filter):
    """What a client broke is no error of ours: aiohttp would log it with the bytes, and the keys and tokens in them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | web.RequestPayloadError))


FAULTS_OF_CLIENTS = _FaultsOfClients()


class Addresses(NamedTuple):
    """Where the service is reached; no slash at the end."""

    people: str  # by browsers: CODER_ACCESS_URL, else HTTPS if it is served, else plain HTTP
    own: str  # from this machine, whatever stands before it: plain HTTP if it is served
    metrics: str  # "" when they have no listener


@asynccontextmanager
async def listening(
    app: web.Application, settings: Settings, inherited: Mapping[str, Sequence[socket.socket]] | None = None
) -> AsyncIterator[Addresses]:
    """Start ``app`` and its workers, and listen; gives the addresses. Leaving it drains: requests under way get their answer.

    A listener whose sockets are ``inherited``, by the names of :data:`LISTENERS`, takes those in place of its address.

    Raises:
        InvalidOption: an address cannot be listened on, or a socket is inherited that nothing would serve.
    """
    logging.getLogger("aiohttp.server").addFilter(FAULTS_OF_CLIENTS)
    runner = runner_of(app, settings.shutdown_timeout.total_seconds())
    metrics = runner_of(create_metrics_app(app), METRICS_SHUTDOWN_S)
    try:
        await runner.setup()
        install(runner, doors(app))
        await metrics.setup()
        shared: list[Listener] | None = [] if WORKERS in app else None
        addresses = await _listen(app, runner, metrics, settings, inherited or {}, shared)
        if CANARY in app:
            app[CANARY].listens(addresses.own)
        async with AsyncExitStack() as stack:
            if shared is not None:
                await stack.enter_async_context(_with_workers(app[WORKERS], runner, shared))
            yield addresses
    finally:
        await metrics.cleanup()
        await runner.cleanup()


@asynccontextmanager
async def _with_workers(workers: Workers, runner: web.AppRunner, shared: Sequence[Listener]) -> AsyncIterator[None]:
    """Workers that take intake too, and the socket for what they pass on."""
    if runner.server is None:
        raise RuntimeError("the runner has not been set up")
    runner.server.request_handler = believing(runner.server.request_handler)
    workers.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        workers.socket.unlink()  # of a service that was killed
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(workers.socket), backlog=BACKLOG).start()
    finally:
        os.umask(before)
    try:
        async with workers.running(shared):
            yield
    finally:
        with suppress(FileNotFoundError):
            workers.socket.unlink()


def runner_of(app: web.Application, shutdown_timeout: float) -> web.AppRunner:
    """What serves ``app``, as every process does."""
    return Runner(
        app,
        version=VERSION,
        access_log=None,  # its lines hold query strings, and so keys
        auto_decompress=False,  # http/body.py says why, and inflates within its limits
        shutdown_timeout=shutdown_timeout,
        keepalive_timeout=KEEPALIVE_S,
    )


def _check(settings: Settings, inherited: Mapping[str, Sequence[socket.socket]]) -> None:
    """A socket that is open while nobody ever accepts from it would let clients wait without an end."""
    enabled = {"http": settings.http_enable, "https": settings.tls_enable, "prometheus": settings.prometheus_enable}
    for name in inherited:
        if name not in LISTENERS:
            raise InvalidOption(f"A socket named {name!r} is inherited. Expected as FileDescriptorName: {', '.join(LISTENERS)}")
        if not enabled[name]:
            raise InvalidOption(f"A socket named {name!r} is inherited, but {name} is not served")


async def _listen(
    app: web.Application,
    runner: web.AppRunner,
    metrics: web.AppRunner,
    settings: Settings,
    inherited: Mapping[str, Sequence[socket.socket]],
    shared: list[Listener] | None,
) -> Addresses:
    """Open every listener. Those of intake are added to ``shared``, if workers are to listen there too."""
    _check(settings, inherited)
    plain = secure = scraped = ""
    if settings.http_enable:
        address, given = settings.http_address, inherited.get("http")
        plain = f"http://{await _reached(runner, given, address, 'CODER_HTTP_ADDRESS', shared=shared)}"
    if settings.tls_enable:
        tls, given = app[CERTIFICATES].context, inherited.get("https")
        secure = f"https://{await _reached(runner, given, settings.tls_address, 'CODER_TLS_ADDRESS', tls, shared=shared)}"
    if settings.prometheus_enable:
        address, given = settings.prometheus_address, inherited.get("prometheus")
        scraped = f"http://{await _reached(metrics, given, address, 'CODER_PROMETHEUS_ADDRESS')}"
    return Addresses(settings.access_url.rstrip("/") or secure or plain, plain or secure, scraped)


async def _reached(
    runner: web.AppRunner,
    inherited: Sequence[socket.socket] | None,
    address: HostPort,
    option: str,
    tls: ssl.SSLContext | None = None,
    *,
    shared: list[Listener] | None = None,
) -> HostPort:
    """Listen on what is ``inherited``, else on ``address``; where that is reached from this machine.

    The port is the one that the system chose for 0.
    """
    descriptors: tuple[int, ...] = ()
    if inherited:
        descriptors = tuple(listener.fileno() for listener in inherited)
        for listener in inherited:
            await web.SockSite(runner, listener, ssl_context=tls, backlog=BACKLOG).start()
        address = HostPort(*inherited[0].getsockname()[:2])
    else:
        await _site(runner, address, option, tls, reuse_port=shared is not None)
    port = address.port or runner.addresses[-1][1]
    if shared is not None:
        shared.append(Listener(tls is not None, address.host, port, descriptors))
    return HostPort(LOOPBACK.get(address.host, address.host), port)


async def _site(
    runner: web.AppRunner, address: HostPort, option: str, tls: ssl.SSLContext | None, *, reuse_port: bool = False
) -> None:
    site = web.TCPSite(
        runner, address.host or None, address.port, ssl_context=tls, backlog=BACKLOG, reuse_port=reuse_port or None
    )
    try:
        await site.start()
    except OSError as error:
        words = os.strerror(error.errno) if error.errno and error.errno > 0 else error  # uvloop's own repeat the address
        raise InvalidOption(f"{option}: cannot listen on {address}: {words}") from error
