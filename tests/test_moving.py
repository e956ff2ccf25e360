"""A whole service moves from one kind of database to the other."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from collector.__main__ import main
from collector.http.appkeys import STORE
from collector.persist.accounts import user_by_name
from collector.persist.engine import open_store
from collector.persist.members import set_members
from collector.persist.projects import project_by_name
from collector.persist.tables import csp_days, csp_hours, csp_minutes, csp_totals, violations
from tests import messages
from tests.aibridge import SERVER_JSON
from tests.inside import Inside, running
from tests.persist.moved import Contents, contents
from tests.postgres import PostgresServer
from tests.serve.state import ready
from tests.service import ROOT
from tests.test_journey import REPORT, STATS

pytestmark = pytest.mark.slow

PAYLOADS = ROOT / "tests/payloads/csp"
NOW_MS = 1_768_384_800_000  # 2026-01-14T10:00:00Z
# Filled by time, by what a service asks others, by a stream, or on PostgreSQL alone; tests/persist/test_moving.py fills all.
LATER = {"csp_hours", "csp_days", "csp_alerts", "workspace_groups", "erased_users", "writer_marks"}
LATER |= {"message_streams", "applied_messages"}
ANSWERS = (
    "/deployment/stats",
    f"/api/v2/deployment/stats?deployment={messages.DEPLOYMENT}",
    "/api/v2/deployment/stats/history?from=2026-01-14T09:00:00Z&to=2026-01-14T11:00:00Z&step=1h",
    "/api/v2/csp/violations?limit=100",
    "/api/v2/csp/violations?state=ignored",
    "/api/v2/csp/ignore-rules",
    "/api/v2/csp/other-reports",
    "/api/v2/csp/scripts",
    "/api/v2/aibridge/usage",
    "/api/v2/projects",
    "/api/v2/users/me/keys/tokens",
)


def clock() -> int:
    """A moment that stays, so that two answers differ by what was moved alone."""
    return NOW_MS


def flags(url: str, data: Path) -> list[str]:
    """Those that name the database to a command."""
    return ["--data-dir", str(data), "--postgres-url", url if url.startswith("postgres") else ""]


@pytest.fixture
def other_url(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> str:
    """A database that nobody has used, of the other kind."""
    if database == "postgresql":
        return f"sqlite:///{tmp_path / 'other' / 'collector.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh_url()


async def sent(inside: Inside, method: str, path: str, content: Any = None, **headers: str) -> Any:
    """The JSON of an answer that is no refusal."""
    async with inside.client.request(method, path, json=content, headers=headers or inside.owner) as response:
        assert response.status < 300, await response.text()
        return await response.json()


def reports() -> Iterator[bytes]:
    """What browsers sent, of every kind that is stored."""
    for name in ("chromium-reporting-mixed-batch", "chromium-reporting-csp-hash", "firefox-legacy-style", "international-host"):
        yield (PAYLOADS / f"{name}.body").read_bytes()
    yield (PAYLOADS / "noise-translator.body").read_bytes()
    yield json.dumps(REPORT).encode()


async def fill(inside: Inside) -> dict[str, str]:
    """Let every intake and every administrative act leave rows; gives the token of an agent and a project's own path."""
    for body in reports():
        assert await inside.post(inside.csp_path, body) == (200, "ok")
    ids = {key: str(uuid.uuid4()) for key in ("agent_id", "workspace_id", "user_id", "template_id", "id")}
    assert (await inside.post("/api/v2/ingest/agent-stats", json.dumps([{**ids, "stats": STATS}]), **inside.feed))[0] == 200
    build = {"build_number": 1, "transition": "start", "created_at": "2026-01-13T15:50:20.790690781Z"}
    build |= {"job": {"started_at": "2026-01-13T15:50:21Z", "completed_at": "2026-01-13T15:51:00Z"}}
    row = {"id": "w1", "name": "dev", "owner_id": "u1", "template_id": "t1", "deleted": False, "latest_build": build}
    assert (await inside.post("/api/v2/ingest/workspaces", json.dumps([row]), **inside.feed))[0] == 200
    assert (await inside.post("/api/v2/ingest/aibridge", SERVER_JSON, **inside.feed))[0] == 200
    for path, body in (("/deployment", messages.deployment()), ("/snapshot", messages.full_snapshot())):
        async with inside.client.post(path, data=body, headers=messages.headers(inside.secrets.feed_key)) as response:
            assert response.status == 202
    return await administer(inside)


async def administer(inside: Inside) -> dict[str, str]:
    """Projects, rules, states, tokens, agents, members and a session."""
    shop = await sent(inside, "POST", "/api/v2/projects", {"name": "shop", "allowed_origins": ["https://shop.example"]})
    await sent(inside, "POST", "/api/v2/csp/ignore-rules", {"blocked": "https://ads.example", "note": "known"})
    first = (await inside.get("/api/v2/csp/violations"))["results"][0]
    await sent(inside, "PATCH", f"/api/v2/csp/violations/{first['id']}", {"state": "acknowledged", "note": "é🦄"})
    path = f"/csp/reports?key={shop['browser_keys'][0]}"
    assert (await inside.post(path, json.dumps(REPORT).replace("shop.example", "foreign.example")))[0] == 200  # is dropped
    names = {"workspace": "billing", "user": "grace", "template": "docker", "name": "main"}
    agent = await sent(inside, "POST", "/api/v2/agents", names)
    member = await inside.token("member")
    await inside.app[STORE].transact(
        lambda c: set_members(c, project_by_name(c, "shop").id, [user_by_name(c, "the-member").id])
    )
    async with inside.client.post("/signin", data={"token": member}, headers={"Origin": inside.url}) as response:
        assert response.status == 200
    return {"agent": agent["token"], "member": member, "shop": path}


