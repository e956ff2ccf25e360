"""POST /csp/reports: what is answered, and that it is counted before it is."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from yarl import URL

from collector.http.appkeys import BUDGET, DEPLOYMENT, STORE
from collector.http.auth import REFRESH_KEYS_S
from collector.persist.keys import create_key, revoke_key
from collector.persist.projects import ensure_project
from collector.wire.clock import wall_clock
from collector.wire.identity import KeyKind
from tests.inside import Inside, running


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    """The door is the same on both databases; what lies behind it is tested on both elsewhere."""
    async with running("sqlite", tmp_path) as collector:
        yield collector


def legacy(blocked: str = "https://cdn.example/a.js", document: str = "https://shop.example/") -> dict[str, Any]:
    fields = {
        "document-uri": document,
        "effective-directive": "script-src-elem",
        "blocked-uri": blocked,
        "disposition": "report",
    }
    return {"csp-report": fields}


def entry(kind: str = "csp-violation", **body: Any) -> dict[str, Any]:
    fields = {
        "documentURL": "https://shop.example/",
        "effectiveDirective": "img-src",
        "blockedURL": "https://img.example/a.png",
    }
    return {"type": kind, "age": 0, "url": "https://shop.example/", "user_agent": "x", "body": {**fields, **body}}


async def new_key(inside: Inside, *, origins: tuple[str, ...] = ()) -> str:
    def create(connection: Any) -> str:
        project = ensure_project(connection, "shop", now=0)
        return create_key(
            connection, project.id, KeyKind.BROWSER, deployment=inside.app[DEPLOYMENT], now=0, allowed_origins=origins
        )

    return await inside.app[STORE].transact(create)


async def dropped(inside: Inside) -> dict[str, float]:
    samples = await inside.counted()
    return {name.split('reason="')[1][:-2]: n for name, n in samples.items() if name.startswith("collector_csp_dropped")}


async def checks(inside: Inside) -> dict[str, bool]:
    async with inside.client.get("/readyz") as response:
        return {check["name"]: check["ok"] for check in (await response.json())["checks"]}


async def test_every_dialect_is_taken_by_its_shape(inside: Inside) -> None:
    """Whatever content type a browser sends, the shape of the body decides, and the answer is 200 "ok"."""
    for name, body, content_type in (
        ("legacy", legacy("https://cdn.example/1.js"), "application/csp-report"),
        ("batch", [entry(blockedURL="https://cdn.example/2.js")], "application/reports+json"),
        ("safari", entry(blockedURL="https://cdn.example/3.js"), "application/csp-report"),
        ("old webkit", legacy("https://cdn.example/4.js"), "application/x-www-form-urlencoded"),
        ("old firefox", legacy("https://cdn.example/5.js"), "application/json; charset=UTF-8"),
    ):
        assert await inside.post(inside.csp_path, json.dumps(body), **{"Content-Type": content_type}) == (200, "ok"), name
    listed = (await inside.get("/api/v2/csp/violations"))["results"]
    assert sum(each["count"] for each in listed) == 5


async def test_entries_are_judged_one_by_one(inside: Inside) -> None:
    """A batch with good, broken, empty and foreign entries is a 200; each entry is in exactly one sum."""
    body = json.dumps([entry(), 7, {"csp-report": {}}, entry("deprecation"), entry("no-such-type"), legacy()])

    assert await inside.post(inside.csp_path, body) == (200, "ok")
    assert (await inside.get("/api/v2/csp/violations"))["count"] == 2
    assert await dropped(inside) == {"malformed": 1, "empty": 1}
    samples = await inside.counted()
    assert samples['collector_other_reports_total{project="default",type="deprecation"}'] == 1
    assert samples['collector_other_reports_total{project="default",type="other"}'] == 1


async def test_past_a_thousand_entries_the_rest_is_counted(inside: Inside) -> None:
    """1,005 entries: 1,000 are stored, five are dropped by name."""
    body = json.dumps([entry(sample=str(n)) for n in range(1005)])

    assert await inside.post(inside.csp_path, body) == (200, "ok")
    assert (await inside.get("/api/v2/csp/violations"))["results"][0]["count"] == 1000
    assert await dropped(inside) == {"over_entries": 5}


async def test_what_is_no_report_is_refused(inside: Inside) -> None:
    """What is not JSON, or has no report's shape, is 400 with a JSON body, and nothing is counted."""
    for body in ("", "{", "[1,", "7", '"text"', "null", '{"csp-report":"x"}', '{"other":1}', "\xff\xfe"):
        status, answer = await inside.post(inside.csp_path, body)
        assert status == 400, body
        assert answer["message"], body

    assert (await inside.get("/api/v2/csp/violations?noise=include"))["count"] == 0
    assert await dropped(inside) == {}


async def test_sizes(inside: Inside) -> None:
    """An object over 64 KiB and an array over 1 MiB are 413; an array in between is taken."""
    big = json.dumps(legacy("https://cdn.example/" + "a" * 66_000))
    batch = json.dumps([entry(sample="x" * 100) for _ in range(400)])
    huge = io.BytesIO(json.dumps([entry(sample="x" * 4_000) for _ in range(300)]).encode())

    assert (await inside.post(inside.csp_path, big))[0] == 413
    assert len(batch) > 66_000
    assert (await inside.post(inside.csp_path, batch))[0] == 200
    async with inside.client.post(inside.csp_path, data=huge) as response:
        assert response.status == 413


