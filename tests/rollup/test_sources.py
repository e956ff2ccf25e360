"""What the stats of a deployment are made from, and which deployment answers when nobody names one."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest
from sqlalchemy import Connection

from collector.normalize.identity import Identities, UserIdentity
from collector.normalize.telemetry import telemetry_snapshot
from collector.persist import telemetry, workspaces
from collector.persist.deployments import note_deployment
from collector.persist.engine import Store
from collector.rollup.snapshot import Snapshots, keep
from collector.rollup.sources import last_success, note_success, sources_in_all
from collector.rollup.sources import sources as listed_sources
from collector.wire.deployment import Source
from tests import messages
from tests.records import NOW, workspace
from tests.rollup.test_snapshot import SNAPSHOT
from tests.rollup.turned import turns_on

OWN = "0d9d2b1c-0000-4bb8-a6a3-1f2f3b9a7c11"
OTHER = messages.DEPLOYMENT
INTERVAL_MS = 60_000


def reports(connection: Connection, deployment: str = OTHER) -> None:
    """A workspace that reported here."""
    workspaces.store(connection, [workspace(deployment=deployment)])


def telemetry_of(connection: Connection) -> None:
    """A message of the other deployment."""
    identities = Identities(UserIdentity.PLAIN, b"s" * 32)
    judged = telemetry_snapshot(messages.full_snapshot(), received_at=NOW, identities=identities)
    telemetry.store(connection, [judged.intake])


def polled(connection: Connection, ago: int = 0) -> None:
    """A snapshot of the other deployment that polling stored some time ago."""
    at = NOW - ago
    times = {"aggregated_from": at - 900_000, "collected_at": at, "next_update_at": at + INTERVAL_MS}
    snapshot = msgspec.structs.replace(SNAPSHOT, deployment=OTHER, source=Source.UPSTREAM, **times)
    keep(connection, snapshot, at=at)


async def found(store: Store, sources: dict[str, Source] | None = None) -> Snapshots:
    """The snapshots after a rollup."""
    snapshots = Snapshots(said=sources or {})
    await turns_on(store, snapshots, own=OWN, now=NOW).refresh()
    return snapshots


async def test_auto_prefers_the_exact(store: Store) -> None:
    """Telemetry answers until there are reports, and those until the server itself is polled."""
    for bring, expected in ((telemetry_of, "telemetry"), (reports, "reports"), (partial(polled, ago=1), "upstream")):
        await store.transact(bring)
        assert (await found(store)).of[OTHER].source == expected


@pytest.mark.parametrize(("ago", "expected"), [(2 * INTERVAL_MS, "upstream"), (2 * INTERVAL_MS + 1, "telemetry")])
async def test_what_was_polled_long_ago_no_longer_answers(store: Store, ago: int, expected: str) -> None:
    """Two intervals after the last poll the next best source takes over."""
    await store.transact(telemetry_of)
    await store.transact(lambda connection: polled(connection, ago))

    assert (await found(store)).of[OTHER].source == expected


@pytest.mark.parametrize("source", list(Source))
async def test_a_source_can_be_said(store: Store, source: Source) -> None:
    """The source that an operator names is taken, however good the others are."""
    for bring in (telemetry_of, reports):
        await store.transact(bring)
    await store.transact(lambda connection: polled(connection, 40 * INTERVAL_MS))

    assert (await found(store, {OTHER: source})).of[OTHER].source is source


async def test_a_source_without_anything_has_no_snapshot(store: Store) -> None:
    """A deployment whose named source has nothing gets no numbers of another."""
    await store.transact(reports)

    assert OTHER not in (await found(store, {OTHER: Source.TELEMETRY})).of


async def test_a_deployment_without_numbers_answers_for_nobody(store: Store) -> None:
    """One that is only known by its name has no snapshot, and the collector's own goes on answering."""
    await store.transact(lambda connection: note_deployment(connection, OTHER, now=NOW))

    assert (await found(store)).current == (await found(store)).of[OWN]
    assert OTHER not in (await found(store)).of


async def test_the_last_poll_answers_when_nothing_else_can(store: Store) -> None:
    """A deployment that is only polled keeps its last snapshot, with the time it is of, while its server is away."""
    await store.transact(lambda connection: polled(connection, 40 * 86_400_000))

    assert (await found(store)).of[OTHER].collected_at == NOW - 40 * 86_400_000


async def test_what_polling_stored_is_not_stored_again(store: Store) -> None:
    """A rollup leaves the snapshots of polling as they are."""
    await store.transact(polled)

    assert (await found(store)).of[OTHER].collected_at == NOW
    assert (await found(store)).of[OTHER].workspaces == SNAPSHOT.workspaces


async def test_a_source_is_alive_while_another_is_shown(store: Store) -> None:
    """Reports that are there do not look silent because polling, which is more exact, is what is shown."""
    for bring in (reports, polled):
        await store.transact(bring)

    assert (await found(store)).of[OTHER].source is Source.UPSTREAM
    assert await store.read(lambda connection: last_success(connection, OTHER, Source.REPORTS)) == NOW


async def test_the_default(store: Store) -> None:
    """Its own without any other, then the only other, and its own for good once it has reports."""
    assert (await found(store)).current == (await found(store)).of[OWN]
    await store.transact(telemetry_of)
    assert (await found(store)).current == (await found(store)).of[OTHER]
    await store.transact(lambda connection: reports(connection, "third"))
    assert (await found(store)).current == (await found(store)).of[OWN]
    await store.transact(lambda connection: reports(connection, OWN))
    assert (await found(store)).current == (await found(store)).of[OWN]


async def test_all_sources_are_counted(store: Store) -> None:
    """Those that are listed were heard of last, in an order that does not change; and how many there are is known."""

    def work(connection: Connection) -> None:
        for number in range(5):
            note_success(connection, f"d{number}", Source.REPORTS, at=NOW + 1 + number // 4)
        telemetry_of(connection)

    await store.transact(work)
    listed, in_all = await store.read(lambda connection: (listed_sources(connection, 3), sources_in_all(connection)))
    assert [source.deployment for source in listed] == ["d4", "d0", "d1"]
    assert in_all == 6
