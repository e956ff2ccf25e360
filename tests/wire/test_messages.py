"""Messages of a stream: what goes in comes out, and nothing else that comes breaks anything."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.wire.deployment import SessionCounts
from collector.wire.inventory import InventoryKind, Item, TelemetryIntake, TelemetryServer, TelemetryUse
from collector.wire.messages import UnknownVersion, Unreadable, message, parcel, records_of
from collector.wire.records import (
    AgentReport,
    CspIntake,
    CspReport,
    DropReason,
    NoiseClass,
    OtherReport,
    Record,
    Sample,
    Script,
    Workspace,
    WorkspaceBuild,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.integers(0, 2**62)
RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        CspIntake,
        project_id=NUMBER,
        deployment=TEXT,
        received_at=NUMBER,
        reports=st.lists(
            st.builds(
                CspReport,
                effective_directive=st.none() | TEXT,
                blocked_kind=TEXT,
                blocked_origin=st.none() | TEXT,
                blocked_key=TEXT,
                document_origin=st.none() | TEXT,
                disposition=st.sampled_from(["enforce", "report", None]),
                noise_class=st.none() | st.sampled_from(NoiseClass),
                noise_rule=st.none() | TEXT,
                place=TEXT,
                sample=st.builds(Sample, document_uri=st.none() | TEXT, line_number=st.none() | NUMBER),
                policy_allows=st.booleans(),
            ),
            max_size=3,
        ).map(tuple),
        fingerprints=st.lists(TEXT, max_size=3).map(tuple),
        ages=st.lists(NUMBER, max_size=3).map(tuple),
        drops=st.lists(st.tuples(st.sampled_from(DropReason), NUMBER), max_size=2).map(tuple),
        others=st.lists(
            st.builds(
                OtherReport,
                type=TEXT,
                age_ms=NUMBER,
                document_uri=st.none() | TEXT,
                document_origin=st.none(),
                user_agent=st.none() | TEXT,
                fields=st.lists(st.tuples(TEXT, TEXT | NUMBER | st.booleans() | st.floats(allow_nan=False)), max_size=2).map(
                    tuple
                ),
                about=TEXT,
                script=st.none() | st.builds(Script, st.none() | TEXT, st.none() | TEXT, TEXT, TEXT, TEXT),
            ),
            max_size=2,
        ).map(tuple),
        client=st.none() | st.integers(0, 2**64 - 1),
    ),
    st.builds(
        Workspace,
        deployment=TEXT,
        received_at=NUMBER,
        id=TEXT,
        name=TEXT,
        owner_id=TEXT,
        template_id=TEXT,
        deleted=st.booleans(),
        latest_build=st.none() | st.builds(WorkspaceBuild, build_number=NUMBER, transition=TEXT, job_error=st.none() | TEXT),
    ),
)
AGENT = AgentReport("d", 1, "a", "w", "u", "t", "id", None, "main", None, None, None, 3, -1.0, *range(4), *range(4))
SERVER = TelemetryServer("d", 1, "m", "v2.31.0", None, None, None, None, None, False, 4, 2**34, None, None)
TELEMETRY = TelemetryIntake(
    "d",
    1,
    full=True,
    items=(Item(InventoryKind.USER, "u", 1, None, "u", '{"status":"active"}'),),
    complete=frozenset({InventoryKind.USER, InventoryKind.WORKSPACE}),
    horizon=2,
    builds=(),
    jobs=(),
    transitions=(("j", "start"),),
    use=TelemetryUse(0, 1, 2, -1.0, -1.0, SessionCounts(1, 2, 3, 4)),
)


@given(st.lists(RECORDS, max_size=4))
def test_records_come_through(given_: list[Record]) -> None:
    """Those of one kind in their order, whatever is in them."""
    found = records_of(message([parcel(given_)]))
    for kind in (CspIntake, Workspace):
        assert [each for each in found if isinstance(each, kind)] == [each for each in given_ if isinstance(each, kind)]
    assert len(found) == len(given_)


def test_every_kind_comes_through_beside_others() -> None:
    """A message of several submissions holds what all of them brought."""
    assert records_of(message([parcel([AGENT, SERVER]), parcel([TELEMETRY]), parcel([])])) == [AGENT, SERVER, TELEMETRY]


@given(st.binary(max_size=200))
def test_bytes_that_nobody_wrote_are_told_apart(content: bytes) -> None:
    """They are refused by name, whatever they are."""
    try:
        assert isinstance(records_of(content), list)
    except (Unreadable, UnknownVersion):
        return


@given(st.data())
def test_a_damaged_message_is_told_apart(data: st.DataObject) -> None:
    """A byte that has changed gives other records or a refusal, and never another error."""
    content = bytearray(message([parcel([AGENT, TELEMETRY])]))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(records_of(bytes(content)), list)
    except (Unreadable, UnknownVersion):
        return


def test_a_newer_message_waits_for_a_newer_program() -> None:
    """Its version is looked at before what it brings."""
    with pytest.raises(UnknownVersion):
        records_of(msgspec.msgpack.encode([2, []]))


def test_a_field_of_a_newer_program_is_passed_over() -> None:
    """A record with one more field is still that record."""
    older = msgspec.msgpack.decode(parcel([AGENT]))
    older["agents"][0]["brand_new"] = 7
    assert records_of(message([msgspec.msgpack.encode(older)])) == [AGENT]
