"""Who somebody is, when records are older than an erasure."""

from __future__ import annotations

from collector.normalize.identity import NOBODY, Identities, UserIdentity
from collector.normalize.telemetry import telemetry_snapshot
from collector.wire.inventory import InventoryKind
from tests import messages
from tests.records import agent_report, workspace

SECRET = b"x" * 32


def test_a_record_from_before_an_erasure_forgets_the_user() -> None:
    """Its own state goes from telemetry, and what else names it stays as nobody's; others keep what is theirs."""
    before = Identities(UserIdentity.PLAIN, SECRET)
    snapshot = telemetry_snapshot(messages.full_snapshot(), received_at=1, identities=before).intake
    assert any(item.user_id == messages.OWNER for item in snapshot.items)
    since = Identities(UserIdentity.PLAIN, SECRET)
    since.erased = frozenset({since.mark(messages.OWNER)})

    items = since.forgotten(snapshot).items
    assert {item.user_id for item in items} == {None}
    assert [item for item in items if item.kind is InventoryKind.USER] == []
    assert len(items) == sum(item.kind is not InventoryKind.USER for item in snapshot.items)
    report = since.forgotten(agent_report(user_id=messages.OWNER, username="ada"))
    assert (report.user_id, report.username) == (NOBODY, None)
    assert since.forgotten(workspace(owner_id=messages.OWNER)).owner_id == NOBODY
    assert since.forgotten(agent_report()) == agent_report()


def test_a_pseudonym_is_forgotten_too() -> None:
    """What was stored under one is erased by its own mark."""
    identities = Identities(UserIdentity.PSEUDONYM, SECRET)
    made = identities.applied(agent_report())
    identities.erased = frozenset({identities.mark(identities.pseudonym(str(agent_report().user_id)))})
    assert identities.forgotten(made).user_id == NOBODY
