"""One record of each kind from the door to everything that shows it, on both databases."""

from __future__ import annotations

import json
import uuid

from collector.http.appkeys import DEPLOYMENT
from tests.inside import Inside

REPORT = {
    "csp-report": {
        "document-uri": "https://shop.example/cart?session=1",
        "referrer": "",
        "violated-directive": "script-src-elem",
        "effective-directive": "script-src-elem",
        "original-policy": "default-src 'self'; report-uri /csp",
        "disposition": "enforce",
        "blocked-uri": "https://cdn.example/lib.js?token=secret",
        "status-code": 200,
    }
}
STATS = {
    "connections_by_proto": {"TCP": 3},
    "connection_count": 3,
    "connection_median_latency_ms": 12.5,
    "rx_packets": 120,
    "rx_bytes": 65536,
    "tx_packets": 300,
    "tx_bytes": 262144,
    "session_count_vscode": 1,
    "session_count_jetbrains": 0,
    "session_count_reconnecting_pty": 2,
    "session_count_ssh": 0,
}


async def test_a_csp_report(inside: Inside) -> None:
    """A browser's report is in the list of violations when its 200 arrives, and in the next counters, without its secrets."""
    status, answer = await inside.post(inside.csp_path, json.dumps(REPORT))
    assert (status, answer) == (200, "ok")

    found = await inside.get("/api/v2/csp/violations")
    violation = found["results"][0]
    assert (found["count"], found["next"]) == (1, None)
    assert violation["effective_directive"] == "script-src-elem"
    assert violation["blocked_origin"] == "https://cdn.example"
    assert violation["document_origin"] == "https://shop.example"
    assert violation["counts"] == {"enforce": 1, "report": 0, "unknown": 0}
    assert "secret" not in json.dumps(found)
    labels = 'directive="script-src-elem",disposition="enforce",noise_class="none",project="default"'
    assert (await inside.counted())[f"collector_csp_reports_total{{{labels}}}"] == 1


async def test_an_agent_report(inside: Inside) -> None:
    """An agent's row is in the next snapshot, in its history and in the metrics, and a repeated id counts once."""
    ids = {key: str(uuid.uuid4()) for key in ("agent_id", "workspace_id", "user_id", "template_id", "id")}
    for _ in range(2):
        status, answer = await inside.post("/api/v2/ingest/agent-stats", json.dumps([{**ids, "stats": STATS}]), **inside.feed)
        assert (status, answer) == (200, {"accepted": 1, "rejected": []})
    await inside.roll_up()

    stats = await inside.get("/deployment/stats")
    assert stats["session_count"] == {"vscode": 1, "ssh": 0, "jetbrains": 0, "reconnecting_pty": 2}
    assert (stats["workspaces"]["rx_bytes"], stats["workspaces"]["tx_bytes"]) == (65536, 262144)
    assert stats["workspaces"]["connection_latency_ms"] == {"p50": 12.5, "p95": 12.5, "P50": 12.5, "P95": 12.5}
    history = await inside.get("/api/v2/deployment/stats/history?step=1h")
    newest = [point for point in history["points"] if point["stats"]][-1]
    assert newest["stats"]["session_count"] == stats["session_count"]
    metrics = await inside.metrics()
    own = f'deployment="{inside.app[DEPLOYMENT]}"'
    assert metrics[f'collector_deployment_sessions{{app="reconnecting_pty",{own}}}'] == 2
    assert metrics[f'collector_deployment_connection_latency_seconds{{{own},percentile="50"}}'] == 0.0125


async def test_a_workspace(inside: Inside) -> None:
    """A workspace's state is in the next snapshot; a refused row is named by its index and takes nothing else down."""
    build = {
        "build_number": 1,
        "transition": "start",
        "created_at": "2026-01-13T15:50:20.790690781Z",
        "job": {
            "started_at": "2026-01-13T15:50:21Z",
            "canceled_at": None,
            "completed_at": "2026-01-13T15:51:00Z",
            "error": None,
        },
    }
    good = {"id": "w1", "name": "dev", "owner_id": "u1", "template_id": "t1", "deleted": False, "latest_build": build}
    body = json.dumps([{**good, "id": ""}, good])
    status, answer = await inside.post("/api/v2/ingest/workspaces", body, **inside.feed)
    assert (status, answer["accepted"], [r["index"] for r in answer["rejected"]]) == (200, 1, [0])
    await inside.roll_up()

    stats = await inside.get("/api/v2/deployment/stats")
    assert stats["workspaces"]["running"] == 1
    shown = f'collector_deployment_workspaces{{deployment="{inside.app[DEPLOYMENT]}",status="running"}}'
    assert (await inside.metrics())[shown] == 1


async def test_silence_is_not_zero_latency(inside: Inside) -> None:
    """Without a latency the stats say -1 and the metric is absent."""
    await inside.roll_up()

    stats = await inside.get("/deployment/stats")
    assert stats["workspaces"]["connection_latency_ms"]["P50"] == -1
    assert not [name for name in await inside.metrics() if "latency" in name]
