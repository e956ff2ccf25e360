"""What a person sees of a simulation: progress while it runs, a table at the end."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from collector.simulate.ledger import Ledger
from collector.simulate.plan import Plan, Posts, Rows, Summary
from collector.simulate.run import Show

LINES = 10  # printed over the whole simulation where there is no terminal


@contextmanager
def progress(stream: TextIO, plan: Plan) -> Iterator[Show]:
    """Give a ``show`` for :func:`collector.simulate.run.run`: a bar on a terminal, a few plain lines elsewhere."""
    if not stream.isatty():
        yield _lines(stream)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[counts]}"))
    with Progress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task(f"{plan.workspaces} workspaces, {plan.browsers} browsers", total=1.0, counts="")
        yield lambda ledger, share: bar.update(task, completed=share, counts=_counts(ledger))


def render(summary: Summary) -> str:
    """The summary as plain text: what was sent and acknowledged, and what the service must now show."""
    out = io.StringIO()
    console = Console(file=out, width=100, color_system=None)
    seconds = (summary.finished_at - summary.started_at) / 1000
    console.print(f"{summary.workspaces} workspaces and {summary.browsers} browsers for {seconds:.1f} s against {summary.url}")
    console.print(_requests(summary.posts))
    console.print(_contents(summary))
    console.print(_expected(summary))
    verdict = "Everything was acknowledged." if summary.wholly_acknowledged else "NOT everything was acknowledged."
    console.print(verdict)
    return out.getvalue()


def _lines(stream: TextIO) -> Show:
    due = 0.0

    def show(ledger: Ledger, share: float) -> None:
        nonlocal due
        if share < due:
            return
        due = min(share + 1 / LINES, 1.0) if share < 1 else math.inf  # the end is told, and told once
        stream.write(f"{share:4.0%}  {_counts(ledger)}\n")
        stream.flush()

    return show


def _counts(ledger: Ledger) -> str:
    reports, rows = ledger.reports_acknowledged.total(), ledger.rows_accepted.total()
    refused = ledger.refusals.total()
    return f"{reports} reports, {rows} rows acknowledged" + (f", {refused} POSTs refused" if refused else "")


def _requests(posts: tuple[Posts, ...]) -> Table:
    table = Table("POSTs", title_justify="left")
    for heading in ("sent", "acknowledged", "refused"):
        table.add_column(heading, justify="right")
    for of_route in posts:
        refused = ", ".join(f"{count} x {status}" for status, count in of_route.refused.items()) or "0"
        table.add_row(of_route.route, str(of_route.sent), str(of_route.acknowledged), refused)
    return table


def _contents(summary: Summary) -> Table:
    table = Table("what they carried")
    for heading in ("sent", "acknowledged", "rejected", "unsettled"):
        table.add_column(heading, justify="right")
    noise = [count for count in summary.csp if count.noise]
    table.add_row("CSP reports", str(summary.csp_sent), str(summary.csp_acknowledged), "", "")
    table.add_row("  of them noise", str(sum(c.sent for c in noise)), str(sum(c.acknowledged for c in noise)), "", "")
    others = summary.others_sent, summary.others_acknowledged
    table.add_row("other reports", *(str(sum(of_type.values())) for of_type in others), "", "")
    table.add_row("agent reports", *_row_counts(summary.agent_rows))
    table.add_row("workspace states", *_row_counts(summary.workspace_rows))
    table.add_row("lines of AI gateways", *_row_counts(summary.aibridge_lines))
    return table


def _row_counts(rows: Rows) -> tuple[str, ...]:
    return str(rows.sent), str(rows.accepted), str(rows.rejected), str(rows.unsettled)


def _expected(summary: Summary) -> Table:
    fleet = summary.expected
    table = Table("the service must now show", "")
    buckets, sessions = fleet.workspaces, fleet.sessions
    table.add_row("workspaces", ", ".join(f"{getattr(buckets, name)} {name}" for name in buckets.__struct_fields__))
    table.add_row("sessions", ", ".join(f"{getattr(sessions, name)} {name}" for name in sessions.__struct_fields__))
    table.add_row("bytes", f"{fleet.rx_bytes} received, {fleet.tx_bytes} sent")
    table.add_row("latency", f"p50 {fleet.latency_p50_ms:g} ms, p95 {fleet.latency_p95_ms:g} ms")
    return table
