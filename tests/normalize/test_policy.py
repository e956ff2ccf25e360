"""A stored policy holds no nonce and no key."""

from __future__ import annotations

import pytest

from collector.normalize.policy import policy, policy_hash


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("script-src 'self' 'nonce-4f9c2b' https://a.example", "script-src 'self' https://a.example"),
        ("script-src 'NONCE-4f9c2b'; img-src *", "script-src; img-src *"),
        ("script-src nonce-4f9c2b 'sha256-abc='", "script-src 'sha256-abc='"),
        ("default-src 'self'; report-uri https://c.example/csp?key=bk7h", "default-src 'self'"),
        ("report-to csp; default-src 'self'; ; REPORT-URI /csp?key=bk7h,x;", "default-src 'self'"),
        ("default-src 'self', report-uri /csp?key=bk7h, more", "default-src 'self',"),
        ("default-src 'self',report-uri /csp?key=bk7h; img-src *", "default-src; img-src *"),
        ("img-src https://report-uri.example", "img-src https://report-uri.example"),
        ("report-uri /csp", None),
        ("", None),
        (None, None),
    ],
)
def test_what_is_stored(raw: str | None, kept: str | None) -> None:
    """Nonces and report endpoints are gone in every spelling; the rest stays in its order."""
    assert policy(raw).text == kept


def test_the_same_policy_with_another_nonce_is_the_same() -> None:
    """Every response has a nonce of its own; the stored policy does not tell them apart."""
    assert policy("script-src 'nonce-aaaa1111'") == policy("script-src 'nonce-bbbb2222'")


@pytest.mark.parametrize(
    "same",
    [
        "img-src a.example 'self'; script-src 'nonce-x' 'self'; report-to csp",
        "script-src 'self'; img-src 'self' a.example;",
        "SCRIPT-SRC  'self';; img-src a.example 'self' a.example; img-src *; report-uri /csp?key=bk7h",
    ],
)
def test_a_policy_has_one_hash_in_every_order(same: str) -> None:
    """Order, nonces, endpoints and what a browser ignores make no other policy."""
    assert policy_hash(policy(same).text) == "03e415ddb2f0869aa48a39efeff3ebce"


def test_another_policy_has_another_hash() -> None:
    """Another source, and the same sources in another directive, are other policies; no policy has no hash."""
    hashes = {policy_hash(text) for text in ("img-src 'self'", "img-src 'self' a.example", "img-src; font-src 'self'")}
    assert len(hashes) == 3
    assert policy_hash(None) is None


def test_a_policy_is_judged_with_its_nonces_in_place() -> None:
    """That there was a nonce decides what else counts in a list; which one it was is nobody's business."""
    assert policy("script-src 'nonce-4f9c2b' 'unsafe-inline'; report-to csp").judged == "script-src 'nonce-' 'unsafe-inline'"
    assert policy("img-src 'self'").judged == "img-src 'self'"