async def rows_of(url: str) -> Contents:
    """Every row at ``url``."""
    store = open_store(url)
    try:
        return await store.read(contents)
    finally:
        await store.close()


async def answers(inside: Inside) -> dict[str, Any]:
    """What the API says about all that was moved."""
    found = {path: await inside.get(path) for path in ANSWERS}
    for token in found["/api/v2/users/me/keys/tokens"]:
        token.pop("last_used", None)  # these questions are uses
    return found


async def test_everything_arrives(database_url: str, other_url: str, tmp_path: Path) -> None:
    """Filled through the real intakes, exported and imported: every table has the same rows, and a service goes on with them.

    It gives the same answers, and takes the tokens, keys, agents and sessions that the old one gave out.
    """
    old, new, file = tmp_path, tmp_path / "other", tmp_path / "export.gz"
    async with running(database_url, old, clock, COLLECTOR_AIBRIDGE_STORE_PROMPTS="true") as inside:
        secrets = inside.secrets
        given = await fill(inside)
        await inside.roll_up()
    # Stopped, for what follows reports at a distance is written then.
    async with running(database_url, old, clock, COLLECTOR_AIBRIDGE_STORE_PROMPTS="true") as inside:
        inside.secrets = secrets
        await ready(inside)
        before = await answers(inside)

    assert await asyncio.to_thread(main, ["export", str(file), *flags(database_url, old)]) == 0
    assert await asyncio.to_thread(main, ["import", str(file), *flags(other_url, new)]) == 0
    moved = await rows_of(other_url)

    assert moved == await rows_of(database_url)
    assert {name for name, rows in moved.items() if not rows} <= LATER
    async with running(other_url, new, clock, COLLECTOR_AIBRIDGE_STORE_PROMPTS="true") as inside:
        assert inside.secrets.token == "", "it took the database for a new one"
        inside.secrets = secrets
        await ready(inside)
        after = await answers(inside)
        for path in ANSWERS:
            assert after[path] == before[path], path
        await goes_on(inside, given)


async def goes_on(inside: Inside, given: dict[str, str]) -> None:
    """New records of every kind are taken from those who sent the old ones."""
    assert await inside.post(inside.csp_path, json.dumps(REPORT)) == (200, "ok")
    new = {"csp-report": REPORT["csp-report"] | {"document-uri": "https://shop.example/", "blocked-uri": "https://new.example"}}
    assert await inside.post(given["shop"], json.dumps(new), Origin="https://shop.example") == (200, "ok")
    body = json.dumps(STATS)
    assert (await inside.post("/api/v2/workspaceagents/me/report-stats", body, **{"Coder-Session-Token": given["agent"]}))[
        0
    ] == 200
    async with inside.client.get("/api/v2/users/me/keys/tokens", headers={"Coder-Session-Token": given["member"]}) as response:
        assert response.status == 200
    found = (await inside.get("/api/v2/csp/violations?limit=100"))["results"]
    assert "https://new.example" in [violation["blocked_origin"] for violation in found]
    known = next(v for v in found if v["blocked_origin"] == "https://cdn.example")
    assert known["count"] == 2


def _sums(connection: Connection) -> tuple[int, ...]:
    """Reports by the violations, by their buckets, and by the exported sums."""
    buckets = sum(
        connection.scalar(select(func.coalesce(func.sum(table.c.enforce + table.c.report + table.c.unknown), 0))) or 0
        for table in (csp_minutes, csp_hours, csp_days)
    )
    counted = (connection.scalar(select(func.sum(column))) for column in (violations.c.count, csp_totals.c.count))
    return (buckets, *(int(one or 0) for one in counted))


async def test_an_export_beside_the_intake_is_of_one_moment(inside: Inside, migrated_url: str, tmp_path: Path) -> None:
    """While reports come in, each is in the export with all that it counts in, or with nothing."""
    file, many, ended = tmp_path / "export.gz", asyncio.Event(), asyncio.Event()
    posted = 0

    async def post() -> None:
        nonlocal posted
        while not ended.is_set():
            fields = REPORT["csp-report"] | {"blocked-uri": f"https://{posted % 50}.example/"}
            assert await inside.post(inside.csp_path, json.dumps({"csp-report": fields})) == (200, "ok")
            posted += 1
            if posted == 100:
                many.set()

    posting = asyncio.ensure_future(post())
    await many.wait()
    before = posted
    assert await asyncio.to_thread(main, ["export", str(file), *flags(migrated_url, tmp_path)]) == 0
    during = posted - before
    ended.set()
    await posting

    copy = tmp_path / "copy"
    assert await asyncio.to_thread(main, ["import", str(file), "--data-dir", str(copy), "--postgres-url", ""]) == 0
    store = open_store(f"sqlite:///{copy / 'collector.db'}")
    by_bucket, by_violation, by_total = await store.read(_sums)
    await store.close()
    assert by_bucket == by_violation == by_total
    assert before <= by_total <= posted
    assert during > 0
