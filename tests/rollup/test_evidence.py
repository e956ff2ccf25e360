"""What a violation was seen with, from the reports of batches to the evidence that a policy is built from."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from collector.normalize.csp import arrived
from collector.normalize.fingerprint import fingerprint
from collector.persist.csp import CspRows
from collector.persist.csp_facets import POLICY, VALUES_PER_KIND, path_prefix
from collector.persist.csp_policies import POLICIES_PER_PROJECT
from collector.persist.engine import Store
from collector.persist.sketch import mark
from collector.persist.tables import csp_policies, violation_facets
from collector.rollup.evidence import evidence
from collector.wire.errors import NotFound
from collector.wire.records import CspIntake
from tests.rollup.rows import NOW, add_project

HOUR, DAY = 3_600_000, 86_400_000
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} Safari/537.36"


class FaultError(Exception):
    """A store that fails."""


def intake(at: int = NOW, client: int | None = None, browser: int = 120, fields: dict[str, str] | None = None) -> CspIntake:
    """What one legacy report of a blocked script brings."""
    sent = {
        "document-uri": "https://shop.example/cart?session=1",
        "effective-directive": "script-src-elem",
        "original-policy": "default-src 'self'; report-uri /r",
        "disposition": "enforce",
        "blocked-uri": "https://cdn.example/lib/jquery/3.6/jquery.js?v=1",
        **(fields or {}),
    }
    brought = arrived(msgspec.json.encode({"csp-report": sent}), user_agent=CHROME.format(browser))
    names = tuple(fingerprint("shop", report.group) for report in brought.reports)
    return CspIntake(1, "d", at, brought.reports, names, client=client)


async def take(store: Store, rows: CspRows, *intakes: CspIntake, flush: bool = True) -> None:
    """Store one batch, and what follows at a distance."""
    await store.transact(lambda connection: rows.store(connection, intakes))
    rows.ended(whole=True)
    if flush:
        await rows.flush(store.transact)


async def start(store: Store) -> CspRows:
    await store.transact(add_project)
    return CspRows()


async def only(store: Store) -> Any:
    (found,) = await store.read(lambda connection: evidence(connection, "shop"))
    return found


async def test_everything_a_policy_is_built_from(store: Store) -> None:
    """The evidence names counts by disposition, documents, browsers, path prefixes, clients, days and policies."""
    rows = await start(store)
    await take(store, rows, intake(client=1 << 6 | 3), intake(client=2 << 6 | 1, browser=121), intake(client=1 << 6 | 3))
    later = NOW + DAY
    changed = {"original-policy": "img-src 'none'", "disposition": "report", "document-uri": "https://shop.example/pay"}
    await take(store, rows, intake(later, client=5 << 6 | 1, fields=changed))
    found = await only(store)

    assert (found.enforce, found.report, found.unknown, found.count) == (3, 1, 0, 4)
    assert (found.effective_directive, found.blocked_kind, found.blocked_key) == (
        "script-src-elem",
        "origin",
        "https://cdn.example",
    )
    assert [(each.value, each.count) for each in found.documents] == [
        ("https://shop.example/cart", 3),
        ("https://shop.example/pay", 1),
    ]
    assert [(each.value, each.count) for each in found.browsers] == [("Chrome 120", 3), ("Chrome 121", 1)]
    assert [(each.value, each.count) for each in found.paths] == [("/lib/jquery/3.6/", 4)]
    assert (found.days, found.clients) == (2, 2)
    newest, oldest = found.policies
    assert (newest.text, newest.count, newest.first_seen) == ("img-src 'none'", 1, later)
    assert (oldest.text, oldest.count, oldest.first_seen, oldest.last_seen) == ("default-src 'self'", 3, NOW, NOW)


async def test_a_new_value_is_there_with_its_report(store: Store) -> None:
    """What was not seen before is stored with the batch; only the counts of what is known follow later."""
    rows = await start(store)
    await take(store, rows, intake(), flush=False)
    await take(store, rows, intake(browser=99, client=1), intake(), flush=False)
    found = await only(store)

    assert sorted((each.value, each.count) for each in found.browsers) == [("Chrome 120", 1), ("Chrome 99", 1)]
    assert ([each.count for each in found.documents], found.clients, found.count) == ([2], 1, 3)
    await rows.flush(store.transact)
    assert [each.count for each in (await only(store)).documents] == [3]


async def test_facets_are_bounded_and_add_up(store: Store) -> None:
    """Past the bound values are counted as others, so that each kind adds up to all reports; after a restart too."""
    rows = await start(store)
    pages = 3 * VALUES_PER_KIND
    for number in range(pages):
        await take(store, rows, intake(fields={"document-uri": f"https://shop.example/{number}"}))
    rows = CspRows()
    await take(store, rows, intake(fields={"document-uri": "https://shop.example/one-more"}))
    found = await only(store)

    assert len(found.documents) == VALUES_PER_KIND + 1
    assert (found.documents[0].value, found.documents[0].count) == ("", pages - VALUES_PER_KIND + 1)
    assert sum(each.count for each in found.documents) == pages + 1


async def test_a_value_that_stays_away_makes_room(store: Store) -> None:
    """Values that somebody filled the places with give way after an hour, and are counted among the others."""
    rows = await start(store)
    for number in range(VALUES_PER_KIND):
        await take(store, rows, intake(fields={"document-uri": f"https://shop.example/junk-{number}"}), flush=number % 2 == 0)
    await take(store, rows, intake(NOW + 2 * HOUR), intake(NOW + 2 * HOUR))
    found = await only(store)

    assert ("https://shop.example/cart", 2) in [(each.value, each.count) for each in found.documents]
    assert len(found.documents) == VALUES_PER_KIND + 1
    assert sum(each.count for each in found.documents) == found.count


async def test_a_value_without_a_place_finds_one_later(store: Store) -> None:
    """What came too late for a place, and goes on coming, has one as soon as another stays away."""
    rows = await start(store)
    for number in range(VALUES_PER_KIND):
        await take(store, rows, intake(fields={"document-uri": f"https://shop.example/junk-{number}"}))
    for hour in range(3):
        await take(store, rows, intake(NOW + hour * HOUR), intake(NOW + hour * HOUR))
    found = await only(store)

    assert ("https://shop.example/cart", 4) in [(each.value, each.count) for each in found.documents]
    assert sum(each.count for each in found.documents) == found.count == VALUES_PER_KIND + 6


async def test_what_was_rolled_back_is_not_counted(store: Store) -> None:
    """A batch that fails and is stored again counts once, its values, its policy and its client too."""
    rows = await start(store)
    await take(store, rows, intake())

    def fail(connection: Connection) -> None:
        rows.store(connection, [intake(browser=99, client=7, fields={"original-policy": "img-src a.example"})])
        raise FaultError

    with pytest.raises(FaultError):
        await store.transact(fail)
    rows.ended(whole=False)
    await take(store, rows, intake(browser=99, client=7, fields={"original-policy": "img-src a.example"}))
    found = await only(store)

    assert sorted((each.value, each.count) for each in found.browsers) == [("Chrome 120", 1), ("Chrome 99", 1)]
    assert ([each.count for each in found.documents], found.clients) == ([2], 1)
    assert {each.text for each in found.policies} == {"default-src 'self'", "img-src a.example"}


async def test_a_flush_that_fails_is_made_up_for(store: Store) -> None:
    """Counters that could not be written wait for the next flush, and none is written twice."""
    rows = await start(store)
    await take(store, rows, intake())
    await take(store, rows, intake(), flush=False)

    async def broken(_work: object) -> None:
        raise FaultError

    with pytest.raises(FaultError):
        await rows.flush(broken)
    await take(store, rows, intake())
    assert [each.count for each in (await only(store)).documents] == [3]


async def test_policies_of_a_project_are_bounded(store: Store) -> None:
    """Whoever invents policies finds a project's places taken; a day later the oldest gives way."""
    rows = await start(store)
    batch = [
        intake(fields={"original-policy": f"img-src host-{number}.example", "blocked-uri": f"https://h{number // 20}.example/"})
        for number in range(POLICIES_PER_PROJECT + 20)
    ]
    await take(store, rows, *batch)

    def stored(connection: Connection) -> tuple[int, int]:
        facets = violation_facets.c
        of_policies = select(func.sum(facets.count)).where(facets.kind == POLICY)
        return connection.scalar(select(func.count()).select_from(csp_policies)) or 0, connection.scalar(of_policies) or 0

    assert await store.read(stored) == (POLICIES_PER_PROJECT, POLICIES_PER_PROJECT + 20)
    await take(store, rows, intake(NOW + 2 * DAY, fields={"original-policy": "img-src new.example"}))
    texts = await store.read(lambda connection: set(connection.scalars(select(csp_policies.c.text))))
    assert len(texts) == POLICIES_PER_PROJECT
    assert "img-src new.example" in texts


