"""A store that pauses while real browsers report: another process holds the lock of SQLite's one writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.browsers.browser import opened
from tests.browsers.conftest import Secured
from tests.browsers.listed import listed, until, what
from tests.browsers.site import by_report_to, by_report_uri, serve_site
from tests.requirements import program
from tests.service import Service, run_service

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Nothing but reports is to be written meanwhile: a snapshot would meet the lock first, and the reports would wait behind it.
QUIET = {"CODER_AGENT_STATS_REFRESH_INTERVAL": "1h"}
SHORT = {"COLLECTOR_SUBMIT_TIMEOUT": "1s"}


@contextmanager
def paused(service: Service) -> Iterator[None]:
    """Let nobody write to the store of ``service`` while the block runs."""
    with closing(sqlite3.connect(service.data / "collector.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_reports_wait_for_a_store_that_pauses(browser: str, tmp_path: Path) -> None:
    """A pause shorter than COLLECTOR_SUBMIT_TIMEOUT refuses nobody: when it is over each violation is counted once."""
    with run_service(tmp_path, **QUIET) as service, ExitStack() as pause:
        async with serve_site(by_report_uri(f"{service.url}/csp/reports?key={service.browser_key}")) as site:
            pause.enter_context(paused(service))
            with opened(browser, site.page) as log:
                await until(lambda: service.sample("collector_queue_reports") > 0, log, lambda: "no report waits")
                # SQLite waits 5 s for the lock before it gives an attempt up: so long the first report waits at least.
                await until(lambda: service.sample("collector_failed_commits_total") > 0, log, lambda: "no commit fails")
                answered = service.answers("POST")
                pause.close()
                found = await listed(service, site, log)
        posts, taken = service.answers("POST"), service.answers("POST", status="200")

    assert answered == 0
    assert {what(violation): violation["count"] for violation in found} == dict.fromkeys(site.provoked, 1)
    assert posts == taken == len(site.provoked)


async def test_what_is_refused_after_that_is_counted(browser: str, tmp_path: Path) -> None:
    """A pause that outlasts the timeout costs what was waiting, for by report-uri nothing comes again; all of it is counted."""
    with run_service(tmp_path, **QUIET, **SHORT) as service, ExitStack() as pause:
        async with serve_site(by_report_uri(f"{service.url}/csp/reports?key={service.browser_key}")) as site:
            pause.enter_context(paused(service))
            with opened(browser, site.page) as log:
                await until(lambda: refused(service) > 0, log, lambda: "nothing is refused")
                pause.close()
                lost = 0

                def settled() -> bool:
                    nonlocal lost
                    lost = int(refused(service))
                    return service.answers("POST") >= len(site.provoked)

                await until(settled, log, lambda: f"{service.answers('POST')} of {len(site.provoked)} requests")
                found = await listed(service, site, log, lost=lost)
        refusals = service.answers("POST", status="503")

    assert lost == refusals > 0
    assert sum(violation["count"] for violation in found) == len(site.provoked) - lost


async def test_chromium_brings_a_refused_batch_again(secured: Secured, tmp_path: Path) -> None:
    """By report-to Chromium delivers again what was answered 503; nothing was stored then, so each violation counts once."""
    program("chromium")
    with run_service(tmp_path, **QUIET, **SHORT, **secured.options) as service, ExitStack() as pause:
        endpoint = f"{secured.url}/csp/reports?key={service.browser_key}"
        async with serve_site(by_report_to(endpoint), secured.pair) as site:
            pause.enter_context(paused(service))
            with opened("chromium", site.page, secured.authority) as log:
                await until(lambda: service.answers("POST", status="503") > 0, log, lambda: "nothing is refused")
                pause.close()
                found = await listed(service, site, log)
        lost = refused(service)

    assert lost > 0
    assert {what(violation): violation["count"] for violation in found} == dict.fromkeys(site.provoked, 1)


def refused(service: Service) -> float:
    """How many reports were answered 503 because the store failed."""
    return service.sample("collector_refused_reports_total", reason="store_fails")
