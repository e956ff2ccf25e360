"""What is sent: reports as browsers write them, those of ``wrk/common.lua`` and others."""

from __future__ import annotations

import json

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
POLICY = "default-src 'none'; script-src 'self' 'nonce-abcdefgh'; style-src 'self'; img-src 'self'; report-uri /csp/reports"
DIRECTIVES = ("script-src-elem", "img-src", "style-src-elem", "connect-src", "font-src")
VIOLATIONS, PAGES = 200, 1_000


def singles(variants: int) -> list[bytes]:
    """Bodies of one legacy report each."""

    def body(number: int) -> bytes:
        page, directive, disposition, blocked = _fields(number)
        report = {
            "document-uri": page,
            "referrer": "",
            "violated-directive": directive,
            "effective-directive": directive,
            "original-policy": POLICY,
            "disposition": disposition,
            "blocked-uri": blocked,
            "status-code": 200,
            "script-sample": "",
            "source-file": page,
            "line-number": number,
            "column-number": 9,
        }
        return encoded({"csp-report": report})

    return [body(number) for number in range(1, variants + 1)]


def report(number: int, age: int) -> dict[str, object]:
    """A member of an array, in the order of keys in which Chromium sends them."""
    return _member(*_fields(number), number, age)


def distinct(number: int, age: int) -> dict[str, object]:
    """The same, of as many violations as ``VIOLATIONS``, on as many pages as ``PAGES``."""
    page, _, disposition, _ = _fields(number % PAGES)
    blocked = f"https://cdn-{number % VIOLATIONS}.example/lib.js"
    return _member(page, DIRECTIVES[number % VIOLATIONS % 5], disposition, blocked, number % PAGES, age)


def _member(page: str, directive: str, disposition: str, blocked: str, line: int, age: int) -> dict[str, object]:
    body = {
        "blockedURL": blocked,
        "columnNumber": 9,
        "disposition": disposition,
        "documentURL": page,
        "effectiveDirective": directive,
        "lineNumber": line,
        "originalPolicy": POLICY,
        "referrer": "",
        "sample": "",
        "sourceFile": page,
        "statusCode": 200,
    }
    return {"age": age, "body": body, "type": "csp-violation", "url": page, "user_agent": AGENT}


def encoded(value: object) -> bytes:
    """As short as JSON can be, as browsers write it."""
    return json.dumps(value, separators=(",", ":")).encode()


def _fields(number: int) -> tuple[str, str, str, str]:
    """The page, the directive, the disposition and what was blocked, as in ``wrk/common.lua``."""
    page = f"https://site{number % 10}.example/area/{number}/page"
    blocked = f"https://cdn{number % 50}.example/assets/bundle-{number}.js?v={number}" if number % 9 else "inline"
    return page, DIRECTIVES[number % 5], "enforce" if number % 3 else "report", blocked
