"""An explanation says what the service would store, and why it would not."""

from __future__ import annotations

import json

from collector.normalize.explain import explain

LEGACY = b'{"csp-report":{"document-uri":"https://a.example/","effective-directive":"img-src","blocked-uri":"data"}}'


def test_a_project_has_fingerprints_of_its_own() -> None:
    """The same report in two projects is two violations."""
    (first,), _ = explain(LEGACY)
    (second,), _ = explain(LEGACY, project="shop")
    assert first["fingerprint"] != second["fingerprint"]


def test_an_explanation_is_plain_json() -> None:
    """Every value is text or null, so that a line of JSON can be printed."""
    (entry,), refused = explain(LEGACY)
    assert json.loads(json.dumps(entry))["disposition"] is None
    assert refused == []


def test_reasons_name_the_entry() -> None:
    """A refused entry is found by its number in the body."""
    entry = LEGACY.decode()
    _, refused = explain(f'[{entry},7,{{"csp-report":{{}}}},{",".join([entry] * 1000)}]'.encode())
    assert refused == [
        "entry 2: malformed: it is not an object",
        "entry 3: empty: no field has a value",
        "3 more entries: over_entries: not looked at",
    ]
