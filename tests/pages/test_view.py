from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from collector.pages.setup_view import setup_view
from collector.pages.view import (
    Choice,
    Range,
    Violations,
    history_view,
    now_view,
    violations_view,
)
from collector.persist.keys import KeyListing
from collector.rollup.agentstats import AgentUse
from collector.rollup.snapshot import deployment_stats, utc
from collector.rollup.workspaces import WorkspaceCounts
from collector.wire.deployment import SessionCounts, Source, StatsHistory, StatsPoint
from collector.wire.identity import IngestKey, KeyKind
from collector.wire.violations import Counts, Noise, Violation
from tests.pages.conftest import DEPLOYED, HOUR, MINUTE, MOMENT, snapshot_at

USUAL = Choice(Range.DAY, Noise.EXCLUDE)
BASE = "http://127.0.0.1:3000"


def _violation(**changed: Any) -> Violation:
    given = {
        "id": "0" * 32,
        "project": "default",
        "effective_directive": "img-src",
        "blocked_kind": "origin",
        "blocked_origin": "https://cdn.example.net",
        "document_origin": "https://shop.example.com",
        "disposition": "report",
        "noise_class": None,
        "noise_rule": None,
        "count": 5,
        "counts": Counts(0, 5, 0),
        "first_seen": datetime(2026, 9, 1, tzinfo=UTC),
        "last_seen": datetime(2026, 9, 21, 14, tzinfo=UTC),
        "place": None,
    }
    return Violation(**(given | changed))


def _history(*points: StatsPoint) -> StatsHistory:
    return StatsHistory(deployment=DEPLOYED, step_seconds=300, points=list(points), fields={})


def _point(at: int, running: int) -> StatsPoint:
    return StatsPoint(utc(at), 1, 1, Source.REPORTS, deployment_stats(snapshot_at(at, running=running)), None, None, None)


def _gap(at: int) -> StatsPoint:
    return StatsPoint(utc(at), 0, 1, None, None, None, None, None)


def test_without_a_snapshot_nothing_is_claimed() -> None:
    """Before the first rollup the page has no number to show."""
    assert now_view(None, BASE, now=MOMENT)["ready"] is False


def test_the_shares_of_all_statuses_fill_the_line() -> None:
    """The stretches lie side by side, and the last one ends where the line does."""
    statuses = now_view(snapshot_at(MOMENT), BASE, now=MOMENT)["statuses"]
    ends = [float(status["start"]) + float(status["width"]) for status in statuses]
    assert [float(status["start"]) for status in statuses[1:]] == pytest.approx(ends[:-1], abs=0.02)
    assert ends[-1] == pytest.approx(100, abs=0.02)


def test_no_latency_seen_is_no_number() -> None:
    """The -1 of a snapshot that saw no latency becomes None, which the page has words for."""
    view = now_view(snapshot_at(MOMENT, latency=-1.0), BASE, now=MOMENT)
    assert (view["p50"], view["p95"]) == (None, None)


def test_a_deployment_where_nothing_happens_is_told_how_to_report() -> None:
    """Only when no workspace is known and no agent reported anything does the page say how to begin."""
    nothing = msgspec.structs.replace(
        snapshot_at(MOMENT),
        workspaces=WorkspaceCounts(0, 0, 0, 0, 0),
        agents=AgentUse(0, 0, -1.0, -1.0, SessionCounts(0, 0, 0, 0)),
    )
    idle = msgspec.structs.replace(nothing, workspaces=WorkspaceCounts(0, 0, 0, 0, 1))
    assert now_view(nothing, BASE, now=MOMENT)["quiet"] is True
    assert now_view(idle, BASE, now=MOMENT)["quiet"] is False


def test_old_numbers_are_called_old() -> None:
    """A snapshot whose successors did not come is marked; one that is a little late is not."""
    taken = snapshot_at(MOMENT)
    assert now_view(taken, BASE, now=taken.next_update_at + 30_000)["stale"] is False
    assert now_view(taken, BASE, now=taken.next_update_at + 61_000)["stale"] is True


def test_the_table_of_the_history_skips_gaps() -> None:
    """Steps without a snapshot have no row, and the newest row comes first."""
    past = _history(_point(MOMENT - 3 * MINUTE, 5), _gap(MOMENT - 2 * MINUTE), _point(MOMENT - MINUTE, 7))
    rows = history_view(past, USUAL, now=MOMENT)["rows"]
    assert [(row["at"].ago, row["running"], row["sessions"]) for row in rows] == [("1 min ago", 7, 16), ("3 min ago", 5, 16)]


def test_the_table_of_the_history_spans_the_whole_range() -> None:
    """A day of points becomes at most a dozen rows, evenly from the newest to the oldest."""
    past = _history(*(_point(MOMENT - 24 * HOUR + step * 5 * MINUTE, step) for step in range(288)))
    rows = history_view(past, USUAL, now=MOMENT)["rows"]
    assert [row["running"] for row in rows] == list(range(287, 0, -24))


def test_choosing_a_range_keeps_the_choice_of_noise() -> None:
    """The links change one thing each, and leave out of the address what is usual."""
    links = history_view(_history(), Choice(Range.WEEK, Noise.INCLUDE), now=MOMENT)["ranges"]
    assert [(link.label, link.href, link.current) for link in links] == [
        ("1h", "/?range=1h&noise=include#history", False),
        ("24h", "/?noise=include#history", False),
        ("7d", "/?range=7d&noise=include#history", True),
    ]


def test_a_violation_that_was_blocked_and_reported_says_how_often() -> None:
    """One disposition is said in words; several are told apart by their counts."""
    seen = Violations([_violation(), _violation(counts=Counts(enforce=2, report=3, unknown=0))], 2, 0)
    one, several = violations_view(seen, USUAL, now=MOMENT)["rows"]
    assert [disposition["label"] for disposition in one["dispositions"]] == ["reported only"]
    assert [disposition["label"] for disposition in several["dispositions"]] == ["blocked 2", "reported only 3"]


def test_what_a_browser_left_out_has_words() -> None:
    """An unknown directive or document is named so, and what has no origin is shown by its kind."""
    bare = _violation(effective_directive=None, blocked_kind="inline", blocked_origin=None, document_origin=None)
    (row,) = violations_view(Violations([bare], 1, 0), USUAL, now=MOMENT)["rows"]
    assert (row["directive"], row["blocked"], row["document"]) == ("unknown directive", "inline", "unknown")


def test_a_key_is_shown_with_the_origins_it_takes() -> None:
    """The headers hold the key, and the allow-list of origins stands beside them in order."""
    key = IngestKey("a9Kd03mQzL", KeyKind.BROWSER, 1, "shop", DEPLOYED, frozenset({"https://b.example", "https://a.example"}))
    view = setup_view(KeyListing(key, "a9Kd03mQzLx7Yb2Nw4Tr8Vc1Ps6Hf5Je", 0, None), BASE)
    assert view["origins"] == ["https://a.example", "https://b.example"]
    assert "?key=a9Kd03mQzLx7Yb2Nw4Tr8Vc1Ps6Hf5Je" in view["headers"][0]
