"""/csp/policy and /csp/header: advice, replay and headers over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from collector.http.appkeys import NOW, STORE
from collector.persist.accounts import create_token, create_user
from collector.persist.members import set_members
from collector.persist.projects import ensure_project
from collector.wire.identity import Role
from tests.inside import Inside

PAYLOADS = Path(__file__).parent.parent / "payloads" / "csp"
POLICY = "default-src 'none'; img-src 'self'; script-src 'self'"


async def report(inside: Inside, directive: str, blocked: str, times: int = 1, **more: object) -> None:
    """Post one report so many times."""
    body = {"document-uri": "https://shop.example/cart", "blocked-uri": blocked, "original-policy": POLICY}
    legacy = json.dumps({"csp-report": body | {"effective-directive": directive, "disposition": "report"} | more})
    for _ in range(times):
        assert (await inside.post(inside.csp_path, legacy))[0] == 200


async def refused(inside: Inside, path: str) -> dict[str, str]:
    """The field and the words of a refusal."""
    async with inside.client.get(path, headers=inside.owner) as response:
        assert response.status == 400, await response.text()
        (validation,) = (await response.json())["validations"]
        return validation  # type: ignore[no-any-return]


async def test_advice(inside: Inside) -> None:
    """The policy reported, with what was seen often enough; noise is not looked at, and the rest is left with a reason."""
    await report(inside, "img-src", "https://cdn.example/a.png", 3)
    await report(inside, "img-src", "https://rare.example/b.png")
    await report(inside, "img-src", "chrome-extension", 3)
    await report(inside, "script-src-elem", "inline", 3)

    answer = await inside.get("/api/v2/csp/policy?project=default&reports=3&clients=1&days=1")
    assert answer["policy"] == "default-src 'none'; img-src 'self' https://cdn.example; script-src 'self'"
    assert (answer["base"], answer["base_from"]) == (POLICY, "reported")
    (added,) = answer["added"]
    assert (added["directive"], added["source"]) == ("img-src", "https://cdn.example")
    assert added["evidence"]["reports"] == 3
    assert added["evidence"]["documents"] == ["https://shop.example/cart"]
    assert {(left["blocked"], left["reason"]) for left in answer["left"]} == {
        ("inline", "inline"),
        ("https://rare.example", "below_threshold"),
    }


async def test_a_base_is_taken_as_given(inside: Inside) -> None:
    """A policy of one's own is the base; what one asks for by name is listed."""
    await report(inside, "script-src-elem", "inline")

    query = urlencode({"project": "default", "policy": "script-src 'self'", "reports": 0, "clients": 0, "days": 0})
    assert (await inside.get(f"/api/v2/csp/policy?{query}&allow=inline,eval"))["policy"] == "script-src 'self' 'unsafe-inline'"


async def test_replay(inside: Inside) -> None:
    """A replay names what the policy blocks, and what its reports cannot tell."""
    await report(inside, "img-src", "https://cdn.example/a.png", 2)

    query = urlencode({"project": "default", "policy": "img-src 'none'; form-action 'none'"})
    answer = await inside.get(f"/api/v2/csp/policy/replay?{query}")
    (found,) = answer["results"]
    assert (found["directive"], found["blocked"], found["verdict"]) == ("img-src", "https://cdn.example", "blocked")
    assert not answer["complete"]
    assert answer["unseen"] == [{"directive": "img-src", "source": "'self'"}, {"directive": "form-action", "source": "*"}]


