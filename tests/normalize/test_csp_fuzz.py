"""Whatever anybody posts: a record that every store takes, or ``InvalidReport``; never anything else."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.normalize import other_reports
from collector.normalize.csp import INT32, MAX_AGE_MS, Arrived, arrived
from collector.normalize.fingerprint import fingerprint
from collector.normalize.masking import masked
from collector.normalize.policy import policy
from collector.normalize.uris import uri
from collector.wire.csp import DIRECTIVES, LegacyReport, ReportingBody
from collector.wire.errors import InvalidReport
from collector.wire.other_reports import OTHER_TYPES
from collector.wire.records import CspReport, OtherReport
from tests.examples import examples

BODIES = [path.read_bytes() for path in sorted((Path(__file__).parent.parent / "payloads" / "csp").glob("*.body"))]
SMALL = [body for body in BODIES if len(body) < 8192]
KINDS = {"origin", "inline", "eval", "wasm-eval", "trusted-types-policy", "trusted-types-sink", "local", "scheme", "opaque"}
BOUNDS = {"script_sample": 40, "policy": 8192, "blocked_key": 300, "place": 320, "user_agent": 40, "blocked_origin": 300}

# The machine that runs this may be busy: what is tested is what happens, not how fast. The quick ones are the same every time.
QUICK = settings(max_examples=examples(150), derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])

CHARACTERS = st.sampled_from("\\:@?#/.[];,'-_ aé🍓\x00\r\n\x1b\u202e\ud83d")
PARTS = (
    *(
        "https://",
        "HTTP:",
        "wss://",
        "[::1]",
        ":443",
        "data:",
        "chrome-extension",
        "moz-extension://",
        "xn--",
        "self",
        "inline",
    ),
    *(
        "%40",
        "%2e",
        "a@b.example",
        "eyJhbGciOiJ9.a1.b2",
        "4f9c2b7a8d1e4c0f",
        "{token}",
        "'nonce-x'",
        "report-uri",
        "report-to x",
    ),
)
PIECES = st.one_of(CHARACTERS, st.sampled_from(PARTS))
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join), PIECES.map(lambda piece: piece * 900))
NUMBERS = st.one_of(st.integers(), st.floats(), st.just(10**400), st.sampled_from(["12", "-1", "1e5", "nan", "", "\uff19"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
ENVELOPE = ("document-url", "age", "type", "url", "body", "user_agent", "csp-report")
KEYS = st.sampled_from((*LegacyReport.__struct_encode_fields__, *ReportingBody.__struct_encode_fields__, *ENVELOPE))
REPORTS = st.dictionaries(KEYS, VALUES, max_size=12)
OTHER_KEYS = st.sampled_from((*other_reports.TEXTS, *other_reports.NUMBERS, *other_reports.FLAGS, "server_ip"))
OTHER_BODIES = st.dictionaries(OTHER_KEYS, VALUES, max_size=12)
TYPES = st.one_of(st.just("csp-violation"), st.sampled_from(sorted(OTHER_TYPES)), VALUES)
ENTRIES = st.one_of(
    st.fixed_dictionaries({"csp-report": st.one_of(REPORTS, VALUES)}),
    st.fixed_dictionaries(
        {"type": TYPES, "body": st.one_of(REPORTS, OTHER_BODIES, VALUES)},
        optional={"age": VALUES, "url": VALUES, "user_agent": VALUES},
    ),
    REPORTS,
    VALUES,
)
POSTED = st.one_of(ENTRIES, st.lists(ENTRIES, max_size=5)).map(lambda value: json.dumps(value).encode())


def strings(record: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a record, with the name of its field."""
    if isinstance(record, str):
        yield field, record
    elif isinstance(record, msgspec.Struct):
        for name in record.__struct_fields__:
            yield from strings(getattr(record, name), name)


def is_storable(text: str) -> bool:
    """Whether every store takes it and no terminal acts on it."""
    return not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def assert_canonical(brought: Arrived) -> None:
    """What holds of everything that normalization makes."""
    for report in brought.reports:
        assert_canonical_report(report)
    for other in brought.others:
        assert_canonical_other(other)
    assert all(count > 0 for _, count in brought.drops)
    assert all(0 <= age <= MAX_AGE_MS for age in brought.ages)
    assert len(brought.ages) in (0, len(brought.reports))
    assert len(brought.fingerprints) == len(brought.reports)


