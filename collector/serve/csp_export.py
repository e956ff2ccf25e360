"""The list of violations as a file: CSV for spreadsheets, or one JSON object a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import msgspec
from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.http.errors import json_bytes
from collector.http.observe import complete
from collector.http.operation import Operation, Param
from collector.rollup.violation_list import invalid, violation_query, violations
from collector.serve.csp import AFTER, FILTERS, SORT
from collector.serve.scope import visible
from collector.wire.violations import Violation

PAGE = 1_000  # violations that are read and sent at a time
# What a spreadsheet takes for a formula when a cell begins with it (OWASP, "CSV Injection"), also in full width.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")
COLUMNS = tuple(name for name in Violation.__struct_fields__ if name != "counts")
COUNTS = ("enforce", "report", "unknown")
FORMAT = Param("format", "for spreadsheets, or one object a line", {"enum": ["csv", "ndjson"]}, "`csv`")


@Operation(
    media=("text/csv", "application/x-ndjson"),
    headers={"Content-Disposition": "The name of the file."},
    query=(FORMAT, *FILTERS, SORT, AFTER),
)
async def get_export(request: web.Request) -> web.StreamResponse:
    """All violations that match as a file, in the order of the list."""
    name = request.query.get("format") or "csv"
    if name not in FORMATS:
        raise invalid("format", "Expected csv or ndjson")
    content_type, head, lines = FORMATS[name]
    query = msgspec.structs.replace(violation_query(request.query), limit=PAGE)
    scope, now, store = await visible(request), request.app[NOW](), request.app[STORE]
    # The first page before the head of the answer: whatever is wrong with the request is still a 400.
    read = partial(violations, now=now, visible=scope)
    page = await store.read(partial(read, query=query))
    response = web.StreamResponse(
        headers={"Content-Type": content_type, "Content-Disposition": f'attachment; filename="violations.{name}"'}
    )
    complete(request, response)
    await response.prepare(request)
    await response.write(head)
    while True:
        await response.write(lines(page.results))
        if page.next is None:
            break
        query = msgspec.structs.replace(query, after=page.next)
        page = await store.read(partial(read, query=query))
    await response.write_eof()
    return response


def csv_lines(rows: Sequence[Violation]) -> bytes:
    """One line a violation; what a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([*(_cell(getattr(row, name)) for name in COLUMNS), *(getattr(row.counts, name) for name in COUNTS)])
    return text.getvalue().encode("utf-8", "replace")


def ndjson_lines(rows: Sequence[Violation]) -> bytes:
    """One object a violation, as the list has it."""
    return b"".join(map(json_bytes, rows))


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, int | float):
        return str(value)
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) or text.startswith(FORMULA) else text


Lines = Callable[[Sequence[Violation]], bytes]
FORMATS: dict[str, tuple[str, bytes, Lines]] = {
    "csv": ("text/csv; charset=utf-8", ",".join((*COLUMNS, *COUNTS)).encode() + b"\r\n", csv_lines),
    "ndjson": ("application/x-ndjson; charset=utf-8", b"", ndjson_lines),
}
