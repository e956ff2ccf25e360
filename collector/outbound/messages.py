"""What an alert says, in the shapes that webhooks take. Hostile text stays text: nothing in it becomes a link or markup."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from collector.wire.alerts import Alert

SHOWN = 20  # alerts that a message for people names; the others are a number


class Shape(enum.StrEnum):
    """Who reads it."""

    JSON = "json"  # a program
    SLACK = "slack"
    TEAMS = "teams"


def delivery_id(alerts: Sequence[Alert]) -> str:
    """A name of this set of alerts, by which a receiver knows a message that comes twice."""
    return hashlib.sha256("\n".join(alert.id for alert in alerts).encode()).hexdigest()[:32]


def message(shape: Shape, alerts: Sequence[Alert]) -> bytes:
    """The body of one message about ``alerts``, at least one and all of one project."""
    body = {Shape.JSON: _json, Shape.SLACK: _slack, Shape.TEAMS: _teams}[shape](alerts)
    return msgspec.json.encode(body)


def _json(alerts: Sequence[Alert]) -> dict[str, Any]:
    return {"id": delivery_id(alerts), "project": alerts[0].project, "alerts": [_entry(alert) for alert in alerts]}


def _entry(alert: Alert) -> dict[str, Any]:
    known = msgspec.structs.asdict(alert)
    times = {name: _time(known[name]) for name in ("first_seen", "last_seen", "raised_at")}
    return {name: value for name, value in (known | times).items() if name not in ("row", "project", "attempts")}


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat().replace("+00:00", "Z")


def _slack(alerts: Sequence[Alert]) -> dict[str, Any]:
    """Within back quotes nothing is a link, and three characters are escaped (https://docs.slack.dev/messaging/formatting)."""
    lines = [
        f"*{_title(alerts)}*",
        *(f"• {alert.kind}: `{_escaped(_line(alert))}` {_numbers(alert)}" for alert in alerts[:SHOWN]),
    ]
    return {"text": "\n".join(lines + _more(alerts))}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'")


def _teams(alerts: Sequence[Alert]) -> dict[str, Any]:
    """An adaptive card of plain text runs, which know no markup (https://adaptivecards.io/explorer/RichTextBlock.html)."""
    lines = [f"{alert.kind}: {_line(alert)} {_numbers(alert)}" for alert in alerts[:SHOWN]]
    title = {"type": "TextRun", "text": _title(alerts), "weight": "Bolder"}
    body = [[title], *([{"type": "TextRun", "text": line}] for line in lines + _more(alerts))]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": inlines} for inlines in body],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def _title(alerts: Sequence[Alert]) -> str:
    return f"{len(alerts)} CSP violation{'s' if len(alerts) > 1 else ''} of {alerts[0].project}"


def _line(alert: Alert) -> str:
    return f"{alert.effective_directive or 'unknown directive'} blocked {alert.blocked} on {alert.document_origin or 'unknown'}"


def _numbers(alert: Alert) -> str:
    return f"({alert.reports} reports, {alert.clients} clients)"


def _more(alerts: Sequence[Alert]) -> list[str]:
    return [f"and {len(alerts) - SHOWN} more"] if len(alerts) > SHOWN else []
