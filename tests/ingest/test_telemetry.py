"""Telemetry, posted as a Coder server posts it."""

from __future__ import annotations

import io
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector.http.appkeys import NOW, STORE
from collector.ingest.telemetry import BODY_LIMIT
from collector.persist.keys import create_key
from collector.wire.identity import KeyKind
from tests import messages
from tests.inside import Inside, running

PAYLOADS = Path(__file__).parent.parent / "payloads" / "telemetry"
STATS = f"/api/v2/deployment/stats?deployment={messages.DEPLOYMENT}"


async def send(inside: Inside, path: str, body: bytes | io.BytesIO, key: str | None = None) -> int:
    """The status of a POST with no header that a Coder server would not send."""
    headers = messages.headers(key or inside.secrets.feed_key)
    async with inside.client.post(path, data=body, headers=headers, skip_auto_headers=["Content-Type"]) as answer:
        return answer.status


async def refreshed(inside: Inside) -> None:
    """Build the snapshots now."""
    await inside.roll_up()


async def stats(inside: Inside) -> Any:
    """What the deployment's stats say now."""
    await refreshed(inside)
    return await inside.get(STATS)


def counts(answer: Any) -> dict[str, int]:
    """The workspaces by state."""
    return {state: answer["workspaces"][state] for state in messages.COUNTS}


def on_disk(directory: Path) -> tuple[set[str], bytes]:
    """The names of the files in ``directory``, and all their bytes."""
    files = [path for path in directory.iterdir() if path.is_file()]
    return {path.name for path in files}, b"".join(path.read_bytes() for path in files)


async def test_a_full_snapshot_becomes_stats(inside: Inside) -> None:
    """What a server sends at its start is 202, and gives its workspaces by state and its agents' use."""
    assert await send(inside, "/deployment", messages.deployment()) == 202
    assert await send(inside, "/snapshot", messages.full_snapshot()) == 202

    answer = await stats(inside)

    assert counts(answer) == messages.COUNTS
    assert answer["workspaces"]["rx_bytes"] == 200
    assert answer["workspaces"]["connection_latency_ms"] == {"p50": 15, "p95": 40, "P50": 15, "P95": 40}
    assert answer["session_count"] == {"vscode": 2, "ssh": 6, "jetbrains": 0, "reconnecting_pty": 4}
    assert answer["aggregated_from"] == "2026-01-20T08:13:00Z"


async def test_again_and_from_a_replica_changes_nothing(inside: Inside) -> None:
    """The same snapshot again, also from a second replica, leaves every number as it was."""
    await send(inside, "/snapshot", messages.full_snapshot())
    once = await stats(inside)

    await send(inside, "/deployment", messages.deployment(machine_id="another"))
    await send(inside, "/snapshot", messages.full_snapshot())
    twice = await stats(inside)

    assert (twice["workspaces"], twice["session_count"]) == (once["workspaces"], once["session_count"])


async def test_the_messages_of_a_server(migrated_url: str, tmp_path: Path) -> None:
    """Its workspaces by state; again or from a replica they are the same; a partial adds its own; nothing private is stored.

    One of them is cancelled, which is in no state, and a prebuilt one counts like every other.
    """
    sent = {name: (PAYLOADS / f"{name}.json").read_bytes() for name in ("deployment", "snapshot", "partial")}
    replica = json.dumps(json.loads(sent["deployment"]) | {"machine_id": "another"}).encode()
    asked = f"/api/v2/deployment/stats?deployment={json.loads(sent['snapshot'])['deployment_id']}"
    async with running(migrated_url, tmp_path) as inside:

        async def told(path: str, body: bytes) -> dict[str, int]:
            assert await send(inside, path, body) == 202
            await refreshed(inside)
            return counts(await inside.get(asked)) if path == "/snapshot" else {}

        await told("/deployment", sent["deployment"])
        expected = {"pending": 1, "building": 2, "running": 2, "failed": 1, "stopped": 1}
        assert await told("/snapshot", sent["snapshot"]) == expected
        assert await told("/snapshot", sent["snapshot"]) == expected
        await told("/deployment", replica)
        assert await told("/snapshot", sent["snapshot"]) == expected
        assert await told("/snapshot", sent["partial"]) == expected | {"pending": 2}
        _, stored = on_disk(tmp_path)

    secrets = set(
        re.findall(rb"eyJ[\w.-]+|[\w.+-]+@[\w.-]+|\b(?:\d{1,3}\.){3}\d{1,3}\b|2001:db8:[\w:]*", b"".join(sent.values()))
    )
    assert len(secrets) > 2
    assert b"leaving" in stored or migrated_url.startswith("postgres")
    for secret in secrets:
        assert secret not in stored, secret


