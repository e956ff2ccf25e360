"""Projects over HTTP: made, configured, retired, and how they are doing, on both databases."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from sqlalchemy import update

from collector.http.appkeys import CREDENTIALS, NOW, STORE, WRITER
from collector.jobs import ROWS
from collector.persist.accounts import create_token, create_user
from collector.persist.tables import project_activity, violations
from collector.wire.identity import Role
from tests.inside import Inside

PROJECTS = "/api/v2/projects"
DAY = 86_400_000

UNFIT: list[dict[str, Any]] = [
    {"sample_rate": 0},
    {"sample_rate": 1.5},
    {"retention_days": 0},
    {"ingest_rate": -1},
    {"allowed_origins": ["https://*"]},
    {"allowed_origins": ["https://a.example/path"]},
    {"name": "renamed"},
    {"members": ["nobody"]},
]


def report(document: str = "https://shop.example/") -> str:
    return json.dumps(
        {"csp-report": {"document-uri": document, "effective-directive": "img-src", "blocked-uri": "https://a.example/"}}
    )


async def ask(inside: Inside, method: str, path: str, content: Any = None, **headers: str) -> tuple[int, Any]:
    async with inside.client.request(method, path, json=content, headers=headers or inside.owner) as response:
        return response.status, await response.json()


async def made(inside: Inside, **wanted: Any) -> str:
    """Where browsers post to a new project."""
    status, project = await ask(inside, "POST", PROJECTS, {"name": "shop", **wanted})
    assert status == 201, project
    return f"/csp/reports?key={project['browser_keys'][0]}"


async def shop(inside: Inside) -> Any:
    return next(project for project in (await inside.get(PROJECTS))["results"] if project["name"] == "shop")


async def drops(inside: Inside) -> dict[str, float]:
    """Reports of the shop that were left out, by reason."""
    start = 'collector_csp_dropped_reports_total{project="shop",reason="'
    return {name[len(start) : -2]: count for name, count in (await inside.counted()).items() if name.startswith(start)}


async def test_a_project_is_made_and_changed(inside: Inside) -> None:
    """It comes with a key, its configuration is shown as it was given, and a change leaves the rest alone."""
    await made(inside, allowed_origins=["HTTPS://Shop.example:443"], retention_days=90, ingest_rate=600)
    assert (await ask(inside, "POST", PROJECTS, {"name": "shop"}))[0] == 409
    first = await shop(inside)
    assert (first["allowed_origins"], first["retention_days"], first["sample_rate"], first["ingest_rate"]) == (
        ["https://shop.example"],
        90,
        1.0,
        600,
    )
    status, changed = await ask(inside, "PATCH", f"{PROJECTS}/shop", {"sample_rate": 0.25, "retention_days": None})
    assert (status, changed) == (200, first | {"sample_rate": 0.25, "retention_days": None})


async def test_what_cannot_be_configured(inside: Inside) -> None:
    """It is refused, and the project stays as it was."""
    await made(inside)
    before = await shop(inside)
    for content in UNFIT:
        status, _ = await ask(inside, "PATCH", f"{PROJECTS}/shop", {"retired": True, **content})
        assert status == (404 if "members" in content else 400), content
        assert await shop(inside) == before, content
    assert (await ask(inside, "PATCH", f"{PROJECTS}/nobody's", {}))[0] == 404


async def test_a_retired_project_is_gone(inside: Inside) -> None:
    """Within a refresh of the keys it answers 410 to whoever sends, what it has stays readable, and it can come back."""
    path = await made(inside)
    assert (await inside.post(path, report()))[0] == 200
    for retired, status in ((True, 410), (False, 200)):
        await ask(inside, "PATCH", f"{PROJECTS}/shop", {"retired": retired})
        await inside.app[CREDENTIALS].refresh()
        assert (await inside.post(path, report()))[0] == status
        assert (await inside.get("/api/v2/csp/violations?project=shop"))["count"] == 1
    await ask(inside, "PATCH", f"{PROJECTS}/default", {"retired": True})
    await inside.app[CREDENTIALS].refresh()
    assert (await inside.post("/api/v2/ingest/workspaces", "[]", **inside.feed))[0] == 410


async def test_what_a_project_leaves_out_is_counted(inside: Inside) -> None:
    """Foreign documents, reports beyond the project's rate and those outside the sample are 200 and counted by reason."""
    path = await made(inside, allowed_origins=["https://shop.example"], ingest_rate=3)
    for body in (report("https://evil.example/"), *[report()] * 5):
        assert (await inside.post(path, body))[0] == 200
    assert await drops(inside) == {"foreign_origin": 1, "over_budget": 3}

    await ask(inside, "PATCH", f"{PROJECTS}/shop", {"sample_rate": 0.000001, "ingest_rate": None})
    await inside.app[CREDENTIALS].refresh()
    assert (await inside.post(path, report()))[0] == 200
    assert await drops(inside) == {"foreign_origin": 1, "over_budget": 3, "sampled_out": 1}
    assert (await inside.get("/api/v2/csp/violations?project=shop"))["results"][0]["count"] == 2


