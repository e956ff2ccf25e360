"""A report may hold anything: no answer, metric, log line or page breaks, and nothing of it acts where it is shown."""

from __future__ import annotations

import json
import re
import unicodedata
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from collector.wire.csp import LegacyReport, ReportingBody
from tests.service import Service, run_service

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
EVIL = (
    MARKUP,
    '=HYPERLINK("https://evil.example")',
    "+1+1",
    "@SUM(A1)",
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
    with run_service(tmp_path_factory.mktemp("hostile") / "service") as running:
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
    for path in ("other-reports", "scripts", "noise/rules"):
        assert_harmless(service.get(f"/api/v2/csp/{path}"))


def test_metrics_have_no_value_of_a_report(service: Service) -> None:
    """Labels come from closed lists alone."""
    metrics = service.metrics()
    assert 'type="other"' in metrics
    assert not [word for word in ("evil", "alert(", "HYPERLINK", "xxxxx") if word in metrics]


def test_the_page_shows_it_as_text(service: Service) -> None:
    """Markup is escaped wherever the page shows it."""
    request = urllib.request.Request(service.url + "/", headers={"Coder-Session-Token": service.admin_token})
    with urllib.request.urlopen(request, timeout=20) as response:
        html = response.read().decode()
    assert "<script>alert" not in html
    assert "<img src=x" not in html


def test_nothing_that_was_sent_is_in_the_log(service: Service) -> None:
    """A refusal is counted and not told in the words of who caused it; every line is printable."""
    log = service.log
    assert not [word for word in ("root signed in", "alert(", "evil.example", "HYPERLINK", service.admin_token) if word in log]
    assert [line for line in log.splitlines() if not line.isprintable()] == []
