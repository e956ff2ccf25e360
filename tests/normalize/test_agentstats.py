"""Agent reports: bodies of POST /ingest/agent-stats."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.normalize.agentstats import agent_reports
from collector.persist import agentstats
from collector.persist.engine import Store
from collector.wire.errors import InvalidReport, TooLarge
from collector.wire.records import AgentReport
from tests.examples import examples

NOW = 1_768_384_800_000

STATS: dict[str, Any] = {
    "connections_by_proto": {"TCP": 2, "UDP": 1},
    "connection_count": 3,
    "connection_median_latency_ms": 31.25,
    "rx_packets": 18,
    "rx_bytes": 4096,
    "tx_packets": 44,
    "tx_bytes": 70000,
    "session_count_vscode": 2,
    "session_count_jetbrains": 1,
    "session_count_reconnecting_pty": 3,
    "session_count_ssh": 4,
    "metrics": [{"name": "magicsock_send_udp", "type": "counter", "value": 18, "labels": [{"name": "peer", "value": "p2p"}]}],
}
ROW: dict[str, Any] = {
    "agent_id": "agent-1",
    "workspace_id": "workspace-1",
    "user_id": "user-1",
    "template_id": "template-1",
    "id": "report-1",
    "collected_at": "2026-01-14T09:59:58.123456789Z",
    "agent_name": "main",
    "workspace_name": "billing",
    "username": "grace",
    "template_name": "docker",
    "stats": STATS,
}


def judged(*rows: Any) -> tuple[list[tuple[int, AgentReport]], list[tuple[int, str]]]:
    """What becomes of a body of ``rows``."""
    reports, refusals = agent_reports(json.dumps(rows).encode(), deployment="d", received_at=NOW)
    return reports, [(refusal.index, refusal.error) for refusal in refusals]


def taken(row: Any) -> AgentReport:
    """The report made of the one ``row``."""
    reports, refusals = judged(row)
    assert refusals == []
    return reports[0][1]


def refused(**changes: Any) -> str:
    """Why a row with ``changes`` is not taken; those of its stats are given as ``stats``."""
    reports, refusals = judged(ROW | changes)
    assert reports == []
    return refusals[0][1]


def test_a_whole_report() -> None:
    """Every field of a row as an agent sends it lands in its place."""
    assert taken(ROW) == AgentReport(
        deployment="d",
        received_at=NOW,
        agent_id="agent-1",
        workspace_id="workspace-1",
        user_id="user-1",
        template_id="template-1",
        report_id="report-1",
        collected_at=1_768_384_798_123,
        agent_name="main",
        workspace_name="billing",
        username="grace",
        template_name="docker",
        connection_count=3,
        connection_median_latency_ms=31.25,
        rx_packets=18,
        rx_bytes=4096,
        tx_packets=44,
        tx_bytes=70000,
        session_count_vscode=2,
        session_count_jetbrains=1,
        session_count_reconnecting_pty=3,
        session_count_ssh=4,
    )


def test_what_may_be_left_out() -> None:
    """Names, id and time are optional; a number left out is 0 and a latency left out is none, as in Go."""
    required = {key: ROW[key] for key in ("agent_id", "workspace_id", "user_id", "template_id")}
    report = taken(required | {"stats": {}, "flavour": "unknown keys are ignored"})

    assert (report.report_id, report.collected_at, report.agent_name, report.template_name) == (None, None, None, None)
    assert (report.rx_bytes, report.session_count_ssh, report.connection_median_latency_ms) == (0, 0, -1.0)


def test_rows_are_judged_one_by_one() -> None:
    """A wrong row is refused under its own index and takes no other with it."""
    reports, refusals = judged(ROW, 7, ROW | {"agent_id": ""}, ROW | {"id": "report-2"})

    assert [(index, report.report_id) for index, report in reports] == [(0, "report-1"), (3, "report-2")]
    assert [index for index, _ in refusals] == [1, 2]


@pytest.mark.parametrize("field", [name for name, value in STATS.items() if isinstance(value, int)])
def test_a_negative_count_is_refused_by_name(field: str) -> None:
    """No count or sum of bytes lies below zero, and 2**63 - 1 is the most a client can read."""
    assert refused(stats=STATS | {field: -1}).startswith(f"stats.{field}: ")
    assert refused(stats=STATS | {field: 2**63}).startswith(f"stats.{field}: ")
    assert taken(ROW | {"stats": STATS | {field: 2**63 - 1}})


@pytest.mark.parametrize("field", ["agent_id", "workspace_id", "user_id", "template_id", "id"])
@pytest.mark.parametrize("value", ["", "x" * 257, "a\x00b", "line\n", 12, ["a"]])
def test_an_id_that_is_none_is_refused_by_name(field: str, value: Any) -> None:
    """Ids are text of 1 to 256 characters without control characters; they are never mended into another one's id."""
    assert refused(**{field: value}).startswith(f"{field}: ")


@pytest.mark.parametrize("value", ["a\x00b", "line\n", "\x9f"])
def test_a_control_character_in_an_id_is_called_so(value: str) -> None:
    """The reason is in words, without the expression that ids are matched with."""
    assert refused(agent_id=value) == "agent_id: must not hold control characters"


def test_a_missing_field_is_named() -> None:
    """Whoever forgot a field reads which one."""
    assert "`stats`" in judged({key: value for key, value in ROW.items() if key != "stats"})[1][0][1]
    assert "`agent_id`" in judged({key: value for key, value in ROW.items() if key != "agent_id"})[1][0][1]


