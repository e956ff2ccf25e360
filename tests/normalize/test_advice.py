"""A suggested policy lists what passed the thresholds, nothing else, and says what it leaves."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.normalize.advice import advice, advised
from collector.normalize.drafts import Draft
from collector.normalize.sources import policies
from collector.wire.evidence import Evidence
from collector.wire.policy import AdviceQuery, Allow, PolicyAdvice, Reason
from tests.examples import examples
from tests.normalize.evidence import at, seen, under

QUERY = AdviceQuery(project="shop")
EVERYTHING = AdviceQuery(project="shop", allow=frozenset(Allow), reports=0, clients=0, days=0, paths=True)


def suggested(base: str, *observed: Evidence, **query: object) -> PolicyAdvice:
    return advice(AdviceQuery(project="shop", **query), base, "given", observed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("base", "one", "policy"),
    [
        ("img-src 'self'", seen("img-src", "https://cdn.example"), "img-src 'self' https://cdn.example"),
        ("img-src 'none'", seen("img-src", "https://cdn.example"), "img-src https://cdn.example"),
        ("IMG-SRC 'None'", seen("img-src", "https://cdn.example"), "img-src https://cdn.example"),
        ("img-src", seen("img-src", "https://shop.example"), "img-src 'self'"),
        ("img-src", seen("img-src", "data:", "scheme"), "img-src data:"),
        ("script-src", seen("script-src-elem", "https://cdn.example"), "script-src https://cdn.example"),
        ("style-src", seen("style-src-elem", "https://cdn.example"), "style-src https://cdn.example"),
        (
            "default-src 'self'",
            seen("img-src", "https://cdn.example"),
            "default-src 'self'; img-src 'self' https://cdn.example",
        ),
        (
            "default-src 'self' 'unsafe-eval'; object-src 'none'",
            seen("font-src", "https://cdn.example"),
            "default-src 'self' 'unsafe-eval'; object-src 'none'; font-src 'self' https://cdn.example",
        ),
        (
            "script-src 'self' 'nonce-x'; default-src 'none'",
            seen("worker-src", "blob:", "scheme"),
            "script-src 'self' 'nonce-x'; default-src 'none'; worker-src 'self' blob:",
        ),
        ("script-src-elem 'self'", seen("script-src-elem", "https://a.example"), "script-src-elem 'self' https://a.example"),
        ("img-src 'self', img-src *", seen("img-src", "https://a.example"), "img-src 'self' https://a.example, img-src *"),
        ("connect-src", seen("connect-src", "wss://live.example:8443"), "connect-src wss://live.example:8443"),
    ],
)
def test_a_source_goes_where_it_belongs(base: str, one: Evidence, policy: str) -> None:
    """The directive is the one of all kinds of element; a fallback is copied, not widened; ``'none'`` goes."""
    answer = suggested(base, one)

    assert answer.policy == policy
    assert len(answer.added) == 1
    assert answer.left == []


def test_a_copied_fallback_takes_no_additions_along() -> None:
    """In whatever order: a directive with a list of its own holds what the base had and what its own evidence asks for."""
    script, worker = seen("script-src-elem", "https://cdn.example"), seen("worker-src", "blob:", "scheme")

    policy = "script-src 'self' https://cdn.example; worker-src 'self' blob:"
    assert suggested("script-src 'self'", script, worker).policy == policy
    assert suggested("script-src 'self'", worker, script).policy == policy


@pytest.mark.parametrize(
    ("base", "one", "reason"),
    [
        ("img-src 'self'", seen("img-src", "https://cdn.example", enforce=9), Reason.BELOW_THRESHOLD),
        ("img-src 'self'", seen("img-src", "https://cdn.example", clients=2), Reason.BELOW_THRESHOLD),
        ("img-src 'self'", seen("img-src", "https://cdn.example", days=1), Reason.BELOW_THRESHOLD),
        ("img-src 'self'", seen("img-src", "https://cdn.example", state="ignored"), Reason.IGNORED),
        ("script-src 'self'", seen("script-src-elem", None, "inline", place="https://shop.example/:3"), Reason.INLINE),
        ("script-src 'self'", seen("script-src-attr", None, "inline"), Reason.INLINE),
        ("script-src 'self'", seen("script-src", None, "eval"), Reason.EVAL),
        ("script-src 'self'", seen("script-src-elem", "data:", "scheme"), Reason.DATA),
        ("img-src 'self'", seen("img-src", "https:", "scheme"), Reason.NO_SOURCE),
        ("img-src 'self'", seen("img-src", "intent:", "scheme"), Reason.NO_SOURCE),
        ("img-src 'self'", seen("img-src", "https://[::1]"), Reason.NO_SOURCE),
        ("img-src 'self'", seen("img-src", None, "opaque"), Reason.NO_SOURCE),
        ("img-src 'self'", seen("img-src", None, "local"), Reason.UNNAMED),
        ("img-src 'self'", seen(None, "https://cdn.example"), Reason.UNNAMED),
        ("default-src 'self'", seen("default-src", "https://cdn.example"), Reason.UNNAMED),
        ("frame-ancestors 'self'", seen("frame-ancestors", "https://cdn.example"), Reason.NO_SOURCE),
        ("script-src 'nonce-x' 'strict-dynamic'", seen("script-src-elem", "https://a.example"), Reason.STRICT_DYNAMIC),
        (
            "img-src https://cdn.example",
            seen("img-src", "https://cdn.example", policies=under("img-src https://cdn.example")),
            Reason.POLICY_ALLOWS,
        ),
    ],
)
def test_what_is_left_says_why(base: str, one: Evidence, reason: Reason) -> None:
    """What is not listed leaves the policy as it was, and is named with the reason."""
    answer = suggested(base, one)

    assert answer.policy == Draft(policies(base)[0]).text
    assert answer.added == []
    assert [left.reason for left in answer.left] == [reason]


@pytest.mark.parametrize(
    ("one", "allow", "policy"),
    [
        (seen("script-src-elem", None, "inline"), Allow.INLINE, "script-src 'self' 'unsafe-inline'"),
        (seen("script-src", None, "eval"), Allow.EVAL, "script-src 'self' 'unsafe-eval'"),
        (seen("script-src", None, "wasm-eval"), Allow.EVAL, "script-src 'self' 'wasm-unsafe-eval'"),
        (seen("script-src-elem", "data:", "scheme"), Allow.DATA, "script-src 'self' data:"),
    ],
)
def test_what_opens_a_policy_is_listed_on_request(one: Evidence, allow: Allow, policy: str) -> None:
    """Inline code, eval and data: in script-src are listed for those who ask by name, with a warning."""
    answer = suggested("script-src 'self'", one, allow=frozenset({allow}))

    assert answer.policy == policy
    assert answer.added[0].warnings or allow is Allow.EVAL
    assert suggested("script-src 'self'", one).policy == "script-src 'self'"


def test_unsafe_inline_beside_a_nonce_is_refused() -> None:
    """Browsers ignore ``'unsafe-inline'`` beside a nonce, so listing it would promise what does not happen."""
    answer = suggested("script-src 'nonce-x'", seen("script-src-elem", None, "inline"), allow=frozenset({Allow.INLINE}))

    assert answer.policy == "script-src 'nonce-x'"
    assert [left.reason for left in answer.left] == [Reason.INLINE]


def test_thresholds_look_at_all_reports_of_a_source() -> None:
    """Two violations of one source, each below the number of reports, pass together; the evidence names both."""
    answer = suggested(
        "script-src",
        seen("script-src-elem", "https://cdn.example", id="aa", enforce=6),
        seen("script-src", "https://cdn.example", id="bb", enforce=6, clients=3),
    )

    assert answer.policy == "script-src https://cdn.example"
    assert answer.added[0].evidence.reports == 12
    assert answer.added[0].evidence.clients == 12
    assert answer.added[0].evidence.violations == ["aa", "bb"]


def test_paths_come_on_request() -> None:
    """A path that was cut becomes a folder, a masked one ends before the mask, and what would end a source is encoded."""
    one = seen("script-src-elem", "https://cdn.example", paths=at("/js/a;b,c.js", "/lib/v2/x/", "/u/{token}/y.js"))

    assert suggested("script-src", one).policy == "script-src https://cdn.example"
    answer = suggested("script-src", one, paths=True)
    assert answer.policy == (
        "script-src https://cdn.example/js/a%3Bb%2Cc.js https://cdn.example/lib/v2/x/ https://cdn.example/u/"
    )
    assert answer.left == []


def test_paths_that_are_not_all_known_give_the_origin() -> None:
    """Where some paths were not kept, a list of the others would still block them."""
    one = seen("script-src-elem", "https://cdn.example", paths=at("/js/a.js", ""))

    assert suggested("script-src", one, paths=True).policy == "script-src https://cdn.example"


def test_wildcards_come_on_request() -> None:
    """Four hosts of a domain become one wildcard for those who ask; never of a domain in which everybody has a name."""
    hosts = [seen("img-src", f"https://{name}.cdn.example") for name in ("a", "b", "c", "d")]
    shared = [seen("img-src", f"https://{name}.co.uk") for name in ("a", "b", "c", "d")]
    wide = frozenset({Allow.WILDCARDS})

    assert suggested("img-src", *hosts).policy.count("cdn.example") == 4
    assert suggested("img-src", *hosts, allow=wide).policy == "img-src https://*.cdn.example"
    assert suggested("img-src", *hosts[:3], allow=wide).policy.count("cdn.example") == 3
    assert suggested("img-src", *shared, allow=wide).policy.count(".co.uk") == 4


def test_known_bypasses_are_flagged() -> None:
    """A host that serves everybody's scripts comes with a warning."""
    answer = suggested("script-src", seen("script-src-elem", "https://cdn.jsdelivr.net"))

    assert any("cdn.jsdelivr.net" in warning for warning in answer.added[0].warnings)


