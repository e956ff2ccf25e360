"""Whatever is posted as telemetry or as an agent's report becomes records or one of the named refusals."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.normalize.agentstats import own_report
from collector.normalize.identity import Identities, UserIdentity
from collector.normalize.telemetry import telemetry_server, telemetry_snapshot
from collector.persist.engine import Store
from collector.persist.telemetry import store as store_telemetry
from collector.persist.telemetry import store_servers
from collector.rollup.agentmetrics import AgentMetrics
from collector.rollup.telemetry import telemetry_state
from collector.wire.errors import InvalidReport
from collector.wire.fields import INT64_MAX
from collector.wire.identity import Agent
from collector.wire.inventory import TelemetryIntake
from tests import messages
from tests.examples import examples

NOW = 1_768_903_200_000
AGENT = Agent("a", "d", "w", "u", "t")
IDENTITIES = Identities(UserIdentity.PSEUDONYM, b"s" * 32)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
WHOLE = json.loads(messages.full_snapshot())
HOST = json.loads(messages.deployment())
OWN = {"connections_by_proto": {"TCP": 1}, "rx_bytes": 5, "metrics": [{"name": "a", "type": "gauge", "value": 1.5}]}


@st.composite
def mutated(draw: st.DrawFn, original: dict[str, Any]) -> bytes:
    """``original`` with anything at up to four places."""
    message = json.loads(json.dumps(original))
    for _ in range(draw(st.integers(0, 4))):
        place: Any = message
        key: Any = draw(st.sampled_from(sorted(place)))
        while isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
            place = place[key]
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        place[key] = draw(JSON)
    return json.dumps(message).encode("utf-8", "surrogatepass")


def taken(body: bytes) -> TelemetryIntake | None:
    """The record made of ``body``; None when it is refused."""
    try:
        return telemetry_snapshot(body, received_at=NOW, identities=IDENTITIES).intake
    except InvalidReport:
        return None


@given(st.binary(max_size=200) | mutated(WHOLE))
@settings(max_examples=examples(150), deadline=None)
def test_any_snapshot_is_judged(body: bytes) -> None:
    """No body raises anything else, and what is made of one holds storable numbers and nothing private."""
    intake = taken(body)
    if intake is None:
        return
    assert intake.use is None or 0 <= intake.use.rx_bytes <= INT64_MAX
    kept = msgspec.json.encode(intake)
    if all(secret.encode() in body for secret in messages.PRIVATE):
        assert not any(secret.encode() in kept for secret in messages.PRIVATE)


@given(st.binary(max_size=200) | mutated(HOST))
@settings(max_examples=examples(100), deadline=None)
def test_any_deployment_is_judged(body: bytes) -> None:
    """The same for what describes a server."""
    try:
        server = telemetry_server(body, received_at=NOW, version="v2\x00\n")
    except InvalidReport:
        return
    assert 0 <= server.memory_total <= INT64_MAX


@given(st.binary(max_size=200) | mutated(OWN))
@settings(max_examples=examples(150), deadline=None)
def test_any_own_report_is_judged(body: bytes) -> None:
    """The same for what an agent posts of itself; its metrics are taken or counted as dropped."""
    try:
        _, metrics = own_report(body, AGENT, received_at=NOW)
    except InvalidReport:
        return
    kept = AgentMetrics()
    kept.put(AGENT, metrics, now=NOW)
    assert all(series.type in ("counter", "gauge") for _, of in kept.current(NOW) for series in of)


def test_depth_is_no_danger() -> None:
    """A body nested without end is refused."""
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000

    assert taken(b'{"deployment_id": "d", "users": [' + deep + b"]}") is None


async def test_the_store_takes_what_is_made(store: Store) -> None:
    """Extreme but valid messages are stored and summed up on both databases."""
    extreme = messages.full_snapshot(
        workspace_agent_stats=[messages.agent_use(n, rx_bytes=INT64_MAX) for n in range(3)],
        workspaces=[messages.workspace(1, name="\x00 \ud800 \U0001f600" * 100), messages.workspace(1)],
        workspace_build=[messages.build(1, build_number=INT64_MAX), messages.build(1, build_number=INT64_MAX)],
        provisioner_jobs=[messages.job(1, updated_at="9999-12-31T23:59:59Z", started_at="0001-01-01T00:00:00Z")] * 2,
    )
    intake = taken(extreme)
    server = telemetry_server(messages.deployment(memory_total=2**64 - 1), received_at=NOW, version="")
    assert intake is not None

    await store.transact(lambda connection: store_telemetry(connection, [intake, intake]))
    await store.transact(lambda connection: store_servers(connection, [server, server]))
    found = await store.read(lambda connection: telemetry_state(connection, messages.DEPLOYMENT, now=NOW))

    assert found is not None
    assert found.agents.rx_bytes == INT64_MAX
    assert found.workspaces.pending == 1
