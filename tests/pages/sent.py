"""Records as senders bring them, over HTTP, with the same text in each field: none, or an attempt to break out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from collector.http.appkeys import NOW
from tests.inside import Inside

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"
AGENTS = "/api/v2/ingest/agent-stats"
WORKSPACES = "/api/v2/ingest/workspaces"
AIBRIDGE = "/api/v2/ingest/aibridge"
NDJSON = {"Content-Type": "application/x-ndjson"}


def csp_reports(text: str) -> list[dict[str, Any]]:
    """Violations of several directives, blocked hosts and dispositions, with ``text`` wherever a browser may say anything."""
    hosts = ("cdn.example.net", "fonts.example.org", "media.partner-with-a-rather-long-name.example.co.uk")
    return [
        {
            "type": "csp-violation",
            "age": 10,
            "url": f"https://shop.example.com/{text}",
            "user_agent": f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36{text}",
            "body": {
                "documentURL": f"https://shop.example.com/basket/{number % 5}{text}",
                "referrer": f"https://news.example/{text}",
                "effectiveDirective": directive if number % 9 else f"{directive}{text}"[:60],
                "blockedURL": "inline" if directive == "style-src-attr" else f"https://{hosts[number % 3]}/a/{number}{text}",
                "originalPolicy": f"default-src 'self'; img-src 'self' https://img.example.com; report-uri /x{text}",
                "disposition": "enforce" if number % 4 == 0 else "report",
                "sourceFile": f"https://shop.example.com/app.js{text}",
                "sample": f"x{text}"[:40],
                "statusCode": 200,
                "lineNumber": 10,
                "columnNumber": 3,
            },
        }
        for number, directive in enumerate(["img-src", "script-src-elem", "font-src", "style-src-attr", "connect-src"] * 9)
    ]


def legacy_report(text: str) -> str:
    """A report of the old kind, whose every field is ``text`` alone, and an extension's."""
    names = "document-uri referrer violated-directive effective-directive original-policy disposition blocked-uri source-file"
    fields = [*names.split(), "script-sample"]
    return json.dumps({"csp-report": dict.fromkeys(fields, text or "about:blank")})


def aibridge_log(text: str, now: int) -> str:
    """Interceptions of the last days by two models and three users."""
    lines = []
    for number in range(60):
        at = datetime.fromtimestamp(now / 1_000, UTC) - timedelta(hours=7 * number + 1)
        moment = at.isoformat().replace("+00:00", "Z")
        named = {"interception_id": f"c0a8f1de-1111-4222-8333-{number:012}"}
        model = ("sonnet-large", "opus-small", "mini")[number % 3]
        who = f"00000000-0000-4000-8000-{number % 3:012}{text}"
        for kind, fields in (
            (
                "interception_start",
                {"initiator_id": who, "provider": f"vendor{text}", "model": f"{model}{text}", "started_at": moment},
            ),
            (
                "token_usage",
                {
                    "msg_id": f"m{text}",
                    "input_tokens": 900 + number,
                    "output_tokens": 400,
                    "created_at": moment,
                    "cache_read_input_tokens": 5_000,
                    "cache_write_input_tokens": 700,
                },
            ),
            ("prompt_usage", {"msg_id": f"m{text}", "prompt": f"p{text}", "created_at": moment}),
            (
                "tool_usage",
                {
                    "msg_id": "m",
                    "tool": f"t{text}",
                    "input": f"i{text}",
                    "invocation_error": text,
                    "created_at": moment,
                    "server_url": f"https://tools.example/{text}",
                },
            ),
            ("interception_end", {"ended_at": moment}),
        ):
            lines.append(json.dumps({"msg": f"interception log{text}", "fields": {"record_type": kind, **named, **fields}}))
    return "\n".join(lines) + "\n"


async def send_everything(inside: Inside, text: str = "") -> None:
    """Bring a service every kind of record. An intake may refuse what a field of it cannot be; it must not fail."""
    now = inside.app[NOW]()
    deliveries = [
        (inside.csp_path, json.dumps(csp_reports(text)), {}),
        (inside.csp_path, legacy_report(text), {}),
        (
            inside.csp_path,
            json.dumps(
                {
                    "csp-report": {
                        "document-uri": "https://shop.example.com/",
                        "effective-directive": "img-src",
                        "blocked-uri": f"chrome-extension://abc/{text}",
                    }
                }
            ),
            {},
        ),
        (AIBRIDGE, aibridge_log(text, now), {**inside.feed, **NDJSON}),
        (
            AGENTS,
            json.dumps(
                [
                    {
                        **{f"{name}_id": f"my-{name}{text}" for name in ("agent", "workspace", "user", "template")},
                        **{f"{name}_name": f"{name}{text}" for name in ("agent", "workspace", "template")},
                        "username": f"ada{text}",
                        "stats": {
                            "connection_median_latency_ms": 12.5,
                            "rx_bytes": 7_000,
                            "tx_bytes": 3_000,
                            "session_count_ssh": 1,
                            "connections_by_proto": {f"TCP{text}": 1},
                        },
                    }
                ]
            ),
            inside.feed,
        ),
        (
            WORKSPACES,
            json.dumps(
                [
                    {
                        "id": f"ws{text}",
                        "name": f"ws{text}",
                        "owner_id": f"o{text}",
                        "template_id": f"t{text}",
                        "latest_build": {
                            "build_number": 1,
                            "transition": "start",
                            "created_at": "2026-09-21T10:00:00Z",
                            "job": {"completed_at": "2026-09-21T10:01:00Z", "error": text},
                        },
                    }
                ]
            ),
            inside.feed,
        ),
        (
            "/deployment",
            json.dumps({"id": "9d2b1f0e-4c55-4d0a-9a43-0c3c2b1f7a11", "version": f"v2{text}", "os_type": text}),
            inside.feed,
        ),
        (
            "/snapshot",
            json.dumps({"deployment_id": f"d{text}", "templates": [{"id": f"t{text}", "name": f"n{text}"}]}),
            inside.feed,
        ),
        ("/api/v2/projects", json.dumps({"name": f"p{text}"}), inside.owner),
        (
            "/api/v2/csp/ignore-rules",
            json.dumps({"blocked": f"https://gone.example{text}", "note": f"note{text}"}),
            inside.owner,
        ),
    ]
    for path, body, headers in deliveries:
        async with inside.client.post(path, data=body, headers={"Content-Type": "application/json", **headers}) as answer:
            assert answer.status < 500, (path, await answer.text())
    listed = await inside.get("/api/v2/csp/violations?sort=count&noise=include")
    for violation in listed["results"][:3]:
        change = json.dumps({"state": "acknowledged", "note": f"looked at{text}"})
        url = f"/api/v2/csp/violations/{violation['id']}"
        async with inside.client.patch(url, data=change, headers=inside.owner) as answer:
            assert answer.status == 200
