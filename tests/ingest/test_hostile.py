"""A report may hold anything: no answer, export, metric, log line or page breaks, and nothing of it acts where it is shown."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from collector.serve.csp_export import COLUMNS, COUNTS
from collector.wire.csp import DIRECTIVES, LegacyReport, ReportingBody
from tests.service import Service, run_service

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
EVIL = (
    MARKUP,
    '=HYPERLINK("https://evil.example")',
    "+1+1",
    "@SUM(A1)",
    "\uff1d1+1",  # a spreadsheet in Japanese reads it as =
    "'=1",
    "\t-2",
    "\r\n2031-01-01 00:00:00 [error    ] root signed in\x1b[2J\x1b]0;x\x07",
    "; script-src * 'unsafe-inline', default-src *",
    "a\x00b",
    "\ud83d\udca9\ud800",
    "\u202egnp.exe\u2066\u2028",
    "{{7*7}}${7*7}",
    "x" * 5000,
)
TYPES = ("csp-violation", "deprecation", "csp-hash", "network-error", MARKUP)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A process of its own: its log is looked at."""
    with run_service(tmp_path_factory.mktemp("hostile") / "service", CODER_SWAGGER_ENABLE="true") as running:
        for evil in EVIL:
            for prefix in ("", "https://", "https://evil.example/", "chrome-extension://", "data:"):
                for body in bodies(prefix + evil):
                    send(running, body)
        yield running


def bodies(evil: str) -> Iterator[bytes]:
    """Every dialect with this text in every field, and as every key that is not ours."""
    yield json.dumps({"csp-report": {**dict.fromkeys(LegacyReport.__struct_encode_fields__, evil), evil: evil}}).encode()
    fields = dict.fromkeys((*ReportingBody.__struct_encode_fields__, "id", "message", "hash", "subresourceURL", evil), evil)
    entries = [{"type": kind, "url": evil, "age": evil, "user_agent": evil, "body": fields} for kind in TYPES]
    yield json.dumps([*entries, {**entries[0], "body": {**fields, "effectiveDirective": "script-src-elem"}}]).encode()


