"""What a request leaves in the log and in the counts, in a process of its own."""

from __future__ import annotations

import json
import re
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from structlog.testing import capture_logs

from collector.routes import ROUTES
from tests.inside import Inside
from tests.service import ROOT, Service, run_service

FAILED = re.compile(r"request failed .*path=/api/v2/csp/violations .*?request_id=(\S+)")


def failed(service: Service) -> str:
    """The id of the answer to a request whose table is gone."""
    headers = {"Coder-Session-Token": service.admin_token}
    request = urllib.request.Request(f"{service.url}/api/v2/csp/violations", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    with refused.value as response:
        assert response.code == 503
        assert json.load(response)["message"]
        return str(response.headers["X-Coder-Request-Id"])


@pytest.mark.slow
def test_a_failure_is_found_by_the_id_of_its_answer(tmp_path: Path) -> None:
    """Whoever is told that it failed has the id that stands in the log line with the reason; the next request has another."""
    with run_service(tmp_path) as service:
        with closing(sqlite3.connect(service.data / "collector.db")) as database:
            database.execute("ALTER TABLE violations RENAME TO away")
        shown = [failed(service), failed(service)]
        assert FAILED.findall(service.log) == shown
    assert shown[0] != shown[1]


def test_counts_of_intake_begin_at_zero(tmp_path: Path) -> None:
    """Of every route that the intake rules add up, a scrape before the first request has the answers that matter at 0."""
    groups = yaml.safe_load((ROOT / "dashboards/rules/recording.yaml").read_bytes())["groups"]
    rules = {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}
    pattern = re.search(r'route=~"(.+?)"', rules["collector:intake_requests:rate5m"])
    assert pattern is not None
    routes = {route.path for route in ROUTES if route.method == "POST" and re.fullmatch(pattern[1], route.path)}
    with run_service(tmp_path) as service:
        text = service.metrics()

    for route in routes:
        for status in (200, 400, 429, 500, 503):
            assert f'collector_http_requests_total{{method="POST",route="{route}",status="{status}"}} 0.0\n' in text
    assert len(routes) == 7


REPORT = json.dumps({"csp-report": {"document-uri": "https://shop.example/", "blocked-uri": "inline"}})
AGENT = json.dumps({"workspace": "billing", "user": "grace", "template": "docker", "name": "main"})


async def test_what_people_do_is_told_with_their_name(inside: Inside) -> None:
    """Each act of a user who may is a line of the log; what only reads, what is refused, and what browsers bring is none."""
    member = {"Coder-Session-Token": await inside.token("member")}
    with capture_logs() as logged:
        await inside.get("/api/v2/projects")
        await inside.post(inside.csp_path, REPORT)
        made = await inside.post("/api/v2/agents", AGENT, **inside.owner)
        refused = await inside.post("/api/v2/agents", AGENT, **member)

    assert (made[0], refused[0]) == (201, 403)
    told = [(line["user"], line["route"], line["status"]) for line in logged if line["event"] == "act"]
    assert told == [("admin", "/api/v2/agents", 201)]
