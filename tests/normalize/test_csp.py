"""CSP reports become records as browsers meant them, and nothing hostile in them survives."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collector.normalize.csp import MAX_ENTRIES, arrived
from collector.normalize.explain import explain
from collector.wire.errors import InvalidReport
from collector.wire.records import CspReport, DropReason

PAYLOADS = Path(__file__).parent.parent / "payloads" / "csp"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
NAMES = sorted(path.stem for path in PAYLOADS.glob("*.body"))


def payload(name: str) -> bytes:
    """The body that a browser posted."""
    return (PAYLOADS / f"{name}.body").read_bytes()


def only(body: bytes, user_agent: str | None = CHROME) -> CspReport:
    """The one report of a body."""
    (report,) = arrived(body, user_agent=user_agent).reports
    return report


def legacy(**fields: Any) -> bytes:
    """A legacy body with these fields and the least that makes it a report."""
    report = {"document-uri": "https://shop.example/", "effective-directive": "script-src-elem", "blocked-uri": "inline"}
    report |= {name.replace("_", "-"): value for name, value in fields.items()}
    return json.dumps({"csp-report": report}).encode()


@pytest.mark.parametrize("name", NAMES)
def test_every_payload_is_explained_as_labelled(name: str) -> None:
    """Each browser's body gives the entries that its label names, in its order."""
    label = json.loads((PAYLOADS / f"{name}.label.json").read_bytes())
    if label["invalid"]:
        with pytest.raises(InvalidReport):
            explain(payload(name), user_agent=label["user_agent"])
        return

    accepted, refused = explain(payload(name), user_agent=label["user_agent"])

    assert [{key: value for key, value in entry.items() if key != "fingerprint"} for entry in accepted] == label["accepted"]
    assert [entry["fingerprint"] is None for entry in accepted] == [entry["type"] != "csp-violation" for entry in accepted]
    assert len(refused) == label["refused"]


def test_a_sample_keeps_what_helps_and_nothing_that_names_a_person() -> None:
    """Queries, nonces, the site's key and the raw User-Agent are gone; path, position and policy stay."""
    report = only(payload("chromium-legacy-image"))

    assert report.sample.document_uri == "https://shop.example/cart"
    assert report.sample.blocked_uri == "https://pixel.tracker.example/p.gif"
    assert report.sample.policy == "default-src 'self'; script-src 'self'"
    assert report.sample.user_agent == "Chrome 156"
    assert report.sample.status_code == 200


def test_unknown_directives_are_none() -> None:
    """Only directives of the specifications are kept; the effective one is asked first, its first word decides."""
    assert only(legacy(effective_directive="Very odd", violated_directive="IMG-SRC 'self'")).effective_directive == "img-src"
    assert only(legacy(effective_directive="Very odd", violated_directive="")).effective_directive is None


def test_age_is_clamped() -> None:
    """A report happened between now and two days ago, whatever the browser's clock says."""
    body = '[{"type":"csp-violation","age":%s,"url":"https://a.example/","body":{"blockedURL":"inline"}}]'

    def ages(*values: str) -> list[int]:
        return [sum(arrived((body % value).encode(), user_agent=None).ages) for value in values]

    assert ages("53531", '"53531"', "1.9") == [53531, 53531, 1]
    assert ages("-5", "null", "true", '"soon"', '"nan"') == [0, 0, 0, 0, 0]
    assert ages("1e400", "9" * 5000) == [172_800_000, 172_800_000]


def test_numbers_fit_the_database() -> None:
    """Line and column are positive and fit four bytes, or are unknown."""
    sample = only(legacy(line_number=0, column_number=2**31, status_code="0")).sample
    assert (sample.line_number, sample.column_number, sample.status_code) == (None, None, 0)
    sample = only(legacy(line_number=2**31 - 1, column_number=7.0, status_code=-1)).sample
    assert (sample.line_number, sample.column_number, sample.status_code) == (2**31 - 1, 7, None)


def test_strings_are_bounded() -> None:
    """However long the fields are, what is stored is not."""
    long = "https://a.example/" + "x/" * 20_000
    report = only(
        legacy(
            document_uri=long, blocked_uri=long, source_file=long, original_policy="img-src " * 9_000, script_sample="y" * 9_000
        )
    )

    assert [len(text or "") for text in (report.sample.document_uri, report.sample.source_file)] == [2048, 2048]
    assert len(report.sample.policy or "") <= 8192
    assert report.sample.script_sample == "y" * 40
    assert report.blocked_origin == "https://a.example"