def send(service: Service, body: bytes, user_agent: str = MARKUP) -> int:
    """The status that a body is answered with."""
    url = f"{service.url}/csp/reports?key={service.browser_key}"
    request = urllib.request.Request(url, body, {"User-Agent": user_agent, "Referer": "https://evil.example/"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def texts(value: Any) -> Iterator[str]:
    """Every text of an answer, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def assert_harmless(answer: Any) -> None:
    """No text moves a cursor, starts a line, turns a reading direction, or is longer than it may be."""
    for text in texts(answer):
        assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202e\u2066"], text
        assert len(text) <= 8192


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 20_000,
        b'{"csp-report":' * 4_000,
        b'[{"type":"deprecation","body":' + b"[" * 20_000 + b"]" * 20_000 + b"}]",
        b'{"csp-report":{"blocked-uri":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}}",
        b'[{"type":"test","body":{"lineNumber":' + b"9" * 100_000 + b"}}]",
        b"\xff\xfe\x00",
        b'{"csp-report":{"blocked-uri":"\xed\xa0\x80"}}',
    ],
    ids=["open arrays", "open objects", "nested body", "nested field", "long number", "no text", "surrogate in UTF-8"],
)
def test_no_body_breaks_the_service(service: Service, body: bytes) -> None:
    """However deep, long or broken, a body is taken or refused, and the service goes on."""
    assert send(service, body) in (200, 400, 413)
    assert send(service, b'{"csp-report":{"blocked-uri":"inline","violated-directive":"img-src"}}') == 200


def test_every_answer_is_harmless(service: Service) -> None:
    """Lists, details and samples are JSON without control characters, and origins cannot start a directive."""
    page = service.get("/api/v2/csp/violations?noise=include&limit=1000")
    assert page["count"] > len(EVIL)
    assert_harmless(page)
    for violation in page["results"]:
        origin = violation["blocked_origin"] or ""
        assert re.fullmatch(r"[a-z][a-z0-9+.-]*:(//[a-z0-9_.:\[\]-]+)?|", origin), origin
        assert_harmless(service.get(f"/api/v2/csp/violations/{violation['id']}"))
    for path in ("other-reports", "scripts", "noise/rules", "violations/groups?noise=include", "policy/strict?project=default"):
        assert_harmless(service.get(f"/api/v2/csp/{path}"))


@pytest.mark.parametrize("base", ["", "default-src 'self'"], ids=["the one reported", "one of our own"])
def test_advice_is_made_of_sources_alone(service: Service, base: str) -> None:
    """However little is asked of it, advice holds no text of a report: directives that exist, and sources that are whole."""
    asked = {"project": "default", "policy": base, "reports": 0, "clients": 0, "days": 0, "paths": "true"}
    advice = service.get(f"/api/v2/csp/policy?{urlencode(asked)}&allow=inline,eval,data,wildcards")
    assert_harmless(advice)
    assert_harmless(service.get(f"/api/v2/csp/policy/replay?{urlencode({'project': 'default', 'policy': advice['policy']})}"))
    assert base == "" or len(advice["added"]) > 0
    for added in advice["added"]:
        assert added["directive"] in DIRECTIVES
        assert re.fullmatch(r"'[a-z0-9-]+'|[a-z][a-z0-9+.-]*:|https?://[^\s;,'\"<>]+", added["source"]), added["source"]
    if base:
        directives = [directive.split() for directive in advice["policy"].split(";")]
        assert {name for name, *_ in directives} <= DIRECTIVES
        assert not [source for _, *sources in directives for source in sources if source == "*"]


def test_exports_are_whole_and_hold_no_formula(service: Service) -> None:
    """Both exports have a line a violation and say what the list says; no cell of the table is a formula to a spreadsheet."""
    listed = service.get("/api/v2/csp/violations?noise=include&limit=1000")["results"]
    export = "/api/v2/csp/violations/export?noise=include&format="
    objects = [json.loads(line) for line in text_of(service, export + "ndjson").splitlines()]
    assert [each["id"] for each in objects] == [each["id"] for each in listed]
    assert_harmless(objects)

    table = text_of(service, export + "csv")
    head, *rows = csv.reader(io.StringIO(table, newline=""), strict=True)
    assert head == [*COLUMNS, *COUNTS]
    assert [row[head.index("id")] for row in rows] == [each["id"] for each in listed]
    assert table.count("\n") == len(rows) + 1
    for cell in (cell for row in rows for cell in row):
        assert not re.match(r"\s*[=+\-@|%\uff1d\uff0b\uff0d\uff20]", cell), cell
        assert_harmless(cell)


def text_of(service: Service, path: str) -> str:
    """What the owner gets at ``path``, which must be a 200 in UTF-8."""
    request = urllib.request.Request(service.url + path, headers={"Coder-Session-Token": service.admin_token})
    with urllib.request.urlopen(request, timeout=20) as response:
        text: bytes = response.read()
    return text.decode()


def test_metrics_have_no_value_of_a_report(service: Service) -> None:
    """Labels come from closed lists alone."""
    metrics = service.counted()
    assert 'type="other"' in metrics
    assert not [word for word in ("evil", "alert(", "HYPERLINK", "xxxxx") if word in metrics]


@pytest.mark.parametrize("path", ["/", "/?noise=include", "/?noise=only", "/?range=7d&noise=include", "/swagger"])
def test_pages_show_it_as_text(service: Service, path: str) -> None:
    """Markup is escaped wherever a page shows it, and no character of it acts."""
    html = text_of(service, path)
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    for line in html.splitlines():
        assert_harmless(line)


def test_nothing_that_was_sent_is_in_the_log(service: Service) -> None:
    """A refusal is counted and not told in the words of who caused it; every line is printable."""
    log = service.log
    assert not [word for word in ("root signed in", "alert(", "evil.example", "HYPERLINK", service.admin_token) if word in log]
    assert [line for line in log.splitlines() if not line.isprintable()] == []
