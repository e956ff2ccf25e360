"""A policy says of a URL what CSP3 says of it, and owns up to what it cannot know."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.normalize.policy import LONGEST
from collector.normalize.sources import FALLBACKS, allows, judged, policies, source
from collector.wire.csp import DIRECTIVES
from collector.wire.policy import Verdict
from tests.examples import examples

SITE = "https://shop.example"
BLOCKED, ALLOWED, UNKNOWN = Verdict.BLOCKED, Verdict.ALLOWED, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("listed", "blocked", "verdict"),
    [
        # Hosts, wildcards, case.
        ("https://cdn.example", "https://cdn.example/a.js", ALLOWED),
        ("HTTPS://CDN.example", "https://cdn.example/a.js", ALLOWED),
        ("https://cdn.example", "https://evil.example/a.js", BLOCKED),
        ("https://cdn.example", "https://cdn.example.evil.example/a.js", BLOCKED),
        ("https://*.cdn.example", "https://eu.cdn.example/a.js", ALLOWED),
        ("https://*.cdn.example", "https://a.b.cdn.example/a.js", ALLOWED),
        ("https://*.cdn.example", "https://cdn.example/a.js", BLOCKED),
        ("https://*.cdn.example", "https://evilcdn.example/a.js", BLOCKED),
        ("https://*", "https://any.example/a.js", ALLOWED),
        ("https://xn--fahrrder-4za.example", "https://fahrräder.example/", ALLOWED),
        ("https://fahrräder.example", "https://fahrräder.example/", ALLOWED),  # the whole directive is void
        ("https://10.0.0.1", "https://10.0.0.1/", UNKNOWN),
        ("http://127.0.0.1", "http://127.0.0.1/", ALLOWED),
        ("https://[::1]", "https://[::1]/", BLOCKED),
        # Schemes, and their secure sisters.
        ("http://cdn.example", "https://cdn.example/a.js", ALLOWED),
        ("https://cdn.example", "http://cdn.example/a.js", BLOCKED),
        ("cdn.example", "https://cdn.example/a.js", ALLOWED),
        ("cdn.example", "http://cdn.example/a.js", BLOCKED),
        ("https:", "https://any.example/a.js", ALLOWED),
        ("http:", "https://any.example/a.js", ALLOWED),
        ("https:", "http://any.example/a.js", BLOCKED),
        ("data:", "data", ALLOWED),
        ("data:", "data:image/png;base64,AAAA", ALLOWED),
        ("data:", "blob", BLOCKED),
        ("https:", "https", ALLOWED),
        ("https://cdn.example", "https", UNKNOWN),
        ("ws://live.example", "wss://live.example/", ALLOWED),
        ("wss://live.example", "ws://live.example/", BLOCKED),
        ("https://live.example", "wss://live.example/", UNKNOWN),
        ("http://live.example", "wss://live.example/", UNKNOWN),
        # Ports.
        ("https://cdn.example:8443", "https://cdn.example:8443/", ALLOWED),
        ("https://cdn.example", "https://cdn.example:8443/", BLOCKED),
        ("https://cdn.example:8443", "https://cdn.example/", BLOCKED),
        ("https://cdn.example:443", "https://cdn.example/", ALLOWED),
        ("https://cdn.example:*", "https://cdn.example:8443/", ALLOWED),
        ("http://cdn.example:80", "https://cdn.example/", UNKNOWN),
        ("http://cdn.example:80", "http://cdn.example/", ALLOWED),
        # Paths.
        ("https://cdn.example/js/", "https://cdn.example/js/a.js", ALLOWED),
        ("https://cdn.example/js/", "https://cdn.example/js/deep/a.js", ALLOWED),
        ("https://cdn.example/js/", "https://cdn.example/js", BLOCKED),
        ("https://cdn.example/js", "https://cdn.example/js/a.js", BLOCKED),
        ("https://cdn.example/js", "https://cdn.example/js", ALLOWED),
        ("https://cdn.example/js/a.js", "https://cdn.example/js/a.js?v=2", ALLOWED),
        ("https://cdn.example/a%2Db.js", "https://cdn.example/a-b.js", ALLOWED),
        ("https://cdn.example/a.js?v=1", "https://cdn.example/a.js?v=2", ALLOWED),
        ("https://cdn.example/A.js", "https://cdn.example/a.js", BLOCKED),
        ("https://cdn.example/", "https://cdn.example/js/a.js", ALLOWED),
        ("https://cdn.example/js/", "https://cdn.example", UNKNOWN),  # of a frame browsers tell the origin only
        ("https://cdn.example/", "https://cdn.example", ALLOWED),
        ("https://cdn.example/u/4f9c2b7a8d1e4c0f11/a.js", "https://cdn.example/u/{token}/a.js", UNKNOWN),
        ("https://cdn.example/v/4f9c2b7a8d1e4c0f11/a.js", "https://cdn.example/u/{token}/a.js", BLOCKED),
        # Everything, and nothing.
        ("*", "https://any.example/", ALLOWED),
        ("*", "wss://any.example/", ALLOWED),
        ("*", "data", BLOCKED),
        ("", "https://any.example/", BLOCKED),
        ("'none'", "https://any.example/", BLOCKED),
        ("'none' https://any.example", "https://any.example/", ALLOWED),
        ("https://a.example;x", "https://b.example/", BLOCKED),
        ("https://b.example", "prose that names nothing", UNKNOWN),
        ("https://b.example", "", UNKNOWN),
        ("https://b.example", None, UNKNOWN),
        ("'none'", "", BLOCKED),
    ],
)
def test_a_source_list_matches_urls(listed: str, blocked: str | None, verdict: Verdict) -> None:
    """Schemes, hosts, ports and paths match as CSP3 says."""
    found = judged(f"img-src {listed}", "img-src", blocked, SITE)

    assert found is verdict
    assert allows(f"img-src {listed}", "img-src", blocked, SITE) == (verdict is ALLOWED)


@pytest.mark.parametrize(
    ("document", "blocked", "verdict"),
    [
        ("https://shop.example", "https://shop.example/a", ALLOWED),
        ("https://shop.example", "http://shop.example/a", BLOCKED),
        ("http://shop.example", "https://shop.example/a", ALLOWED),
        ("http://shop.example", "ws://shop.example/a", ALLOWED),
        ("https://shop.example", "wss://shop.example/a", ALLOWED),
        ("https://shop.example:8443", "wss://shop.example:8443/a", ALLOWED),
        ("http://shop.example:8080", "https://shop.example:8080/a", ALLOWED),
        ("http://shop.example:8080", "https://shop.example/a", BLOCKED),
        ("https://shop.example", "https://www.shop.example/a", BLOCKED),
        ("http://[::1]:3000", "http://[::1]:3000/a", ALLOWED),
        (None, "https://shop.example/a", UNKNOWN),
    ],
)
def test_self(document: str | None, blocked: str, verdict: Verdict) -> None:
    """``'self'`` is the document's origin and its secure sisters."""
    assert judged("img-src 'SELF'", "img-src", blocked, document) is verdict


