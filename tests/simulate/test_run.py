"""A simulation tells the truth about what was acknowledged."""

from __future__ import annotations

import io
from collections import Counter
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from collector.simulate.display import progress, render
from collector.simulate.plan import Plan, Summary
from collector.simulate.run import run
from tests.simulate.recorder import BROWSER_KEY, FEED_KEY, Recorder, recording


def plan(recorder: Recorder, **changes: Any) -> Plan:
    """A small fleet for a second."""
    settings: dict[str, Any] = {"workspaces": 120, "browsers": 12, "duration": timedelta(seconds=1), "pace": (20.0, 40.0)}
    return Plan(url=recorder.url, browser_key=BROWSER_KEY, feed_key=FEED_KEY, **settings | changes)


def csp_reports(recorder: Recorder) -> Counter[tuple[str, str | None]]:
    """What the recorder saw, by directive and disposition, read as a collector would."""
    counts: Counter[tuple[str, str | None]] = Counter()
    for _, body in recorder.csp:
        for entry in body if isinstance(body, list) else [body]:
            report = entry.get("csp-report") or entry["body"]
            if entry.get("type", "csp-violation") == "csp-violation":
                directive = report.get("effective-directive") or report["effectiveDirective"]
                counts[directive, report.get("disposition")] += 1
    return counts


def buckets(recorder: Recorder) -> dict[str, int]:
    """The five counts of Coder's query over what the recorder holds: each is independent of the others."""
    counts = dict.fromkeys(("pending", "building", "running", "failed", "stopped"), 0)
    for row in recorder.workspaces.values():
        if row["deleted"]:
            continue
        build = row["latest_build"] or {"transition": None, "job": {}}
        started, canceled, completed, error = (
            build["job"].get(name) for name in ("started_at", "canceled_at", "completed_at", "error")
        )
        succeeded = bool(completed and not canceled and error is None)
        counts["pending"] += not started
        counts["building"] += bool(started and not canceled and not completed)
        counts["running"] += succeeded and build["transition"] == "start"
        counts["stopped"] += succeeded and build["transition"] == "stop"
        counts["failed"] += bool(error is not None and (canceled or completed))
    return counts


async def test_the_summary_is_what_arrived() -> None:
    """Reports, rows, buckets, sessions and bytes of the summary are exactly what the other side received."""
    async with recording() as recorder:
        summary = await run(plan(recorder))

    assert summary.wholly_acknowledged
    assert Counter({(c.effective_directive, c.disposition): 0 for c in summary.csp}).keys() == csp_reports(recorder).keys()
    by_kind: Counter[tuple[str, str | None]] = Counter()
    for count in summary.csp:
        by_kind[count.effective_directive, count.disposition] += count.acknowledged
    assert by_kind == csp_reports(recorder)
    assert summary.csp_sent == summary.csp_acknowledged == by_kind.total() > 0
    newest = {row["agent_id"]: row["stats"] for row in recorder.agents}
    assert msgspec.to_builtins(summary.expected.sessions) == {
        app: sum(stats[f"session_count_{app}"] for stats in newest.values())
        for app in ("vscode", "ssh", "jetbrains", "reconnecting_pty")
    }
    assert summary.expected.rx_bytes == sum(row["stats"]["rx_bytes"] for row in recorder.agents) > 0
    assert summary.expected.tx_bytes == sum(row["stats"]["tx_bytes"] for row in recorder.agents) > 0
    assert msgspec.to_builtins(summary.expected.workspaces) == buckets(recorder)
    assert min(buckets(recorder).values()) > 0


async def test_every_running_agent_reports_however_short_the_simulation() -> None:
    """A simulation shorter than the interval between reports still hears every agent, in arrays of at most 100."""
    async with recording() as recorder:
        summary = await run(plan(recorder, workspaces=250, browsers=0, interval=timedelta(hours=1)))

    assert len({row["workspace_id"] for row in recorder.agents}) == len(recorder.agents) == summary.agent_rows.accepted > 50
    assert len(recorder.attempts) == 3
    assert max(len(rows) for rows in recorder.attempts) <= 100


@pytest.mark.parametrize("refusals", [[503], [503, 0, 503]])
async def test_a_refused_array_is_sent_again_with_the_same_ids(refusals: list[int]) -> None:
    """After 503 or a lost connection the very same rows come again, and count once."""
    async with recording() as recorder:
        recorder.refusals = list(refusals)
        summary = await run(plan(recorder, workspaces=60, browsers=0))

    first, *others = recorder.attempts[: len(refusals) + 1]
    assert all(rows == first for rows in others)
    ids = [row["id"] for row in recorder.agents]
    assert len(set(ids)) == len(ids) == summary.agent_rows.accepted == summary.agent_rows.sent
    assert [posts.refused for posts in summary.posts if posts.route == "agent-stats"] == [
        {status: count for status, count in (("503", refusals.count(503)), ("connection", refusals.count(0))) if count}
    ]