async def test_a_partial_snapshot_adds(inside: Inside) -> None:
    """A partial snapshot adds its workspace and removes none; what it is silent about stays."""
    await send(inside, "/snapshot", messages.full_snapshot())
    before = await stats(inside)

    made = messages.partial_snapshot(workspaces=[messages.workspace(50)], workspace_build=[messages.build(50)])
    assert await send(inside, "/snapshot", made) == 202
    after = await stats(inside)

    assert counts(after) == messages.COUNTS | {"pending": 2}
    assert after["session_count"] == before["session_count"]


async def test_nothing_private_reaches_the_disk(tmp_path: Path) -> None:
    """No licence, mail or address is in the database file or its log, wherever in a message it stood."""
    async with running("sqlite", tmp_path) as inside:
        assert await send(inside, "/deployment", messages.deployment()) == 202
        assert await send(inside, "/snapshot", messages.full_snapshot()) == 202
        await refreshed(inside)
        names, stored = on_disk(tmp_path)

    assert "collector.db-wal" in names
    assert messages.OWNER.encode() in stored
    for secret in (*messages.PRIVATE, "corp.test"):
        assert secret.encode() not in stored, secret


async def test_a_bound_key_is_for_one_deployment(inside: Inside) -> None:
    """Telemetry that names another deployment than its key is bound to is 403, and nothing of it is kept."""
    store, now = inside.app[STORE], inside.app[NOW]()
    bind = partial(create_key, project_id=1, kind=KeyKind.FEED, now=now)
    other = await store.transact(partial(bind, deployment="another"))
    bound = await store.transact(partial(bind, deployment=messages.DEPLOYMENT))

    assert await send(inside, "/snapshot", messages.full_snapshot(), other) == 403
    assert await send(inside, "/deployment", messages.deployment(), other) == 403
    await refreshed(inside)
    async with inside.client.get(STATS, headers=inside.owner) as answer:
        assert answer.status == 404

    assert await send(inside, "/snapshot", messages.full_snapshot(), bound) == 202


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b'{"deployment_id": 5}', b'{"deployment_id": ""}', b'{"deployment_id": "a", "users": 5}'],
)
async def test_what_is_no_telemetry_is_refused(standing: Inside, body: bytes) -> None:
    """A body that is no telemetry is 400."""
    assert await send(standing, "/snapshot", body) == 400


@pytest.mark.slow
async def test_several_megabytes_are_taken(tmp_path: Path) -> None:
    """A snapshot of thousands of workspaces, larger than any other intake's limit, is 202; one over its own is 413."""
    many = [messages.workspace(number, name="w" * 250) for number in range(20_000)]
    async with running("sqlite", tmp_path) as inside:
        body = messages.full_snapshot(workspaces=many)
        assert len(body) > 10_000_000
        assert await send(inside, "/snapshot", io.BytesIO(body)) == 202
        assert await send(inside, "/snapshot", io.BytesIO(bytes(BODY_LIMIT + 1))) == 413


async def test_the_source_is_said(inside: Inside) -> None:
    """Stats say in a header what they were made from, and each point of the history whether that is an approximation."""
    await send(inside, "/snapshot", messages.full_snapshot())
    await refreshed(inside)

    async with inside.client.get(STATS, headers=inside.owner) as answer:
        assert answer.headers["X-Collector-Source"] == "telemetry"
    past = await inside.get(f"/api/v2/deployment/stats/history?deployment={messages.DEPLOYMENT}")
    known = [point for point in past["points"] if point["stats"]]
    assert [(point["source"], point["approximate"]) for point in known] == [("telemetry", True)]


async def test_the_only_other_deployment_answers(inside: Inside) -> None:
    """Without ?deployment= a collector that has no reports of its own answers for the one deployment it knows."""
    await send(inside, "/snapshot", messages.full_snapshot())
    await refreshed(inside)
    assert counts(await inside.get("/deployment/stats")) == messages.COUNTS

    other = json.loads(messages.full_snapshot()) | {"deployment_id": "another"}
    await send(inside, "/snapshot", json.dumps(other).encode())
    await refreshed(inside)
    assert counts(await inside.get("/deployment/stats")) == dict.fromkeys(messages.COUNTS, 0)