@pytest.mark.parametrize(
    ("policy", "directive", "blocked", "verdict"),
    [
        ("script-src 'unsafe-inline'", "script-src-elem", "inline", ALLOWED),
        ("script-src 'unsafe-inline' 'nonce-x'", "script-src-elem", "inline", UNKNOWN),
        ("script-src 'unsafe-inline' 'nonce-x'", "script-src-attr", "inline", BLOCKED),
        ("script-src 'sha256-abc='", "script-src-attr", "inline", BLOCKED),
        ("script-src 'sha256-abc=' 'unsafe-hashes'", "script-src-attr", "inline", UNKNOWN),
        ("script-src 'unsafe-inline' 'strict-dynamic'", "script-src-elem", "inline", BLOCKED),
        ("style-src 'unsafe-inline' 'strict-dynamic'", "style-src-elem", "inline", ALLOWED),
        ("script-src 'self'", "script-src-elem", "inline", BLOCKED),
        ("script-src *", "script-src-elem", "inline", BLOCKED),
        ("script-src 'unsafe-eval'", "script-src", "eval", ALLOWED),
        ("script-src 'self'", "script-src", "eval", BLOCKED),
        ("script-src 'wasm-unsafe-eval'", "script-src", "wasm-eval", ALLOWED),
        ("script-src 'wasm-unsafe-eval'", "script-src", "eval", BLOCKED),
        ("script-src-elem 'self'; default-src 'unsafe-eval'", "script-src-elem", "eval", ALLOWED),
        ("script-src 'strict-dynamic' https://a.example", "script-src-elem", "https://a.example/x.js", UNKNOWN),
        ("script-src 'nonce-x'", "script-src-elem", "https://a.example/x.js", UNKNOWN),
        ("script-src 'sha384-x'", "script-src-elem", "https://a.example/x.js", UNKNOWN),
        ("style-src 'sha384-x'", "style-src-elem", "https://a.example/x.css", BLOCKED),
        ("img-src 'nonce-x'", "img-src", "https://a.example/x.png", BLOCKED),
        ("img-src *", "img-src", "inline", UNKNOWN),
        ("require-trusted-types-for 'script'", "require-trusted-types-for", "trusted-types-sink", BLOCKED),
        ("trusted-types a b", "trusted-types", "trusted-types-policy", UNKNOWN),
        ("default-src 'self'", "trusted-types", "trusted-types-policy", ALLOWED),
    ],
)
def test_code(policy: str, directive: str, blocked: str, verdict: Verdict) -> None:
    """Inline code and code made of text obey the keywords; a nonce or a hash makes it unknown."""
    assert judged(policy, directive, blocked, SITE) is verdict