async def test_a_missing_key_is_unauthorized_without_a_challenge(inside: Inside) -> None:
    """401, and no WWW-Authenticate: a challenge makes browsers cancel the delivery."""
    for path in ("/csp/reports", "/api/v2/csp/reports?key=" + "x" * 32):
        async with inside.client.post(path, data=json.dumps(legacy())) as response:
            assert response.status == 401
            assert "WWW-Authenticate" not in response.headers
            assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_session_token_is_good_too(inside: Inside) -> None:
    """A signed-in user's report goes to the project "default"."""
    assert await inside.post("/api/v2/csp/reports", json.dumps(legacy()), **inside.owner) == (200, "ok")
    assert (await inside.get("/api/v2/csp/violations"))["results"][0]["project"] == "default"


async def test_preflight_names_what_chromium_looks_for(inside: Inside) -> None:
    """OPTIONS allows the literal POST and content-type to every origin."""
    headers = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    async with inside.client.options(inside.csp_path, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "POST" in response.headers["Access-Control-Allow-Methods"].split(", ")
        assert response.headers["Access-Control-Allow-Headers"] == "content-type"


async def test_foreign_documents_are_counted_as_dropped(inside: Inside) -> None:
    """With a list of origins, a report about another document, or about none, is 200 and a named drop."""
    key = await new_key(inside, origins=("https://shop.example",))
    body = json.dumps([legacy(), legacy(document="https://evil.example/"), legacy(document="about")])

    assert await inside.post(f"/csp/reports?key={key}", body) == (200, "ok")
    assert (await inside.get("/api/v2/csp/violations"))["count"] == 1
    assert await dropped(inside) == {"foreign_origin": 2}


async def test_over_budget_is_200_and_a_named_drop(tmp_path: Path) -> None:
    """What a key brings past its budget is acknowledged and counted as dropped; another key is not affected."""
    async with running("sqlite", tmp_path, COLLECTOR_INGEST_RATE_LIMIT="3") as inside:
        for _ in range(2):
            assert await inside.post(inside.csp_path, json.dumps([entry(), entry()])) == (200, "ok")
        other = await new_key(inside)
        assert await inside.post(f"/csp/reports?key={other}", json.dumps(legacy())) == (200, "ok")

        counts = {v["project"]: v["count"] for v in (await inside.get("/api/v2/csp/violations"))["results"]}
        assert counts == {"default": 3, "shop": 1}
        assert await dropped(inside) == {"over_budget": 1}


async def test_intake_is_outside_the_api_limit(tmp_path: Path) -> None:
    """With an API limit of 2 a valid key goes on; a caller without one is limited by address."""
    async with running("sqlite", tmp_path, CODER_API_RATE_LIMIT="2") as inside:
        assert [(await inside.post(inside.csp_path, json.dumps(legacy())))[0] for _ in range(5)] == [200] * 5
        assert [(await inside.post("/csp/reports", json.dumps(legacy())))[0] for _ in range(3)] == [401, 401, 429]


async def test_keys_made_and_revoked_elsewhere(inside: Inside) -> None:
    """A key that another process made works on the next request; a revoked one stops within 5 seconds."""
    key = await new_key(inside)
    assert (await inside.post(f"/csp/reports?key={key}", json.dumps(legacy())))[0] == 200
    await inside.app[STORE].transact(partial(revoke_key, key_id=key[:10], now=wall_clock()))

    assert 2 * REFRESH_KEYS_S < 5  # however slow this machine is
    async with asyncio.timeout(60):
        while (await inside.post(f"/csp/reports?key={key}", json.dumps(legacy())))[0] == 200:
            pass


async def test_a_store_far_over_its_cap_is_503_and_try_again(tmp_path: Path) -> None:
    """When nothing more can be stored the answer is 503 with Retry-After, and readiness says why."""
    async with running("sqlite", tmp_path, COLLECTOR_MAX_STORE_BYTES="1000") as inside:
        async with asyncio.timeout(60):
            while (await checks(inside))["space"]:
                pass
        async with inside.client.post(inside.csp_path, data=json.dumps(legacy())) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 1
            assert "COLLECTOR_MAX_STORE_BYTES" in (await response.json())["detail"]


async def test_a_refused_delivery_costs_no_budget(tmp_path: Path) -> None:
    """What was not stored will be sent again, and is then within the budget."""
    async with running("sqlite", tmp_path, COLLECTOR_INGEST_RATE_LIMIT="3", COLLECTOR_MAX_STORE_BYTES="1000") as inside:
        async with asyncio.timeout(60):
            while (await checks(inside))["space"]:
                pass
        assert (await inside.post(inside.csp_path, json.dumps([entry()] * 3)))[0] == 503
        assert inside.app[BUDGET].take(inside.secrets.browser_key[:10], 3) == 3


async def test_what_the_database_says_stays_inside(inside: Inside) -> None:
    """A report that the store refuses is 400 with the service's own words alone."""
    trigger = "CREATE TRIGGER t BEFORE INSERT ON violations BEGIN SELECT RAISE(ABORT, 'the words of the database'); END"
    await inside.app[STORE].transact(lambda connection: connection.execute(text(trigger)))

    answer = await inside.post(inside.csp_path, json.dumps(legacy()))
    assert answer == (400, {"message": "The report could not be stored."})


async def test_refusals_say_what_is_left(tmp_path: Path) -> None:
    """A 401 and a 429 carry the headers of the limit, as on every other route."""
    async with running("sqlite", tmp_path, CODER_API_RATE_LIMIT="1") as inside:
        for status in (401, 429):
            async with inside.client.post("/csp/reports", data=json.dumps(legacy())) as response:
                assert response.status == status
                assert (response.headers["X-RateLimit-Limit"], response.headers["X-RateLimit-Remaining"]) == ("1", "0")
                assert int(response.headers["X-RateLimit-Reset"]) > 0


async def test_what_the_application_adds_is_not_for_everybody(inside: Inside) -> None:
    """A report that comes by the application's router gets a request id of its own, and the next one by the door none."""
    spelt = URL(f"{inside.url}/csp/report%73?key={inside.secrets.browser_key}", encoded=True)
    seen = []
    for url in (spelt, spelt, URL(inside.url + inside.csp_path)):
        async with inside.client.post(url, data=json.dumps(legacy())) as response:
            assert (response.status, await response.json()) == (200, "ok")
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            seen.append(response.headers.getall("X-Coder-Request-Id", []))
    assert [len(ids) for ids in seen] == [1, 1, 0]
    assert seen[0] != seen[1]


async def test_a_cut_body_is_not_stored(inside: Inside) -> None:
    """A body shorter than it says it is counts for nothing, and the service goes on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(inside.url.rpartition(":")[2]))
    writer.write(f'POST {inside.csp_path} HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{{"csp-report":'.encode())
    writer.write_eof()
    await reader.read()
    writer.close()
    await writer.wait_closed()

    assert await inside.post(inside.csp_path, json.dumps(legacy())) == (200, "ok")
    assert (await inside.get("/api/v2/csp/violations"))["results"][0]["count"] == 1


@pytest.mark.parametrize("path", ["/csp/reports", "/api/v2/csp/reports", "/csp/%72eports"], ids=["short", "long", "routed"])
async def test_a_body_that_waits_to_be_asked_for(inside: Inside, path: str) -> None:
    """A client that sends Expect: 100-continue is asked for its body once, at the door and behind it; then it is stored."""
    body = json.dumps(legacy()).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(inside.url.rpartition(":")[2]))
    head = f"POST {path}?key={inside.secrets.browser_key} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Connection: close\r\nExpect: 100-continue\r\n\r\n".encode())
    async with asyncio.timeout(60):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await reader.read()
    writer.close()
    await writer.wait_closed()

    assert (await inside.get("/api/v2/csp/violations"))["results"][0]["count"] == 1


@pytest.mark.parametrize(("key", "length", "status"), [("x" * 32, 10, 401), (None, 2_000_000, 413)])
async def test_a_body_that_would_be_refused_is_not_asked_for(
    standing: Inside, key: str | None, length: int, status: int
) -> None:
    """Without a good key, or past the limit by its own word, the first line of the answer is the refusal."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(standing.url.rpartition(":")[2]))
    head = f"POST /csp/reports?key={key or standing.secrets.browser_key} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
    writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(f"HTTP/1.1 {status} ".encode())
    writer.close()
    await writer.wait_closed()


async def test_allowed_origins_hold_for_every_type(inside: Inside) -> None:
    """Under a key with an allow-list a report of another type about a foreign page, or about none, is dropped by name."""
    key = await new_key(inside, origins=("https://shop.example",))
    foreign = entry("deprecation") | {"url": "https://elsewhere.example/"}
    body = json.dumps([entry("deprecation"), foreign, entry("network-error") | {"url": "about:blank"}])

    assert await inside.post(f"/csp/reports?key={key}", body) == (200, "ok")
    samples = await inside.counted()
    counted = {name: n for name, n in samples.items() if name.startswith("collector_other_reports_total") and n}
    assert counted == {'collector_other_reports_total{project="shop",type="deprecation"}': 1}
    assert await dropped(inside) == {"foreign_origin": 2}


async def test_lifted_limits_are_all_lifted(tmp_path: Path) -> None:
    """CODER_DANGEROUS_DISABLE_RATE_LIMITS lifts the budget of a key too."""
    options = {"COLLECTOR_INGEST_RATE_LIMIT": "1", "CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true"}
    async with running("sqlite", tmp_path, **options) as inside:
        assert await inside.post(inside.csp_path, json.dumps([entry(), entry(), entry()])) == (200, "ok")
        assert (await inside.get("/api/v2/csp/violations"))["results"][0]["count"] == 3
        assert await dropped(inside) == {}
