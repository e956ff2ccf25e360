"""A URI gives its origin and loses what must not be stored."""

from __future__ import annotations

import pytest

from collector.normalize.uris import Uri, uri


@pytest.mark.parametrize(
    ("raw", "origin"),
    [
        ("HTTPS://Shop.Example/A", "https://shop.example"),
        ("https://shop.example:443/", "https://shop.example"),
        ("http://shop.example:443/", "http://shop.example:443"),
        ("https://user:p@ss@shop.example/x?y#z", "https://shop.example"),
        ("https:\\\\shop.example\\x", "https://shop.example"),
        ("https://shop.example?x", "https://shop.example"),
        ("wss://live.example:443/feed", "wss://live.example"),
        ("http://[2001:DB8::0001]:8080/", "http://[2001:db8::1]:8080"),
        ("https://fahrräder.example/", "https://xn--fahrrder-4za.example"),
        ("https://FAHRRÄDER.example/", "https://xn--fahrrder-4za.example"),
        ("https://xn--fahrrder-4za.example/", "https://xn--fahrrder-4za.example"),
        ("https://🍓.example/", "https://xn--ti8h.example"),
        ("https://shop%2Eexample/", "https://shop.example"),
        ("https://shop.example./", "https://shop.example."),
    ],
)
def test_origins(raw: str, origin: str) -> None:
    """Lower case, Punycode, no default port, nothing but scheme, host and port."""
    found = uri(raw)
    assert (found.kind, found.origin) == ("origin", origin)


@pytest.mark.parametrize(
    "raw", ["https://a b.example/", "https://a;script-src.example/", "https://a.example:99999/", "https://[::x]/"]
)
def test_what_is_no_host_has_no_origin(raw: str) -> None:
    """A host that could smuggle anything into a policy, or that no browser takes, is opaque and loses everything else."""
    assert uri(raw) == Uri("opaque", "https:")


@pytest.mark.parametrize(
    ("raw", "kind", "origin"),
    [
        (None, "local", None),
        ("", "local", None),
        (" \n", "local", None),
        ("self", "local", None),
        ("'self'", "local", None),
        ("inline", "inline", None),
        ("eval", "eval", None),
        ("wasm-eval", "wasm-eval", None),
        ("trusted-types-policy", "trusted-types-policy", None),
        ("trusted-types-sink", "trusted-types-sink", None),
        ("data", "scheme", "data:"),
        ("data:image/png;base64,AAAA", "scheme", "data:"),
        ("blob:https://shop.example/0d1f9a6e", "scheme", "blob:"),
        ("about:blank", "scheme", "about:"),
        ("chrome-extension", "scheme", "chrome-extension:"),
        ("chrome-extension:2:248774", "scheme", "chrome-extension:"),
        ("webviewprogressproxy://", "scheme", "webviewprogressproxy:"),
        ("https", "scheme", "https:"),
        ("null", "opaque", None),
        ("cdn.vendor.example", "opaque", None),
        ("cdn.vendor.example:8080/x", "opaque", None),
        ("//cdn.vendor.example/x", "opaque", None),
        ("call to eval() blocked", "opaque", None),
        ("[removed]", "opaque", None),
    ],
)
def test_kinds(raw: str | None, kind: str, origin: str | None) -> None:
    """What stands in the place of a URI is told apart: nothing, a keyword, a scheme, or something else."""
    found = uri(raw)
    assert (found.kind, found.origin) == (kind, origin)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("https://user:pw@a.example/cart?session=1#top", "https://a.example/cart"),
        ("https://a.example/reset/4f9c2b7a8d1e4c0fb6a35d7e9c1f2a3b/go", "https://a.example/reset/{token}/go"),
        ("https://a.example/u/0d1f9a6e-5d3c-4b1c-9a66-2f0c6d1a7b10", "https://a.example/u/{uuid}"),
        ("https://a.example/u/ann.lee@mail.example/edit", "https://a.example/u/{email}/edit"),
        ("https://a.example/u/ann.lee%40mail.example", "https://a.example/u/{email}"),
        ("https://a.example/j/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3", "https://a.example/j/{token}"),
        ("https://a.example/k/abcd-1234-efgh-5678-ijkl", "https://a.example/k/{token}"),
        ("https://a.example/s;jsessionid=1A2B3C4D5E6F7A8B9C0D", "https://a.example/s;jsessionid={token}"),
        ("https://a.example/2024/06/12-ways-to-cook-a-fish", "https://a.example/2024/06/12-ways-to-cook-a-fish"),
        ("https://a.example/lib/react@18.2.0/react.min.js", "https://a.example/lib/react@18.2.0/react.min.js"),
        ("https://a.example/caf%C3%A9-noir-et-blanc-doux", "https://a.example/caf%C3%A9-noir-et-blanc-doux"),
        ("moz-extension://0d1f9a6e-5d3c-4b1c-9a66-2f0c6d1a7b10/a.js", "moz-extension:"),
        ("file:///home/ann/site/index.html", "file:"),
        ("jar:file:///C:/Users/ann/x.xpi!/a.js", "jar:"),
        ("inline", "inline"),
        ("chrome-extension", "chrome-extension"),
        ("somewhere/4f9c2b7a8d1e4c0fb6a35d7e9c1f2a3b?q=1", "somewhere/{token}"),
        ("", None),
    ],
)
def test_what_is_stored(raw: str, kept: str | None) -> None:
    """Userinfo, query, fragment and whatever looks like a secret or a person are gone."""
    assert uri(raw).text == kept


def test_long_uris_are_cut() -> None:
    """A URI of any length is stored with 2,048 characters at most, and keeps its origin."""
    found = uri("https://a.example/" + "long-path/" * 2_000)
    assert found.origin == "https://a.example"
    assert len(found.text or "") == 2048
