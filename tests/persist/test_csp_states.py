"""What was decided about a violation holds until the site changes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from collector.normalize.csp import arrived
from collector.normalize.fingerprint import fingerprint
from collector.persist.csp import CspRows
from collector.persist.csp_facets import VALUES_PER_KIND
from collector.persist.csp_states import create_ignore_rule, delete_ignore_rule, list_ignore_rules, set_state
from collector.persist.engine import Store
from collector.persist.tables import violation_audit, violations
from collector.wire.errors import InvalidInput, NotFound
from collector.wire.records import CspIntake
from collector.wire.violations import State
from tests.rollup.rows import NOW, add_project

OLD, NEW = "default-src 'self'", "default-src 'self' cdn.example"


def intake(at: int, policy: str = OLD, blocked: str = "https://cdn.example/x.js", directive: str = "script-src") -> CspIntake:
    """One report of a shop."""
    sent = {
        "document-uri": "https://shop.example/",
        "effective-directive": directive,
        "original-policy": policy,
        "blocked-uri": blocked,
    }
    reports = arrived(msgspec.json.encode({"csp-report": sent}), user_agent=None).reports
    return CspIntake(1, "d", at, reports, tuple(fingerprint("shop", report.group) for report in reports))


NAME = intake(NOW).fingerprints[0]


async def take(store: Store, rows: CspRows, *intakes: CspIntake) -> None:
    await store.transact(lambda connection: rows.store(connection, intakes))
    rows.ended(whole=True)


async def state(store: Store, name: str = NAME) -> tuple[str, str | None]:
    """A violation's state, and who set it."""
    columns = violations.c.state, violations.c.state_by
    of_name = select(*columns).where(violations.c.fingerprint == name)
    row: Any = await store.read(lambda connection: connection.execute(of_name).one())
    return row.state, row.state_by


async def decide(store: Store, to: State, at: int, *names: str) -> int:
    return await store.transact(lambda connection: set_state(connection, names or (NAME,), to, by="grace", now=at, note="why"))


async def test_an_old_page_does_not_reopen(store: Store) -> None:
    """Reports under the policy that was known leave it resolved, also after a restart; those under a new one reopen it."""
    await store.transact(add_project)
    rows = CspRows()
    await take(store, rows, intake(NOW))
    assert await decide(store, State.RESOLVED, NOW + 10) == 1
    await take(store, rows, intake(NOW + 20))
    await take(store, CspRows(), intake(NOW + 30))
    assert await state(store) == ("resolved", "grace")

    await take(store, rows, intake(NOW + 40, NEW))
    assert await state(store) == ("open", "report")


async def test_a_policy_known_from_elsewhere_reopens_if_it_came_later(store: Store) -> None:
    """What counts is when the project's first report under a policy came, whichever violation brought it."""
    await store.transact(add_project)
    rows = CspRows()
    other = "https://other.example/"
    await take(store, rows, intake(NOW), intake(NOW, "img-src 'none'", other))
    await decide(store, State.RESOLVED, NOW + 10)
    await take(store, rows, intake(NOW + 20, NEW, other))
    await take(store, rows, intake(NOW + 30, "img-src 'none'"))  # known to the project before
    assert await state(store) == ("resolved", "grace")
    await take(store, rows, intake(NOW + 40, NEW), intake(NOW + 40, NEW))
    assert await state(store) == ("open", "report")


async def test_a_new_policy_reopens_also_among_many(store: Store) -> None:
    """A site whose policy changes all the time has more policies than a violation keeps: a later one reopens all the same."""
    await store.transact(add_project)
    rows = CspRows()
    for number in range(VALUES_PER_KIND + 5):
        await take(store, rows, intake(NOW + number, f"img-src host-{number}.example"))
    await decide(store, State.RESOLVED, NOW + 100)
    await take(store, CspRows(), intake(NOW + 110, f"img-src host-{VALUES_PER_KIND + 1}.example"))
    assert await state(store) == ("resolved", "grace")
    await take(store, rows, intake(NOW + 120, NEW))
    assert await state(store) == ("open", "report")


