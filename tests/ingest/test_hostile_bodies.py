"""Bodies that are made to hurt, at every route that reads one: each is refused, or taken by rule, soon and in little room."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.http.access import Access
from collector.http.guard import READING
from collector.http.operation import Route
from collector.routes import ROUTES
from tests.failing.sent import AGENT
from tests.service import Service, run_service
from tests.test_service import address

FILLED = {"user": "me", "id": "1", "name": "default"}
READERS = [route for route in ROUTES if route.method not in READING and route.path != "/signout"]
PLAIN = {"blocked-uri": "inline", "violated-directive": "img-src", "document-uri": "https://shop.example/"}
HUGE = "1" + "0" * 10_000


def report(text: str) -> bytes:
    """A report with ``text`` among its fields, as it stands."""
    return b'{"csp-report":{"blocked-uri":"inline","violated-directive":"img-src",%s}}' % text.encode("utf-8", "surrogatepass")


def agents(**changed: object) -> bytes:
    return json.dumps([{**AGENT, **changed}]).encode()


BODIES = {
    "open arrays": b"[" * 100_000,
    "arrays": b"[" * 100_000 + b"]" * 100_000,
    "open objects": b'{"a":' * 100_000,
    "nested in a field": b'{"csp-report":{"blocked-uri":' + b"[" * 15_000 + b"]" * 15_000 + b"}}",
    "nested where nothing is looked for": b'[{"else":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}]",
    "a key twice": b'{"csp-report":{},"csp-report":{"blocked-uri":"a","blocked-uri":"eval"},"name":"a","name":1}',
    "a key ten thousand times": b"{" + b",".join([b'"a":1'] * 10_000) + b"}",
    "keys that collide": b"{" + b",".join(b'"%d":1' % (number * (2**61 - 1)) for number in range(2_000)) + b"}",
    "a huge number": HUGE.encode(),
    "huge numbers": report(f'"line-number":{HUGE},"status-code":-{HUGE}'),
    "huge numbers of an agent": agents().replace(b'"rx_bytes": 10', b'"rx_bytes": %s' % HUGE.encode()),
    "a huge lifetime": b'{"lifetime":%s}' % HUGE.encode(),
    "exponents": report('"line-number":1e400,"column-number":-1e999999999'),
    "NaN": report('"line-number":NaN'),
    "infinity": b'[{"type":"csp-violation","age":Infinity,"body":{}}]',
    "an agent's NaN": agents(connection_median_latency_ms=float("nan")),
    "lone surrogates": report('"script-sample":"\\ud800","\\udc00":1,"document-uri":"https://\\ud83d"'),
    "surrogates in UTF-8": report('"script-sample":"\ud800"'),
    "NUL": report('"script-sample":"a\\u0000b","document-uri":"https://b/\\u0000"'),
    "NUL of an agent": agents(id="a\0b", user_id="\0"),
    "NUL as it is": b"\0" * 1000,
    "NUL in names": b'{"name":"a\\u0000","directive":"\\u0000","note":"\\u0000","token_name":"\\u0000","state":"\\u0000"}',
    "no UTF-8": b'{"csp-report":{"blocked-uri":"\xff\xfe","name":"\xc0\x80"}}',
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps({"csp-report": PLAIN}).encode(),
    "a byte order mark, and no UTF-8": b'\xef\xbb\xbf{"csp-report":{"blocked-uri":"\xff"}}',
    "a byte order mark alone": b"\xef\xbb\xbf",
    "UTF-16": json.dumps({"csp-report": PLAIN}).encode("utf-16"),
    "UTF-32": json.dumps({"csp-report": PLAIN}).encode("utf-32"),
    "nothing": b"",
    "blanks": b" " * 60_000,
    "one value": b"null",
    "a hundred thousand entries": b"[" + b",".join([b"{}"] * 100_000) + b"]",
    "a text without an end": b'{"csp-report":{"blocked-uri":"' + b"\\" * 60_000,
    "years": agents(created_at="9999-12-31T23:59:59.999999999-23:59"),
    "year 0": agents(created_at="0000-01-01T00:00:00Z"),
    "a form of percent signs": b"token=%00%ud800%%%&" * 400,
    "a form of fields": b"&".join(b"a%d=1" % number for number in range(1_100)),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A process of its own: its log and its memory are looked at."""
    limits = {"CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true"}
    with run_service(tmp_path_factory.mktemp("bodies") / "service", **limits) as running:
        yield running


