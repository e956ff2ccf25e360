"""The records that try the other intakes: whole, harmless, and shown once they are stored."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

from collector.http.appkeys import SNAPSHOTS, STORE
from collector.http.auth import TOKEN_NAME
from collector.ingest.telemetry import RECEIVER
from collector.persist.deployments import reporting
from collector.wire.identity import Role
from collector.wire.trials import TRIAL_ID
from tests.ingest.test_telemetry import refreshed
from tests.inside import Inside, running

BUTTON = re.compile(r'class="send" data-kind="(\w+)" data-path="([^"]+)" data-body="([^"]+)"')


async def page(inside: Inside, token: str) -> str:
    """The page for setting up, as whose token that is sees it."""
    async with inside.client.get("/setup", headers={"Cookie": f"{TOKEN_NAME}={token}"}) as answer:
        assert answer.status == 200
        return await answer.text()


async def tried(inside: Inside) -> list[str]:
    """Send what the buttons send, as a browser does with the owner's cookie; the kinds."""
    cookie = {"Cookie": f"{TOKEN_NAME}={inside.secrets.token}", "Content-Type": "application/json", "Origin": inside.url}
    buttons = BUTTON.findall(await page(inside, inside.secrets.token))
    for _, path, body in buttons:
        async with inside.client.post(path, data=unescape(body), headers=cookie) as answer:
            assert answer.status in (200, 202)
            assert '"rejected":[{' not in (await answer.text()).replace(" ", "")
    return [kind for kind, _, _ in buttons]


async def test_what_is_tried_is_shown_once_it_is_stored(inside: Inside) -> None:
    """Each intake takes the record of its button, and the page then says what is stored of it."""
    assert "Last test arrived" not in await page(inside, inside.secrets.token)

    assert await tried(inside) == ["agents", "telemetry"]

    shown = await page(inside, inside.secrets.token)
    assert "agent test, workspace setup, user admin." in shown
    assert "machine collector-setup-test, system browser." in shown


async def test_a_trial_is_no_source_of_numbers(inside: Inside) -> None:
    """A deployment whose stats come from elsewhere keeps them: a trial makes none report, and adds nothing to any number."""
    await refreshed(inside)
    before = inside.app[SNAPSHOTS].current
    assert before is not None

    await tried(inside)
    await refreshed(inside)

    after = inside.app[SNAPSHOTS].current
    assert after is not None
    assert await inside.app[STORE].read(reporting) == frozenset()
    assert (after.deployment, after.agents, after.workspaces) == (before.deployment, before.agents, before.workspaces)


async def test_no_series_is_about_a_trial(tmp_path: Path) -> None:
    """With the metrics of a Coder server, which name agents and templates, a real agent has its series and a trial has none."""
    options = {"COLLECTOR_CODER_METRICS": "true", "CODER_PROMETHEUS_COLLECT_AGENT_STATS": "true"}
    async with running("sqlite", tmp_path, **options) as inside:
        names = ("agent_id", "workspace_id", "user_id", "template_id")
        row = {**dict.fromkeys(names, "real"), "stats": {"connection_median_latency_ms": 1, "session_count_ssh": 1}}
        await inside.post("/api/v2/ingest/agent-stats", json.dumps([row]), **inside.feed)
        await tried(inside)
        about = [name for name in await inside.counted() if name.startswith("coderd_")]

    assert any('"real"' in name for name in about)
    assert [name for name in about if TRIAL_ID in name or '"setup"' in name] == []


async def test_a_trial_is_not_passed_on(inside: Inside) -> None:
    """Where telemetry is forwarded a trial stays here."""
    passed: list[str] = []
    inside.app[RECEIVER].forward = lambda path, _content, _version: passed.append(path)
    await tried(inside)
    assert passed == []


async def test_an_auditor_has_no_button(inside: Inside) -> None:
    """The intakes let in owners and feed keys alone, and no key stands in the page."""
    shown = await page(inside, await inside.token(Role.AUDITOR))
    assert BUTTON.findall(shown) == []
    assert inside.secrets.feed_key not in shown
