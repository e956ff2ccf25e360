"""Each synthetic browser speaks like the real one, down to what it leaves out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.simulate.csp import Visitor
from collector.simulate.dialects import DIALECTS, Dialect, Violation, other_report
from collector.simulate.faults import FAULTS, Fault
from collector.simulate.plan import Plan

MARKUP = Fault("img-src", "https://pixel.example/p.gif?u=1", "https://shop.example/")
SCRIPTED = Fault("script-src-elem", "inline", "https://shop.example/", 10, "https://shop.example/app.js?v=2", 4, "let x = 1")


def dialect(name: str) -> Dialect:
    """The dialect of that name."""
    return next(found for found, _ in DIALECTS if found.name == name)


def body(name: str, *faults: Fault, others: tuple[dict[str, Any], ...] = ()) -> Any:
    """What a browser sends of these faults, read back."""
    return json.loads(dialect(name).body([Violation(fault, "report", "abc", 1500) for fault in faults], others))


def test_chromium_leaves_out_places_it_does_not_know() -> None:
    """Legacy Chromium sends one object with an empty sample, and no source at all for a violation in markup."""
    report = body("chromium legacy", MARKUP)["csp-report"]

    assert report["script-sample"] == ""
    assert not {"source-file", "line-number", "column-number"} & report.keys()
    assert body("chromium legacy", SCRIPTED)["csp-report"]["source-file"] == "https://shop.example/app.js"


def test_firefox_keeps_the_query_and_a_column() -> None:
    """Legacy Firefox keeps the query of the source, sends a column without a line, and no sample when there is none."""
    report = body("firefox legacy", MARKUP)["csp-report"]

    assert report["column-number"] == 1
    assert not {"line-number", "script-sample"} & report.keys()
    assert body("firefox legacy", SCRIPTED)["csp-report"]["source-file"] == "https://shop.example/app.js?v=2"


def test_reports_are_arrays_with_their_age() -> None:
    """Chromium leaves unknown keys out and mixes types in one array; Firefox sends null and prints prettily."""
    other = other_report("deprecation", "https://shop.example/", 3)
    chromium, firefox = body("chromium reports", MARKUP, SCRIPTED, others=(other,)), body("firefox reports", MARKUP)

    assert [entry["type"] for entry in chromium] == ["csp-violation", "csp-violation", "deprecation"]
    assert chromium[0]["age"] == 1500
    assert "sourceFile" not in chromium[0]["body"]
    assert chromium[0]["body"]["referrer"] == ""
    assert firefox[0]["body"]["sourceFile"] is firefox[0]["body"]["referrer"] is None
    assert b"\n" in dialect("firefox reports").body([Violation(MARKUP, "enforce", "abc")], ())


def test_safari_sends_a_single_object() -> None:
    """Safari sends one object of the Reporting API under the legacy content type, without age or user agent."""
    assert dialect("safari").content_type == "application/csp-report"
    assert body("safari", MARKUP).keys() == {"type", "url", "body"}


def test_an_old_safari_says_less() -> None:
    """A CSP2 browser names no -elem, gives no disposition, and leaves what is blocked empty for inline script."""
    report = body("old safari", SCRIPTED)["csp-report"]

    assert report["effective-directive"] == "script-src"
    assert report["violated-directive"].startswith("script-src 'self' 'nonce-abc'")
    assert report["blocked-uri"] == ""
    assert "disposition" not in report


@pytest.mark.parametrize("number", range(len(DIALECTS)))
def test_a_visitor_says_what_is_in_its_body(number: int) -> None:
    """The account that a visitor gives of its POST is what a reader finds in it, and the first six speak all dialects."""
    visitor = Visitor(Plan(url="", browser_key="", feed_key="", seed=7), number)
    assert visitor.dialect == DIALECTS[number][0]

    for _ in range(50):
        sent_body, sent = visitor.post()
        read = json.loads(sent_body)
        entries = read if isinstance(read, list) else [read]
        violations = [e.get("csp-report") or e["body"] for e in entries if e.get("type", "csp-violation") == "csp-violation"]
        directives = [v.get("effective-directive") or v["effectiveDirective"] for v in violations]
        assert [kind[0] for kind in sent.kinds] == directives
        assert [kind[1] for kind in sent.kinds] == [v.get("disposition") for v in violations]
        assert len(entries) == len(sent.kinds) + len(sent.others)


def test_the_faults_are_distinct() -> None:
    """A few dozen faults, no two of which are the same violation."""
    keys = {(f.directive, f.blocked, f.source, f.line) for f in FAULTS if f.source} | {
        (f.directive, f.blocked) for f in FAULTS if not f.source
    }
    assert len(keys) == len(FAULTS) >= 36
    assert 5 <= sum(f.noise for f in FAULTS) < len(FAULTS) / 3