def sent(service: Service, route: Route, body: bytes, **headers: str) -> int:
    """The status that ``body`` has at ``route``, from whoever may send it."""
    path = re.sub(r"{(\w+)}", lambda match: FILLED[match[1]], route.path)
    if route.access is Access.CSP:
        path += f"?key={service.browser_key}"
    if route.access is Access.FEED:
        headers["Authorization"] = f"Bearer {service.feed_key}"
    else:
        headers |= {"Cookie": f"coder_session_token={service.admin_token}", "Sec-Fetch-Site": "same-origin"}
    client = http.client.HTTPConnection(*address(service), timeout=60)
    try:
        client.request(route.method, path, body, headers)
        return client.getresponse().status
    finally:
        client.close()


def peak_mib(service: Service) -> float:
    """The most memory that the process has had so far."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def assert_sound(service: Service) -> None:
    """It has complained of nothing, and still takes reports."""
    assert [line for line in service.log.splitlines() if "[error]" in line or "Traceback" in line] == []
    assert sent(service, next(r for r in READERS if r.access is Access.CSP), json.dumps({"csp-report": PLAIN}).encode()) == 200


@pytest.mark.parametrize("route", READERS, ids=lambda route: f"{route.method} {route.path}")
def test_no_body_is_an_error_of_ours(service: Service, route: Route) -> None:
    """Whatever the body, the answer is no 5xx, comes within seconds, and the log has no error."""
    statuses, slowest = {}, 0.0
    for name, body in BODIES.items():
        began = time.monotonic()
        statuses[name] = sent(service, route, body)
        slowest = max(slowest, time.monotonic() - began)

    assert {name: status for name, status in statuses.items() if not 200 <= status < 500} == {}
    assert any(status >= 400 for status in statuses.values()) or route.path == "/api/v2/ingest/aibridge"
    assert slowest < 10
    assert_sound(service)


def bomb(size: int, wbits: int) -> bytes:
    """``size`` bytes of one character, compressed to a thousandth."""
    packer, piece = zlib.compressobj(9, wbits=wbits), b"0" * 1_000_000
    return b"".join(packer.compress(piece) for _ in range(size // len(piece))) + packer.flush()


def encoded() -> dict[str, tuple[bytes, str]]:
    """Bodies with what their head calls their encoding."""
    packed = bomb(MUCH, 31)
    return {
        "gzip": (packed, "gzip"),
        "deflate": (bomb(MUCH, 15), "deflate"),
        "deflate without its head": (bomb(MUCH, -15), "deflate"),
        "gzip in gzip": (gzip.compress(packed), "gzip"),
        "gzip in gzip, as it says": (gzip.compress(packed), "gzip, gzip"),
        "thousands of members": (gzip.compress(b"") * 3_000, "gzip"),
        "cut": (packed[:50_000], "gzip"),
        "zstd": (b"\x28\xb5\x2f\xfd" + bytes(1000), "zstd"),
        "br": (bytes(1000), "br"),
        "a name that is none": (bytes(1000), "gzip\x0b"),
    }


MUCH = 200_000_000
ROOM_MIB = 160  # a telemetry snapshot may have 32 MiB, and is held as it came and inflated


@pytest.mark.slow
def test_no_bomb_goes_off(service: Service) -> None:
    """200 MB in 200 kB, by each encoding and at each route: a refusal within seconds, and no more memory than the limits."""
    before, slowest = peak_mib(service), 0.0
    statuses, bodies = {}, encoded()
    for route in READERS:
        for name, (body, encoding) in bodies.items():
            began = time.monotonic()
            statuses[f"{route.path} {name}"] = sent(service, route, body, **{"Content-Encoding": encoding})
            slowest = max(slowest, time.monotonic() - began)

    taken = {name for name, status in statuses.items() if not 400 <= status < 500}
    # A log is read line by line, at any length; the one line of a bomb is too long, and counts as such.
    assert {name.partition(" ")[0] for name in taken} <= {"/api/v2/ingest/aibridge"}
    assert slowest < 20
    assert peak_mib(service) - before < ROOM_MIB
    assert_sound(service)
