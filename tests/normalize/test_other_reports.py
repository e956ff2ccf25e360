"""Of reports that are not about CSP little is kept, and nothing that names a person or opens a session."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.normalize.csp import arrived
from collector.normalize.other_reports import TEXT_LONGEST
from collector.wire.records import OtherReport, Script
from tests.normalize.test_csp import payload

SHA = "sha256-X+zrZv/IbzjZUnhsbWlsecLbwjndTpG0ZynXOif7V+k="


def others(body: bytes) -> list[OtherReport]:
    """What a body brought beside CSP."""
    return list(arrived(body, user_agent=None).others)


def one(kind: str, body: Any, **envelope: Any) -> OtherReport:
    """The report of one entry."""
    entry = {"type": kind, "age": 0, "url": "https://shop.example/a?b", "body": body, **envelope}
    (report,) = others(json.dumps([entry]).encode())
    return report


def test_the_fields_of_each_type_are_kept_without_what_is_private() -> None:
    """URLs lose their query, identifiers and addresses are masked, and a field that nobody named is left out."""
    crash, coop, coep, *_ = others(payload("chromium-reporting-crash-and-isolation"))

    assert dict(crash.fields) == {
        "reason": "oom",
        "stack": "Error at track (https://shop.example/app.js)",
        "is_top_level": True,
        "visibility_state": "visible",
    }
    assert dict(coop.fields)["previousResponseURL"] == "https://shop.example/reset/{uuid}"
    assert dict(coop.fields)["referrer"] == "https://mail.example/"
    assert dict(coep.fields) == {
        "type": "corp",
        "blockedURL": "https://img.vendor.example/p.gif",
        "destination": "image",
        "disposition": "reporting",
    }
    assert (crash.document_uri, crash.document_origin) == ("https://shop.example/checkout", "https://shop.example")
    assert (crash.age_ms, crash.user_agent) == (20, "Chrome 156")


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("see https://u:p@shop.example/x?token=1#f, now", "see https://shop.example/x now"),
        ("sent to ada@shop.example by 4f9c2b7a8d1e4c0f", "sent to {email} by {token}"),
        ("a\x00b\nc\x1b[31m \u202ed", "a b c [31m d"),
        ("data:text/html;base64,AAAA", "data:"),
        ("file:///home/ada/x.html", "file:"),
        ("   ", None),
        (7, None),
        (["x"], None),
    ],
)
def test_messages_are_cleaned(message: Any, kept: str | None) -> None:
    """A browser's message may quote a URL, an address or a token of the page."""
    assert dict(one("deprecation", {"message": message}).fields).get("message") == kept


def test_everything_is_bounded() -> None:
    """Long texts are cut, numbers that no column holds and bodies of any other shape are as good as absent."""
    fields = dict(
        one("deprecation", {"message": "x " * 5000, "id": "y" * 5000, "lineNumber": 10**400, "columnNumber": 7}).fields
    )

    assert len(str(fields["message"])) <= TEXT_LONGEST
    assert len(str(fields["id"])) <= 64
    assert "lineNumber" not in fields
    assert fields["columnNumber"] == 7
    bodies: list[Any] = [None, "text", [1], 7, {}]
    assert [one("test", body).fields for body in bodies] == [()] * 5


def test_an_age_is_an_age_and_a_browser_a_browser() -> None:
    """Time and browser are told as for CSP: clamped, and the one that saw it."""
    assert [one("test", {}, age=age).age_ms for age in (-1, "9", 1e300, None)] == [0, 9, 172_800_000, 0]
    assert one("test", {}, user_agent="Mozilla/5.0 Firefox/153.0").user_agent == "Firefox 153"


def test_a_script_is_what_a_hash_names() -> None:
    """A csp-hash gives the script with its page's origin, without queries; one without a hash gives none."""
    whole, without = others(payload("chromium-reporting-csp-hash"))

    assert whole.script == Script("https://shop.example", "https://cdn.vendor.example/lib.js", SHA, "subresource", "script")
    assert without.script is None
    assert one("deprecation", {"hash": SHA}).script is None
    assert one("csp-hash", {"hash": SHA}).script == Script("https://shop.example", None, SHA, "unknown", "unknown")


def test_what_a_report_is_about_tells_it_from_others() -> None:
    """Two deprecations of one feature on two lines are about the same, those of two features are not."""
    same = [one("deprecation", {"id": "UnloadHandler", "lineNumber": line}).about for line in (1, 2)]
    assert same[0] == same[1] != one("deprecation", {"id": "WebSQL"}).about