async def test_strict(inside: Inside) -> None:
    """What a policy of nonces needs is told from the reports, and the hashes that browsers made of scripts."""
    await report(inside, "script-src-elem", "inline")
    hashed = (PAYLOADS / "chromium-reporting-csp-hash.body").read_bytes()
    assert (await inside.post(inside.csp_path, hashed))[0] == 200

    answer = await inside.get("/api/v2/csp/policy/strict?project=default")
    assert [need["what"] for need in answer["needs"]] == ["inline-script"]
    assert [script["url"] for script in answer["scripts"]] == ["https://cdn.vendor.example/lib.js"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("policy", "project"),
        ("policy?project=default&reports=-1", "reports"),
        ("policy?project=default&days=x", "days"),
        ("policy?project=default&allow=inline,nothing", "allow"),
        ("policy?project=default&policy=a%0Ab", "policy"),
        ("policy?project=default&policy=%C3%A9", "policy"),
        ("policy/replay?project=default", "policy"),
        ("header?project=default&kit=x", "kit"),
        ("header?project=default&kit=observe&report_only=false", "report_only"),
        ("header?project=default&base_url=ftp://c.example", "base_url"),
        ("header?project=default&base_url=https://c.example;x", "base_url"),
        ("header?project=default&policy=;;", "policy"),
        ("header?project=%00", "project"),
    ],
)
async def test_what_cannot_be_used_is_named(standing: Inside, path: str, field: str) -> None:
    """A parameter that cannot be used is refused by its name."""
    assert (await refused(standing, f"/api/v2/csp/{path}"))["field"] == field


@pytest.mark.parametrize("path", ["policy", "policy/strict", "header"])
async def test_a_project_that_is_not_there(standing: Inside, path: str) -> None:
    """An unknown project, and a name that is none, is a 404."""
    for name in ("nowhere", "A;b"):
        async with standing.client.get(f"/api/v2/csp/{path}?project={name}", headers=standing.owner) as response:
            assert response.status == 404


async def test_a_member_reads_the_advice_of_its_projects_alone(inside: Inside) -> None:
    """Advice, replay and strict report of a project that a member was not named for are those of one that does not exist."""
    await report(inside, "img-src", "https://cdn.example/a.png")
    store, now = inside.app[STORE], inside.app[NOW]()
    await store.transact(lambda c: ensure_project(c, "shop", now=now))
    ada = await store.transact(lambda c: create_user(c, "ada", Role.MEMBER, now=now))
    token = await store.transact(lambda c: create_token(c, ada.id, lifetime_ms=60_000, now=now))

    async def answer(path: str, project: str) -> tuple[int, str]:
        url = f"/api/v2/csp/{path}?project={project}&policy=img-src%20%27none%27"
        async with inside.client.get(url, headers={"Coder-Session-Token": token}) as response:
            return response.status, (await response.text()).replace(project, "…")

    for path in ("policy", "policy/replay", "policy/strict"):
        unknown = await answer(path, "nowhere")
        assert unknown[0] == 404
        assert await answer(path, "default") == await answer(path, "shop") == unknown
    await store.transact(lambda c: set_members(c, 1, [ada.id]))
    for path in ("policy", "policy/replay", "policy/strict"):
        status, said = await answer(path, "default")
        assert status == 200
        assert path == "policy/strict" or "https://cdn.example" in said
        assert (await answer(path, "shop"))[0] == 404


async def test_header(inside: Inside) -> None:
    """Over https both ways of reporting are offered, over http one; the observing kit allows nothing."""
    key = inside.secrets.browser_key
    secure = await inside.get("/api/v2/csp/header?project=default&base_url=https://c.example/")
    assert [header["name"] for header in secure["headers"]] == ["Reporting-Endpoints", "Content-Security-Policy-Report-Only"]
    assert secure["headers"][0]["value"] == f'csp="https://c.example/csp/reports?key={key}"'
    assert secure["headers"][1]["value"].endswith("; report-to csp")

    enforced = await inside.get("/api/v2/csp/header?project=default&report_only=false")
    assert enforced["headers"][0]["name"] == "Content-Security-Policy"

    plain = await inside.get("/api/v2/csp/header?project=default&kit=observe")
    (header,) = plain["headers"]
    assert header["name"] == "Content-Security-Policy-Report-Only"
    assert header["value"].startswith("default-src 'none'; ")
    assert "report-to" not in header["value"]
