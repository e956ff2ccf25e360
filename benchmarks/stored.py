"""Rows as they come to be, put straight into the tables by the database itself: what intake would take hours for.

Every statement is one that SQLite and PostgreSQL both take.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from collector.persist.engine import Store
from collector.persist.partitions import make_ahead
from collector.wire.aibridge import KINDS

MINUTE_MS, REPORT_MS = 60_000, 30_000

NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})"

AGENTS = """
INSERT INTO agents (deployment, agent_id, workspace_id, user_id, template_id, agent_name, workspace_name, username,
                    template_name, last_seen)
{numbers} SELECT '{deployment}', 'agent-' || n, 'workspace-' || n, 'user-' || n / 2, 'template-' || n % 20, 'main',
                 'workspace-' || n, 'user-' || n / 2, 'template-' || n % 20, {now} FROM numbers
"""
REPORTS = """
INSERT INTO agent_stats (agent, received_at, collected_at, connection_count, connection_median_latency_ms, rx_packets, rx_bytes,
                         tx_packets, tx_bytes, session_count_vscode, session_count_jetbrains, session_count_reconnecting_pty,
                         session_count_ssh)
SELECT id, {at} + id % {apart}, {at} + id % {apart}, 3, 5 + (id * 7919 + {at} / 1000) % 89989 / 1000.0, 100 + id % 50,
       (id * 104729 + {at}) % 9000000, 90 + id % 50, (id * 15485863 + {at}) % 7000000, id % 3, id % 5 / 4, id % 7 / 6, id % 2
FROM agents ORDER BY id
"""
VIOLATIONS = """
INSERT INTO violations (fingerprint, deployment, project_id, effective_directive, blocked_kind, blocked_origin, blocked_key,
                        document_origin, disposition, count, count_enforce, first_seen, last_seen, ranked_count, ranked_seen)
{numbers} SELECT 'f' || n, '{deployment}', 1, 'script-src-elem', 'origin', 'https://cdn-' || n || '.example',
                 'https://cdn-' || n || '.example', 'https://shop.example', 'enforce', 100, 100, {since}, {now}, 100, {now}
FROM numbers
"""
BUCKETS = (
    "INSERT INTO {table} (violation_id, bucket, enforce) {numbers} SELECT id, {first} + n * {step}, 4 FROM numbers, violations"
)
SAMPLES = """
INSERT INTO csp_samples (violation_id, slot, seen_at, document_uri, referrer, blocked_uri, source_file, line_number,
                         disposition, policy, user_agent)
{numbers} SELECT id, n, {now}, 'https://shop.example/articles/' || id || '/' || n, 'https://shop.example/',
                 blocked_key || '/lib.js', 'https://shop.example/static/app.js', n, 'enforce',
                 'default-src ''none''; script-src ''self'' ''nonce-abcdefgh''; style-src ''self''; report-uri /csp',
                 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36'
FROM numbers, violations
"""
INTERCEPTIONS = """
INSERT INTO aibridge_interceptions (deployment, interception_id, initiator_id, api_key_id, provider, model, started_at,
                                    ended_at, received_at)
{numbers} SELECT '{deployment}', 'c0a8f1de-1111-4222-8333-' || n, 'user-' || n % 500, 'key', 'anthropic', 'example-' || n % 5,
                 {now} - n * 1000, {now} - n * 1000 + 9000, {now} - n * 1000 FROM numbers
"""
KEY = {"sqlite": "randomblob(16)", "postgresql": "decode(md5(random()::text), 'hex')"}
TOKENS = """
INSERT INTO aibridge_token_usages (interception, key, created_at, {kinds})
SELECT id, {key}, started_at, {counts} FROM aibridge_interceptions WHERE id > {after}
"""
PROMPTS = """
INSERT INTO aibridge_prompts (interception, key, created_at, prompt_length, prompt_hash)
SELECT id, {key}, started_at, 400, '0123456789abcdef0123456789abcdef' FROM aibridge_interceptions WHERE id > {after}
"""


async def agents(store: Store, count: int, *, deployment: str, now: int) -> None:
    """So many agents."""
    await _run(store, AGENTS, numbers=_numbers(1, count), deployment=deployment, now=now)


async def agent_reports(store: Store, *, since: int, until: int, apart: int = REPORT_MS) -> int:
    """A report of every agent in each ``apart`` ms from ``since`` until ``until``, in the order of their arrival; how many."""
    await store.transact(partial(make_ahead, now=since))
    rows = 0
    for at in range(since, until, apart):
        rows += await _run(store, REPORTS, at=at, apart=apart)
    return rows


async def violations(
    store: Store, count: int, *, deployment: str, now: int, minutes: int, hours: int, samples: int = 10
) -> None:
    """So many, each seen in every minute and hour of so many, with so many samples."""
    await _run(
        store, VIOLATIONS, numbers=_numbers(1, count), deployment=deployment, since=now - hours * 60 * MINUTE_MS, now=now
    )
    minute = now // MINUTE_MS
    spans = (("csp_minutes", minute - minutes, 1, minutes), ("csp_hours", (minute // 60 - hours) * 60, 60, hours))
    for table, first, step, number in spans:
        await _run(store, BUCKETS, table=table, numbers=_numbers(0, number - 1), first=first, step=step)
    await _run(store, SAMPLES, numbers=_numbers(0, samples - 1), now=now)


async def interceptions(store: Store, count: int, *, after: int, deployment: str, now: int) -> None:
    """So many, after so many that there are, each with its tokens and its prompt."""
    await _run(store, INTERCEPTIONS, numbers=_numbers(after + 1, after + count), deployment=deployment, now=now)
    kinds, counts = ", ".join(KINDS), ", ".join("900" for _ in KINDS)
    for statement in (TOKENS, PROMPTS):
        await _run(store, statement, key=KEY[store.dialect], after=after, kinds=kinds, counts=counts)


def _numbers(first: int, last: int) -> str:
    return NUMBERS.format(first=first, last=last)


async def _run(store: Store, statement: str, **values: Any) -> int:
    work: Callable[[Connection], int] = lambda connection: connection.execute(text(statement.format(**values))).rowcount  # noqa: E731
    return await store.transact(work)