async def test_only_what_is_resolved_reopens(store: Store) -> None:
    """Acknowledged and ignored stay what they are; resolved again it waits for the next policy."""
    await store.transact(add_project)
    rows = CspRows()
    await take(store, rows, intake(NOW))
    for at, to in enumerate((State.ACKNOWLEDGED, State.IGNORED, State.RESOLVED)):
        await decide(store, to, NOW + 100 * at + 10)
        await take(store, rows, intake(NOW + 100 * at + 20, f"img-src host-{at}.example"))
        assert (await state(store))[0] == ("open" if to is State.RESOLVED else to)
    await decide(store, State.RESOLVED, NOW + 500)
    await take(store, rows, intake(NOW + 510, "img-src host-2.example"))
    assert (await state(store))[0] == "resolved"


async def test_every_change_is_recorded(store: Store) -> None:
    """Who changed what into what, when and why; what was in that state already is no change."""
    await store.transact(add_project)
    rows = CspRows()
    await take(store, rows, intake(NOW), intake(NOW, blocked="https://b.example/"))
    names = NAME, intake(NOW, blocked="https://b.example/").fingerprints[0], "0" * 32
    assert await decide(store, State.RESOLVED, NOW + 1, *names) == 2
    assert await decide(store, State.RESOLVED, NOW + 2, *names) == 0
    await take(store, rows, intake(NOW + 3, NEW))
    columns = (violation_audit.c[name] for name in ("at", "state_by", "old_state", "new_state", "note"))
    of_name = select(*columns).where(violation_audit.c.fingerprint == NAME).order_by(violation_audit.c.id)
    assert [tuple(row) for row in await store.read(lambda connection: connection.execute(of_name).all())] == [
        (NOW + 1, "grace", "open", "resolved", "why"),
        (NOW + 3, "report", "resolved", "open", "seen under a policy that is new"),
    ]


async def test_a_rule_ignores_from_the_first_report(store: Store) -> None:
    """What matches is ignored whether it was there before or comes later, unless somebody had decided on it."""
    await store.transact(lambda c: (add_project(c), add_project(c, "blog")))
    rows = CspRows()
    decided = intake(NOW, blocked="https://ads.example/", directive="img-src")
    await take(store, rows, intake(NOW, blocked="https://ads.example/"), decided)
    await decide(store, State.ACKNOWLEDGED, NOW + 1, decided.fingerprints[0])
    rule: dict[str, Any] = {
        "effective_directive": None,
        "blocked_key": "https://ads.example",
        "note": None,
        "by": "grace",
        "now": NOW + 2,
    }
    await store.transact(lambda c: create_ignore_rule(c, project_id=None, **rule))
    await store.transact(lambda c: create_ignore_rule(c, project_id=2, **{**rule, "blocked_key": "https://cdn.example"}))
    later = intake(NOW + 3, blocked="https://ads.example/", directive="font-src")
    await take(store, rows, later, intake(NOW + 3))

    assert await state(store, intake(NOW, blocked="https://ads.example/").fingerprints[0]) == ("ignored", "rule")
    assert await state(store, later.fingerprints[0]) == ("ignored", "rule")
    assert await state(store, decided.fingerprints[0]) == ("acknowledged", "grace")
    assert await state(store) == ("open", None), "the other rule is of another project"

    await decide(store, State.OPEN, NOW + 4, later.fingerprints[0])
    await take(store, CspRows(), later)
    assert await state(store, later.fingerprints[0]) == ("open", "grace")


async def test_a_rule_says_what_it_ignores(store: Store) -> None:
    """A rule that would ignore everything is refused, and one that is not there cannot be ended."""
    await store.transact(add_project)
    nothing: dict[str, Any] = {"project_id": None, "effective_directive": None, "blocked_key": None, "note": None}
    with pytest.raises(InvalidInput):
        await store.transact(lambda c: create_ignore_rule(c, **nothing, by="grace", now=NOW))
    made = await store.transact(
        lambda c: create_ignore_rule(c, **{**nothing, "effective_directive": "img-src"}, by="grace", now=NOW)
    )
    assert await store.read(list_ignore_rules) == [made]
    await store.transact(lambda c: delete_ignore_rule(c, made.id))
    with pytest.raises(NotFound):
        await store.transact(lambda c: delete_ignore_rule(c, made.id))