def test_control_characters_do_not_survive() -> None:
    """Nothing that could start another log line, or that PostgreSQL refuses, is stored."""
    report = only(
        legacy(
            blocked_uri="https://cdn.example/x.js\r\n2031-01-01 ERROR root login\x1b[31m",
            script_sample="a\x00b\nc",
            original_policy="img-src 'self'\x00; font-src x",
        )
    )

    assert report.blocked_origin == "https://cdn.example"
    assert report.sample.blocked_uri == "https://cdn.example/x.js2031-01-01 ERROR root login[31m"
    assert report.sample.script_sample == "a b c"
    assert report.sample.policy == "img-src 'self'; font-src x"


def test_half_an_emoji_is_stored_whole() -> None:
    """A sample cut within a surrogate pair is kept, its half marked, and can be encoded."""
    sample = only(payload("chromium-legacy-split-emoji")).sample.script_sample

    assert sample is not None
    assert sample.endswith("\ufffd")
    assert sample.encode()


def test_the_documents_own_origin_is_local() -> None:
    """Old browsers give the document's origin where others give nothing: both are one violation."""
    own = only(legacy(blocked_uri="https://shop.example"))
    nothing = only(legacy(blocked_uri=""))

    assert own.blocked_kind == "origin"
    assert nothing.blocked_kind == "local"
    assert own.group == nothing.group


def test_inline_code_is_grouped_by_where_it_stands() -> None:
    """Two inline scripts of one page are two violations; two visits with other queries are one."""
    places = [
        only(legacy(source_file=f"https://shop.example/cart?visit={visit}", line_number=line)).place
        for visit, line in ((1, 14), (2, 14), (3, 60))
    ]
    assert places == ["https://shop.example/cart:14", "https://shop.example/cart:14", "https://shop.example/cart:60"]


def test_without_a_source_inline_code_is_grouped_by_its_sample() -> None:
    """White space and the dots of a cut sample make no difference."""
    assert only(legacy(script_sample="alert( 1 )\n  // hi…")).place == only(legacy(script_sample="alert( 1 ) // hi")).place
    assert only(legacy(blocked_uri="https://cdn.example/", script_sample="alert(1)")).place == ""


def test_the_browser_that_saw_it_is_the_one_named() -> None:
    """The envelope's User-Agent wins over that of the request that delivered it."""
    report = arrived(payload("firefox-reporting-nulls"), user_agent=CHROME).reports[0]
    assert report.sample.user_agent == "Firefox 153"


def test_a_missing_document_is_the_envelopes_url() -> None:
    """The Reporting API says in its envelope which document a report is about."""
    body = b'[{"type":"csp-violation","url":"https://shop.example/a","body":{"blockedURL":"inline"}}]'
    assert only(body).document_origin == "https://shop.example"


@pytest.mark.parametrize(
    ("policy", "blocked", "allows"),
    [
        ("script-src-elem https://cdn.example", "https://cdn.example/a.js?v=1", True),
        ("script-src-elem https://cdn.example", "https://other.example/a.js", False),
        ("default-src 'self'", "https://shop.example/a.js", True),
        ("script-src 'unsafe-inline'", "inline", True),
        ("script-src 'unsafe-inline' 'nonce-4f9c2b'", "inline", False),
        ("script-src 'strict-dynamic' 'nonce-4f9c2b' https:", "https://cdn.example/a.js", False),
        ("script-src https:; report-uri /r", "https://cdn.example/a.js", True),
        ("", "inline", False),
        ("script-src *; ; ,", "", False),
    ],
)
def test_a_report_that_its_own_policy_allows_is_marked(policy: str, blocked: str, *, allows: bool) -> None:
    """Only where the policy allows it for certain; what a nonce or strict-dynamic decides is not certain."""
    assert only(legacy(original_policy=policy, blocked_uri=blocked)).policy_allows is allows


def test_drops_and_others_are_counted() -> None:
    """What becomes no violation is counted by a word of a closed list."""
    batch = arrived(payload("batch-with-bad-entries"), user_agent=None)
    assert dict(batch.drops) == {DropReason.MALFORMED: 6, DropReason.EMPTY: 1}
    assert len(batch.reports) == 1

    batch = arrived(payload("chromium-reporting-network-error"), user_agent=None)
    assert Counter(other.type for other in batch.others) == {"network-error": 1, "crash": 1, "other": 1}
    assert (batch.reports, batch.drops) == ((), ())


@pytest.mark.parametrize("late", ["{}", '{"csp-report":{"blocked-uri":"eval"}}', "7"])
def test_entries_past_the_limit_are_counted_and_not_looked_at(late: str) -> None:
    """The 1,001st entry and those after it are dropped, whatever they are."""
    entry = '{"csp-report":{"document-uri":"https://a.example/","violated-directive":"img-src","blocked-uri":"data"}}'
    batch = arrived(f"[{','.join([entry] * MAX_ENTRIES + [late] * 3)}]".encode(), user_agent=None)

    assert len(batch.reports) == len(batch.outcomes) == MAX_ENTRIES
    assert batch.drops == ((DropReason.OVER_ENTRIES, 3),)
