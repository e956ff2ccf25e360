"""The list of violations over HTTP: exports, groups, states, rules, on both databases."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from collector.http.appkeys import NOW, STORE
from collector.persist.accounts import create_token, create_user
from collector.persist.members import set_members
from collector.wire.identity import Role
from tests.inside import Inside

LIST = "/api/v2/csp/violations"
HOSTILE = [
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "a,b",
    'say "hi"',
    "<script>alert(1)</script>",
    "line\r\nbreak",
    "\u202egnp",
    "*; script-src *",
    "\ud800",
    "nul\0",
]


def legacy(blocked: str = "https://cdn.example/lib.js", directive: str = "script-src-elem", **more: str) -> str:
    fields = {
        "document-uri": "https://shop.example/",
        "effective-directive": directive,
        "blocked-uri": blocked,
        "original-policy": "default-src 'self'",
        **more,
    }
    return json.dumps({"csp-report": fields})


async def send(inside: Inside, *bodies: str) -> None:
    for sent in bodies:
        assert (await inside.post(inside.csp_path, sent))[0] == 200


async def text(inside: Inside, path: str) -> str:
    async with inside.client.get(path, headers=inside.owner) as response:
        assert response.status == 200, await response.text()
        return await response.text()


async def ask(inside: Inside, method: str, path: str, content: Any = None, **headers: str) -> tuple[int, Any]:
    async with inside.client.request(method, path, json=content, headers=headers or inside.owner) as response:
        return response.status, await response.json() if response.status != 204 else None


async def test_exports_hold_what_the_list_holds(inside: Inside) -> None:
    """Both formats have every violation that matches, in the order of the list, hostile ones unharmed and harmless."""
    sent = [legacy(text, **{"source-file": text, "script-sample": text}) for text in HOSTILE]
    sent += [legacy("inline", "script-src-attr", **{"script-sample": text}) for text in HOSTILE]
    await send(inside, *sent)
    listed = (await inside.get(f"{LIST}?noise=include&limit=1000"))["results"]

    lines = (await text(inside, f"{LIST}/export?format=ndjson&noise=include&limit=1")).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [row["id"] for row in listed]
    assert not any(character in line for line in lines for character in "<>\0\u2028")
    rows = list(csv.DictReader(io.StringIO(await text(inside, f"{LIST}/export?noise=include"), newline="")))
    assert [row["id"] for row in rows] == [row["id"] for row in listed]
    assert len(rows) > len(HOSTILE)
    assert [int(row["count"]) for row in rows] == [row["count"] for row in listed]
    starts = {value[0] for row in rows for value in row.values() if value}
    assert starts.isdisjoint("=+-@\t\r\n|%"), "a spreadsheet would take it for a formula"
    assert {row["unknown"] for row in rows} == {"1"}


async def test_an_export_is_filtered(inside: Inside) -> None:
    """Filters and order are those of the list, and a request that cannot be understood is a 400."""
    await send(inside, legacy(), legacy("https://a.example/", "img-src"))
    found = await text(inside, f"{LIST}/export?format=ndjson&directive=img-src&sort=count")
    assert [json.loads(line)["effective_directive"] for line in found.splitlines()] == ["img-src"]
    for query in ("format=xlsx", "sort=size", "after=x"):
        assert (await ask(inside, "GET", f"{LIST}/export?{query}"))[0] == 400


async def test_states_one_by_one_and_in_bulk(inside: Inside) -> None:
    """A state is set, shown, filtered by and recorded with who set it."""
    await send(inside, legacy(), legacy("https://a.example/"), legacy("https://b.example/"))
    first, *others = [row["id"] for row in (await inside.get(LIST))["results"]]
    status, shown = await ask(inside, "PATCH", f"{LIST}/{first}", {"state": "acknowledged", "note": "ours"})
    assert (status, shown["state"], shown["state_by"]) == (200, "acknowledged", "admin")
    status, answer = await ask(inside, "POST", f"{LIST}/states", {"ids": [*others, "0" * 32, "\0"], "state": "ignored"})
    assert (status, answer) == (200, {"changed": 2})
    assert [row["id"] for row in (await inside.get(f"{LIST}?state=acknowledged"))["results"]] == [first]
    assert (await inside.get(f"{LIST}?state=open"))["count"] == 0
    (change,) = (await inside.get(f"{LIST}/{first}"))["history"]
    assert (change["by"], change["old_state"], change["new_state"], change["note"]) == ("admin", "open", "acknowledged", "ours")


async def test_a_state_that_cannot_be_set(inside: Inside) -> None:
    """It is a 400 that names the field, and nothing is changed."""
    await send(inside, legacy())
    (row,) = (await inside.get(LIST))["results"]
    refused: list[tuple[Any, str]] = [
        ({"state": "closed"}, "state"),
        ({"state": "open", "who": "me"}, "body"),
        ({"state": "open", "note": "n" * 1001}, "note"),
        ({}, "body"),
        ([], "body"),
    ]
    for content, field in refused:
        status, answer = await ask(inside, "PATCH", f"{LIST}/{row['id']}", content)
        assert (status, [each["field"] for each in answer["validations"]]) == (400, [field]), content
    assert (await ask(inside, "PATCH", f"{LIST}/{'0' * 32}", {"state": "open"}))[0] == 404
    assert (await inside.get(f"{LIST}?state=open"))["count"] == 1


async def test_rules_are_made_shown_and_ended(inside: Inside) -> None:
    """A rule of the organisation ignores what matches in every project from then on."""
    rules = "/api/v2/csp/ignore-rules"
    status, made = await ask(inside, "POST", rules, {"blocked": "https://cdn.example", "note": "known"})
    assert (status, made["project"], made["created_by"]) == (201, None, "admin")
    await send(inside, legacy())
    (row,) = (await inside.get(LIST))["results"]
    assert (row["state"], row["state_by"]) == ("ignored", "rule")
    status, own = await ask(inside, "POST", rules, {"directive": "img-src", "project": "default"})
    assert (await inside.get(rules))["results"] == [made, own]
    assert (await ask(inside, "DELETE", f"{rules}/{made['id']}"))[0] == 204
    for unknown in (made["id"], "x", "9" * 30):
        assert (await ask(inside, "DELETE", f"{rules}/{unknown}"))[0] == 404
    assert (await ask(inside, "POST", rules, {"note": "all"}))[0] == 400
    assert (await ask(inside, "POST", rules, {"directive": "img-src", "project": "nobody's"}))[0] == 404


async def test_groups(inside: Inside) -> None:
    """What is blocked alike is one entry."""
    await send(inside, legacy("inline", **{"script-sample": "a()"}), legacy("inline", **{"script-sample": "b()"}))
    (group,) = (await inside.get(f"{LIST}/groups"))["results"]
    assert (group["blocked_kind"], group["violations"], group["count"], group["projects"]) == ("inline", 2, 2, ["default"])


async def test_a_member_reads_its_projects_alone(inside: Inside) -> None:
    """A member sees nothing until it is named for a project, and may change nothing there."""
    await send(inside, legacy())
    (row,) = (await inside.get(LIST))["results"]
    store, now = inside.app[STORE], inside.app[NOW]()
    user = await store.transact(lambda c: create_user(c, "ada", Role.MEMBER, now=now))
    token = await store.transact(lambda c: create_token(c, user.id, lifetime_ms=60_000, now=now))
    ada = {"Coder-Session-Token": token}
    one = f"{LIST}/{row['id']}"
    assert (await ask(inside, "GET", LIST, **ada))[1]["count"] == 0
    assert (await ask(inside, "GET", f"{LIST}/groups", **ada))[1]["results"] == []
    assert (await ask(inside, "GET", one, **ada))[0] == 404

    await store.transact(lambda c: set_members(c, 1, [user.id]))
    assert [found["id"] for found in (await ask(inside, "GET", LIST, **ada))[1]["results"]] == [row["id"]]
    assert (await ask(inside, "GET", one, **ada))[0] == 200
    assert (await ask(inside, "PATCH", one, {"state": "ignored"}, **ada))[0] == 403


async def test_noise_can_be_chosen_by_its_class(inside: Inside) -> None:
    """With `noise=only`, a class leaves its own alone; one that no rule gives is refused with its name."""
    await send(inside, legacy(), legacy("chrome-extension://abcdef/a.js"), legacy("https://translate.googleapis.com/a.js"))
    classes = [row["noise_class"] for row in (await inside.get(f"{LIST}?noise=only"))["results"]]
    assert sorted(classes) == ["browser-extension", "translator"]
    chosen = (await inside.get(f"{LIST}?noise=only&noise_class=translator"))["results"]
    assert [row["noise_class"] for row in chosen] == ["translator"]

    status, answer = await ask(inside, "GET", f"{LIST}?noise=only&noise_class=weather")
    assert (status, answer["validations"][0]["field"]) == (400, "noise_class")
