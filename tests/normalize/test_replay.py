"""A policy tried on reports says blocked, allowed, or that nobody can know."""

from __future__ import annotations

import pytest
from hypothesis import given

from collector.normalize.headers import KITS
from collector.normalize.replay import replay
from collector.normalize.strict import strict_report
from collector.wire.evidence import Evidence
from collector.wire.policy import Kit, Verdict
from tests.normalize.evidence import at, seen, under
from tests.normalize.test_advice import HOSTILE, ONES, QUICK

BLOCKED, ALLOWED, UNKNOWN = Verdict.BLOCKED, Verdict.ALLOWED, Verdict.UNKNOWN
OBSERVING = under(KITS[Kit.OBSERVE])


@pytest.mark.parametrize(
    ("policy", "one", "verdict"),
    [
        ("img-src 'self'", seen("img-src", "https://cdn.example"), BLOCKED),
        ("img-src https://cdn.example", seen("img-src", "https://cdn.example"), ALLOWED),
        ("img-src https://cdn.example/a/", seen("img-src", "https://cdn.example"), UNKNOWN),
        ("img-src https://cdn.example/a/", seen("img-src", "https://cdn.example", paths=at("/a/x.png")), ALLOWED),
        ("img-src https://cdn.example/a/", seen("img-src", "https://cdn.example", paths=at("/b/x.png")), BLOCKED),
        ("img-src https://cdn.example/a/", seen("img-src", "https://cdn.example", paths=at("/a/x.png", "/b/y.png")), UNKNOWN),
        ("img-src https://cdn.example/a/", seen("img-src", "https://cdn.example", paths=at("/a/x.png", "")), UNKNOWN),
        ("img-src https://cdn.example/a/", seen("img-src", "https://cdn.example", paths=at("/a/b/c/")), ALLOWED),
        ("img-src https://cdn.example/a/b/c/d/", seen("img-src", "https://cdn.example", paths=at("/a/b/c/")), UNKNOWN),
        ("img-src https://cdn.example/a/b/c/d/", seen("img-src", "https://cdn.example", paths=at("/a/b/x/")), BLOCKED),
        ("img-src https://cdn.example/a/b.png", seen("img-src", "https://cdn.example", paths=at("/a/")), UNKNOWN),
        ("script-src 'unsafe-inline'", seen("script-src-elem", None, "inline"), ALLOWED),
        ("script-src 'nonce-x'", seen("script-src-elem", None, "inline"), UNKNOWN),
        ("script-src 'self'", seen("script-src", None, "eval"), BLOCKED),
        ("script-src 'self'", seen("script-src", None, "local"), UNKNOWN),
        ("script-src 'self'", seen("img-src", None, "opaque"), ALLOWED),
    ],
)
def test_verdicts(policy: str, one: Evidence, verdict: Verdict) -> None:
    """What a policy does with a violation, as far as its reports tell."""
    (found,) = replay("shop", policy, [one]).results

    assert found.verdict is verdict
    assert bool(found.detail) == (verdict is UNKNOWN)


def test_a_redirect_is_unknown() -> None:
    """What was blocked under a policy that allows the address was blocked elsewhere: no policy can be judged by it."""
    one = seen("img-src", "https://cdn.example", paths=at("/a.png"), policies=under("img-src https://cdn.example"))

    (found,) = replay("shop", "img-src 'self'", [one]).results
    assert found.verdict is UNKNOWN


def test_what_was_allowed_is_unknown() -> None:
    """Sources that every policy of the time allowed were never reported; a policy without them may block what nobody saw."""
    one = seen("img-src", "https://a.example", policies=under("img-src 'self' https://b.example; script-src 'self'"))

    answer = replay("shop", "img-src 'self' https://a.example; script-src 'self'; font-src 'self'", [one])
    assert not answer.complete
    assert [(each.directive, each.source) for each in answer.unseen] == [("font-src", "*"), ("img-src", "https://b.example")]


def test_a_wider_source_covers_a_narrow_one() -> None:
    """A policy that allows more than was allowed at the time leaves nothing unseen."""
    one = seen("img-src", "https://a.example", policies=under("default-src 'none'; img-src https://x.b.example data:"))

    assert replay("shop", "img-src https://*.b.example data: https://a.example", [one]).complete
    assert replay("shop", "img-src *", [one]).unseen[0].source == "data:"


def test_under_the_observing_policy_a_replay_is_complete() -> None:
    """The kit for observing allows nothing, so everything a page loads was reported, whatever other policy was there."""
    ones = [seen("img-src", "https://a.example", policies=OBSERVING + under("img-src *"))]

    assert replay("shop", "default-src 'none'; base-uri 'none'; form-action 'none'", ones).complete
    assert replay("shop", "img-src 'self'", ones).unseen == []


def test_what_was_counted_together_or_left_out_is_not_complete() -> None:
    """Where some violations were only counted, or were too many to look at, nobody knows all that was blocked."""
    known = seen("img-src", "https://a.example", policies=OBSERVING)

    assert not replay("shop", "img-src 'self'", [known, seen("img-src", None, "overflow", policies=OBSERVING)]).complete
    assert not replay("shop", "img-src 'self'", [known], cut=True).complete


def test_without_any_policy_nothing_is_complete() -> None:
    """Reports that came without their policy do not say what was allowed."""
    assert not replay("shop", "img-src 'self'", [seen("img-src", "https://a.example")]).complete


def test_the_same_thing_is_one_result() -> None:
    """Violations that differ in place alone are one line, with all their reports."""
    ones = [seen("script-src-elem", None, "inline", place=place, id=place) for place in ("a", "b")]

    (found,) = replay("shop", "script-src 'self'", ones).results
    assert (found.blocked, found.evidence.reports, found.evidence.violations) == ("inline", 80, ["a", "b"])


@given(HOSTILE, ONES, HOSTILE)
@QUICK
def test_any_reports_and_any_policy(policy: str, one: Evidence, observed: str) -> None:
    """Whatever is replayed on whatever was reported, there is an answer."""
    answer = replay("shop", policy, [seen(one.effective_directive, one.blocked_origin, policies=under(observed)), one])

    assert sum(found.evidence.reports for found in answer.results) == 80
    strict_report("shop", policy, [one])


def test_a_strict_policy_asks_for_nonces() -> None:
    """Each script without a nonce is a need; attributes and eval have needs of their own; images have none."""
    ones = [
        seen("script-src-elem", None, "inline", place="https://shop.example/cart:12"),
        seen("script-src-attr", None, "inline"),
        seen("script-src-elem", "https://cdn.jsdelivr.net"),
        seen("script-src", None, "eval", enforce=90),
        seen("img-src", "https://a.example"),
    ]

    answer = strict_report("shop", "script-src 'self' https://*.cloudfront.net https://a.example", ones)
    assert {(need.what, need.where) for need in answer.needs} == {
        ("inline-script", "https://shop.example/cart:12"),
        ("event-handler", "https://shop.example/cart"),
        ("external-script", "https://cdn.jsdelivr.net"),
        ("eval", "https://shop.example/cart"),
    }
    assert answer.needs[0].what == "eval"
    assert [bypass.source for bypass in answer.bypasses] == ["https://*.cloudfront.net", "https://cdn.jsdelivr.net"]
    assert "'strict-dynamic'" in answer.policy