def assert_canonical_other(report: OtherReport) -> None:
    """What holds of every report that is not about CSP."""
    assert report.type in OTHER_TYPES | {"other"}
    assert 0 <= report.age_ms <= MAX_AGE_MS
    for name, value in report.fields:
        if isinstance(value, str):
            assert name in other_reports.TEXTS
            assert is_storable(value), (name, value)
            assert len(value) <= 2048, name
        else:
            assert name in other_reports.NUMBERS | other_reports.FLAGS
            assert abs(value) <= other_reports.HIGHEST
    for field, text in strings(report.script):
        assert is_storable(text), (field, text)
        assert len(text) <= 2048, field


def assert_canonical_report(report: CspReport) -> None:
    """What holds of every report."""
    for field, text in strings(report):
        assert is_storable(text), (field, text)
        assert len(text) <= BOUNDS.get(field, 2048), field
    assert report.effective_directive is None or report.effective_directive in DIRECTIVES
    assert report.blocked_kind in KINDS
    assert report.disposition in ("enforce", "report", None)
    assert report.document_origin is None or report.document_origin.startswith(("http://", "https://"))
    assert report.blocked_key
    for number in (report.sample.line_number, report.sample.column_number, report.sample.status_code):
        assert number is None or 0 <= number <= INT32
    assert len(fingerprint("default", report.group)) == 32


def check(body: bytes) -> None:
    """One body: canonical records or ``InvalidReport``."""
    try:
        brought = arrived(body, user_agent=None)
    except InvalidReport:
        return
    assert_canonical(brought)


def mutated(body: bytes, cut: slice, piece: bytes) -> bytes:
    """``body`` with a part of it replaced."""
    return body[: cut.start] + piece + body[cut.stop :]


MUTATIONS = st.sampled_from(SMALL).flatmap(
    lambda body: st.builds(
        mutated,
        st.just(body),
        st.tuples(st.integers(0, len(body)), st.integers(0, 12)).map(lambda at: slice(at[0], at[0] + at[1])),
        st.one_of(
            st.binary(max_size=6), st.sampled_from([b"null", b'"', b"{", b"\\ud83d", b"\\u0000", b"\x00", b"\xff", b"9" * 5000])
        ),
    )
)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_every_payload_is_canonical(body: bytes) -> None:
    """Real bodies give records within all bounds."""
    check(body)


@given(st.binary(max_size=400))
@QUICK
def test_any_bytes(body: bytes) -> None:
    """Bytes that nobody meant as a report are refused with a word."""
    check(body)


@given(POSTED)
@QUICK
def test_any_json(body: bytes) -> None:
    """JSON of the right shape with anything in it."""
    check(body)


@given(MUTATIONS)
@QUICK
def test_mutated_reports(body: bytes) -> None:
    """Reports that a line, a proxy or an attacker has damaged."""
    check(body)


@given(TEXTS)
@QUICK
def test_cleaning_twice_changes_nothing(text: str) -> None:
    """What has been cleaned is clean: a stored text, sent again, is stored the same."""
    once = uri(text).text
    assert uri(once).text == once
    assert policy(policy(text).text).text == policy(text).text
    assert masked(masked(text)) == masked(text)


@given(TEXTS)
@QUICK
def test_an_origin_is_its_own_origin(text: str) -> None:
    """An origin read again is the same origin, and holds nothing that could start another source in a policy."""
    found = uri(text)
    if found.kind == "origin":
        assert uri(found.origin).origin == found.origin
        assert found.origin is not None
        assert found.origin.isascii()
        assert not set(found.origin) & set(" ;,'\"?#@\\")


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(st.one_of(st.binary(max_size=2_000), POSTED, MUTATIONS))
@LONG
def test_thousands_of_bodies(body: bytes) -> None:
    """The same promises over many more bodies."""
    check(body)


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(TEXTS)
@LONG
def test_thousands_of_texts(text: str) -> None:
    """The same idempotence over many more texts."""
    once = uri(text).text
    assert uri(once).text == once
    assert policy(policy(text).text).text == policy(text).text
