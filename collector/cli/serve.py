"""``collector serve`` and ``collector demo``: listen until told to stop, then drain."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import prometheus_client
import structlog
import uvloop
from aiohttp import web

import collector
from collector.app import FIRST, create_app
from collector.cli import firststart
from collector.cli.command import Subcommands, database_words
from collector.cli.demo import apart, past_day, present, watched
from collector.cli.listen import LOOPBACK, Addresses, listening
from collector.cli.pauses import short_pauses
from collector.cli.systemd import inherited, supervised
from collector.config.flags import HelpAll, add_flags
from collector.config.loading import Loaded, load
from collector.config.logs import configure_logging
from collector.config.settings import Settings
from collector.config.texts import yaml_text
from collector.normalize.headers import report_headers
from collector.persist.lockfile import only_one
from collector.persist.meta import FirstSecrets

log = structlog.get_logger(__name__)

Background = Callable[[web.Application, str], Coroutine[Any, Any, None]]


def add(commands: Subcommands) -> None:
    """``serve`` takes every option as a flag; ``demo`` is ``serve`` with a simulated fleet and a day of its history."""
    serve = commands.add_parser("serve", help="run the service")
    add_flags(serve)
    serve.add_argument("--help-all", action=HelpAll, nargs=0, help="show every option, also those without effect here")
    serve.set_defaults(run=run)
    demo = commands.add_parser("demo", help="run the service with a simulated fleet and a day of its history")
    add_flags(demo)
    demo.set_defaults(run=partial(run, background=present))


def run(args: argparse.Namespace, background: Background | None = None) -> int:
    """Serve until SIGINT or SIGTERM; 0 when everything that was accepted has been stored."""
    loaded = load(args, os.environ)
    if loaded.settings.write_config:
        print(yaml_text(loaded), end="")
        return 0
    configure_logging(loaded.settings)
    for warning in loaded.warnings:
        log.warning(warning)
    if background is not None:
        loaded = replace(loaded, settings=apart(loaded.settings))
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    with nullcontext() if loaded.settings.pg_connection_url else only_one(loaded.settings.data_dir):
        uvloop.run(serve(loaded, background))
    return 0


async def serve(loaded: Loaded, background: Background | None = None) -> None:
    """Listen, announce, wait for a signal, drain."""
    settings = loaded.settings
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # With nobody at a terminal to read them, a first start's secrets go to a file before they are committed.
    secrets_file = None if sys.stdout.isatty() else settings.data_dir / firststart.SECRETS_FILE
    with database_words():
        app = await create_app(loaded, keep=partial(firststart.keep, settings.data_dir) if secrets_file else None)
    first = app[FIRST][0] if app[FIRST] else None
    if first is not None:
        _hand_over(first, secrets_file)
    if background is not None:
        await past_day(app)
    async with listening(app, settings, inherited(os.environ)) as addresses, supervised(os.environ):
        with short_pauses():
            print(announcement(settings, addresses, first), flush=True)
            log.info("ready", url=addresses.people)
            task = watched(background(app, addresses.own)) if background is not None else None
            await stop.wait()
            log.info("stopping: what was accepted is being stored")
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    log.info("stopped")


def _hand_over(first: FirstSecrets, secrets_file: Path | None) -> None:
    """Give out the first start's secrets, once, or say where they are.

    They are committed, and so this comes before anything else can fail: a port that is taken must not cost them.
    """
    if secrets_file is None:
        print(firststart.shown(first), flush=True)
        return
    print(f"The first start's secrets are in {secrets_file}", flush=True)
    if not first.token:
        print("  Admin token: from COLLECTOR_ADMIN_TOKEN_FILE", flush=True)
    log.info("the first start's secrets are in a file", path=str(secrets_file))


def announcement(settings: Settings, addresses: Addresses, first: FirstSecrets | None) -> str:
    """What to open, and on the first start what to paste: the browser key in it is public."""
    url = addresses.people
    lines = [f"collector {collector.__version__} is ready", "", f"  Open      {url}/"]
    if addresses.metrics:
        lines.append(f"  Metrics   {addresses.metrics}/metrics")
    served = settings.tls_address if settings.tls_enable else settings.http_address
    if not settings.access_url and served.host in LOOPBACK:
        lines += ["", "  That is for this machine: set CODER_ACCESS_URL for browsers elsewhere."]
    if first is not None:
        headers = [f"  {header}" for header in report_headers(url, first.browser_key)]
        lines += ["", "  Paste into your site's responses, each as one line:", "", *headers]
    else:
        lines += ["", f"  The header to paste into your site's responses is shown at {url}/setup"]
    return "\n".join(lines)
