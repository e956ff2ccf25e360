"""The listeners: HTTP, HTTPS and Prometheus, opened only once the service is built, closed before it ends."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from collector.app import CERTIFICATES, create_metrics_app, doors
from collector.config.settings import Settings
from collector.config.values import HostPort
from collector.entrance import VERSION
from collector.http.connection import Runner
from collector.http.front import install
from collector.wire.errors import InvalidOption

KEEPALIVE_S = 75  # longer than what proxies keep their connections for, so that it is they who close them
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 — of what listens everywhere, what can be opened
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
async def listening(app: web.Application, settings: Settings) -> AsyncIterator[Addresses]:
    """Start ``app`` and listen; gives the addresses. Leaving it drains: requests under way get their answer.

    Raises:
        InvalidOption: an address cannot be listened on.
    """
    logging.getLogger("aiohttp.server").addFilter(FAULTS_OF_CLIENTS)
    runner = _runner(app, settings.shutdown_timeout.total_seconds())
    metrics = _runner(create_metrics_app(app), METRICS_SHUTDOWN_S)
    try:
        await runner.setup()
        install(runner, doors(app))
        await metrics.setup()
        yield await _listen(app, runner, metrics, settings)
    finally:
        await metrics.cleanup()
        await runner.cleanup()


def _runner(app: web.Application, shutdown_timeout: float) -> web.AppRunner:
    return Runner(
        app,
        version=VERSION,
        access_log=None,  # its lines hold query strings, and so keys
        auto_decompress=False,  # http/body.py says why, and inflates within its limits
        shutdown_timeout=shutdown_timeout,
        keepalive_timeout=KEEPALIVE_S,
    )


async def _listen(app: web.Application, runner: web.AppRunner, metrics: web.AppRunner, settings: Settings) -> Addresses:
    """Open every listener."""
    plain = secure = scraped = ""
    if settings.http_enable:
        plain = f"http://{await _site(runner, settings.http_address, 'CODER_HTTP_ADDRESS')}"
    if settings.tls_enable:
        tls = app[CERTIFICATES].context
        secure = f"https://{await _site(runner, settings.tls_address, 'CODER_TLS_ADDRESS', tls)}"
    if settings.prometheus_enable:
        scraped = f"http://{await _site(metrics, settings.prometheus_address, 'CODER_PROMETHEUS_ADDRESS')}"
    return Addresses(settings.access_url.rstrip("/") or secure or plain, plain or secure, scraped)


async def _site(runner: web.AppRunner, address: HostPort, option: str, tls: ssl.SSLContext | None = None) -> HostPort:
    """Listen on ``address``; where that is reached from this machine, with the port that the system chose for 0."""
    try:
        await web.TCPSite(runner, address.host or None, address.port, ssl_context=tls, backlog=1024).start()
    except OSError as error:
        words = os.strerror(error.errno) if error.errno and error.errno > 0 else error  # uvloop's own repeat the address
        raise InvalidOption(f"{option}: cannot listen on {address}: {words}") from error
    return HostPort(LOOPBACK.get(address.host, address.host), address.port or runner.addresses[-1][1])
