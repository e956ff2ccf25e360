"""A stored policy holds no nonce and no key."""

from __future__ import annotations

import pytest

from collector.normalize.policy import policy


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
    assert policy(raw) == kept


def test_the_same_policy_with_another_nonce_is_the_same() -> None:
    """Every response has a nonce of its own; the stored policy does not tell them apart."""
    assert policy("script-src 'nonce-aaaa1111'") == policy("script-src 'nonce-bbbb2222'")
