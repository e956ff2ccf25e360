"""Records as senders bring them, over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from collector.http.appkeys import NOW
from tests.inside import Inside

AGENTS = "/api/v2/ingest/agent-stats"
WORKSPACES = "/api/v2/ingest/workspaces"
AIBRIDGE = "/api/v2/ingest/aibridge"
NDJSON = {"Content-Type": "application/x-ndjson"}


def csp_reports() -> list[dict[str, Any]]:
    """Violations of several directives, blocked hosts and dispositions."""
    hosts = ("cdn.example.net", "fonts.example.org", "media.partner-with-a-rather-long-name.example.co.uk")
    return [
        {
            "type": "csp-violation",
            "age": 10,
            "url": "https://shop.example.com/",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36",
            "body": {
                "documentURL": f"https://shop.example.com/basket/{number % 5}",
                "referrer": "https://news.example/",
                "effectiveDirective": directive,
                "blockedURL": "inline" if directive == "style-src-attr" else f"https://{hosts[number % 3]}/a/{number}",
                "originalPolicy": "default-src 'self'; img-src 'self' https://img.example.com; report-uri /x",
                "disposition": "enforce" if number % 4 == 0 else "report",
                "sourceFile": "https://shop.example.com/app.js",
                "sample": "x",
                "statusCode": 200,
                "lineNumber": 10,
                "columnNumber": 3,
            },
        }
        for number, directive in enumerate(["img-src", "script-src-elem", "font-src", "style-src-attr", "connect-src"] * 9)
    ]


def legacy_report() -> str:
    """A report of the old kind, whose every field says next to nothing."""
    names = "document-uri referrer violated-directive effective-directive original-policy disposition blocked-uri source-file"
    fields = [*names.split(), "script-sample"]
    return json.dumps({"csp-report": dict.fromkeys(fields, "about:blank")})


def aibridge_log(now: int) -> str:
    """Interceptions of the last days by two models and three users."""
    lines = []
    for number in range(60):
        at = datetime.fromtimestamp(now / 1_000, UTC) - timedelta(hours=7 * number + 1)
        moment = at.isoformat().replace("+00:00", "Z")
        named = {"interception_id": f"c0a8f1de-1111-4222-8333-{number:012}"}
        model = ("sonnet-large", "opus-small", "mini")[number % 3]
        who = f"00000000-0000-4000-8000-{number % 3:012}"
        for kind, fields in (
            (
                "interception_start",
                {"initiator_id": who, "provider": "vendor", "model": model, "started_at": moment},
            ),
            (
                "token_usage",
                {
                    "msg_id": "m",
                    "input_tokens": 900 + number,
                    "output_tokens": 400,
                    "created_at": moment,
                    "cache_read_input_tokens": 5_000,
                    "cache_write_input_tokens": 700,
                },
            ),
            ("prompt_usage", {"msg_id": "m", "prompt": "p", "created_at": moment}),
            (
                "tool_usage",
                {
                    "msg_id": "m",
                    "tool": "t",
                    "input": "i",
                    "invocation_error": "",
                    "created_at": moment,
                    "server_url": "https://tools.example/",
                },
            ),
            ("interception_end", {"ended_at": moment}),
        ):
            lines.append(json.dumps({"msg": "interception log", "fields": {"record_type": kind, **named, **fields}}))
    return "\n".join(lines) + "\n"


async def send_everything(inside: Inside) -> None:
    """Bring a service every kind of record. An intake may refuse what a field of it cannot be; it must not fail."""
    now = inside.app[NOW]()
    deliveries = [
        (inside.csp_path, json.dumps(csp_reports()), {}),
        (inside.csp_path, legacy_report(), {}),
        (
            inside.csp_path,
            json.dumps(
                {
                    "csp-report": {
                        "document-uri": "https://shop.example.com/",
                        "effective-directive": "img-src",
                        "blocked-uri": "chrome-extension://abc/",
                    }
                }
            ),
            {},
        ),
        (AIBRIDGE, aibridge_log(now), {**inside.feed, **NDJSON}),
        (
            AGENTS,
            json.dumps(
                [
                    {
                        **{f"{name}_id": f"my-{name}" for name in ("agent", "workspace", "user", "template")},
                        **{f"{name}_name": name for name in ("agent", "workspace", "template")},
                        "username": "ada",
                        "stats": {
                            "connection_median_latency_ms": 12.5,
                            "rx_bytes": 7_000,
                            "tx_bytes": 3_000,
                            "session_count_ssh": 1,
                            "connections_by_proto": {"TCP": 1},
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
                        "id": "ws",
                        "name": "ws",
                        "owner_id": "o",
                        "template_id": "t",
                        "latest_build": {
                            "build_number": 1,
                            "transition": "start",
                            "created_at": "2026-09-21T10:00:00Z",
                            "job": {"completed_at": "2026-09-21T10:01:00Z", "error": ""},
                        },
                    }
                ]
            ),
            inside.feed,
        ),
        (
            "/deployment",
            json.dumps({"id": "9d2b1f0e-4c55-4d0a-9a43-0c3c2b1f7a11", "version": "v2", "os_type": ""}),
            inside.feed,
        ),
        (
            "/snapshot",
            json.dumps({"deployment_id": "d", "templates": [{"id": "t", "name": "n"}]}),
            inside.feed,
        ),
        ("/api/v2/projects", json.dumps({"name": "p"}), inside.owner),
        (
            "/api/v2/csp/ignore-rules",
            json.dumps({"blocked": "https://gone.example", "note": "note"}),
            inside.owner,
        ),
    ]
    for path, body, headers in deliveries:
        async with inside.client.post(path, data=body, headers={"Content-Type": "application/json", **headers}) as answer:
            assert answer.status < 500, (path, await answer.text())
    listed = await inside.get("/api/v2/csp/violations?sort=count&noise=include")
    for violation in listed["results"][:3]:
        change = json.dumps({"state": "acknowledged", "note": "looked at"})
        url = f"/api/v2/csp/violations/{violation['id']}"
        async with inside.client.patch(url, data=change, headers=inside.owner) as answer:
            assert answer.status == 200