def test_what_the_base_allows_is_counted_alone() -> None:
    """A base that allows it already changes nothing about it."""
    answer = suggested("img-src *", seen("img-src", "https://cdn.example", policies=under("img-src 'self'")))

    assert (answer.policy, answer.added, answer.left, answer.already_allowed) == ("img-src *", [], [], 1)


def test_the_base_is_the_newest_policy_that_many_reports_came_with() -> None:
    """One forged report cannot choose the base; without any policy it is the starter."""
    one = seen("img-src", "https://cdn.example", policies=under("img-src 'none'", "img-src 'self'"))
    forged = seen("img-src", "https://x.example", policies=under("a", "b", "img-src *", count=1), enforce=1)

    answer = advised(QUERY, [one, forged])
    assert (answer.base_from, answer.base) == ("reported", "img-src 'self'")
    assert advised(QUERY, [forged]).base_from == "starter"
    assert advised(AdviceQuery(project="shop", policy="img-src *"), [one]).base_from == "given"


HOSTILE = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from([*"; ,\t\n'*:/?#%\0é", "https://a.example", "script-src *", "data:", "{token}", "-"]), max_size=8
    ).map("".join),
)
KINDS = st.sampled_from(["origin", "scheme", "inline", "eval", "local", "opaque", "trusted-types-sink"])
DIRECTIVES = st.sampled_from(["script-src-elem", "img-src", "worker-src", "base-uri", "default-src", "frame-ancestors"])
ONES = st.builds(
    lambda directive, blocked, kind, path, place: seen(directive, blocked, kind, paths=at(path), place=place),
    st.one_of(DIRECTIVES, HOSTILE),
    HOSTILE,
    KINDS,
    HOSTILE,
    HOSTILE,
)
QUICK = settings(max_examples=examples(300), derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(
    st.one_of(st.sampled_from(["default-src 'self'", "script-src 'nonce-x'; img-src", "img-src *, script-src"]), HOSTILE), ONES
)
@QUICK
def test_no_report_can_inject(base: str, one: Evidence) -> None:
    """Whatever a report holds, the suggestion has the directives of its base and at most the one that was violated, too."""
    answer = advice(EVERYTHING, base, "given", [one])

    before, after = policies(base), policies(answer.policy)
    kept = [policy for policy in before if Draft(policy).text]
    assert len(after) == len(kept)
    for old, new in zip(kept, after, strict=True):
        names = set(Draft(old).policy)
        assert names <= set(new)
        assert len(new) <= len(names) + 1
        added = sum(len(sources) for sources in new.values())
        assert added <= 2 * sum(len(sources) for sources in old.values()) + 1
    assert answer.policy.isascii()
    assert answer.policy.isprintable()
