"""Whatever is asked of the list, it is answered or refused by name; whatever a path is, its prefix is bounded."""

from __future__ import annotations

import base64
import csv
import io

from hypothesis import example, given
from hypothesis import strategies as st

from collector.persist.csp_facets import PATH_SEGMENTS, VALUE_LONGEST, path_prefix
from collector.rollup.violation_list import _from_cursor, violation_query
from collector.serve.csp_export import FORMULA, _cell, csv_lines
from collector.wire.errors import InvalidInput
from collector.wire.violations import Sort, ViolationQuery

NAMES = st.sampled_from(ViolationQuery.__struct_fields__)
ENCODED = st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="))
NEAR = st.from_regex(r"(first_seen|count|trend) -?(\d{1,20}|0x1\.[0-9a-f]{1,14}p[+-]\d{1,4}|nan|inf) \d{1,20}", fullmatch=True)
CURSORS = st.text(max_size=40) | ENCODED | NEAR.map(lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))


@given(st.dictionaries(NAMES, st.text(max_size=40) | st.sampled_from(["1e400", "-1", "9" * 30, "2026-01-01T00:00:00+99:00"])))
def test_a_query_is_read_or_refused(parameters: dict[str, str]) -> None:
    """No parameter does anything but become part of a query, or be named as what is wrong."""
    try:
        violation_query(parameters)
    except InvalidInput as error:
        named = {validation.field for validation in error.validations}
    else:
        named = set()
    assert named <= set(parameters)


@given(st.sampled_from(Sort), CURSORS)
@example(Sort.TREND, base64.urlsafe_b64encode(b"trend 0x1.0p+2000 1").decode().rstrip("="))
def test_a_cursor_is_a_place_or_refused(sort: Sort, cursor: str) -> None:
    """A cursor leads to a place that a database can hold, or is refused."""
    try:
        place = _from_cursor(ViolationQuery(sort=sort, after=cursor))
    except InvalidInput:
        return
    assert place is None or (abs(place.value) <= 2**1024 and 0 < place.id < 2**63)


@given(st.text(max_size=600) | st.text("/a", max_size=700).map("https://cdn.example/{}".format))
def test_a_prefix_is_bounded(uri: str) -> None:
    """It begins with a slash, has at most three segments, and begins the path unless it is whole."""
    prefix = path_prefix(uri)
    assert prefix.startswith("/")
    assert len(prefix) <= VALUE_LONGEST
    assert prefix.rstrip("/").count("/") <= PATH_SEGMENTS or prefix.count("/") <= PATH_SEGMENTS + 1


@given(st.text(max_size=50))
def test_no_cell_is_a_formula(text: str) -> None:
    """A cell never begins with what a spreadsheet would compute, and survives the file."""
    cell = _cell(text)
    assert not cell.startswith(FORMULA)
    assert cell.endswith(text)
    assert csv_lines([]) == b""
    line = io.StringIO(newline="")
    csv.writer(line).writerow([cell])
    line.seek(0)
    if "\0" not in text:
        assert next(csv.reader(line)) == [cell]
