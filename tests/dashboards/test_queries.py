"""Every expression of every board has an answer, asked of a real Prometheus that scrapes the real service at work."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp.test_utils import TestServer

from collector.wire.clock import wall_clock
from tests.dashboards.boards import BOARDS, BUILT_IN, Question, filled, questions
from tests.dashboards.test_rules import ALERTS, FILES, RECORDED
from tests.outbound.coder import TOKEN, Clock, Coder, workspace
from tests.prometheus import Prometheus, run_prometheus
from tests.service import ROOT, Service, run_service

pytestmark = pytest.mark.slow
JOB = "collector"
SCRAPES = 20  # some more than lie in a rate's interval


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It has scraped a collector for a while that a fleet, its browsers and its AI users report to, and still does."""
    directory = tmp_path_factory.mktemp("dashboards")
    prices = ROOT / "docs/aibridge-prices.example.yaml"
    token = directory / "token"
    token.write_text(TOKEN)
    with (
        coder_server() as url,
        run_service(
            directory,
            COLLECTOR_AIBRIDGE_PRICES=str(prices),
            COLLECTOR_CANARY="true",
            CODER_PROMETHEUS_COLLECT_DB_METRICS="true",
            COLLECTOR_UPSTREAMS=json.dumps([{"url": url, "token_file": str(token)}]),
        ) as service,
        run_prometheus(directory / "prometheus", {JOB: service.prometheus_url}, rules=FILES) as server,
        simulation(service),
    ):
        server.wait_for_scrapes(JOB, 1)
        post_what_nobody_simulates(service)
        server.wait_for_scrapes(JOB, SCRAPES // 2)
        post_what_nobody_simulates(service)
        server.wait_for_scrapes(JOB, SCRAPES // 2)
        yield server


@contextmanager
def coder_server() -> Iterator[str]:
    """A stand-in of a Coder server with a few workspaces, on a thread of its own; gives its URL."""
    now, loop = wall_clock(), asyncio.new_event_loop()
    coder = Coder(Clock(now), began=now - 1_000, workspaces=[workspace(number) for number in range(5)])
    server = TestServer(coder.routes(), loop=loop)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start_server(), loop).result(10)
        yield str(server.make_url("/"))
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def simulation(service: Service) -> Iterator[None]:
    """``collector simulate`` against ``service``, for as long as the test takes."""
    keys = ["--browser-key", service.browser_key, "--feed-key", service.feed_key]
    command = [sys.executable, "-m", "collector", "simulate", "--url", service.url, "--duration", "10m", *keys]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield
        process.terminate()


def post_what_nobody_simulates(service: Service) -> None:
    """A report that is left out, a Coder server's telemetry, and a backup."""
    subprocess.run([sys.executable, "-m", "collector", "backup", "--taken"], cwd=ROOT, env=service.env, check=True, timeout=30)
    post(service, f"/csp/reports?key={service.browser_key}", json.dumps([7, {"csp-report": {}}]).encode())
    telemetry = ROOT / "tests/payloads/telemetry/snapshot.json"
    post(service, "/snapshot", telemetry.read_bytes(), Authorization=f"Bearer {service.feed_key}")


def post(service: Service, path: str, body: bytes, **headers: str) -> None:
    request = urllib.request.Request(service.url + path, body, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status < 300


@pytest.fixture(scope="module")
def values(prometheus: Prometheus) -> dict[str, dict[str, str]]:
    """By board, what each variable stands for when all its values are chosen, as Grafana joins them."""
    return {
        uid: BUILT_IN
        | {variable["name"]: _all(prometheus, variable["query"]["query"]) for variable in board["templating"]["list"]}
        for uid, board in BOARDS.items()
    }


def _all(prometheus: Prometheus, query: str) -> str:
    selector, _, label = query.removeprefix("label_values(").removesuffix(")").rpartition(", ")
    found = prometheus.api(f"label/{label}/values", **{"match[]": selector})
    assert found, query
    return "|".join(found)


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.name)
def test_the_expression_has_an_answer(prometheus: Prometheus, values: dict[str, dict[str, str]], question: Question) -> None:
    """It is PromQL, it finds something, and what it finds is a number."""
    found = prometheus.query(filled(question.expr, values[question.board]))

    assert found, question.expr
    assert not [series for series in found if math.isnan(series.value)]


@pytest.mark.parametrize("name", RECORDED)
def test_the_rule_records_something(prometheus: Prometheus, name: str) -> None:
    """Prometheus has evaluated the rule, and it gave a number."""
    found = prometheus.query(name)

    assert found
    assert not [series for series in found if math.isnan(series.value)]


def test_no_alert_fires_for_nothing(prometheus: Prometheus) -> None:
    """Prometheus has evaluated every alert without an error, and of a service that works none fires."""
    rules = [rule for group in prometheus.api("rules", type="alert")["groups"] for rule in group["rules"]]

    assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys(ALERTS, "ok")
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