async def test_one_sender_on_many_days_is_one_client(store: Store) -> None:
    """The clients of a violation are those of its best day: thirty days of one sender stay one, a crowd is estimated."""
    rows = await start(store)
    for day in range(30):
        digest = hashlib.blake2b(b"%d" % day, digest_size=8).digest()
        await take(store, rows, intake(NOW + day * DAY, client=mark(digest)))
    assert (await only(store)).clients == 1

    crowd = [mark(hashlib.blake2b(b"who %d" % number, digest_size=8).digest()) for number in range(3_000)]
    await take(store, rows, *[intake(NOW + 30 * DAY, client=client) for client in crowd])
    assert (await only(store)).clients == pytest.approx(3_000, rel=0.2)
    await take(store, rows, intake(NOW + 31 * DAY, client=crowd[0]))
    assert (await only(store)).clients > 2_000


async def test_two_processes_count_a_client_once(store: Store) -> None:
    """Sketches of one day from two processes are merged, not overwritten."""
    one, other = await start(store), CspRows()
    clients = [mark(hashlib.blake2b(b"who %d" % number, digest_size=8).digest()) for number in range(100)]
    await take(store, one, *[intake(client=client) for client in clients[:60]])
    await take(store, other, *[intake(client=client) for client in clients[40:]])
    assert (await only(store)).clients == pytest.approx(100, rel=0.2)


async def test_noise_is_no_evidence(store: Store) -> None:
    """What an extension caused is left out, and an unknown project is refused."""
    rows = await start(store)
    await take(store, rows, intake(fields={"source-file": "chrome-extension://abcdefghijklmnopabcdefghijklmnop/x.js"}))
    assert await store.read(lambda connection: evidence(connection, "shop")) == []
    with pytest.raises(NotFound):
        await store.read(lambda connection: evidence(connection, "nobody's"))


@pytest.mark.parametrize(
    ("uri", "prefix"),
    [
        ("https://cdn.example", "/"),
        ("https://cdn.example/", "/"),
        ("https://cdn.example/widget.js", "/widget.js"),
        ("https://cdn.example/a/b/c.js", "/a/b/c.js"),
        ("https://cdn.example/a/b/c/d.js", "/a/b/c/"),
        ("https://cdn.example/" + "a" * 400, "/"),
    ],
)
def test_a_path_is_kept_to_three_segments(uri: str, prefix: str) -> None:
    """A path is kept as a source could name it; one that was cut ends with a slash."""
    assert path_prefix(uri) == prefix
