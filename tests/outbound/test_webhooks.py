"""Alerts reach a webhook that fails, dawdles and redirects, once, signed, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from collector.outbound import webhooks
from collector.outbound.messages import Shape, message
from collector.outbound.webhooks import MAX_ATTEMPTS, Webhook, tell
from collector.persist.engine import Store
from collector.persist.tables import violation_clients
from collector.wire.alerts import Alert, AlertKind, AlertRules
from tests.inside import running
from tests.rollup.rows import NOW, add_project, add_violation

RULES = AlertRules(reports=1, clients=1, trend=5)


@dataclass
class Receiver:
    """A webhook that answers with ``status``, and what it was sent."""

    url: str = ""
    status: int = 200
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    received: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, dict(request.headers), await request.read()))
        self.received.set()
        await self.answer.wait()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"} if self.status == 307 else {})


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    receiver.answer.set()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        receiver.answer.set()
        await runner.cleanup()


async def told(store: Store, receiver: Receiver, *, now: int = NOW, shape: Shape = Shape.JSON, secret: str = "") -> None:
    hook = Webhook(receiver.url, shape, secret, 0, RULES)
    await tell(hook, store.read, store.transact, now=lambda: now, random=lambda: 0.0)


async def violated(store: Store, project: str = "shop", names: tuple[str, ...] = ("aa",)) -> None:
    """New violations of a new project."""
    project_id = await store.transact(partial(add_project, name=project))
    for name in names:
        columns: dict[str, Any] = {"count": 5, "ranked_count": 5, "ranked_seen": NOW, "stored_at": NOW}
        violation = await store.transact(
            partial(add_violation, project_id=project_id, fingerprint=f"{project}-{name}", **columns)
        )
        clients = insert(violation_clients).values(violation_id=violation, day=1, sketch=b"", peak=1)
        await store.transact(lambda connection, clients=clients: connection.execute(clients))  # type: ignore[misc]


async def test_one_message_a_project(store: Store) -> None:
    """All that is new in a project is one message; what was delivered is not sent again."""
    await violated(store, "shop", ("aa", "bb"))
    await violated(store, "blog")
    async with receiving() as receiver:
        await told(store, receiver)
        await told(store, receiver)

    bodies = [msgspec.json.decode(body) for _, _, body in receiver.requests]
    assert [(body["project"], len(body["alerts"])) for body in bodies] == [("blog", 1), ("shop", 2)]
    assert bodies[0]["alerts"][0]["kind"] == "new"
    assert bodies[0]["alerts"][0]["blocked"] == "https://cdn.example.net"


async def test_the_service_tells(migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that somebody posts is a message at the webhook of the options."""
    monkeypatch.setattr("collector.upkeep.ALERT_EVERY", timedelta(seconds=0.2))
    async with receiving() as receiver:
        options = {"WEBHOOK_URL": receiver.url, "REPORTS": "1", "CLIENTS": "1", "FORMAT": "slack"}
        async with running(
            migrated_url, tmp_path, **{f"COLLECTOR_ALERT_{name}": value for name, value in options.items()}
        ) as inside:
            report = {
                "document-uri": "https://shop.example/",
                "blocked-uri": "https://x.example/",
                "effective-directive": "img-src",
            }
            assert (await inside.post(inside.csp_path, json.dumps({"csp-report": report})))[0] == 200
            await asyncio.wait_for(receiver.received.wait(), 60)

    assert b"img-src blocked https://x.example on https://shop.example" in receiver.requests[0][2]


async def test_the_signature_is_of_the_body(store: Store) -> None:
    """Who has the secret can tell that the message is the collector's, and when it was sent."""
    await violated(store)
    async with receiving() as receiver:
        await told(store, receiver, secret="s3cret")

    ((_, headers, body),) = receiver.requests
    expected = hmac.new(b"s3cret", b"%d." % (NOW // 1000) + body, hashlib.sha256).hexdigest()
    assert headers["X-Collector-Signature"] == f"t={NOW // 1000},v1={expected}"


@pytest.mark.parametrize("status", [307, 400, 410, 500, 503])
async def test_what_is_refused_is_sent_again(store: Store, status: int) -> None:
    """With the same ids, after a pause that doubles; a redirect is a refusal and is not followed."""
    await violated(store)
    async with receiving() as receiver:
        receiver.status = status
        for now in (NOW, NOW + 29_999, NOW + 30_000, NOW + 89_999):
            await told(store, receiver, now=now)
        receiver.status = 204
        for now in (NOW + 90_000, NOW + 1_000_000):
            await told(store, receiver, now=now)

    assert [path for path, _, _ in receiver.requests] == ["/hook"] * 3
    assert len({headers["X-Collector-Delivery"] for _, headers, _ in receiver.requests}) == 1


async def test_a_receiver_that_does_not_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left after a while, and tried again later."""
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.2)
    await violated(store)
    async with receiving() as receiver:
        receiver.answer.clear()
        await told(store, receiver)
        receiver.answer.set()
        await told(store, receiver, now=NOW + 30_000)

    assert len(receiver.requests) == 2


async def test_nobody_listens(store: Store) -> None:
    """A refused connection is a failure like any other; after enough of them it is given up."""
    await violated(store)
    async with receiving() as receiver:
        pass
    for attempt in range(MAX_ATTEMPTS):
        await told(store, receiver, now=NOW + attempt * 3_600_000)
    async with receiving() as other:
        await told(store, other, now=NOW + (MAX_ATTEMPTS + 1) * 3_600_000)

    assert other.requests == []


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["<!channel>", "`x` <http://e>", "*&*"]
)


@given(st.sampled_from(list(Shape)), TEXTS, TEXTS, st.integers(1, 40))
def test_hostile_text_stays_text(shape: Shape, directive: str, blocked: str, count: int) -> None:
    """Whatever a report held, a message is JSON, is bounded, and has no markup of it."""
    alert = Alert(1, "aa-new-1", AlertKind.NEW, "shop", "aa", directive, blocked, None, 5, 1, 0, 0, 0, 0)
    body: Any = msgspec.json.decode(message(shape, [alert] * count))

    if shape is Shape.SLACK:
        assert "<" not in body["text"]
        assert body["text"].count("`") == 2 * min(count, 20)
    if shape is Shape.TEAMS:
        blocks = body["attachments"][0]["content"]["body"]
        assert {block["type"] for block in blocks} == {"RichTextBlock"}
        assert len(blocks) <= 22
    if shape is Shape.JSON:
        assert [entry["blocked"] for entry in body["alerts"]] == [blocked] * count
