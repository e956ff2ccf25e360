"""The wire types of CSP say the same thing in both of its formats."""

from __future__ import annotations

import msgspec

from collector.wire.csp import DIRECTIVES, Entry, LegacyReport, ReportingBody
from collector.wire.other_reports import OTHER_TYPES


def test_both_formats_have_the_same_fields() -> None:
    """Normalization reads a legacy report and a Reporting API body by the same names."""
    assert LegacyReport.__struct_fields__ == ReportingBody.__struct_fields__


def test_the_legacy_names_are_those_of_the_specification() -> None:
    """Every field of CSP3's "deprecated serialized violation" is decoded under its hyphenated name."""
    names = (
        "document-uri referrer blocked-uri effective-directive violated-directive original-policy disposition "
        "status-code script-sample source-file line-number column-number"
    )
    assert set(LegacyReport.__struct_encode_fields__) == set(names.split())


def test_the_reporting_names_are_those_of_the_specification() -> None:
    """Every field of CSPViolationReportBody is decoded under its name, and violatedDirective beside them."""
    names = (
        "documentURL referrer blockedURL effectiveDirective originalPolicy sourceFile sample disposition statusCode "
        "lineNumber columnNumber violatedDirective"
    )
    assert set(ReportingBody.__struct_encode_fields__) == set(names.split())


def test_an_entry_is_told_by_its_envelope() -> None:
    """One struct decodes both envelopes, and which of its fields is set tells them apart."""
    decoder = msgspec.json.Decoder(Entry)

    legacy = decoder.decode(b'{"csp-report":{"blocked-uri":"inline"}}')
    reporting = decoder.decode(b'{"type":"csp-violation","age":5,"url":"https://a.example/","body":{"blockedURL":"eval"}}')

    assert legacy.csp_report is not None
    assert (legacy.csp_report.blocked_uri, legacy.body) == ("inline", None)
    assert reporting.body is not None
    assert (reporting.body.blocked_uri, reporting.age, reporting.csp_report) == ("eval", 5.0, None)


def test_labels_are_lower_case_words() -> None:
    """What becomes a metric label consists of lower-case letters and hyphens."""
    for label in DIRECTIVES | OTHER_TYPES:
        assert label.replace("-", "").isalpha(), label
        assert label == label.lower()