@pytest.mark.parametrize(
    ("policy", "directive", "verdict"),
    [
        ("default-src https://a.example", "script-src-elem", ALLOWED),
        ("default-src 'none'; script-src https://a.example", "script-src-elem", ALLOWED),
        ("script-src https://a.example; script-src-elem 'none'", "script-src-elem", BLOCKED),
        ("script-src 'none'; script-src-elem https://a.example", "script-src-elem", ALLOWED),
        ("script-src 'none'; script-src-elem https://a.example", "script-src", BLOCKED),
        ("script-src https://a.example; default-src 'none'", "worker-src", ALLOWED),
        ("child-src https://a.example; script-src 'none'", "worker-src", ALLOWED),
        ("child-src https://a.example; default-src 'none'", "frame-src", ALLOWED),
        ("frame-src https://a.example; default-src 'none'", "fenced-frame-src", ALLOWED),
        ("script-src 'none'", "img-src", ALLOWED),
        ("default-src 'none'", "base-uri", ALLOWED),
        ("default-src 'none'", "form-action", ALLOWED),
        ("form-action 'none'", "form-action", BLOCKED),
        ("frame-ancestors https://a.example", "frame-ancestors", UNKNOWN),
        ("script-src 'none'", "default-src", UNKNOWN),
        ("sandbox", "sandbox", UNKNOWN),
    ],
)
def test_fallbacks(policy: str, directive: str, verdict: Verdict) -> None:
    """The first directive of the chain that a policy has decides; without any nothing is blocked."""
    assert judged(policy, directive, "https://a.example/x", SITE) is verdict


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [
        ("img-src *, img-src https://a.example", ALLOWED),
        ("img-src *, img-src 'none'", BLOCKED),
        ("img-src *,img-src https://a.example/x/", UNKNOWN),
        (", ,", ALLOWED),
        ("img-src 'none'; IMG-SRC *", BLOCKED),
        (";;IMG-SRC\t*;", ALLOWED),
    ],
)
def test_several_policies_must_all_allow(policy: str, verdict: Verdict) -> None:
    """Of policies parted by commas every one decides; of equal directives in one policy the first."""
    assert judged(policy, "img-src", "https://a.example", SITE) is verdict


def test_what_was_cut_or_never_sent_is_unknown() -> None:
    """No policy, no directive, or a policy that was cut at its end: nothing can be said."""
    assert judged(None, "img-src", "https://a.example/", SITE) is UNKNOWN
    assert judged("img-src *", None, "https://a.example/", SITE) is UNKNOWN
    assert judged("img-src *; ".ljust(LONGEST, "x"), "img-src", "https://a.example/", SITE) is UNKNOWN


WORDS = (
    "https:// a.example *.a.example :443 :* /x/ 'self' 'none' 'nonce- data: 'sha256- 'strict-dynamic' 'unsafe-inline' img-src "
    "default-src script-src {token} [::1] %2 ? inline"
)
PIECES = st.sampled_from([*"; ,'*:/.-\t\0\ud83dé", *WORDS.split(), "img-src ", "default-src "])
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=30).map("".join), PIECES.map(lambda piece: piece * 2_000))
QUICK = settings(max_examples=examples(300), derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(TEXTS, st.one_of(st.sampled_from(sorted(DIRECTIVES)), st.none(), TEXTS), TEXTS, TEXTS)
@QUICK
def test_any_text_gets_a_verdict(policy: str, directive: str | None, blocked: str, document: str) -> None:
    """Whatever stands in the fields of a report, a verdict comes out."""
    assert judged(policy, directive, blocked, document) in tuple(Verdict)


@given(TEXTS)
@QUICK
def test_reading_what_was_read_changes_nothing(policy: str) -> None:
    """Policies written down again from their sources are the same policies."""
    once = policies(policy)
    again = policies(", ".join("; ".join(" ".join((n, *(s.text for s in v))) for n, v in p.items()) for p in once))
    assert again == once


@given(st.sampled_from(sorted(FALLBACKS)), st.sampled_from(["https://a.example", "wss://b.example:8443", "http://c.example"]))
@QUICK
def test_an_origin_allows_itself(directive: str, origin: str) -> None:
    """A policy that lists an origin for a directive allows whatever that origin serves."""
    assert judged(f"{directive} {origin}", directive, f"{origin}/some/path", SITE) is ALLOWED
    assert source(origin).kind == "host"
