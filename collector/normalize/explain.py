"""What the service would make of a body, without storing it: for people who wonder why a report looks as it does."""

from __future__ import annotations

from collector.normalize.csp import Dropped, arrived
from collector.normalize.fingerprint import fingerprint
from collector.wire.csp import CSP_VIOLATION
from collector.wire.records import CspReport, DropReason

_KEYS = (
    "type",
    "effective_directive",
    "blocked_kind",
    "blocked_origin",
    "document_origin",
    "disposition",
    "noise_class",
    "fingerprint",
)


def explain(
    body: bytes, *, user_agent: str | None = None, project: str = "default"
) -> tuple[list[dict[str, str | None]], list[str]]:
    """An explanation of each accepted entry in body order, and the reasons of those that were refused.

    A value that is absent or unknown is None. Of an entry that is not about CSP only ``type`` is known.

    Raises:
        InvalidReport: the body is refused as a whole.
    """
    accepted: list[dict[str, str | None]] = []
    refused: list[str] = []
    posted = arrived(body, user_agent=user_agent)
    for number, outcome in enumerate(posted.outcomes, start=1):
        if isinstance(outcome, Dropped):
            refused.append(f"entry {number}: {outcome.reason}: {outcome.detail}")
        elif isinstance(outcome, CspReport):
            accepted.append(_explained(outcome, project))
        else:
            accepted.append(dict.fromkeys(_KEYS) | {"type": outcome.type})
    over = dict(posted.drops).get(DropReason.OVER_ENTRIES)
    if over:
        refused.append(f"{over} more entries: {DropReason.OVER_ENTRIES}: not looked at")
    return accepted, refused


def _explained(report: CspReport, project: str) -> dict[str, str | None]:
    return {
        "type": CSP_VIOLATION,
        "effective_directive": report.effective_directive,
        "blocked_kind": report.blocked_kind,
        "blocked_origin": report.blocked_origin,
        "document_origin": report.document_origin,
        "disposition": report.disposition,
        "noise_class": report.noise_class,
        "fingerprint": fingerprint(project, report.group),
    }