async def test_silence_is_not_clean(inside: Inside) -> None:
    """An endpoint was never seen, is live, or is silent since its last report; a dropped report is a sign of life, too."""
    path = await made(inside, allowed_origins=["https://other.example"])
    assert ((await shop(inside))["endpoint"], (await shop(inside))["last_report_at"]) == ("never seen", None)
    await inside.post(path, report())
    await inside.app[ROWS].flush(inside.app[WRITER].write)
    assert (await shop(inside))["endpoint"] == "live"
    old = update(project_activity).values(last_at=inside.app[NOW]() - 2 * DAY)
    await inside.app[STORE].transact(lambda connection: connection.execute(old))
    assert (await shop(inside))["endpoint"] == "silent"


async def test_readiness_says_what_is_missing(inside: Inside) -> None:
    """A policy can be enforced after two weeks observed, one without anything new, and with nothing open."""
    path = await made(inside)
    await inside.post(path, report())
    await inside.app[ROWS].flush(inside.app[WRITER].write)
    readiness = {"days_observed": 1, "days_since_new": 0, "open_violations": 1, "ready": False}
    assert (await shop(inside))["readiness"] == readiness

    def later(connection: Any) -> None:
        connection.execute(update(project_activity).values(days=14))
        connection.execute(update(violations).values(stored_at=violations.c.stored_at - 7 * DAY))

    await inside.app[STORE].transact(later)
    readiness |= {"days_observed": 14, "days_since_new": 7}
    assert (await shop(inside))["readiness"] == readiness
    (row,) = (await inside.get("/api/v2/csp/violations"))["results"]
    await ask(inside, "PATCH", f"/api/v2/csp/violations/{row['id']}", {"state": "ignored"})
    assert (await shop(inside))["readiness"] == readiness | {"open_violations": 0, "ready": True}


async def test_a_member_sees_its_projects(inside: Inside) -> None:
    """A member is named by name, sees what it was named for, and may make nothing."""
    await made(inside)
    store, now = inside.app[STORE], inside.app[NOW]()
    user = await store.transact(lambda c: create_user(c, "ada", Role.MEMBER, now=now))
    token = await store.transact(lambda c: create_token(c, user.id, lifetime_ms=60_000, now=now))
    ada = {"Coder-Session-Token": token}
    assert (await ask(inside, "GET", PROJECTS, **ada))[1] == {"results": []}
    status, changed = await ask(inside, "PATCH", f"{PROJECTS}/shop", {"members": ["Ada", "ada"]})
    assert (status, changed["members"]) == (200, ["ada"])
    assert (await ask(inside, "GET", PROJECTS, **ada))[1] == {"results": [changed]}
    assert (await ask(inside, "POST", PROJECTS, {"name": "mine"}, **ada))[0] == 403


async def test_the_rate_of_a_project_holds_for_all_its_senders(inside: Inside) -> None:
    """Reports that arrive at once share one budget: what passes is the rate, however they are spread."""
    path = await made(inside, ingest_rate=5)
    answers = await asyncio.gather(*(inside.post(path, report()) for _ in range(20)))
    assert {status for status, _ in answers} == {200}
    assert await drops(inside) == {"over_budget": 15}
