"""The second, patient reading of a body: for what the typed one refuses or finds incomplete.

Here keys may be spelled in any of their historic ways, numbers may be text, a field of the wrong type is as good as absent,
halves of surrogate pairs and invalid UTF-8 are let through (``text.clean`` marks them). It costs ten times the typed reading.
Batches in which something stands that is not about CSP come here too: its fields are as many as there are types.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from collector.wire.csp import CSP_VIOLATION, Entry, LegacyReport, ReportingBody
from collector.wire.errors import InvalidReport
from collector.wire.other_reports import OtherEntry, Value

_TEXTS = {
    "documenturi": "document_uri",
    "documenturl": "document_uri",  # WebKit before 2012
    "referrer": "referrer",
    "blockeduri": "blocked_uri",
    "blockedurl": "blocked_uri",
    "effectivedirective": "effective_directive",
    "violateddirective": "violated_directive",
    "originalpolicy": "original_policy",
    "disposition": "disposition",
    "sourcefile": "source_file",
    "scriptsample": "script_sample",
    "sample": "script_sample",
}
_NUMBERS = {"statuscode": "status_code", "linenumber": "line_number", "columnnumber": "column_number"}
# One of these makes a bare object a report; the other fields also occur in reports of other kinds.
_TELLING = frozenset({"document_uri", "blocked_uri", "effective_directive", "violated_directive", "original_policy"})
_LONGEST_KEY = 32
_MOST_FIELDS = 64  # that are looked at of a body that is not about CSP
_LONGEST_NUMBER = 18  # digits; Python refuses to read more than 4300, and takes its time for fewer

Posted = Entry | OtherEntry | str  # a string says why it is neither


def entries(body: bytes, limit: int) -> tuple[list[Posted], int]:
    """The first ``limit`` entries of what was posted, and how many more there are; a string says why one is no report.

    Raises:
        InvalidReport: the body is not JSON, is neither object nor array, or is one object that is no report.
    """
    try:
        posted = json.loads(body.decode("utf-8-sig", "replace"), parse_int=_integer_or_float, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise InvalidReport("The report is not valid JSON.") from None
    if isinstance(posted, list):
        return [_entry(member) for member in posted[:limit]], max(0, len(posted) - limit)
    entry = _entry(posted)
    if isinstance(entry, str):
        raise InvalidReport("The report has no shape that browsers send.", entry)
    return [entry], 0


def _refused(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are JavaScript, not JSON


def _integer_or_float(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else float(digits)


def _entry(member: Any) -> Posted:
    if not isinstance(member, dict):
        return "it is not an object"
    if "csp-report" in member:
        report = member["csp-report"]
        if not isinstance(report, dict):
            return "csp-report is not an object"
        return Entry(csp_report=LegacyReport(**_fields(report)))
    if isinstance(member.get("type"), str) and "body" in member:
        return _reporting(member)
    fields = _fields(member)
    if _TELLING.isdisjoint(fields):
        return "it has neither csp-report, nor type and body, nor a field of a CSP report"
    return Entry(csp_report=LegacyReport(**fields))


def _reporting(member: dict[str, Any]) -> Posted:
    body = member["body"]
    url, age, user_agent = _text(member.get("url")), _number(member.get("age")), _text(member.get("user_agent"))
    if member["type"] != CSP_VIOLATION:
        return OtherEntry(member["type"], url, age, user_agent, _scalars(body) if isinstance(body, dict) else {})
    if not isinstance(body, dict | None):
        return "body is not an object"
    return Entry(type=CSP_VIOLATION, url=url, age=age, user_agent=user_agent, body=ReportingBody(**_fields(body or {})))


def _scalars(body: dict[str, Any]) -> dict[str, Value]:
    return {key: body[key] for key in list(body)[:_MOST_FIELDS] if isinstance(body[key], str | int | float)}


def _fields(report: dict[str, Any]) -> dict[str, Any]:
    """The fields by the names of the structs; of two spellings of one field the first with a value counts."""
    fields: dict[str, Any] = {}
    for key, value in report.items():
        spelled = key[:_LONGEST_KEY].replace("-", "").replace("_", "").lower()
        if name := _TEXTS.get(spelled):
            read: str | int | None = _text(value)
        elif name := _NUMBERS.get(spelled):
            read = _integer(value)
        else:
            continue
        if fields.get(name) is None:
            fields[name] = read
    return fields


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value[:_LONGEST_NUMBER])
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 (NaN, as text)
        return None
    return float(value)


def _integer(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None
