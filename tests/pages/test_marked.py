"""Whatever anybody brings stays text on every page, and what a page is to show is there."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Browser

from collector.http.appkeys import WRITER
from collector.http.auth import TOKEN_NAME
from collector.jobs import ROWS
from collector.routes import ROUTES
from tests.inside import Inside, running
from tests.pages.marked import Marks, delivered, forced, options, violations

# As much of a marker as is left of the most that is cut off anywhere.
NUMBER = re.compile(r"<img src=x onerror=alert\((\d{4})\)>")
ONE = "/csp/violations/{id}"
EVERYWHERE = frozenset({"/", "/csp", "/csp/ignore-rules", "/csp/policy", "/csp/noise", "/aibridge", "/setup", ONE})
# Fields by the pages that show them. What is not named here is shown by none.
SHOWS = (
    ({"/aibridge"}, "currency, ai provider, ai model, ai initiator_id"),
    ({"/csp/ignore-rules"}, "rule directive, rule blocked, rule note, rule by"),
    ({"/csp/noise"}, "noise part, noise prefix"),
    (EVERYWHERE, "link name, link target, user name"),
    ({ONE}, "legacy referrer, legacy blocked-uri, legacy source-file, legacy script-sample, inline script-sample"),
    ({ONE}, "bare referrer, bare original-policy, bare blocked-uri, bare source-file, bare script-sample"),
    ({ONE}, "modern referrer, modern blockedURL, modern sourceFile, modern sample"),
    ({ONE}, "bare blockedURL, bare originalPolicy, bare sourceFile, bare sample"),
    ({ONE}, "state note, state by, facet value, noise rule"),
    ({ONE, "/csp/policy"}, "legacy document-uri, bare document-uri, bare documentURL, modern documentURL"),
    ({ONE, "/csp/policy", "/", "/csp"}, "inline source-file"),
    ({ONE, "/csp/policy", "/", "/csp", "/csp/ignore-rules", "/setup"}, "project name"),
    ({"/"}, "telemetry deployment_id, upstream deployment, upstream version"),
    ({"/setup"}, "allowed origin, trial agent_name, trial workspace_name, trial username, trial os_type, trial version"),
)
SHOWN = {field: pages for pages, fields in SHOWS for field in fields.split(", ")}
# Addresses with a marker in a parameter or in the path.
ECHOED = (
    *(f"/csp?{name}={{}}" for name in ("text", "directive", "project", "state", "sort", "noise", "seen", "after")),
    *(f"/csp/ignore-rules?{name}={{}}" for name in ("project", "directive", "blocked", "note")),
    *("/csp?changed={}&to=open", "/csp?changed=1&to={}"),
    *(f"/csp/policy?{name}={{}}" for name in ("project", "policy", "reports", "seen", "allow", "paths")),
    *("/?range={}", "/?noise={}", "/aibridge?range={}", "/csp/violations/{}", "/csp/noise?x={}", "/setup?x={}"),
)
REPEATED = {f"/csp/ignore-rules?{name}={{}}" for name in ("directive", "blocked", "note")}
REPEATED |= {"/csp?text={}", "/csp?directive={}", "/csp/policy?policy={}", "/csp/policy?project={}", "/csp/policy?allow={}"}
# Where forms go, the fields that carry a marker, and those that do not.
FORMS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("/signin", "token username next", {}),
    ("/csp/violations/{id}", "state note", {}),
    ("/csp/violations/{id}", "note", {"state": "ignored"}),
    ("/csp", "id state note", {}),
    ("/csp", "id note", {"state": "ignored", "all": "1"}),
    ("/csp/ignore-rules", "project directive blocked note", {}),
    ("/csp/ignore-rules", "directive blocked note", {}),
    ("/csp/policy", "project policy", {}),
    ("/csp/policy", "policy", {"project": "default"}),
)


class Markup(HTMLParser):
    """What a page says as text, in elements and in attributes, and all in it that could run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.runs: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element with its attributes."""
        given = {name: value or "" for name, value in attrs}
        self.texts += given.values()
        self.runs += [f"{tag} {name}" for name in given if name.startswith("on") or name in ("srcdoc", "style")]
        sources = [given[name] for name in ("src", "href", "action", "formaction", "data") if name in given]
        self.runs += [f"{tag} {source}" for source in sources if source.lower().startswith(("javascript:", "data:", "//"))]
        if tag in ("img", "script", "link") and not (given.get("src") or given.get("href", "")).startswith("/static/"):
            self.runs.append(f"{tag} {given}")
        if tag in ("iframe", "object", "embed", "base", "style"):
            self.runs.append(tag)

    def handle_data(self, data: str) -> None:
        """Text. What stands within a script would run; pages have none inline."""
        self.texts.append(data)
        if self.cdata_elem is not None and data.strip():
            self.runs.append(f"{self.cdata_elem}: {data}")


async def walked(inside: Inside, path: str, runs: list[str]) -> list[str]:
    """The texts of a page as the owner sees it; what could run in it is in ``runs``."""
    cookie = {"Cookie": f"{TOKEN_NAME}={inside.secrets.token}"}
    async with inside.client.get(path, headers=cookie) as answer:
        assert answer.content_type == "text/html", path
        page = Markup(await answer.text())
    runs += [f"{path}: {found}" for found in page.runs]
    return page.texts


async def paths(inside: Inside) -> list[tuple[str, str]]:
    """The addresses of every page, each with the route it is of."""
    every = await inside.get("/api/v2/csp/violations?noise=include&limit=1000")
    pages = {
        route.path for route in ROUTES if route.method == "GET" and route.handler.__module__.startswith("collector.pages.")
    }
    assert pages - {"/swagger", "/static/{digest}/{name:.+}"} == EVERYWHERE
    asked = ["/?noise=include", "/csp?noise=include&state=all", "/csp/policy?reports=0&clients=0&days=0"]
    plain = [*(EVERYWHERE - {ONE}), *asked]
    return [(path, path.partition("?")[0]) for path in plain] + [
        (f"/csp/violations/{violation['id']}", ONE) for violation in every["results"]
    ]


@pytest.fixture
async def marked(tmp_path: Path) -> AsyncIterator[tuple[Inside, Marks]]:
    """A service that everything was brought to."""
    mark = Marks()
    async with running("sqlite", tmp_path, **options(mark, tmp_path)) as inside:
        await delivered(inside, mark)
        await inside.app[ROWS].flush(inside.app[WRITER].write)
        yield inside, mark


async def test_what_is_stored_stays_text(marked: tuple[Inside, Marks]) -> None:
    """No field of any record makes an element, an attribute or an address that runs, and each is shown where it is to be."""
    inside, mark = marked
    runs: list[str] = []
    shown: defaultdict[int, set[str]] = defaultdict(set)
    for force in (False, True):
        if force:
            await forced(inside, mark)
        for path, route in await paths(inside):
            for text in await walked(inside, path, runs):
                for number in NUMBER.findall(text):
                    shown[int(number)].add(route)
    assert runs == []
    assert {field: shown[number] for field, number in mark.fields.items() if shown[number]} == SHOWN


async def test_what_an_address_asks_for_stays_text(inside: Inside) -> None:
    """A parameter makes no markup, be the page the one asked for, a refusal, or the form for who is not signed in."""
    text, runs = Marks()("asked"), list[str]()
    repeated = set[str]()
    for address in ECHOED:
        path = address.format(quote(text if "?" in address else re.sub(r"[{}/]", "", text), safe=""))
        if NUMBER.search(" ".join(await walked(inside, path, runs))):
            repeated.add(address)
        async with inside.client.get(path) as answer:
            runs += Markup(await answer.text()).runs
    assert runs == []
    assert repeated == REPEATED


async def test_what_a_form_brings_stays_text(inside: Inside) -> None:
    """The same of the fields of every form."""
    mark, cookie = Marks(), {"Cookie": f"{TOKEN_NAME}={inside.secrets.token}", "Sec-Fetch-Site": "same-origin"}
    await inside.post(inside.csp_path, next(iter(violations(mark))))
    [found] = (await inside.get("/api/v2/csp/violations"))["results"]
    for path, fields, given in FORMS:
        form = {**{name: mark(name) for name in fields.split()}, **given}
        async with inside.client.post(path.format(id=found["id"]), data=form, headers=cookie) as answer:
            assert answer.status in (200, 400, 401, 404), path
            assert Markup(await answer.text()).runs == [], path


async def test_no_answer_but_a_page_is_markup(marked: tuple[Inside, Marks]) -> None:
    """What scripts, charts and people fetch beside the pages is never taken for HTML, whatever stands in it."""
    inside, _ = marked
    [violation, *_] = (await inside.get("/api/v2/csp/violations?noise=include"))["results"]
    given = {"id": violation["id"], "user": "me", "name": "default"}
    asked = {"project": "default", "policy": "default-src 'none'"}
    carried = 0
    for route in ROUTES:
        if route.method == "GET" and not route.handler.__module__.startswith("collector.pages."):
            async with inside.client.get(route.path.format(**given), params=asked, headers=inside.owner) as answer:
                carried += "onerror=alert(" in (await answer.text())
                assert answer.content_type != "text/html", route.path
                assert answer.headers["X-Content-Type-Options"] == "nosniff", route.path
    assert carried >= 8


@pytest.mark.browser
async def test_nothing_of_it_runs_in_a_browser(chromium: Browser, marked: tuple[Inside, Marks]) -> None:
    """In a real Chromium no page makes an element of a marker, opens a dialog, or breaks its own policy."""
    inside, mark = marked
    complaints: list[str] = []
    context = await chromium.new_context()
    address = {"name": TOKEN_NAME, "value": inside.secrets.token, "url": inside.url}
    await context.add_cookies([address])  # type: ignore[list-item]  # the driver's own dictionary
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
    shown = set[str]()
    for force in (False, True):
        if force:
            await forced(inside, mark)
        for path, route in await paths(inside):
            if not force or route != "/csp/policy":  # of the forced name there is none, and Chromium says so
                await page.goto(inside.url + path)
                shown.update(NUMBER.findall(await page.locator("html").inner_text()))
                assert await page.locator("img[src=x], [onerror], script:not([src])").count() == 0, path
    await page.goto(inside.url + ECHOED[0].format(quote(mark("asked"), safe="")))
    reported = await inside.get("/api/v2/csp/violations?project=self&noise=include")
    await context.close()
    assert complaints == []
    assert reported["count"] == 0
    assert len(shown) >= len(SHOWN) - 6  # some stand in attributes and in titles of drawings alone