async def test_what_is_never_answered_is_unsettled() -> None:
    """A feed that only gets 503 gives up after its patience, and says how many rows nobody acknowledged."""
    async with recording() as recorder:
        recorder.refusals = [503] * 1000
        summary = await run(plan(recorder, workspaces=60, browsers=0, patience=timedelta(0)))

    assert summary.agent_rows.unsettled == summary.agent_rows.sent > 0
    assert summary.expected.rx_bytes == 0
    assert not summary.wholly_acknowledged
    assert "NOT everything was acknowledged" in render(summary)


async def test_a_rejected_row_is_not_expected() -> None:
    """A row the service rejects by index counts as rejected, and is left out of what the service must show."""
    async with recording() as recorder:
        recorder.reject = frozenset({0, 2})
        summary = await run(plan(recorder, workspaces=60, browsers=0, interval=timedelta(hours=1)))

    assert summary.agent_rows.rejected == 2
    assert summary.agent_rows.accepted == len(recorder.agents)
    assert summary.expected.tx_bytes == sum(row["stats"]["tx_bytes"] for row in recorder.agents)


async def test_refused_reports_count_by_status_and_are_not_repeated() -> None:
    """A CSP report that is refused was sent, but not acknowledged, and its POST stands under the status."""
    async with recording() as recorder:
        recorder.csp_status = 503
        summary = await run(plan(recorder, workspaces=0))

    assert summary.csp_acknowledged == 0
    assert summary.csp_sent == csp_reports(recorder).total() > 0
    posts = next(posts for posts in summary.posts if posts.route == "csp")
    assert posts.refused == {"503": len(recorder.csp)}
    assert posts.sent == len(recorder.csp)


async def test_nobody_there_is_counted_not_raised() -> None:
    """Against a port where nobody listens a simulation ends on its own, with every POST lost."""
    async with recording() as recorder:
        pass
    summary = await run(plan(recorder, workspaces=5, duration=timedelta(seconds=0.3), patience=timedelta(0)))

    assert {status for posts in summary.posts for status in posts.refused} == {"connection"}
    assert summary.csp_acknowledged == summary.agent_rows.accepted == summary.workspace_rows.accepted == 0


async def test_a_repeated_simulation_plays_the_same_fleet_further() -> None:
    """The same seed brings the same workspaces and agents, with newer builds and with report ids never used before."""
    clock = iter(range(1_790_000_000_000, 1_999_000_000_000, 1_000_000))
    async with recording() as recorder:
        settings = {"workspaces": 40, "browsers": 0, "duration": timedelta(seconds=0.2)}
        await run(plan(recorder, **settings), clock=lambda: next(clock))
        before, ids = dict(recorder.workspaces), {row["id"] for row in recorder.agents}
        await run(plan(recorder, **settings), clock=lambda: next(clock))

    assert recorder.workspaces.keys() == before.keys()
    built = [key for key, row in before.items() if row["latest_build"] and recorder.workspaces[key]["latest_build"]]
    assert all(
        recorder.workspaces[key]["latest_build"]["build_number"] > before[key]["latest_build"]["build_number"] for key in built
    )
    later = [row["id"] for row in recorder.agents if row["id"] not in ids]
    assert len(later) + len(ids) == len(recorder.agents)


async def test_it_is_shown_as_lines_where_there_is_no_terminal() -> None:
    """Without a terminal progress is about ten plain lines that end with 100 %, and the summary reads back from JSON."""
    out = io.StringIO()
    async with recording() as recorder:
        played = plan(recorder, workspaces=10, browsers=2)
        with progress(out, played) as show:
            summary = await run(played, show=show)

    lines = out.getvalue().splitlines()
    assert lines[0].startswith("  0%")
    assert [line[:4] for line in lines].count("100%") == 1
    assert lines[-1].startswith("100%")
    assert len(lines) <= 12
    assert "\x1b" not in out.getvalue()
    assert msgspec.json.decode(msgspec.json.encode(summary), type=Summary) == summary
    assert "Everything was acknowledged." in render(summary)
    assert BROWSER_KEY not in repr(played) + render(summary)


async def test_questions_to_models_are_told_whole() -> None:
    """Each AI user asks at once: a question has one start, and its tokens, tools and end belong to it."""
    async with recording() as recorder:
        summary = await run(plan(recorder, workspaces=0, browsers=0, ai_users=3))

    fields = [line["fields"] for line in recorder.lines]
    starts = [of for of in fields if of["record_type"] == "interception_start"]
    assert len({of["initiator_id"] for of in starts}) == 3
    assert {of["interception_id"] for of in fields} == {of["interception_id"] for of in starts}
    assert {"token_usage", "prompt_usage"} < {of["record_type"] for of in fields}
    assert summary.aibridge_lines.accepted == summary.aibridge_lines.sent == len(fields)
