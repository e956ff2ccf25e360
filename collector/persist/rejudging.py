"""Stored violations moved to where other noise rules put them: how far that has come, and each move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from collector.persist.csp_overflow import OVERFLOW
from collector.persist.engine import insert
from collector.persist.merging import merge
from collector.persist.tables import csp_samples, meta, projects, violation_audit, violations
from collector.wire.noise import Judgement, Rejudging, StoredViolation
from collector.wire.records import NoiseClass, Sample

Rules = tuple[tuple[str, str], ...]  # names and digests, in their order
Judge = Callable[[StoredViolation], Judgement | None]

ADVISORY_LOCK = 0x636F6C6C_6E6F6973
_JUDGED_BY, _UNDER_WAY = "noise_rules", "noise_rejudging"  # keys of meta


def begin(connection: Connection, rules: Rules) -> None:
    """Note that the violations stored so far are to be judged by ``rules``, unless they were.

    What is stored from now on is judged by them when it comes in, so it must be called before that begins.
    """
    judged_by, under_way = _judged_by(connection), rejudging(connection)
    if (under_way.rules if under_way else judged_by) == rules:
        return
    before, upto = dict(judged_by or ()), connection.scalar(select(func.max(violations.c.id))) or 0
    if under_way:
        # Cut short by yet other rules: a violation was judged by one table or the other. What both mean alike is known.
        later = dict(under_way.rules)
        before = {
            name: digest
            for name, digest in (*under_way.judged_by.items(), *later.items())
            if under_way.judged_by.get(name, digest) == later.get(name, digest)
        }
    _note(connection, Rejudging(rules=rules, judged_by=before, upto=upto))


def rejudging(connection: Connection) -> Rejudging | None:
    """The change of rules that is under way, if one is."""
    text = connection.scalar(select(meta.c.value).where(meta.c.key == _UNDER_WAY))
    return None if text is None else msgspec.json.decode(text, type=Rejudging)


def judged_by(connection: Connection) -> Mapping[str, str]:
    """Digests by name of the rules that stored violations were judged by."""
    under_way = rejudging(connection)
    return under_way.judged_by if under_way else dict(_judged_by(connection) or ())


def rejudge_slice(connection: Connection, rules: Rules, judge: Judge, *, limit: int) -> bool:
    """Judge up to ``limit`` violations more of those that wait for ``rules``; whether some are left."""
    if connection.dialect.name == "postgresql":  # two processes that start at once take turns
        connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    under_way = rejudging(connection)
    if under_way is None or under_way.rules != rules:
        return False
    looked_at = stored_violations(connection, after=under_way.after, upto=under_way.upto, limit=limit)
    moves = [(stored, found) for stored in looked_at if (found := judge(stored)) is not None]
    _locked(connection, moves)
    for stored, found in moves:
        _move(connection, stored, found)
    if len(looked_at) < limit:
        _set(connection, _JUDGED_BY, msgspec.json.encode(under_way.rules).decode())
        connection.execute(delete(meta).where(meta.c.key == _UNDER_WAY))
        return False
    _note(connection, msgspec.structs.replace(under_way, after=looked_at[-1].id))
    return True


def stored_violations(connection: Connection, *, after: int, upto: int | None, limit: int) -> list[StoredViolation]:
    """The next violations by id, with their samples; overflow, which is of everything, is none that could be judged."""
    chosen = select(violations, projects.c.name.label("project")).join_from(violations, projects)
    chosen = chosen.where(violations.c.id > after, violations.c.blocked_kind != OVERFLOW).order_by(violations.c.id).limit(limit)
    if upto is not None:
        chosen = chosen.where(violations.c.id <= upto)
    rows = connection.execute(chosen).mappings().all()
    samples = _samples(connection, [row["id"] for row in rows])
    return [
        StoredViolation(
            id=row["id"],
            project=row["project"],
            fingerprint=row["fingerprint"],
            effective_directive=row["effective_directive"],
            blocked_key=row["blocked_key"],
            place=row["place"],
            noise_class=NoiseClass(row["noise_class"]) if row["noise_class"] else None,
            noise_rule=row["noise_rule"],
            count=row["count"],
            samples=tuple(samples.get(row["id"], ())),
        )
        for row in rows
    ]


def _samples(connection: Connection, ids: Sequence[int]) -> dict[int, list[Sample]]:
    names = Sample.__struct_fields__
    kept = select(csp_samples.c.violation_id, *(csp_samples.c[name] for name in names))
    samples: dict[int, list[Sample]] = {}
    for violation_id, *fields in connection.execute(kept.where(csp_samples.c.violation_id.in_(ids))):
        samples.setdefault(violation_id, []).append(Sample(*fields))
    return samples


def _locked(connection: Connection, moves: Iterable[tuple[StoredViolation, Judgement]]) -> None:
    """Lock the rows of both ends in the order in which intake locks them: by fingerprint."""
    names = sorted({name for stored, found in moves for name in (stored.fingerprint, found.fingerprint)})
    if names:
        rows = select(violations.c.id).where(violations.c.fingerprint.in_(names)).order_by(violations.c.fingerprint)
        connection.execute(rows.with_for_update())


def _move(connection: Connection, stored: StoredViolation, found: Judgement) -> None:
    """Give the violation its judgement; where there is one of that fingerprint already, add it to that one."""
    if (found.noise_class, found.noise_rule) == (stored.noise_class, stored.noise_rule):
        return
    target = None
    if found.fingerprint != stored.fingerprint:
        renamed = update(violation_audit).where(violation_audit.c.fingerprint == stored.fingerprint)
        connection.execute(renamed.values(fingerprint=found.fingerprint))
        target = connection.scalar(select(violations.c.id).where(violations.c.fingerprint == found.fingerprint))
    if target is None:
        judged = {"fingerprint": found.fingerprint, "noise_class": found.noise_class, "noise_rule": found.noise_rule}
        connection.execute(update(violations).where(violations.c.id == stored.id).values(judged))
        return
    merge(connection, stored.id, into=target)


def _judged_by(connection: Connection) -> Rules | None:
    text = connection.scalar(select(meta.c.value).where(meta.c.key == _JUDGED_BY))
    return None if text is None else msgspec.json.decode(text, type=Rules)


def _note(connection: Connection, under_way: Rejudging) -> None:
    _set(connection, _UNDER_WAY, msgspec.json.encode(under_way).decode())


def _set(connection: Connection, key: str, value: str) -> None:
    new = insert(connection.dialect.name, meta).values(key=key, value=value)
    connection.execute(new.on_conflict_do_update(index_elements=["key"], set_={"value": new.excluded.value}))