@pytest.mark.parametrize("latency", [-0.001, -1, 0, 0.25, 12, 1e300])
def test_any_finite_latency_is_taken(latency: float) -> None:
    """An idle agent sends -0.001."""
    assert taken(ROW | {"stats": STATS | {"connection_median_latency_ms": latency}}).connection_median_latency_ms == latency


@pytest.mark.parametrize("latency", [b"1e999", b'"nan"', b'"inf"', b"true", b"null"])
def test_a_latency_that_is_no_number_is_refused_by_name(latency: bytes) -> None:
    """Infinity in all its spellings would spoil every percentile."""
    body = json.dumps([ROW]).encode().replace(b"31.25", latency)
    reports, refusals = agent_reports(body, deployment="d", received_at=NOW)

    assert reports == []
    assert refusals[0].error.startswith("stats.connection_median_latency_ms: ")


@pytest.mark.parametrize(
    ("sent", "milliseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-14T10:00:00.999999Z", NOW + 999),
        ("2026-01-14T11:30:00.5+01:30", NOW + 500),
        ("0001-01-01T00:00:00Z", None),  # Go's zero time
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", 253_402_300_799_999),
    ],
)
def test_times(sent: str, milliseconds: int | None) -> None:
    """RFC 3339 becomes milliseconds, rounded down; what Go writes for "no time" is none."""
    assert taken(ROW | {"collected_at": sent}).collected_at == milliseconds


@pytest.mark.parametrize("sent", ["2026-01-14", "2026-01-14T10:00:00", "yesterday", "", NOW])
def test_a_time_that_is_none_is_refused_by_name(sent: Any) -> None:
    """A time without an offset could be any of 38."""
    assert refused(collected_at=sent).startswith("collected_at: ")


def test_names_are_made_fit_to_print() -> None:
    """Control characters and length are nothing a name is refused for."""
    report = taken(
        ROW | {"agent_name": " ma\x00\x1b[31min\n", "workspace_name": "w" * 1000, "username": "\n", "template_name": ""}
    )

    assert (report.agent_name, report.workspace_name) == ("ma [31min", "w" * 256)
    assert (report.username, report.template_name) == (None, None)


def test_half_a_surrogate_spoils_nothing() -> None:
    """Python and JavaScript send lone surrogates as escapes; the rows around them, and whole pairs, stay what they are."""
    names = ["\ud83d", "\ude00 x", "😀", "\\ud83d", "\ud83d\ud83d\ude00"]
    reports, refusals = judged(*(ROW | {"agent_name": name} for name in names))

    assert refusals == []
    assert [report.agent_name for _, report in reports] == ["\ufffd", "\ufffd x", "😀", "\\ud83d", "\ufffd😀"]


def test_text_that_is_not_utf8_is_refused_alone() -> None:
    """Bytes that are no text cost their own row only."""
    body = json.dumps([ROW, ROW | {"agent_name": "@"}]).encode().replace(b"@", b"\xff")
    reports, refusals = agent_reports(body, deployment="d", received_at=NOW)

    assert [index for index, _ in reports] == [0]
    assert [refusal.index for refusal in refusals] == [1]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"[", b"[1] x", b"[nope]", b'"x"', b"\xff", b"[" * 100_000 + b"]" * 100_000]
)
def test_a_body_that_is_no_array_is_invalid(body: bytes) -> None:
    """There is nothing to judge row by row."""
    with pytest.raises(InvalidReport):
        agent_reports(body, deployment="d", received_at=NOW)


def test_ten_thousand_rows_are_the_most() -> None:
    """An empty array is fine, 10,000 rows are, one more is too large."""
    assert judged() == ([], [])
    assert len(judged(*[ROW] * 10_000)[0]) == 10_000
    with pytest.raises(TooLarge):
        judged(*[ROW] * 10_001)


FLOAT = st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FLOAT | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NUMBER = st.integers(-1, 2**63) | ANYTHING
TEXT = st.text(st.characters(), max_size=300) | ANYTHING
ROWS = ANYTHING | st.fixed_dictionaries(
    {key: st.just(ROW[key]) | TEXT for key in ("agent_id", "workspace_id", "user_id", "template_id")},
    optional=dict.fromkeys(("id", "agent_name", "workspace_name", "username", "template_name"), TEXT)
    | {"collected_at": st.datetimes().map(lambda moment: f"{moment.isoformat()}+14:00") | TEXT},
).flatmap(
    lambda row: st.fixed_dictionaries({}, optional=dict.fromkeys(STATS, NUMBER) | {"connection_median_latency_ms": FLOAT}).map(
        lambda stats: row | {"stats": stats}
    )
)


@given(body=st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_only_two_errors_escape(body: bytes) -> None:
    """Whatever arrives, the door can answer it."""
    with contextlib.suppress(InvalidReport, TooLarge):
        agent_reports(body, deployment="d", received_at=NOW)


@given(rows=st.lists(ROWS, max_size=4))
def test_no_row_is_lost(rows: list[Any]) -> None:
    """Every row is a report, or a refusal with a reason."""
    reports, refusals = judged(*rows)

    assert sorted(index for index, _ in [*reports, *refusals]) == list(range(len(rows)))
    assert all(error for _, error in refusals)


@given(rows=st.lists(ROWS, min_size=1, max_size=10))
@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_report_stores(store: Store, rows: list[Any]) -> None:
    """No report that was accepted here is one that a database refuses."""
    reports, _ = judged(*rows)
    await store.transact(lambda connection: agentstats.store(connection, [report for _, report in reports]))
